"""Parts that the ledger could not take: each gets its verdict once it can (I1).

Enters: numbers whose verdict was refused, because a disk has been full for so long that no more may
wait for it, or because a record could not be encoded. Leaves: spans of them, for ``watch.py`` to
settle. Imports store; ``verdicts.py`` keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass

from inspector.store import StoreFull

FULL = "the disk was full for so long that its verdict could not be recorded"


@dataclass(slots=True)
class Span:
    """Parts in a row, refused for one reason."""

    stream: str
    first: int
    last: int
    why: str


class Owed:
    """What is owed. One thread, the loop's, calls it."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def __bool__(self) -> bool:
        return bool(self._spans)

    def add(self, stream: str, number: int, refused: Exception) -> None:
        """The ledger refused this part's verdict."""
        why = FULL if isinstance(refused, StoreFull) else f"its verdict was refused: {refused}"
        newest = self._spans[-1] if self._spans else None
        if newest and (newest.stream, newest.last + 1, newest.why) == (stream, number, why):
            newest.last = number
        else:
            self._spans.append(Span(stream, number, number, why))

    def take(self) -> list[Span]:
        """All of it; nothing is owed then."""
        spans, self._spans = self._spans, []
        return spans
