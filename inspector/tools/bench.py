"""Models and a recipe go in, how long they take by themselves comes out.

Imported by the command line and by the line's bench, which compares itself with these figures.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from inspector.part import Batch, Pixels
from inspector.tools.card import BUILT_IN, ModelError, models_in
from inspector.tools.contract import SURFACES, input_shape
from inspector.tools.onnx import Bound, Shelf, recorded

RUNS = 60
WARM = 5
ROUNDS = 3
FREE_SIDE = 320
"""Height and width at which a model is measured that takes any, in pixels."""
BUILT_IN_SHAPES = {
    "pp-ocrv6/read": [(1, 3, 48, 160), (1, 3, 48, 320)],
    "pp-ocrv6/find": [(1, 3, 576, 736)],
}
"""Shapes at which models of free size are measured: a lot, a line, a photo of a pack."""
SURFACE_SHAPES: Sequence[tuple[int, ...]] = [(1, 128, 128, 3), (1, 256, 256, 3)]


def bench_models(
    models: Path, threads: Sequence[int] = (1, 2), built_in: bool = True
) -> list[dict[str, Any]]:
    """Rows ``{model, input, threads, ms, ms_p95, cpu_ms, mb}``: medians over runs on noise.

    Every model in ``models`` and, if ``built_in``, those of the OCR wheel. ``cpu_ms`` counts all
    threads. A model that is refused is a row with its ``error``.
    """
    rows: list[dict[str, Any]] = []
    for ref in [*models_in(models), *(BUILT_IN if built_in else ())]:
        for count in threads:
            shelf = Shelf(models, threads=count)
            try:
                model = shelf.open(ref, shelf.card(ref).task)
            except ModelError as error:
                rows.append({"model": ref, "threads": count, "error": str(error)})
                continue
            if model.card.output.format in SURFACES:
                shapes = SURFACE_SHAPES
            else:
                own = tuple(input_shape(model.card, model.input_shape, FREE_SIDE))
                shapes = BUILT_IN_SHAPES.get(ref, [own])
            for shape in shapes:
                wall, cpu = _measure(model.bind(shape))
                rows.append(
                    {
                        "model": ref,
                        "input": "x".join(map(str, shape)),
                        "threads": count,
                        "ms": round(statistics.median(wall), 2),
                        "ms_p95": round(float(np.percentile(wall, 95)), 2),
                        "cpu_ms": round(cpu, 2),
                        "mb": round(shelf.size(ref) / 1e6, 1),
                    }
                )
    return rows


class Judge(Protocol):
    """A recipe made ready, see ``inspector.recipe``, which this room must not know."""

    def warm_up(self) -> None:
        """Runs every model once."""
        ...

    def judge(self, frames: Mapping[str, Pixels], batch: Batch, today: date) -> object:
        """Judges one part."""
        ...


class Bare:
    """onnxruntime alone, on the very tensors that a recipe makes of some frames."""

    def __init__(
        self,
        recipe: Judge,
        frames: Sequence[Mapping[str, Pixels]],
        texts: Mapping[str, str] | None = None,
    ) -> None:
        recipe.warm_up()
        self.batch = Batch(
            "bench", texts={"lot": "L2417A", "date": "16 NOV 26"} | dict(texts or {})
        )
        self.today = date.today()
        self._parts = []
        for frame in frames:
            with recorded() as runs:
                recipe.judge(frame, self.batch, self.today)
            feeds = [(m.session, {m.session.get_inputs()[0].name: t}) for m, t in runs]
            self._parts.append(feeds)
        self.runs = statistics.fmean(map(len, self._parts))
        """Models that a part runs through."""

    def __len__(self) -> int:
        return len(self._parts)

    def run(self, part: int) -> None:
        """The models of one part, one after the other."""
        for session, feed in self._parts[part % len(self._parts)]:
            session.run(None, feed)

    def per_s(self, seconds: float, between: Callable[[], object] = lambda: None) -> float:
        """Parts a second, back to back for ``seconds``; what happens ``between`` them counts."""
        began, done = time.perf_counter(), 0
        while (spent := time.perf_counter() - began) < seconds:
            self.run(done)
            between()
            done += 1
        return done / spent


def bare(
    recipe: Judge,
    frames: Sequence[Mapping[str, Pixels]],
    texts: Mapping[str, str] | None = None,
    rate: float = 0.0,
) -> dict[str, Any]:
    """What onnxruntime alone takes for the very tensors that ``recipe`` makes of ``frames``.

    ``{ms, ms_p99, cpu_ms, per_s, runs}`` for one part; ``tools_cpu_ms`` is what the tools add to
    it, ``ms_with_tools`` the whole judgement. With a ``rate`` each run waits for its turn, as on
    a line: a processor that slept runs the same model with colder caches and a lower clock.
    """
    alone = Bare(recipe, frames, texts)
    wall, whole, cpu_ms, whole_cpu_ms = [], [], 0.0, 0.0
    for turn in range(-WARM, ROUNDS * len(alone)):
        # Taken in turns, part by part, so that a machine's moods strike both alike.
        if rate:
            time.sleep(1 / rate)
        ran = _timed(lambda: alone.run(turn))  # noqa: B023
        if rate:
            time.sleep(1 / rate)
        frame = frames[turn % len(frames)]
        judged = _timed(lambda: recipe.judge(frame, alone.batch, alone.today))  # noqa: B023
        if turn >= 0:
            wall.append(ran[0])
            whole.append(judged[0])
            cpu_ms += ran[1] / (ROUNDS * len(alone))
            whole_cpu_ms += judged[1] / (ROUNDS * len(alone))
    mean = statistics.fmean(wall)
    return {
        "ms": round(mean, 3),
        "ms_p99": round(float(np.percentile(wall, 99)), 3),
        "cpu_ms": round(cpu_ms, 3),
        "per_s": round(1e3 / mean, 2),
        "runs": round(alone.runs, 2),
        "ms_with_tools": round(statistics.fmean(whole), 3),
        "tools_cpu_ms": round(whole_cpu_ms - cpu_ms, 3),
    }


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor milliseconds of ``work``, all threads counted."""
    cpu, began = time.process_time(), time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3, (time.process_time() - cpu) * 1e3


def _measure(bound: Bound) -> tuple[list[float], float]:
    rng = np.random.default_rng(0)
    bound.input[...] = rng.integers(
        0, 2 if bound.input.dtype.kind == "f" else 256, bound.input.shape
    )
    for _ in range(WARM):
        bound.run()
    wall = []
    cpu = time.process_time()
    for _ in range(RUNS):
        began = time.perf_counter()
        bound.run()
        wall.append((time.perf_counter() - began) * 1e3)
    return wall, (time.process_time() - cpu) / RUNS * 1e3
