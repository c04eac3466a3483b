"""Descriptors of good pictures go in, how unlike them a cell of another picture is comes out.

Three ways to be unlike, each a few matrix products:

- ``spread``: the Mahalanobis distance from the mean of all good cells (for textures);
- ``placed``: the same from the mean at that very place (for parts that stand still; PaDiM,
  Defard et al. 2021, with one covariance for all places, which few pictures suffice for);
- ``nearest``: the distance from the nearest of chosen good cells (PatchCore, Roth et al. 2022), in
  whitened principal axes.

Imported by ``anomaly`` and by who teaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from inspector.tools.texture import Grid, Source

Way = Literal["spread", "placed", "nearest"]
Floats = NDArray[np.float32]

SHRINK = 0.02
"""Of each channel's variance that is added to the covariance's diagonal, so that few pictures do
not make directions that no good cell ever took infinitely far."""
AXES = 48
"""Principal axes that ``nearest`` compares in."""
BANK = 1000
"""Good cells that ``nearest`` keeps."""
FINER_CELLS = 0.6
"""By how much distances are smoothed where a speck is one or two cells, in place of a whole cell:
on rendered cast grain it told specks and scratches with an AUROC of 0.9 in place of 0.83."""
FINER_BANK = 200
"""The same where the picture has many times as many cells and each says little."""
ROWS = 12_000
"""Good cells that a covariance is estimated from, and a bank chosen among."""
USUAL_CELLS = 0.7
"""By how much the map of what is usual is smoothed: a few good pictures make it."""
ROWS_AT_ONCE = 256
"""So that their distances from the bank, 1 MB, stay in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One judge of likeness, ready."""

    source: Source
    way: Way
    mean: Floats
    """``(channels,)``, or ``(channels, rows, columns)`` where the way is ``placed``."""
    axes: Floats
    """``(channels, axes)``: whitening."""
    bank: Floats
    """``(cells, axes)``; empty but for ``nearest``."""
    centre: float = 0.0
    """Median of the logarithm of good pictures' distances, seen by members that did not know
    them."""
    spread: float = 1.0
    """Their standard deviation."""
    usual: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    """``(rows, columns)``: by how much more (or less) good pictures differ at that place than
    elsewhere; empty where parts do not stand still."""

    @property
    def name(self) -> str:
        """As reports name it."""
        return f"{self.source.name} {self.way}"

    def distances(self, grid: Grid) -> Floats:
        """``(rows, columns)``: the logarithm of how far each cell is from good ones, smoothed.

        Of a source that is seen finer, the farthest of the cells that lie in one of the others'."""
        rows = _rows(grid - self.mean if self.way == "placed" else grid)
        if self.way != "placed":
            rows = rows - self.mean
        seen = rows @ self.axes
        if self.way != "nearest":
            far = np.einsum("ij,ij->i", seen, seen)
        else:
            far = _nearest(seen, self.bank)
        shape = grid.shape[1:]
        reach = 1.0 if self.source.finer == 1 else FINER_CELLS
        even = cv2.GaussianBlur(np.sqrt(np.maximum(far, 1e-6)).reshape(shape), (0, 0), reach)
        far = np.log(even)
        finer = self.source.finer
        if finer > 1:
            parts = far.reshape(shape[0] // finer, finer, shape[1] // finer, finer)
            far = parts.max(3).max(1)
        return np.asarray(far, np.float32)

    def normal(self, grid: Grid) -> Floats:
        """How much farther than is usual at its place, in standard deviations of good pictures."""
        far = self.distances(grid)
        if self.usual.size:
            far = far - self.usual
        return (far - np.float32(self.centre)) / np.float32(self.spread)


def quiet() -> None:
    """Keeps this process's matrix products to one thread.

    OpenBLAS's threads spin while they wait, which on a station takes the core that cameras and the
    ledger need: on a machine as busy as a line is, one look took 128 ms of processor with two
    threads and 27 ms with one.
    """
    threadpool_limits(limits=1, user_api="blas")


def fit_member(source: Source, way: Way, grids: Sequence[Grid], seed: int = 0) -> Member:
    """A member that knows the good ``grids``; of one shape, where the way is ``placed``.

    Deterministic. Its ``centre`` and ``spread`` are left to who knows pictures it has not seen.
    """
    rng = np.random.default_rng(seed)
    mean: Any
    if way == "placed":
        mean = np.mean(grids, axis=0, dtype=np.float64).astype(np.float32)
        # Parts stand still to a fraction of a cell at best.
        mean = np.stack([cv2.GaussianBlur(m, (0, 0), 0.7) for m in mean])
        rows = _some_rows([g - mean for g in grids], rng)
        centred = rows
    else:
        rows = _some_rows(grids, rng)
        mean = rows.mean(0)
        centred = rows - mean
    values, vectors = _eigen(centred)
    if way != "nearest":
        axes = vectors / np.sqrt(values)
        return Member(source, way, mean, axes.astype(np.float32), np.zeros((0, 0), np.float32))
    # Half-whitened: faint directions count more than they do in the pictures, and less than noise.
    axes = (vectors / values**0.25)[:, -AXES:].astype(np.float32)
    size = BANK if source.finer == 1 else FINER_BANK
    return Member(source, way, mean, axes, _core(centred @ axes, size, rng))


def usual_of(mean: Floats) -> Floats:
    """What is usual at each place, from the mean of good pictures' distances: 0 on average."""
    even = cv2.GaussianBlur(mean, (0, 0), USUAL_CELLS)
    return np.asarray(even - even.mean(), np.float32)


def _eigen(centred: Floats) -> tuple[Any, Any]:
    cov = (centred.T @ centred).astype(np.float64) / max(1, len(centred) - 1)
    variances = np.diag(cov)
    floor = 2e-3 * max(float(variances.mean()), 1e-6)
    cov = cov + np.diag(variances * SHRINK + floor)
    return np.linalg.eigh(cov)


def _core(rows: Floats, size: int, rng: np.random.Generator) -> Floats:
    """``size`` rows that cover all: ten rounds that each add the rows farthest from those chosen
    (greedy k-centre after Sener and Savarese 2018, in batches)."""
    if len(rows) <= size:
        return rows.astype(np.float32)
    order = rng.permutation(len(rows))
    chosen = list(order[: size // 2])
    far = _nearest(rows, rows[chosen])
    step = -(-(size - len(chosen)) // 8)
    while len(chosen) < size:
        more = np.argsort(-far, kind="stable")[: min(step, size - len(chosen))]
        chosen += list(more)
        far = np.minimum(far, _nearest(rows, rows[more]))
    return np.asarray(rows[np.sort(chosen)], np.float32)


def _nearest(rows: Floats, bank: Floats) -> Floats:
    """Squared distance of each row from the nearest of the bank."""
    out = np.empty(len(rows), np.float32)
    squares = np.einsum("ij,ij->i", bank, bank)
    twice = np.ascontiguousarray(-2 * bank.T)
    room = np.empty((min(ROWS_AT_ONCE, len(rows)), len(bank)), np.float32)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        far = np.matmul(part, twice, out=room[: len(part)])
        far += squares
        far.min(1, out=out[start : start + ROWS_AT_ONCE])
    out += np.einsum("ij,ij->i", rows, rows)
    np.maximum(out, 0, out=out)
    return out


def _rows(grid: Grid) -> Floats:
    return np.ascontiguousarray(grid.reshape(grid.shape[0], -1).T)


def _some_rows(grids: Sequence[Grid], rng: np.random.Generator) -> Floats:
    """Up to ``ROWS`` cells, as many of each picture."""
    each = max(1, ROWS // len(grids))
    parts = []
    for grid in grids:
        rows = _rows(grid)
        parts.append(rows if len(rows) <= each else rows[rng.permutation(len(rows))[:each]])
    return np.concatenate(parts).astype(np.float32)
