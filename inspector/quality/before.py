"""What was before the quality process was started: results, sheets and looks that are on record.

Enters: a `History`. Leaves: what a follower goes on from. ``follow.py`` imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from inspector.part import GateAction, Outcome
from inspector.quality import challenge, drift, first_article, spc
from inspector.quality.first_article import Look, reference_of
from inspector.quality.signing import article_subject
from inspector.store import History
from inspector.store.cursor import desk_since, newest_desk
from inspector.store.holds import KIND as DISPOSITION
from inspector.store.records import DeskRecord
from inspector.store.signatures import Signatures

Said = tuple[str, int, str]
"""What names a record that came of the line's: its kind, the position of what made it, and, as a
line that stands has an inconclusive challenge and a missed one at one position, its result."""


def said_of(kind: str, position: int, body: Mapping[str, Any]) -> Said:
    """The name of a record with this body."""
    return kind, position, str(body.get("result", ""))


def said_since(history: History, since: int) -> frozenset[Said]:
    """What was recorded when the line's record at ``since`` was there, and some of before."""
    kinds = (first_article.KIND, challenge.KIND, spc.KIND, drift.KIND, DISPOSITION)
    return frozenset(
        said_of(kind, record.body["position"], record.body)
        for kind in kinds for _, record in desk_since(history, kind, since)
        if isinstance(record.body.get("position"), int)
    )  # fmt: skip


def newest_result(history: History) -> Mapping[str, Any] | None:
    """The newest challenge that came to something, as it was recorded."""
    done = [
        record.body for _, record in newest_desk(history, challenge.KIND, 500)
        if record.body.get("result") != challenge.INCONCLUSIVE and "position" in record.body
    ]  # fmt: skip
    return max(done, key=lambda body: int(body["position"]), default=None)


def ran_out(history: History) -> frozenset[tuple[str, int]]:
    """Stream and first part of challenges that are known to have been inconclusive."""
    found = (
        challenge.window_of(record.body)
        for _, record in newest_desk(history, challenge.KIND, 100)
        if record.body.get("result") == challenge.INCONCLUSIVE
    )
    return frozenset(window for window in found if window)


def newest_tested(
    history: History, sheets: Iterable[tuple[int, DeskRecord]], gated: bool
) -> Mapping[str, Any] | None:
    """The newest of ``sheets``, oldest first, that counts as a challenge: it passed, and the gate
    has acknowledged that it rejected the seeded parts."""
    for _, record in reversed([*sheets]):
        sheet = record.body
        if sheet.get("passed") and "position" in sheet:
            seeded = [p for p in sheet["parts"] if p["outcome"] == Outcome.REJECT]
            if seeded and (not gated or all(_refused(history, part) for part in seeded)):
                return sheet
    return None


def reference(history: History, recipe: str) -> Mapping[str, Look]:
    """Focus and light by view at the last signed first article of a recipe's name."""
    with Signatures(history.data_dir) as signatures:
        for _, record in reversed(desk_since(history, first_article.KIND)):
            sheet = record.body
            mine = str(sheet.get("recipe", "")).partition("@")[0] == recipe
            if mine and sheet.get("passed") and signatures.under(article_subject(sheet)):
                return reference_of(sheet)
    return {}


def _refused(history: History, part: Mapping[str, Any]) -> bool:
    found = history.by_sequence(str(part["stream"]), int(part["number"]))
    gates = found.gates if found else ()
    return any(g.action is not GateAction.PERMIT and g.acknowledged_ns for g in gates)
