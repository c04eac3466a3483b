"""A template of legal print goes in; what a reading may mean under it comes out.

A template is a small regular expression: literals, classes ``[A-Z0-9]``, ``\\d`` (digit), ``\\a``
(capital letter), ``.``, groups ``(JAN|FEB)``, and the counts ``?``, ``{3}``, ``{2,4}``. Because it
is finite, the characters that are legal at each place are known, and only that decides whether a
look-alike may stand for another. Imported by ``tools/read.py`` and ``tools/dates.py``.
"""

from __future__ import annotations

import functools
import string
import unicodedata
from dataclasses import dataclass, field

LOOK_ALIKES = (
    "O0QDCU", "I1Ll|!i", "T7", "Z7", "A4", "AR", "B8", "S5", "Z2", "G6", "b6", "E3", "g9q",
    "MN", "WN", "UV",
)  # fmt: skip
"""Groups of characters that recognisers mistake for one another, above all in dot-matrix print;
measured on random dot-matrix lines the most frequent are V read as U, and A as R. No two digits
are in one group: ``77 OCT`` for ``17 OCT`` is a misprint that a camera must find, not a reading."""

LONGEST = 64
"""Characters that a template can span at most."""

_DIGITS = frozenset(string.digits)
_CAPITALS = frozenset(string.ascii_uppercase)
_ANY = frozenset(chr(c) for c in range(32, 127))


class PatternError(ValueError):
    """A template that cannot be read; ``str()`` says where."""


@dataclass(slots=True)
class _Net:
    """A nondeterministic automaton: numbered states, moves on a set of characters or on nothing."""

    moves: list[tuple[int, frozenset[str], int]] = field(default_factory=list)
    free: dict[int, set[int]] = field(default_factory=dict)
    size: int = 0

    def state(self) -> int:
        self.size += 1
        return self.size - 1

    def skip(self, a: int, b: int) -> None:
        self.free.setdefault(a, set()).add(b)

    def close(self, states: set[int]) -> frozenset[int]:
        todo, seen = list(states), set(states)
        while todo:
            for nxt in self.free.get(todo.pop(), ()):
                if nxt not in seen:
                    seen.add(nxt)
                    todo.append(nxt)
        return frozenset(seen)


class Pattern:
    """A compiled template. ``ignore_case`` takes ``Nov`` where ``NOV`` is written."""

    def __init__(self, template: str, ignore_case: bool = False) -> None:
        self.template = template
        self._fold = ignore_case
        self._net = _Net()
        start = self._net.state()
        reader = _Reader(template, self._net, ignore_case)
        end = reader.choice(start)
        if reader.at < len(template):
            raise PatternError(
                f"`{template}`: `{template[reader.at]}` at {reader.at + 1} is unpaired"
            )
        self._start, self._end = self._net.close({start}), end
        self._legal: dict[int, tuple[frozenset[str], ...]] = {}

    def matches(self, text: str) -> bool:
        """Whether ``text`` is legal as it is."""
        now = self._start
        for char in text:
            now = self._net.close(
                {b for a, chars, b in self._net.moves if a in now and char in chars}
            )
            if not now:
                return False
        return self._end in now

    @property
    def shortest(self) -> int:
        """Characters of the shortest legal text that are no spaces, at least."""
        length = next((n for n in range(1, LONGEST + 1) if self.legal(n)), 1)
        return sum(chars != {" "} for chars in self.legal(length))

    def legal(self, length: int) -> tuple[frozenset[str], ...]:
        """The characters legal at each place of a text of ``length``; empty when none is legal."""
        if length in self._legal or length > LONGEST:
            return self._legal.get(length, ())
        net, ahead = self._net, [self._start]
        for _ in range(length):
            reached = ahead[-1]
            ahead.append(net.close({b for a, _, b in net.moves if a in reached}))
        places: list[frozenset[str]] = []
        if self._end in ahead[-1]:
            alive: set[int] = _back(net, {self._end})
            for states in reversed(ahead[:-1]):
                on = alive
                live = [(a, chars) for a, chars, b in net.moves if a in states and b in on]
                places.append(frozenset(c for _, chars in live for c in chars))
                alive = _back(net, {a for a, _ in live})
        self._legal[length] = tuple(reversed(places))
        return self._legal[length]

    def mend(self, text: str) -> str | None:
        """``text`` if legal; else ``text`` with look-alikes put right, or None.

        A character is taken for another only where it is not legal itself and just one of its
        look-alikes is: two characters that are both legal at a place are never equated.
        """
        if self.matches(text):
            return text
        places = self.legal(len(text))
        if not places:
            return None
        mended = []
        for char, chars in zip(text, places, strict=True):
            if char in chars:
                mended.append(char)
                continue
            options = look_alikes(char) & chars
            if self._fold and len({o.upper() for o in options}) == 1:
                options = frozenset(sorted(options)[:1])
            if len(options) != 1:
                return None
            mended.append(next(iter(options)))
        result = "".join(mended)
        return result if self.matches(result) else None


