"""Pictures of good parts (and of bad ones, if there are some) go in, a bank for ``anomaly`` comes
out, with what it was measured to do.

Every good picture is judged by members that did not know it (cross-validation). What they say of
it, and of the same picture with a self-made defect, chooses the members; what the chosen ones say
of the good pictures sets the limit. Real defects take part in the choice where they are given.
Nothing is measured on pictures that a member was taught with. Imported by ``teach``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.quality.agreement import wilson
from inspector.teach.material import LEAST_GOOD, damaged, has_colour, looked_at, usual_size
from inspector.teach.pictures import Progress, TeachError, told
from inspector.tools.anomaly import Map, on_grid, worst
from inspector.tools.bank import Bank
from inspector.tools.likeness import Member, Way, fit_member, quiet, usual_of
from inspector.tools.onnx import Shelf
from inspector.tools.texture import (
    FEATURES,
    HALF_FROM_PX,
    MOST_PX,
    Source,
    Texture,
    finer_of,
    working_size,
)

BACKBONE = "texture-features/1"
MOST_GOOD = 200
FOLDS = 5
FALSE_REJECT = 0.01
FILTERS_NEAR_BEST = 0.85
"""The filters judge with the network's layers if their AUROC is above one half by this share of
what the best layer's is. Chosen on six surfaces that were kept for choosing defaults
(docs/accuracy.md): 0.843 on average; without the filters 0.81, with them always 0.82, the better
way of each source alone 0.825."""
LOUDER = 1.0
"""By so many standard deviations of good pictures must what is seen in a large picture's own size
stand out more than what the others see: where there is nothing small, it adds little noise."""
STANDS_OUT = 1e-4
"""Share of good parts, by the others, that would score as high as one that stands out. With 1e-3,
three of 40 pieces of cloth did, and without them the limit was below what good pieces reach."""
MOST_STAND_OUT = 3
Grids = dict[str, NDArray[np.float16]]
Scores = NDArray[np.float64]
Maps = Sequence[Sequence[Map]]
"""Of each good picture, of each spoilt one, of each bad one."""


@dataclass(frozen=True, slots=True)
class Taught:
    """What a teaching made, and what it was measured to do."""

    bank: Bank
    report: dict[str, Any]
    spoilt: tuple[Pixels, ...] = ()
    """Good pictures with self-made defects."""
    owners: tuple[int, ...] = ()
    """Which good picture each was."""
    maps: Maps = ([], [], [])
    """What members that did not know it say of each good, spoilt and bad picture, together."""
    judged: tuple[int, ...] | None = None
    """Of which good pictures those are: all of them, or those that a network did not know."""


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """One candidate and what its members, each taught without the picture, say of each picture."""

    member: Member
    """Taught with all good pictures."""
    maps: Maps
    """Normal ones: in standard deviations of good pictures."""
    auroc: float


def teach_anomaly(
    good: Sequence[Pixels],
    shelf: Shelf,
    bad: Sequence[Pixels] = (),
    *,
    backbones: Sequence[str] = (BACKBONE,),
    false_reject: float = FALSE_REJECT,
    most_px: int = MOST_PX,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> Taught:
    """A bank that knows the ``good`` pictures. Deterministic.

    ``false_reject`` is the share of good parts that may be rejected. ``backbones`` are models of
    task ``features``. Pictures of more than ``most_px`` are scaled down to that area for all but
    the filters that look for what is small. Raises ``TeachError`` or ``ModelError``.
    """
    if len(good) < LEAST_GOOD:
        raise TeachError(
            f"{len(good)} good pictures are too few, copies left out; take {LEAST_GOOD} at least,"
            " better 50"
        )
    if not 0 < false_reject < 0.5:
        raise TeachError(f"a share of false rejects of {false_reject} is none; give 0.001 to 0.2")
    quiet()
    size, still = usual_size(good)
    colour = any(has_colour(p) for p in good)
    sources = sources_for(shelf, backbones, size, most_px)
    texture = Texture(sources, shelf, colour)

    def described(pixels: Pixels) -> Grids:
        grids = texture.describe(pixels, looked_at(pixels, size, still, most_px))
        # Half precision holds them twice over, and two hundred pictures fill the memory.
        return {name: grid.astype(np.float16) for name, grid in grids.items()}

    made, owners = damaged(good, seed, small=any(s.finer > 1 for s in sources))
    seen = [
        [described(pixels) for pixels in told(pictures, what, progress)]
        for pictures, what in (
            (good, "looking at good parts"),
            (made, "looking at self-made defects"),
            (bad, "looking at defects"),
        )
    ]
    ways: tuple[Way, ...] = ("placed" if still else "spread", "nearest")
    plan = [(source, way) for source in sources for way in ways]
    judged = [
        _judge(source, way, seen, owners, still, seed)
        for source, way in told(plan, "comparing ways to look", progress)
    ]
    members, maps, own_size = _chosen(judged)
    bank = Bank(size=size, fixed=still, colour=colour, members=members, most_px=most_px)
    scores = scores_of(maps)
    bank = with_limit(bank, scores[0], false_reject)
    report = report_of(bank, scores, false_reject)
    report["compared"] = {j.member.name: round(j.auroc, 4) for j in judged}
    if own_size:
        report["own_size"] = own_size
    if out := standing_out(scores[0]):
        others = np.delete(scores[0], out)
        report["stands_out"] = {
            "numbers": out,
            "limit": round(bank.limit, 2),
            "limit_without": round(with_limit(bank, others, false_reject).limit, 2),
        }
    return Taught(replace(bank, report=report), report, tuple(made), tuple(owners), maps)


def sources_for(
    shelf: Shelf, backbones: Sequence[str], size: tuple[int, int], most_px: int = MOST_PX
) -> tuple[Source, ...]:
    """What pictures of ``size`` can be described by: the filters, and each backbone's fine and
    coarse layers, also in half size where there is enough of the picture; of large pictures also
    filters in about the picture's own size."""
    sources = [Source("")]
    for ref in backbones:
        layers = shelf.open(ref, FEATURES).card.output.layers
        last = sum(layers)
        fine = last - layers[-1] if len(layers) > 1 else last
        sources.append(Source(ref, (0, fine)))
        if fine < last:
            sources.append(Source(ref, (fine, last)))
    if min(working_size(*size, most_px)) >= HALF_FROM_PX:
        sources += [replace(source, half=True) for source in sources if source.model]
    if (finer := finer_of(*size, most_px)) > 1:
        sources.append(Source("", finer=finer))
    return tuple(sources)


