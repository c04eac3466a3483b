"""Does a station still see what its model was trained on? Snapshots and archives enter, figures and
a proposal for retraining leave.

Per station and signal: the population stability index of input (light, contrast, sharpness, colour)
and of scores, and for features the maximum mean discrepancy with a permutation test (Gretton et al.
2012). The proposal names which parts to label, and why each. Imported by the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.store import History
from inspector.tools.step import bgr_of, grey_of
from training.dataset.snapshot import SnapshotError, decode, open_snapshot

PSI_WATCH, PSI_DRIFT = 0.1, 0.25
"""Siddiqi 2006: below 0.1 nothing has changed, above 0.25 much has."""
P_DRIFT = 0.01
BINS = 10
PERMUTATIONS = 200
MMD_MOST = 300
PROPOSED = 50
INPUTS = ("light", "contrast", "sharpness", "hue", "saturation")
SCORED = ("detect", "segment", "classify")


def drift(
    home: Path, dataset: str, stations: Sequence[Path], view: str = "", last: int = 500
) -> dict[str, Any]:
    """The report. Raises ``SnapshotError`` where there is too little to compare."""
    snapshot = open_snapshot(home, dataset)
    rows = snapshot.of("train", view=view)
    views = {r.view for r in rows}
    if len(views) != 1:
        raise SnapshotError(f"{dataset} has the views {', '.join(sorted(views))}: name one")
    (view,) = views
    known = np.array([inputs_of(snapshot.picture(r)) for r in rows])
    features = np.array([feature_of(snapshot.picture(r)) for r in rows])
    reports: dict[str, Any] = {}
    samples: list[dict[str, Any]] = []
    for station in stations:
        seen = _archived(station, view, last)
        if len(seen) < 20 or len(known) < 20:
            raise SnapshotError(
                f"{station}: {len(seen)} archived pictures against {len(known)} learned from; at "
                "least 20 of each are needed"
            )
        name = seen[0]["station"]
        now = np.array([s["inputs"] for s in seen])
        fresh = np.array([s["feature"] for s in seen])
        signals: dict[str, Any] = {}
        for i, what in enumerate(INPUTS):
            signals[what] = _signal(known[:, i], now[:, i])
        for label in sorted({k for s in seen for k in s["scores"]}):
            scores = np.array([s["scores"].get(label, 0.0) for s in seen])
            half = len(scores) // 2
            if half >= 20:
                signals[f"score {label}"] = _signal(scores[half:], scores[:half])
        value, p = mmd(features, fresh)
        signals["features"] = {
            "mmd": round(value, 5), "p": round(p, 4),
            "judgement": "drift" if p < P_DRIFT else "steady",
        }  # fmt: skip
        reports[name] = {"parts": len(seen), "signals": signals}
        samples += _far(features, fresh, seen)
    return {
        "dataset": snapshot.ref,
        "view": view,
        "stations": reports,
        "proposal": _proposal(reports, samples),
    }


def inputs_of(pixels: Pixels) -> list[float]:
    """Light, contrast, sharpness, hue and saturation of a picture."""
    grey = grey_of(pixels)
    small = cv2.resize(grey, (160, 160), interpolation=cv2.INTER_AREA)
    hue = saturation = 0.0
    if pixels.ndim == 3:
        hsv = cv2.cvtColor(cv2.resize(pixels, (80, 80)), cv2.COLOR_BGR2HSV)
        angle = hsv[..., 0].astype(np.float32) * (np.pi / 90)
        hue = float(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean()))
        saturation = float(hsv[..., 1].mean())
    sharp = float(cv2.Laplacian(small, cv2.CV_32F).var())
    return [float(grey.mean()), float(grey.std()), sharp, hue, saturation]


def feature_of(pixels: Pixels) -> NDArray[np.float32]:
    """What a picture looks like, in 192 numbers: a coarse thumbnail and its gradients."""
    small = (
        cv2.resize(bgr_of(pixels), (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    )
    return small.ravel()


def psi(before: NDArray[Any], now: NDArray[Any]) -> float:
    """Population stability index over bins of equal share before."""
    edges = _edges(before, now)
    expected = np.bincount(np.searchsorted(edges, before), minlength=len(edges) + 1) + 0.5
    found = np.bincount(np.searchsorted(edges, now), minlength=len(edges) + 1) + 0.5
    expected, found = expected / expected.sum(), found / found.sum()
    return float(((found - expected) * np.log(found / expected)).sum())


def _edges(before: NDArray[Any], now: NDArray[Any]) -> NDArray[Any]:
    """Between at most ``BINS`` bins; fewer of few values, which cannot fill as many."""
    bins = min(BINS, max(3, min(len(before), len(now)) // 10))
    return np.unique(np.quantile(before, np.linspace(0, 1, bins + 1)[1:-1]))


def by_chance(before: NDArray[Any], now: NDArray[Any]) -> float:
    """The PSI that only a share of ``P_DRIFT`` of samples so large exceed where nothing has moved:
    a chi-squared of the bins less one (Yurdakul and Naranjo 2020), its quantile by Wilson and
    Hilferty (1931). Of 20 pictures two of three had a PSI of "drift" by chance alone."""
    bins = len(_edges(before, now))
    part = 2 / (9 * bins)
    quantile = bins * (1 - part + NormalDist().inv_cdf(1 - P_DRIFT) * part**0.5) ** 3
    return float(quantile * (1 / len(before) + 1 / len(now)))


def judged(value: float, chance: float = 0.0) -> str:
    """A PSI in words; what chance explains is steady."""
    if value <= max(PSI_WATCH, chance):
        return "steady"
    return "drift" if value > PSI_DRIFT else "watch"


def _signal(before: NDArray[Any], now: NDArray[Any]) -> dict[str, Any]:
    value, chance = psi(before, now), by_chance(before, now)
    return {
        "psi": round(value, 4), "by_chance": round(chance, 4), "judgement": judged(value, chance),
    }  # fmt: skip


def mmd(a: NDArray[Any], b: NDArray[Any], seed: int = 0) -> tuple[float, float]:
    """Squared maximum mean discrepancy with a Gaussian kernel of median width, and its p by
    permutation."""
    rng = np.random.default_rng(seed)
    a = a[rng.permutation(len(a))[:MMD_MOST]]
    b = b[rng.permutation(len(b))[:MMD_MOST]]
    whole = np.concatenate((a, b)).astype(np.float64)
    square = (whole**2).sum(1)
    gap = np.maximum(square[:, None] + square[None] - 2 * whole @ whole.T, 0)
    kernel = np.exp(-gap / max(float(np.median(gap[gap > 0])) if (gap > 0).any() else 1.0, 1e-12))

    def value(order: NDArray[Any]) -> float:
        x, y = order[: len(a)], order[len(a) :]
        return float(
            kernel[np.ix_(x, x)].mean()
            + kernel[np.ix_(y, y)].mean()
            - 2 * kernel[np.ix_(x, y)].mean()
        )

    order = np.arange(len(whole))
    found = value(order)
    more = sum(value(rng.permutation(order)) >= found for _ in range(PERMUTATIONS))
    return found, (more + 1) / (PERMUTATIONS + 1)


def _archived(station: Path, view: str, last: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with History(station, bound_s=60.0) as history:
        before: int | None = None
        while len(found) < last:
            parts = history.last(500, before=before)
            if not parts:
                break
            before = parts[-1].position
            for part in parts:
                image = next((i for i in part.images if i.view == view), None)
                path = station / image.path if image else None
                if path is None or not path.is_file():
                    continue
                pixels = decode(path.read_bytes(), str(path))
                scores: dict[str, float] = {}
                alone = len(part.images) == 1  # older records name it as their recipe does
                for finding in part.verdict.findings:
                    if finding.kind in SCORED and (alone or finding.view == view):
                        scores[finding.label] = max(scores.get(finding.label, 0.0), finding.score)
                found.append(
                    {
                        "part": str(part.verdict.part_id), "station": part.verdict.station,
                        "image": image.digest if image else "", "scores": scores,
                        "inputs": inputs_of(pixels), "feature": feature_of(pixels),
                        "outcome": part.verdict.outcome.value,
                    }
                )  # fmt: skip
                if len(found) >= last:
                    break
    return found


def _far(
    known: NDArray[Any], fresh: NDArray[Any], seen: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The parts that look least like anything that was learned from."""
    near = _nearest(fresh, known)
    usual = float(np.quantile(_nearest(known, known, skip_self=True), 0.99))
    order = np.argsort(-near)[:PROPOSED]
    return [
        {
            "part": seen[i]["part"], "station": seen[i]["station"], "image": seen[i]["image"],
            "score": round(float(near[i] / max(usual, 1e-9)), 3),
            "why": f"{near[i] / max(usual, 1e-9):.1f} times as far from what was learned as usual",
        }
        for i in order.tolist() if near[i] > usual
    ]  # fmt: skip


def _nearest(a: NDArray[Any], b: NDArray[Any], skip_self: bool = False) -> NDArray[Any]:
    gap = np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0)
    if skip_self:
        np.fill_diagonal(gap, np.inf)
    return np.asarray(np.sqrt(gap.min(1)))


def _proposal(reports: dict[str, Any], samples: list[dict[str, Any]]) -> dict[str, Any]:
    moved = {
        name: [what for what, row in found["signals"].items() if row["judgement"] == "drift"]
        for name, found in reports.items()
    }
    moved = {name: signals for name, signals in moved.items() if signals}
    samples = sorted(samples, key=lambda s: -s["score"])[:PROPOSED]
    if moved:
        what = "; ".join(f"{name}: {', '.join(signals)}" for name, signals in moved.items())
        why = f"Retrain: {what}. Label these {len(samples)} parts first."
    else:
        why = "Nothing has moved: no retraining is proposed."
        if samples:
            why += f" These {len(samples)} parts look least like what was learned from."
    return {"retrain": bool(moved), "why": why, "samples": samples}
