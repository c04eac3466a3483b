"""What moves with the defects: the newest parts with the process tags of their time.

Enters: parts, one after the other, and what is told of the process. Leaves: the tag that stands
out, for an alarm and for pages; `tags` is the arithmetic. No I/O: ``follow.py`` feeds it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from inspector.part import Outcome
from inspector.quality.tags import TagModel, tag_model
from inspector.store.judged import Judged

PARTS = 5000
"""Parts that are modelled."""
TAGS_NS = 500_000_000
"""How often the process tags are asked for."""
FIT_NS = 10_000_000_000
"""How often the model is fitted anew, by the parts' time: on 5,000 parts it costs 3 ms."""
TAKT = "takt_ms"
"""The tag that the line itself tells: the time since the part before."""


class Moves:
    """Of one line."""

    def __init__(self, tags_at: Callable[[int], Mapping[str, float]]) -> None:
        """``tags_at``: the process tags as they were at a moment (UTC)."""
        self._tags_at, self._asked_ns, self._fitted_ns = tags_at, 0, 0
        self._parts: deque[tuple[bool, Mapping[str, float], float | None]] = deque(maxlen=PARTS)
        """Whether it was faulty, the tags then, and its takt, if the part before is known."""
        self._tags: Mapping[str, float] = {}
        """Never changed, but replaced by another map: parts share it."""
        self._before: tuple[str, int, int] = ("", 0, 0)
        self._model: TagModel | None = None

    def part(self, part: Judged) -> None:
        """The next part in production."""
        stream, number, trigger_ns = self._before
        now_ns = part.trigger_ns
        self._before = (part.job.stream, part.sequence, now_ns)
        if part.outcome not in (Outcome.PASS, Outcome.REJECT):
            return
        if abs(part.utc_ns - self._asked_ns) >= TAGS_NS:
            self._asked_ns = part.utc_ns
            self.told(self._tags_at(part.utc_ns))
        takt_ms = None
        if (stream, number) == (part.job.stream, part.sequence - 1) and 0 < trigger_ns < now_ns:
            takt_ms = (now_ns - trigger_ns) / 1e6
        self._parts.append((part.outcome is Outcome.REJECT, self._tags, takt_ms))

    def told(self, tags: Mapping[str, float]) -> None:
        """Some tags have these values from now on."""
        if any(self._tags.get(name) != value for name, value in tags.items()):
            self._tags = {**self._tags, **tags}

    def clear(self) -> None:
        """Another recipe runs: its parts are no neighbours of the ones before."""
        self._parts.clear()

    def fit(self, utc_ns: int) -> None:
        """Fit the model anew if it is time, on the parts whose tags are all known."""
        if abs(utc_ns - self._fitted_ns) < FIT_NS or not self._parts:
            return
        self._fitted_ns = utc_ns
        names = self._now().keys()
        shared = {id(tags): tags for _, tags, _ in self._parts}
        lacking = {key: names - tags.keys() for key, tags in shared.items()}
        whole = [
            (faulty, tags, takt_ms) for faulty, tags, takt_ms in self._parts
            if lacking[id(tags)] <= (set() if takt_ms is None else {TAKT})
        ]  # fmt: skip
        columns = {name: [tags[name] for _, tags, _ in whole] for name in names - {TAKT}}
        if TAKT in names:
            columns[TAKT] = [tags[TAKT] if takt is None else takt for _, tags, takt in whole]
        self._model = tag_model([faulty for faulty, _, _ in whole], columns) if whole else None

    def named(self) -> dict[str, Any] | None:
        """The tag that moves with the defects, and the share of defects that all tags as they are
        now let expect; None where no tag stands out."""
        named = self._model.named() if self._model else None
        if self._model is None or named is None:
            return None
        rate = self._model.rate(self._now()) if self._parts else None
        return {
            "tag": named.tag, "odds_ratio": named.odds_ratio, "low": named.low,
            "high": named.high, "p": named.p,
            "expected": None if rate is None else {
                "share": rate.share, "low": rate.low, "high": rate.high,
            },
        }  # fmt: skip

    def _now(self) -> Mapping[str, float]:
        """All tags of the newest part."""
        _, tags, takt_ms = self._parts[-1]
        return tags if takt_ms is None else {**tags, TAKT: takt_ms}
