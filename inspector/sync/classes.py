"""What a part has to teach, by its verdict and by what was said of it afterwards.

Enters: a verdict, a record of the desk. Leaves: its class, whether its views disagree, how near to
a threshold it came, why somebody wants its pictures. `choose` imports this.
"""

from __future__ import annotations

from collections.abc import Callable

from inspector.part import Outcome, Verdict
from inspector.store.records import DeskRecord

PASS, ERROR = "pass", "error"
SHADOW = "shadow"
"""Kind of the desk record of a part that a release in shadow judged otherwise."""

Threshold = Callable[[str, str], float | None]
"""Of a tool and a label; None where there is none."""


def class_of(verdict: Verdict) -> str:
    """``pass``, ``error``, or the first thing that was wrong with the part."""
    if verdict.outcome is Outcome.PASS:
        return PASS
    if verdict.outcome is not Outcome.REJECT:
        return ERROR
    wrong = next((finding for finding in verdict.findings if not finding.ok), None)
    return "reject" if wrong is None else f"{wrong.tool}: {wrong.label}"


def disagrees(verdict: Verdict) -> bool:
    """Whether two views of the part say opposite things of the same label."""
    said: dict[str, tuple[str, bool]] = {}
    for finding in verdict.findings:
        view, ok = said.setdefault(finding.label, (finding.view, finding.ok))
        if view != finding.view and ok != finding.ok:
            return True
    return False


def nearness(verdict: Verdict, threshold: Threshold) -> float:
    """The least distance of a finding's score from its threshold; 1 where none has one."""
    distances = []
    for finding in verdict.findings:
        limit = threshold(finding.tool, finding.label)
        if limit is not None:
            distances.append(abs(finding.score - limit))
    return min(distances, default=1.0)


def asked_by(record: DeskRecord) -> str:
    """Why a desk record makes its part a sample; empty if it does not."""
    body = record.body if isinstance(record.body, dict) else {}
    if record.kind == "review":
        if body.get("sample") is True:
            return "review"
        was, outcome = body.get("was"), body.get("outcome")
        if body.get("decision") == "override" or (was and outcome and was != outcome):
            return "disagreement"
    elif record.kind == SHADOW:
        return "disagreement"
    return ""