@functools.cache
def look_alikes(char: str) -> frozenset[str]:
    """What ``char`` may have been, itself not included: É may be E, O may be 0."""
    plain = unicodedata.normalize("NFKD", char)[0]
    group = {c for g in LOOK_ALIKES if plain in g or plain.upper() in g for c in g}
    if plain.upper() != plain.lower():
        group |= {plain.upper(), plain.lower()}
    return frozenset((group | {plain}) - {char})


def _back(net: _Net, states: set[int]) -> set[int]:
    """States from which ``states`` are reached for nothing, and they themselves."""
    seen = set(states)
    grown = True
    while grown:
        more = {a for a, bs in net.free.items() if a not in seen and bs & seen}
        seen |= more
        grown = bool(more)
    return seen


class _Reader:
    """Reads a template by recursive descent into a net."""

    def __init__(self, text: str, net: _Net, fold: bool) -> None:
        self.text, self.net, self.at, self._fold = text, net, 0, fold

    def choice(self, start: int) -> int:
        end = self.net.state()
        while True:
            self.net.skip(self._sequence(start), end)
            if self._peek() != "|":
                return end
            self.at += 1

    def _sequence(self, start: int) -> int:
        now = start
        while (char := self._peek()) and char not in "|)":
            begin = self.at
            after = self._atom(now)
            low, high = self._counts()
            if (low, high) == (1, 1):
                now = after
                continue
            end, tail = self.net.state(), self.at
            ends = [now] if low == 0 else []
            if high == 0:
                raise self._error("a count of 0 makes no sense")
            for times in range(1, high + 1):
                if times > 1:
                    self.at = begin
                    after = self._atom(now)
                now = after
                if times >= low:
                    ends.append(now)
            self.at = tail
            for state in ends:
                self.net.skip(state, end)
            now = end
        return now

    def _atom(self, start: int) -> int:
        char = self._next("a character")
        if char == "(":
            end = self.choice(start)
            if self._next("`)`") != ")":
                raise self._error("`)` is missing")
            return end
        end = self.net.state()
        self.net.moves.append((start, self._folded(self._set(char)), end))
        return end

    def _set(self, char: str) -> frozenset[str]:
        if char == ".":
            return _ANY
        if char == "\\":
            return self._escape()
        if char in "?{*+":
            raise self._error(f"`{char}` follows nothing (write \\{char} for the character itself)")
        if char != "[":
            return frozenset(char)
        chars: set[str] = set()
        while (char := self._next("`]`")) != "]":
            if char == "\\":
                chars |= self._escape()
            elif self._peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                last = self._next("the end of a range")
                if last < char:
                    raise self._error(f"the range {char}-{last} runs backwards")
                chars.update(map(chr, range(ord(char), ord(last) + 1)))
            else:
                chars.add(char)
        if not chars:
            raise self._error("an empty class matches nothing")
        return frozenset(chars)

    def _escape(self) -> frozenset[str]:
        char = self._next("a character after `\\`")
        return {"d": _DIGITS, "a": _CAPITALS}.get(char, frozenset(char))

    def _counts(self) -> tuple[int, int]:
        char = self._peek()
        if char in ("*", "+"):
            raise self._error(f"`{char}` has no end; give a count such as {{1,8}}")
        if char == "?":
            self.at += 1
            return 0, 1
        if char != "{":
            return 1, 1
        close = self.text.find("}", self.at)
        low, _, high = self.text[self.at + 1 : max(close, 0)].partition(",")
        if close < 0 or not low.isdigit() or not (high or low).isdigit():
            raise self._error("a count is {3} or {2,4}")
        self.at = close + 1
        counts = int(low), int(high or low)
        if counts[0] > counts[1] or counts[1] > LONGEST:
            raise self._error(f"a count runs upwards and to {LONGEST} at most")
        return counts

    def _folded(self, chars: frozenset[str]) -> frozenset[str]:
        return (
            chars | {c.lower() for c in chars} | {c.upper() for c in chars} if self._fold else chars
        )

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _next(self, wanted: str) -> str:
        char = self._peek()
        if not char:
            raise self._error(f"ends where {wanted} must follow")
        self.at += 1
        return char

    def _error(self, what: str) -> PatternError:
        return PatternError(f"`{self.text}` at {self.at + 1}: {what}")
