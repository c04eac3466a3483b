"""Parts that were no production: the line was set up, challenged, cleaned, fed anew by hand.

Enters: a `History`, spans of positions. Leaves: which faulty parts in them were such, and how many
that passed. `figures` and `query` leave them out: a seeded part is there to be rejected, and says
nothing of what was produced. No index has a part's mode, but ``tally`` says between which records
parts of a mode lie, and only there records are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from inspector.part import Mode, Outcome
from inspector.store.records import MODE_NUMBER, OUTCOME_NUMBER, Kind, Lookup
from inspector.store.skim import number

PRODUCTION = frozenset({Mode.AUTO, Mode.BYPASS})
READ_MAX = 4000
"""Records that are read for the few that passed: a set-up is shorter, and of a longer stretch they
are a handful. It costs 4 ms, and a dashboard has 48 slices."""
Span = tuple[int, int]
"""First and last position."""
DEFECT_AMONG = "SELECT count(*) FROM defect WHERE shape = ? AND position IN"
"""How many parts with a kind of defect are `among` some."""
_ASIDE = tuple(number for mode, number in MODE_NUMBER.items() if mode not in PRODUCTION)
_PASS, _REJECT, _ERROR = (
    OUTCOME_NUMBER[outcome] for outcome in (Outcome.PASS, Outcome.REJECT, Outcome.ERROR)
)
_HEAD = 24
"""Bytes of a verdict in which its context, number and outcome are."""
# No join: SQLite would go through all records between, and look for each among the faulty ones.
_FAULTY = (
    f"SELECT position, substr(body, 1, {_HEAD}) FROM record WHERE position IN"
    " (SELECT position FROM faulty WHERE position BETWEEN ? AND ?"
)


class Aside:
    """Those of one ledger, as far as it is now; the caller bounds the time."""

    def __init__(
        self, line: Connection, definition: Lookup, since: int = 0,
        batch: str | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            definition: gives the definition at a position.
            since: only spans from this position on will be asked for …
            batch: … and this batch alone.
        """
        self._line, self._definition = line, definition
        self._tallied: list[tuple[str, int, int, int, int, int]] = line.execute(
            "SELECT batch, mode, outcome, parts, first, last FROM tally"
            f" WHERE mode IN {_ASIDE} AND last >= ? AND batch = coalesce(?, batch)",
            (since, batch),
        ).fetchall()

    def faulty(self, span: Span) -> list[tuple[int, int]]:
        """Position and outcome's number of each that was rejected or could not be judged."""
        found = {}
        for _, _, outcome, _, first, last in self._tallied:
            low, high = max(first, span[0]), min(last, span[1])
            if outcome not in (_REJECT, _ERROR) or low > high:
                continue
            rows = self._line.execute(f"{_FAULTY} AND outcome = ?)", (low, high, outcome))
            for position, head in rows:
                if self._context(head)[2] in _ASIDE:
                    found[position] = outcome
        return sorted(found.items())

    def besides(self, batch: str, span: Span) -> list[int]:
        """Positions of the faulty parts in ``span`` that are no production of ``batch``: one that
        went on lies around what was made before it did."""
        found = {position for position, _ in self.faulty(span)}
        others = self._line.execute(
            "SELECT max(min(first), ?), min(max(last), ?) FROM tally WHERE batch <> ?"
            " AND outcome IN (?, ?) GROUP BY batch HAVING max(last) >= ? AND min(first) <= ?",
            (*span, batch, _REJECT, _ERROR, *span),
        ).fetchall()
        for low, high in others:
            heads = self._line.execute(f"{_FAULTY})", (low, high))
            found.update(at for at, head in heads if self._context(head)[3] != batch)
        return sorted(found)

    def passed(self, span: Span) -> int:
        """How many passed; those of a stretch that reaches out of ``span`` and is too long to be
        read are not counted."""
        count = 0
        for batch, mode, outcome, parts, first, last in self._tallied:
            low, high = max(first, span[0]), min(last, span[1])
            if outcome != _PASS or low > high:
                continue
            if (low, high) == (first, last):
                count += parts
            elif high - low < READ_MAX:
                heads = self._line.execute(
                    f"SELECT substr(body, 1, {_HEAD}) FROM record WHERE position BETWEEN ? AND ?"
                    f" AND substr(body, 2, 1) = x'{Kind.VERDICT:02x}'",
                    (low, high),
                )
                count += sum(self._is_pass_of(head, batch, mode) for (head,) in heads)
        return count

    def _is_pass_of(self, head: bytes, batch: str, mode: int) -> bool:
        outcome = head[number(head, number(head, 3)[1])[1]]
        return outcome == _PASS and self._context(head)[2:4] == (mode, batch)

    def _context(self, head: bytes) -> tuple[Any, ...]:
        return self._definition(number(head, 3)[0]).value


def among(line: Connection, query: str, values: Sequence[Any], positions: Sequence[int]) -> int:
    """What ``query``, which ends in ``IN``, counts among these positions."""
    count = 0
    for at in range(0, len(positions), 500):
        some = positions[at : at + 500]
        places = ",".join("?" * len(some))
        count += line.execute(f"{query} ({places})", (*values, *some)).fetchone()[0]
    return count
