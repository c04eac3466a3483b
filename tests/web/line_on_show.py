"""A line as the pages see it: publishes parts and heartbeats through the real ``Display``.

``main([RUN, "--rate", R, …])`` in a process of its own. Each picture carries its part number
as a row of 16 black or white blocks, the lowest bit first, so that a test can read from the screen
which part's picture it looks at. SIGUSR1 makes the next part a reject. Rejects' pictures have one
more white block at the lower right.
"""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from inspector.display import Alarm, AlarmCode, Counts, Display, Health, State, Status
from inspector.line.counters import STAGES, Counters
from inspector.part import Finding, Mode, Outcome, Pixels, Times, Verdict, new_part_id

BLOCK = 40


def numbered(part: int, rejected: bool) -> Pixels:
    """A 640×480 picture that says which part it is of."""
    pixels = np.full((480, 640, 3), 90, np.uint8)
    for bit in range(16):
        pixels[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 if part >> bit & 1 else 0
    pixels[-BLOCK:, -BLOCK:] = 255 if rejected else 0
    return pixels


def findings(rejected: bool, picture: Path | None) -> tuple[Finding, ...]:
    """One cap, or what the picture's YOLO label says; of a reject the first cap is bad."""
    if picture is None:
        label = "cap tilted" if rejected else "Cap"
        return (Finding("look", "detect", label, not rejected, 0.93, (250, 150, 390, 240), "side"),)
    lines = (picture.parent.parent / "labels" / f"{picture.stem}.txt").read_text().splitlines()
    rows = sorted((tuple(map(float, line.split())) for line in lines), reverse=True)
    bad = 0 if rejected else -1
    return tuple(
        Finding(
            "look", "detect", "cap tilted" if i == bad else ("Bottle", "Cap")[int(kind)], i != bad,
            0.95, tuple(640 * v for v in (x - w / 2, y - h / 2, x + w / 2, y + h / 2)), "side",
        )
        for i, (kind, x, y, w, h) in enumerate(rows)
    )  # fmt: skip


def verdict(part: int, rejected: bool, picture: Path | None) -> Verdict:
    now = time.monotonic_ns()
    return Verdict(
        part_id=new_part_id(),
        station="test-1",
        stream="s",
        sequence=part,
        outcome=Outcome.REJECT if rejected else Outcome.PASS,
        mode=Mode.AUTO,
        batch="L2417A",
        times=Times(now - 18_000_000, now - 15_000_000, now, time.time_ns(), "boot", True),
        recipe="bottle-line@4",
        recipe_digest="d" * 64,
        model_digests=(),
        software="test",
        reasons=("cap tilted",) if rejected else (),
        findings=findings(rejected, picture),
    )


def main(words: Sequence[str]) -> None:
    options = argparse.ArgumentParser()
    options.add_argument("run", type=Path)
    options.add_argument("--rate", type=float, default=20.0, help="parts/s; 0 is none")
    options.add_argument("--reject-every", type=int, default=0)
    options.add_argument("--parts", type=int, default=0, help="stop after these; 0 is never")
    options.add_argument("--images", type=Path, help="folder of pictures to show instead")
    options.add_argument("--alarm", type=AlarmCode)
    options.add_argument("--stopped", action="store_true")
    options.add_argument("--mode", type=Mode, default=Mode.AUTO)
    options.add_argument("--batch", default="L2417A")
    given = options.parse_args(words)
    files = sorted(given.images.glob("*.jpg")) if given.images else []
    display = Display(given.run)
    wished: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, frame: wished.append(number))
    part = passed = rejected_parts = 0
    counters = Counters()
    last = next_beat = time.monotonic()
    while True:
        now = time.monotonic()
        due = last + 1 / given.rate if given.rate else float("inf")
        if given.parts and part >= given.parts:
            due = float("inf")
        counts = Counts(part, passed, rejected_parts, 0, 0)
        if now >= due:
            part, last = part + 1, now
            rejected = bool(given.reject_every) and part % given.reject_every == 0
            rejected = rejected or bool(wished)
            wished.clear()
            passed, rejected_parts = passed + (not rejected), rejected_parts + rejected
            if files:
                picture = files[part * 7 % len(files)]
                pixels = cv2.imread(str(picture))
            else:
                picture, pixels = None, numbered(part, rejected)
            counts = Counts(part, passed, rejected_parts, 0, 0)
            frames = {"side": pixels}
            if files:
                frames["code"] = np.ascontiguousarray(pixels[340:480, 240:430])
            display.show(verdict(part, rejected, picture), frames, counts, "Shower gel 250 ml")
            for stage in STAGES:
                counters.stages[stage].add(12_000_000)
        if now >= next_beat:
            next_beat = now + 0.2
            display.beat(
                Status(
                    station="test-1",
                    line="Filling 3",
                    ready=True,
                    running=not given.stopped,
                    mode=given.mode,
                    batch=given.batch,
                    product="Shower gel 250 ml",
                    recipe="bottle-line@4",
                    counts=counts,
                    parts_per_s=given.rate,
                    takt_ms=1000 / given.rate if given.rate else 0.0,
                    latency_ms={"p50": 17.2, "p95": 21.0, "p99": 24.6, "max": 31.0},
                    deadline_ms=450.0,
                    since_part_ms=(now - last) * 1e3,
                    health=(
                        Health("side", "camera", State.OK, "38 °C"),
                        Health("code", "camera", State.OK, "36 °C"),
                        Health("plc", "plc", State.OK, "4 ms"),
                        Health("store", "store", State.WARNING, "11 GB"),
                        Health("clock", "clock", State.OK, "NTP"),
                    ),
                    alarms=(Alarm(given.alarm, "side"),) if given.alarm else (),
                    figures=counters.figures()
                    | {
                        'frames_total{camera="side"}': part,
                        "queue": 0.0,
                        'plc_signal{name="air_ok"}': 1.0,
                        'plc_signal{name="bin_full"}': 1.0,
                        "gate_triggers_total": part,
                        'camera_lost_frames{view="side"}': 3.0,
                        'camera_temperature_c{view="side"}': 38.0,
                    },
                )
            )
        time.sleep(max(0.0, min(due, next_beat, now + 0.05) - time.monotonic()))
