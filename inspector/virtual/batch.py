"""Rendering many parts of one batch, on several cores if wanted, the same whatever their number.

Enters stretches of part numbers; leaves their frames and truth in order. Imported by `film` alone.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from inspector.part import Pixels
from inspector.virtual import bottle, optics
from inspector.virtual.print import Split


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of parts to render, small enough to send to another process."""

    product: str
    seed: int
    first: int
    count: int
    lot: str
    date: str
    defect_rate: float
    split: Split
    mixed: bool
    novelty: str = ""
    """A defect of `product.NOVELTIES` …"""
    novelty_rate: float = 0.0
    """… and the share of the parts, otherwise good, that have it …"""
    novelty_from: int = 0
    """… from this part on."""


Rendered = list[tuple[Pixels, Pixels, dict[str, Any]]]
"""BayerRG8 side view, grey code view and truth of each part."""


def _render_stretch(order: Stretch) -> Rendered:
    product = bottle.PRODUCTS[order.product]
    setup = None
    if not order.mixed:
        setup = bottle.draw_setup(np.random.default_rng([order.seed, 1]), product, order.split)
    parts = []
    for index in range(order.first, order.first + order.count):
        # a part depends on the seed and its own number only, so the number of workers is no matter
        rng = np.random.default_rng([order.seed, 2, index])
        defects = bottle.draw_defects(rng, order.defect_rate)
        if order.novelty and not defects and index >= order.novelty_from:
            # from a stream of its own, so that every other part stays as it would have been
            chance = np.random.default_rng([order.seed, 3, index]).random()
            defects = (order.novelty,) if chance < order.novelty_rate else ()
        spec = bottle.PartSpec(product, order.lot, order.date, defects, order.split, setup)
        part = bottle.render_part(rng, spec)
        side = optics.mosaic(part.side)
        parts.append((side, part.code, {"index": index, **part.truth}))
    return parts


def _one_thread() -> None:
    cv2.setNumThreads(1)


def render_stretches(orders: list[Stretch], workers: int) -> Iterator[Rendered]:
    """Render stretches in their order, on ``workers`` processes beside this one if more than 1."""
    if workers <= 1:
        yield from map(_render_stretch, orders)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit locked threads of OpenCV
    with ProcessPoolExecutor(workers, spawn, initializer=_one_thread) as pool:
        # no more stretches in flight than are soon wanted: a film can be larger than memory
        with _deaf_to_ctrl_c():
            ahead = [pool.submit(_render_stretch, order) for order in orders[: workers * 2]]
        try:
            for index in range(len(orders)):
                yield ahead.pop(0).result()
                following = index + workers * 2
                if following < len(orders):
                    ahead.append(pool.submit(_render_stretch, orders[following]))
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes started within leave Ctrl-C to this one, which ends them without a traceback of
    each. Here it is heard at the end: in the middle of its start a process would hear of nothing
    but the end of its orders. A mask alone does not help, another thread takes the signal then."""
    main = threading.current_thread() is threading.main_thread()
    heard: list[int] = []
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handler = signal.getsignal(signal.SIGINT)
    later = main and callable(handler)
    if later:
        signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        if later:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number in heard[:1]:
            signal.raise_signal(number)
