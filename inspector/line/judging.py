"""A part's way to its judge and back: what may be judged, by what, and what has become of it.

Enters: the line. Leaves: parts with a judgement, or with the doubt that makes them an error.
Imports ``judges.py``, which has the threads, and the line's nouns; ``process.py`` calls it.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import structlog

from inspector.cameras.receiver import FrameReceiver
from inspector.display import AlarmCode
from inspector.line.changeover import Job, Judgement
from inspector.line.judges import LATE
from inspector.line.matching import Candidate
from inspector.part import Frame, Mode, Severity

if TYPE_CHECKING:
    from inspector.line.line import Line

log = structlog.get_logger()


def give(line: Line) -> None:
    """Have the oldest parts judged whose pictures are all there."""
    while line.judges.free and not line.fell:
        if (candidate := line.matching.complete()) is None:
            return
        part, now_ns = candidate.part, time.monotonic_ns()
        if part.mode is Mode.BYPASS:
            candidate.given = True  # to nobody
            continue
        planned = line.plan.at(part.sequence)
        if planned.recipe.limits and line.judges.under_way:
            return  # what the part before it uses up of the batch's limits must be known
        if not candidate.triggered:
            # The trigger is not in the last block; it will be there before the verdict.
            line.hurries = True
        elif now_ns + line.judges.takes_ns > part.deadline_ns:
            candidate.doubt = f"{LATE}: no time to judge it"
            line.judges.passed_over()
            continue
        # A line that is behind lets the oldest go: to judge what is overwritten meanwhile
        # would cost the next ones their time, and with it all.
        if not all(line.receiver.lasts(f, line.judges.count) for f in part.frames.values()):
            candidate.doubt = "a picture was overwritten before it was judged"
            line.archive.make_way()
            continue
        candidate.spent = line.tolerated.so_far(part) if planned.recipe.limits else None
        judge = functools.partial(
            _judge, line.receiver, planned, part.frames, line.clock.today(time.time_ns()),
            line.clock.synced(now_ns), candidate.spent,
        )  # fmt: skip
        line.judges.give(candidate, judge)


def _judge(
    receiver: FrameReceiver,
    planned: Job,
    frames: Mapping[str, Frame],
    today: date,
    synced: bool,
    so_far: Mapping[Severity, int] | None,
) -> Judgement:
    """In a judge's thread, which has the pixels in its caches then."""
    recipe, pictures = planned.recipe, {}
    for view, area in zip(planned.views, recipe.areas, strict=True):
        pixels = receiver.pixels(frames[view], area)
        if pixels is not None:
            pictures[view] = pixels
    return recipe.judge(pictures, planned.batch, today, synced, so_far)


def take(line: Line) -> None:
    """All that the judges have said. A part that was concluded meanwhile stays as it is."""
    for judged in line.judges.take():
        candidate, part = judged.candidate, judged.candidate.part
        line.counters.stages["judge"].add(judged.ended_ns - judged.began_ns)
        newest = max(frame.host_ns for frame in part.frames.values())
        line.counters.stages["wait"].add(max(0, judged.began_ns - newest))
        if line.matching.parts.get(part.sequence) is not candidate:
            continue
        if isinstance(judged.judgement, Exception):
            _failed(line, candidate, judged.judgement)
            continue
        candidate.judgement = judged.judgement
        if judged.judgement.serial is not None:
            line.serials.ask(part.id, judged.judgement.serial)
        if not all(line.receiver.still_valid(frame) for frame in part.frames.values()):
            candidate.doubt = "a picture was overwritten while it was judged"
            line.archive.make_way()
        elif not candidate.certain:
            line.hurries = True


def _failed(line: Line, candidate: Candidate, error: Exception) -> None:
    candidate.doubt = f"the recipe failed: {type(error).__name__}: {error}"
    known = {(alarm.code, alarm.detail) for alarm in line.alarms.standing()}
    if (AlarmCode.RECIPE, candidate.doubt) not in known:  # not for every part
        title = line.plan.at(candidate.part.sequence).title
        log.error("recipe failed", recipe=title, exc_info=error)
    line.alarms.happened(AlarmCode.RECIPE, candidate.doubt)
