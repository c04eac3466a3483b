"""How many parts of a batch were let through in spite of a finding, as its recipe's limits allow.

Enters: what was concluded of each part. Leaves: the batch's counts so far, which the recipe judges
the next part by; and one ``tolerated`` event for each such part, so that a restart counts on.
Imports store and part; the line imports it. A batch is counted by its id, so a change of batch
begins anew, and going back to one goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from inspector.line.matching import Candidate
from inspector.part import Mode, Outcome, Part, Severity
from inspector.store import History, LineLedger

LOOKED_BACK = 10_000
"""Events that are read at the start: more than the limits of the batches that can come back."""


class Tolerated:
    """The counts of each batch. The loop's thread calls it."""

    def __init__(self, ledger: LineLedger, parts: Mapping[int, Candidate]) -> None:
        """``parts`` are those under way; one that is judged and not concluded counts already."""
        self._ledger, self._parts = ledger, parts
        self._counts: dict[str, Counter[Severity]] = {}
        with History(ledger.data_dir) as history:
            for event in history.events("tolerated", LOOKED_BACK):
                severities = [Severity(s) for s in event.body.get("severities", ())]
                self._counts.setdefault(str(event.body.get("batch")), Counter()).update(severities)

    def so_far(self, part: Part) -> dict[Severity, int] | None:
        """What the part's batch has used up; None, so that nothing is let through, for a part that
        is no production: a seeded defect must be found."""
        if part.mode is not Mode.AUTO:
            return None
        counts = Counter(self._counts.get(part.batch, ()))
        for candidate in self._parts.values():
            if candidate.judgement is not None and candidate.part.batch == part.batch:
                counts.update(candidate.judgement.tolerated)
        return dict(counts)

    def concluded(self, candidate: Candidate, outcome: Outcome) -> None:
        """Counts a part that passed in spite of a finding; its event goes before its verdict, so
        that no crash leaves a part uncounted that went through."""
        part, judgement = candidate.part, candidate.judgement
        if judgement is None or not judgement.tolerated or outcome is not Outcome.PASS:
            return
        self._counts.setdefault(part.batch, Counter()).update(judgement.tolerated)
        self._ledger.add_event(
            "tolerated", "line", stream=part.stream, part=part.sequence, batch=part.batch,
            severities=[str(severity) for severity in judgement.tolerated],
        )  # fmt: skip
