"""Which parts' pictures go to the centre to learn from, why, and how likely that was.

Enters: the line's records in their order, the desk's reviews, a budget. Leaves: `outbox.Sample`s.
Only `inspector.sync` imports this.

The station's archive is the first phase: it keeps every picture of a reject and one in so many of a
pass. Of each hour and class (``pass``, ``error``, or the first thing that was wrong) with N parts,
M of them with pictures, the second phase takes first what teaches most: disagreement, rare classes,
scores near their threshold, novelty; the rest of the budget, n of the M' left, is drawn at random.
So a part's selection probability is M/N where it was taken and M/N · n/M' where it was drawn, known
for each, and sums weighted by its inverse are unbiased (Horvitz and Thompson 1952, two phases),
as long as the archive's every-so-many rule is as good as chance. What a review or a person asks
for later carries no probability and counts in no estimate.

Choices are drawn from a seed of station and window, so a restart chooses the same again.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from inspector.config import Samples
from inspector.part import Outcome, PartId, Verdict
from inspector.store import layout, public_key, schema
from inspector.store.keys import PUBLIC_NAME
from inspector.store.records import OUTCOMES, DeskRecord, ImageRecord, Kind, Lookup
from inspector.store.related import body_at, lookup_in, reading
from inspector.store.rows import part_prefix
from inspector.store.skim import verdict_keys
from inspector.store.stretch import read_records
from inspector.store.tombstone import Graves
from inspector.sync.classes import (
    ERROR,
    PASS,
    SHADOW,
    Threshold,
    asked_by,
    class_of,
    disagrees,
    nearness,
)
from inspector.sync.memory import Memory
from inspector.sync.outbox import Sample
from inspector.sync.pace import Pace

HOUR_NS = 3_600_000_000_000
LATE_NS = 60_000_000_000
"""A picture's record comes at most so long after its part's verdict."""
LATE_PARTS = 100
"""… which is while this many parts of the next hour pass, or fewer."""
OPEN_MAX = 3
"""More hours than this at once are a clock that jumps: the oldest is closed."""

Novelty = Callable[[str, Path], float]
"""Of a view and a picture: how unlike what was seen before it is, in 0..1; it is remembered."""
NOVEL = 0.9
"""Beyond this share of the pictures before it, a picture is new."""


@dataclass(slots=True)
class Candidate:
    """A part of which there are pictures."""

    verdict: Verdict
    images: list[ImageRecord] = field(default_factory=list)
    reason: str = ""
    weight: float = 0.0
    """Within its reason, larger goes first."""


@dataclass(slots=True)
class Window:
    """One hour of parts, by class."""

    hour: int
    first: int
    """Position of its first verdict."""
    parts: Counter[str] = field(default_factory=Counter)
    candidates: dict[bytes, Candidate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """A part that was chosen."""

    candidate: Candidate
    reason: str
    stratum: str
    probability: float


class Chooser:
    """The choices of one station."""

    def __init__(
        self,
        data_dir: Path,
        station: str,
        plan: Samples,
        memory: Memory,
        threshold: Threshold = lambda tool, label: None,
        novelty: Novelty | None = None,
        utc_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._data_dir = data_dir
        self._station = station
        self._plan = plan
        self._memory = memory
        self._threshold = threshold
        self._novelty = novelty
        self._utc_ns = utc_ns
        self.done = int(memory.word("chosen", 0))
        """Of what lies before this position, no more will be chosen."""
        self.gone: list[str] = []
        """Pictures that the centre asked for last and that are here no more."""
        self._at = self.done
        self._desk_at = int(memory.word("chosen_desk", 0))
        self._windows: dict[int, Window] = {}
        self._seen: Counter[str] = Counter(memory.word("classes", {}))
        key = data_dir / "keys" / PUBLIC_NAME
        self._graves = Graves(data_dir, public_key(key) if key.is_file() else None)

    def choose(self, upto: int, pace: Pace | None = None) -> Iterator[Sample]:
        """The samples among the line's records before ``upto`` whose hour is over, then those that
        reviews ask for. Each must be kept before the next is asked for."""
        pace = pace or Pace()
        path = self._data_dir / schema.LINE_FILE
        if not path.is_file():
            return
        with reading(path) as line:
            lookup = lookup_in(lambda at: body_at(line, at))
            if not self._plan.per_hour:
                self._at = max(self._at, upto)
            elif self._at < upto:
                for position, _, body in read_records(line, self._at, upto):
                    self._take(line, lookup, position, body)
                    self._at = position + 1
                    if position % 512 == 0:
                        pace.rest()
                    while (over := self._over()) is not None:
                        yield from self._close(over)
            now = self._utc_ns()
            for window in list(self._windows.values()):
                if (
                    self._at >= upto
                    and not window.hour * HOUR_NS <= now < (window.hour + 1) * HOUR_NS + LATE_NS
                ):
                    yield from self._close(window)
            yield from self._reviewed(line, lookup, upto)
        self._progress()

    def wished(self, wishes: Iterable[Any]) -> Iterator[Sample]:
        """Samples of the pictures that the centre asks for, as far as they are here; of the others
        `gone` has the digests then."""
        self.gone = []
        path = self._data_dir / schema.LINE_FILE
        if not path.is_file():
            return
        with reading(path) as line:
            lookup = lookup_in(lambda at: body_at(line, at))
            for wish in wishes:
                part = _part(wish.get("part") if isinstance(wish, dict) else None)
                if part is None:
                    continue
                reason = str(wish.get("why") or "complaint")[:64]
                samples = list(self._all_of(line, lookup, part, reason))
                digest = str(wish.get("digest"))
                if not any(sample.digest == digest for sample in samples):
                    self.gone.append(digest)
                yield from (sample for sample in samples if sample.digest == digest)

    def go_back(self, ledger: str, position: int) -> None:
        """What was chosen of the line, or the desk asked for, from here on the centre has lost."""
        if ledger == "desk":
            self._desk_at = min(self._desk_at, position)
        else:
            self._at = min(self.done, position)
            self._windows.clear()
        self._progress()

    # The line's records, one by one.

    def _take(self, line: sqlite3.Connection, lookup: Lookup, position: int, body: bytes) -> None:
        kind = body[1]
        if kind == Kind.VERDICT:
            _, _, outcome, _, utc_ns, _ = verdict_keys(body)
            if OUTCOMES[outcome] is Outcome.NOT_INSPECTED:
                return
            name = PASS
            if outcome:
                record = layout.decode_record(body, lookup)
                assert isinstance(record, Verdict)
                name = class_of(record)
            window = self._window(utc_ns // HOUR_NS, position)
            window.parts[name] += 1
        elif kind == Kind.IMAGE:
            image = layout.decode_record(body, lookup)
            assert isinstance(image, ImageRecord)
            if self._is_here(position, image):
                self._picture(line, lookup, image)

    def _is_here(self, position: int, image: ImageRecord) -> bool:
        """Not if retention has let it go; where a file is absent without a word, sending tells."""
        path = self._data_dir / image.path
        return path.exists() or not self._graves.has(position, image.digest)

    def _picture(self, line: sqlite3.Connection, lookup: Lookup, image: ImageRecord) -> None:
        part = image.part_id.bytes
        for window in self._windows.values():
            if part in window.candidates:
                window.candidates[part].images.append(image)
                return
        found = self._candidate(line, lookup, part, images=False)
        if found is None:
            return
        window_of = self._windows.get(found.verdict.times.utc_ns // HOUR_NS)
        if window_of is not None:
            found.images.append(image)
            window_of.candidates[part] = found

    def _candidate(
        self, line: sqlite3.Connection, lookup: Lookup, part: bytes, images: bool = True
    ) -> Candidate | None:
        prefix = part_prefix(part)
        for (position,) in line.execute(
            "SELECT position FROM part WHERE prefix = ?", (prefix,)
        ).fetchall():
            verdict = layout.decode_record(body_at(line, position), lookup)
            if isinstance(verdict, Verdict) and verdict.part_id.bytes == part:
                found = Candidate(verdict)
                if images:
                    there = _images(line, lookup, part)
                    found.images = [one for at, one in there if self._is_here(at, one)]
                return found
        return None

    def _window(self, hour: int, position: int) -> Window:
        window = self._windows.get(hour)
        if window is None:
            window = self._windows[hour] = Window(hour, position)
        return window

    def _over(self) -> Window | None:
        """The oldest hour, once the next has so many parts that no picture of it can still come."""
        if len(self._windows) < 2:
            return None
        oldest, *_, newest = self._windows.values()
        late = sum(newest.parts.values()) >= LATE_PARTS
        return oldest if late or len(self._windows) > OPEN_MAX else None

    # Choosing.

    def _close(self, window: Window) -> Iterator[Sample]:
        seen = self._seen + window.parts
        rank = partial(self._rank, seen=seen)
        for choice in choose_in(
            window, self._plan, rank, random.Random(f"{self._station} {window.first}")
        ):
            for image in choice.candidate.images:
                yield self._sample(
                    choice.candidate, image, choice.reason, choice.probability, choice.stratum
                )
        # Who could not keep one of them asks again: until then the hour is open.
        self._windows.pop(window.hour, None)
        self._seen = seen
        self._progress()

    def _progress(self) -> None:
        self.done = min([window.first for window in self._windows.values()], default=self._at)
        self._memory.keep(
            chosen=self.done, chosen_desk=self._desk_at, classes=dict(self._seen.most_common(1000))
        )

    def _rank(self, candidate: Candidate, name: str, seen: Mapping[str, int]) -> None:
        """Says what a part would teach, if anything in particular; ``seen``: parts by class."""
        verdict, images = candidate.verdict, candidate.images
        if disagrees(verdict):
            candidate.reason, candidate.weight = "disagreement", 1.0
        elif name not in (PASS, ERROR) and seen[name] < self._plan.rare_parts:
            candidate.reason, candidate.weight = "rare", 1.0 / (1 + seen[name])
        elif (distance := nearness(verdict, self._threshold)) <= self._plan.near:
            candidate.reason, candidate.weight = "threshold", 1.0 - distance
        elif self._novelty is not None and images:
            unlike = max(self._novelty(one.view, self._data_dir / one.path) for one in images)
            if unlike >= NOVEL:
                candidate.reason, candidate.weight = "novelty", unlike

    def _sample(
        self,
        candidate: Candidate,
        image: ImageRecord,
        reason: str,
        probability: float | None,
        stratum: str = "",
    ) -> Sample:
        verdict = candidate.verdict
        return Sample(
            part=str(verdict.part_id),
            view=image.view,
            digest=image.digest,
            path=image.path,
            size=image.size,
            reason=reason,
            stratum=stratum or class_of(verdict),
            probability=probability,
            chosen_utc_ns=verdict.times.utc_ns,
            rejected=verdict.outcome is not Outcome.PASS,
            detail={"batch": verdict.batch, "recipe": verdict.recipe},
        )

    # What people and shadows say afterwards.

    def _reviewed(self, line: sqlite3.Connection, lookup: Lookup, upto: int) -> Iterator[Sample]:
        path = self._data_dir / schema.DESK_FILE
        if not path.is_file():
            return
        with reading(path) as desk:
            for position, _, body in read_records(desk, self._desk_at, 1 << 62):
                record = layout.decode_record(body, lookup)
                if isinstance(record, DeskRecord) and (why := self._asked_by(record)):
                    part = _part(record.body.get("part"))
                    if part is not None:
                        images = [at for at, _ in _images(line, lookup, part)]
                        late = not images and 0 <= self._utc_ns() - record.utc_ns < LATE_NS
                        if late or any(at >= upto for at in images):
                            return  # the centre has not heard of its pictures: next time
                        yield from self._all_of(line, lookup, part, why)
                self._desk_at = position + 1

    def _asked_by(self, record: DeskRecord) -> str:
        """Why a desk record makes its part a sample; where none are chosen, only persons ask."""
        return asked_by(record) if self._plan.per_hour or record.kind != SHADOW else ""

    def _all_of(
        self, line: sqlite3.Connection, lookup: Lookup, part: bytes, reason: str
    ) -> Iterator[Sample]:
        found = self._candidate(line, lookup, part)
        if found is not None:
            for image in found.images:
                yield self._sample(found, image, reason, None)


def choose_in(
    window: Window,
    plan: Samples,
    rank: Callable[[Candidate, str], None],
    draw: random.Random,
) -> Iterator[Choice]:
    """The choices of one window, within the budget of each class."""
    by_class: dict[str, list[Candidate]] = {}
    for candidate in window.candidates.values():
        by_class.setdefault(class_of(candidate.verdict), []).append(candidate)
    for name, candidates in sorted(by_class.items()):
        with_pictures, parts = len(candidates), max(window.parts[name], len(candidates))
        archived = with_pictures / parts
        by_chance = round(plan.per_hour * plan.random_share)
        for candidate in candidates:
            rank(candidate, name)
        order = sorted(
            (one for one in candidates if one.reason),
            key=lambda one: (_ORDER.index(one.reason), -one.weight, one.verdict.sequence),
        )
        taken = order[: max(0, plan.per_hour - by_chance)]
        for candidate in taken:
            yield Choice(candidate, candidate.reason, name, archived)
        chosen = {id(one) for one in taken}
        rest = [one for one in candidates if id(one) not in chosen]
        count = min(plan.per_hour - len(taken), len(rest))
        for candidate in draw.sample(rest, count):
            yield Choice(candidate, "random", name, archived * count / len(rest))


_ORDER = ("disagreement", "rare", "threshold", "novelty")


def _images(
    line: sqlite3.Connection, lookup: Lookup, part: bytes
) -> Iterator[tuple[int, ImageRecord]]:
    for (position,) in line.execute(
        "SELECT position FROM image WHERE prefix = ?", (part_prefix(part),)
    ).fetchall():
        image = layout.decode_record(body_at(line, position), lookup)
        if isinstance(image, ImageRecord) and image.part_id.bytes == part:
            yield position, image


def _part(text: Any) -> bytes | None:
    try:
        return PartId(UUID(text)).bytes
    except (ValueError, TypeError, AttributeError):
        return None
