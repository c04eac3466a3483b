"""Parts that have no verdict on record: each gets its ``error`` once the ledger can take it (I1).

Enters: numbers whose verdict was refused, because a disk has been full for so long that no more may
wait for it, or because a record could not be encoded; and those that a line which starts finds
missing. Leaves: stretches of them, for ``watch.py`` to settle. Imports changeover, store and part;
``verdicts.py`` keeps them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from inspector.line.changeover import Job
from inspector.part import Mode, Part
from inspector.store import StoreFull

FULL = "the disk was full for so long that its verdict could not be recorded"


@dataclass(frozen=True, slots=True)
class Span:
    """Parts in a row that lack their verdict for one reason."""

    stream: str
    numbers: range
    planned: Job
    mode: Mode
    why: str


class Owed:
    """What is owed. One thread, the loop's, calls it."""

    def __init__(self) -> None:
        self._spans: deque[Span] = deque()

    def __bool__(self) -> bool:
        return bool(self._spans)

    @property
    def parts(self) -> int:
        """How many parts that are."""
        return sum(len(span.numbers) for span in self._spans)

    def refused(self, part: Part, planned: Job, error: Exception) -> None:
        """The ledger refused this part's verdict."""
        why = FULL if isinstance(error, StoreFull) else f"its verdict was refused: {error}"
        numbers = range(part.sequence, part.sequence + 1)
        self.add(Span(part.stream, numbers, planned, part.mode, why))

    def add(self, span: Span) -> None:
        """These are owed too."""
        if self._spans and (joined := _joined(self._spans[-1], span)) is not None:
            self._spans[-1] = joined
        else:
            self._spans.append(span)

    def take(self, most: int) -> list[Span]:
        """What has been owed longest, at most so many parts; they are owed no more."""
        taken: list[Span] = []
        while self._spans and most > 0:
            span = self._spans.popleft()
            now, later = span.numbers[:most], span.numbers[most:]
            taken.append(_of(span, now))
            if later:
                self._spans.appendleft(_of(span, later))
            most -= len(now)
        return taken


def _of(span: Span, numbers: range) -> Span:
    return Span(span.stream, numbers, span.planned, span.mode, span.why)


def _joined(before: Span, span: Span) -> Span | None:
    numbers = range(before.numbers.start, span.numbers.stop)
    follows = before.numbers.stop == span.numbers.start and before.planned is span.planned
    alike = (before.stream, before.mode, before.why) == (span.stream, span.mode, span.why)
    return _of(span, numbers) if follows and alike else None
