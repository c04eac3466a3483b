"""Rendering what a shipped model learns from, on every core, the same whatever their number.

Enters a function that renders what belongs to one seed; leaves it all in the seeds' order. Imported
by the shipped models' own files.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import cv2

from inspector.virtual.print import Split

T = TypeVar("T")


def rendered(
    one: Callable[[int, Split], T], seeds: Sequence[int], split: Split, at_once: int = 1
) -> list[T]:
    """``one(seed, split)`` of each seed; a process gets ``at_once`` of them at a time."""
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit locked threads of OpenCV
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, spawn, initializer=_one_thread) as pool:
        return list(pool.map(one, seeds, [split] * len(seeds), chunksize=at_once))


def _one_thread() -> None:
    cv2.setNumThreads(1)