def choose(judged: Sequence[_Judged]) -> list[_Judged]:
    """Those that judge together, the best first: of each layer and size of a network the better
    way, for no figure of self-made defects is sure enough to leave one out; of the filters both."""
    ranked = sorted((j for j in judged if j.member.source.finer == 1), key=lambda j: -j.auroc)
    best = ranked[0].auroc - 0.5
    filters = [j for j in ranked if not j.member.source.model]
    if not filters or filters[0].auroc - 0.5 < FILTERS_NEAR_BEST * best:
        filters = []
    networks: dict[Source, _Judged] = {}
    for candidate in ranked:
        if candidate.member.source.model:
            networks.setdefault(candidate.member.source, candidate)
    return sorted([*networks.values(), *filters], key=lambda j: -j.auroc)


def with_limit(bank: Bank, good: Scores, false_reject: float) -> Bank:
    """``bank`` with the limit that lets all but ``false_reject`` of the good parts pass, by the
    upper prediction bound of a normal distribution (W. Q. Meeker et al., Statistical Intervals,
    section 3): what matters is the next part, and few pictures do not show the rarest one. Where
    good parts are wilder than normal, not more than that share of those that were seen is above."""
    n = len(good)
    spread = max(float(good.std(ddof=1)), 0.05)
    reach = student_t(1 - false_reject, n - 1) * math.sqrt(1 + 1 / n)
    middle = float(good.mean())
    seen = float(np.sort(good)[n - 1 - math.floor(false_reject * n)])
    limit = max(middle + reach * spread, seen + 0.1 * spread)
    return replace(bank, limit=limit, scale=max(limit - middle, 0.5))


