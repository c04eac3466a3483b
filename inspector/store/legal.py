"""Legal hold: whatever the rules say, the evidence it names stays until somebody lifts it.

Enters: a batch, a part, a serial or everything, a reason, a principal. Leaves: desk records of kind
``legal_hold``, and what is held now. It is apart from a disposition: goods that were released or
scrapped long ago may still be evidence. The command line and the plant import this.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from inspector.store.desk import DeskLedger
from inspector.store.errors import RecordError
from inspector.store.related import desk_records

KIND = "legal_hold"
SCOPES = ("batch", "part", "serial", "everything")


@dataclass(frozen=True, slots=True)
class LegalHold:
    """One that stands."""

    scope: str
    """One of `SCOPES`."""
    name: str
    """The batch's id, the part's id, the serial; empty for everything."""
    reason: str
    principal: str
    utc_ns: int


@dataclass(frozen=True, slots=True)
class LegalHolds:
    """All that stand."""

    standing: tuple[LegalHold, ...]

    def covers(self, batch: str, part: str, serial: str | None) -> bool:
        """Whether a part is held."""
        names = {"batch": batch, "part": part, "serial": serial, "everything": ""}
        return any(names.get(hold.scope) == hold.name for hold in self.standing)


def hold_evidence(
    data_dir: Path | str, scope: str, name: str, reason: str, principal: str, *, lift: bool = False
) -> int:
    """Places a legal hold, or lifts it; gives the position of its record at the desk.

    A part's id may be spelled as a UUID may.

    Raises:
        RecordError: no such scope, no reason, no principal, a part's id that is none, or there is
            nothing to lift.
        StoreError: it was not written.
    """
    if scope not in SCOPES or bool(name) != (scope != "everything"):
        raise RecordError(f"a legal hold is on {', '.join(SCOPES)}, and names it")
    if not reason.strip():
        raise RecordError("a legal hold is placed and lifted for a reason: it is empty here")
    standing = {h.name for h in legal_holds(Path(data_dir)).standing if h.scope == scope}
    if scope == "part" and not (lift and name in standing):  # whose spelling nobody looked at
        try:
            name = str(UUID(name))
        except ValueError:
            raise RecordError(f"a part's id is a UUID, never {name!r:.60}") from None
    if lift and name not in standing:
        raise RecordError(f"there is no legal hold on {scope} {name}".rstrip())
    body = {
        "action": "lift" if lift else "place",
        "scope": scope,
        "name": name,
        "reason": reason,
    }
    with DeskLedger.open(data_dir) as desk:
        return desk.add(KIND, body, principal)


def legal_holds(data_dir: Path) -> LegalHolds:
    """What is held now. A record that cannot be understood holds everything: evidence stays."""
    standing: dict[tuple[str, str], LegalHold] = {}
    for record in desk_records(data_dir, KIND):
        body = record.body
        key = (str(body.get("scope")), str(body.get("name")))
        if body.get("action") == "lift":
            standing.pop(key, None)
        else:
            scope, name = key if key[0] in SCOPES else ("everything", "")
            reason = str(body.get("reason"))
            standing[key] = LegalHold(scope, name, reason, record.principal, record.utc_ns)
    return LegalHolds(tuple(standing.values()))