def standing_out(good: Scores) -> list[int]:
    """Which good pictures score far above all others, the highest first: one that is no good part
    after all sets the limit, and the defects below it pass."""
    out: list[int] = []
    while len(out) < min(MOST_STAND_OUT, len(good) // 10):
        rest = np.array([i for i in range(len(good)) if i not in out])
        top = int(rest[good[rest].argmax()])
        others = good[rest[rest != top]]
        n, spread = len(others), max(float(others.std(ddof=1)), 0.05)
        reach = student_t(1 - STANDS_OUT, n - 1) * math.sqrt(1 + 1 / n)
        if good[top] <= others.mean() + reach * spread:
            break
        out.append(top)
    return out


def report_of(bank: Bank, scores: Sequence[Scores], false_reject: float) -> dict[str, Any]:
    """What is known of a bank from the ``scores_of`` pictures that its members did not know."""
    good, made, bad = scores
    rejected, known, found = (int((part >= bank.limit).sum()) for part in scores)
    report: dict[str, Any] = {
        "good": len(good),
        "members": [m.name for m in bank.members],
        "false_reject": {"wanted": false_reject, "seen": rejected, **_share(rejected, good)},
        "selfmade": {"auroc": round(auroc(good, made), 4), "found": known, "of": len(made)},
    }
    if len(bad):
        figure = round(auroc(good, bad), 4)
        report["defects"] = {"auroc": figure, "found": found, **_share(found, bad)}
    return report


def _share(count: int, of: Scores) -> dict[str, Any]:
    share = wilson(count, len(of))
    interval = [round(share.low, 4), round(share.high, 4)]
    return {"of": len(of), "value": round(share.value, 4), "interval95": interval}


def auroc(good: Scores, bad: Scores) -> float:
    """How often a bad picture scores higher than a good one; ties count half."""
    if not len(good) or not len(bad):
        return 0.5
    higher = (bad[:, None] > good[None, :]).mean() + 0.5 * (bad[:, None] == good[None, :]).mean()
    return float(higher)


def student_t(share: float, freedom: int) -> float:
    """The quantile of Student's t (G. W. Hill, CACM algorithm 396's expansion; to 0.5 % from 5
    degrees of freedom on)."""
    z = NormalDist().inv_cdf(share)
    n = max(1, freedom)
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def _judge(
    source: Source, way: Way, seen: Sequence[Sequence[Grids]], owners: Sequence[int], still: bool,
    seed: int,
) -> _Judged:  # fmt: skip
    """A candidate, fitted on all good pictures, judged by its like that knew a part of them."""
    good, made, bad = ([g[source.name].astype(np.float32) for g in part] for part in seen)
    folds = min(FOLDS, len(good))
    raw_good: list[Any] = [None] * len(good)
    raw_made: list[Any] = [None] * len(made)
    for fold in range(folds):
        known = [g for i, g in enumerate(good) if i % folds != fold]
        member = fit_member(source, way, known, seed)
        for i in range(fold, len(good), folds):
            raw_good[i] = member.distances(good[i])
        for i, owner in enumerate(owners):
            if owner % folds == fold:
                raw_made[i] = member.distances(made[i])
    whole = fit_member(source, way, good, seed)
    raw_bad = [whole.distances(g) for g in bad]
    if still:
        # What is usual at a place is told to each good picture by the others alone.
        total, many = np.sum(raw_good, axis=0), len(raw_good)
        without = [usual_of((total - m) / (many - 1)) for m in raw_good]
        raw_good = [m - u for m, u in zip(raw_good, without, strict=True)]
        raw_made = [m - without[i] for m, i in zip(raw_made, owners, strict=True)]
        whole = replace(whole, usual=usual_of(total / many))
        raw_bad = [m - whole.usual for m in raw_bad]
    worsts = np.array([worst(m) for m in raw_good])
    centre = float(np.median(worsts))
    spread = max(float(worsts.std()), 0.01)
    whole = replace(whole, centre=centre, spread=spread)
    maps = [
        [((m - centre) / spread).astype(np.float32) for m in part]
        for part in (raw_good, raw_made, raw_bad)
    ]
    return _Judged(whole, maps, figure_of(scores_of(maps)))


def _chosen(
    judged: Sequence[_Judged],
) -> tuple[tuple[Member, ...], Maps, dict[str, float] | None]:
    """The members that judge, what they say together of each picture, and how well they tell
    self-made (and real) defects without and with a look at a large picture's own size, which is
    kept unless it tells them worse."""
    chosen = choose(judged)
    members = tuple(j.member for j in chosen)
    maps = [_together(part) for part in zip(*(j.maps for j in chosen), strict=True)]
    finer = [j for j in judged if j.member.source.finer > 1]
    if not finer:
        return members, maps, None
    own = max(finer, key=lambda j: j.auroc)
    scores = scores_of(maps)
    middle, wide = float(np.median(scores[0])), max(float(scores[0].std()), 0.01)
    # On the others' scale, and no louder than they are.
    tuned = replace(
        own.member,
        centre=own.member.centre + own.member.spread * (LOUDER - middle / wide),
        spread=own.member.spread / wide,
    )
    both = [
        [np.maximum(m, (o - LOUDER) * wide + middle) for m, o in zip(part, seen, strict=True)]
        for part, seen in zip(maps, own.maps, strict=True)
    ]
    without, with_it = figure_of(scores), figure_of(scores_of(both))
    figures = {"without": round(without, 4), "with": round(with_it, 4)}
    if with_it < without:
        return members, maps, figures
    return (*members, tuned), both, figures


def scores_of(maps: Maps) -> list[Scores]:
    """How bad the worst place of each picture is: of the good ones, the spoilt and the bad ones."""
    return [np.array([worst(m) for m in part]) for part in maps]


def figure_of(scores: Sequence[Scores]) -> float:
    """How well scores tell self-made defects, and real ones if there are some: a handful of those
    says as much as many self-made ones."""
    good, made, bad = scores
    figure = auroc(good, made)
    return 0.5 * figure + 0.5 * auroc(good, bad) if len(bad) else figure


def _together(of_each: Sequence[Sequence[Map]]) -> list[Map]:
    """The mean of several members' maps, picture by picture, on the finest grid."""
    fused = []
    for maps in zip(*of_each, strict=True):
        shape = max((m.shape for m in maps), key=lambda s: s[0] * s[1])
        fused.append(np.asarray(np.mean([on_grid(m, shape) for m in maps], axis=0), np.float32))
    return fused
