"""How good a recipe is: cases enter, shares with their intervals leave, and who is better.

Escapes per defect and severity, false rejects, slices, latency; thresholds chosen by cost; curves
of precision over recall; two recipes on the same parts compared by McNemar's test (McNemar 1947,
exact). Pure numbers: nothing here knows a model. Imported by ``report``, ``backtest``, ``loop``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.cases import Case
from training.evaluate import Share, average_precision, wilson

COSTS: Mapping[str, float] = {"critical": 1000.0, "major": 100.0, "minor": 10.0}
"""Of one escape by its severity, where one false reject costs 1."""


def figures(cases: Sequence[Case]) -> dict[str, Any]:
    """Everything that the report and the card say, JSON-ready."""
    ms = np.array([case.ms for case in cases] or [0.0])
    severities = sorted({s for case in cases for s in case.defects.values()})
    return {
        "parts": len(cases),
        "defective": sum(case.truth == "reject" for case in cases),
        "escapes": escapes(cases).as_dict(),
        "false_rejects": false_rejects(cases).as_dict(),
        "errors": sum(case.outcome == "error" for case in cases),
        "escapes_by_defect": {name: escapes(cases, name).as_dict() for name in defects_of(cases)},
        "escapes_by_severity": {
            name: escapes([c for c in cases if name in c.defects.values()]).as_dict()
            for name in severities
        },
        "slices": slices(cases),
        "latency_ms": {
            "p50": round(float(np.median(ms)), 2),
            "p99": round(float(np.quantile(ms, 0.99)), 2),
        },
    }


def defects_of(cases: Sequence[Case]) -> list[str]:
    """Every defect that occurs, by name."""
    return sorted({name for case in cases for name in case.defects})


def escapes(cases: Sequence[Case], defect: str = "") -> Share:
    """Of the defective parts (those with ``defect``) the share that would have passed."""
    mine = [c for c in cases if (defect in c.defects if defect else c.truth == "reject")]
    return wilson(sum(c.escape for c in mine), len(mine))


def false_rejects(cases: Sequence[Case]) -> Share:
    """Of the good parts the share that would not have passed."""
    good = [c for c in cases if c.truth == "pass"]
    return wilson(sum(c.false_reject for c in good), len(good))


def slices(cases: Sequence[Case]) -> dict[str, dict[str, Any]]:
    """Escapes and false rejects by each thing that parts are told apart by."""
    found: dict[str, dict[str, Any]] = {}
    for by in sorted({name for case in cases for name in case.slices}):
        groups: dict[str, list[Case]] = defaultdict(list)
        for case in cases:
            groups[case.slices.get(by, "")].append(case)
        found[by] = {
            value: {
                "parts": len(mine),
                "escapes": escapes(mine).as_dict(),
                "false_rejects": false_rejects(mine).as_dict(),
            }
            for value, mine in sorted(groups.items())
        }
    return found


def compare(before: Sequence[Case], after: Sequence[Case]) -> dict[str, Any]:
    """``after`` against ``before`` on the same parts.

    ``mended`` and ``spoilt`` are parts that only one of them judges right; ``p`` is the exact
    two-sided probability of so uneven a split by chance.
    """
    pairs = list(zip(before, after, strict=True))
    if any(a.name != b.name for a, b in pairs):
        raise ValueError("the two have judged different parts")
    mended = [b.name for a, b in pairs if b.right and not a.right]
    spoilt = [b.name for a, b in pairs if a.right and not b.right]
    by_defect = {}
    for name in defects_of(after):
        old, new = escapes(before, name), escapes(after, name)
        by_defect[name] = {
            "before": old.as_dict(), "after": new.as_dict(),
            "surely_better": new.high < old.low, "surely_worse": new.low > old.high,
            **_mcnemar(
                [(a.escape, b.escape) for a, b in pairs if name in a.defects]
            ),
        }  # fmt: skip
    good = [(a.false_reject, b.false_reject) for a, b in pairs if a.truth == "pass"]
    return {
        "parts": len(pairs),
        "mended": mended,
        "spoilt": spoilt,
        "p": mcnemar(len(mended), len(spoilt)),
        "by_defect": by_defect,
        "false_rejects": {
            "before": false_rejects(before).as_dict(),
            "after": false_rejects(after).as_dict(),
            **_mcnemar(good),
        },
        "flips": flips(before, after),
    }


def flips(before: Sequence[Case], after: Sequence[Case]) -> list[dict[str, Any]]:
    """Every part whose verdict changes, and whether that is right."""
    return [
        {
            "part": b.name, "from": a.outcome, "to": b.outcome, "truth": b.truth,
            "defects": sorted(b.defects), "reasons": list(b.reasons or a.reasons)[:2],
            "right": b.right,
        }
        for a, b in zip(before, after, strict=True)
        if a.outcome != b.outcome
    ]  # fmt: skip


def mcnemar(mended: int, spoilt: int) -> float:
    """Exact two-sided p of McNemar's test: so uneven a split of ``mended + spoilt`` by chance."""
    n, least = mended + spoilt, min(mended, spoilt)
    if n == 0:
        return 1.0
    tail = sum(comb(n, k) for k in range(least + 1)) / 2**n
    return round(min(1.0, 2 * tail), 6)


def _mcnemar(pairs: Sequence[tuple[bool, bool]]) -> dict[str, Any]:
    fewer = sum(a and not b for a, b in pairs)
    more = sum(b and not a for a, b in pairs)
    return {"no_longer": fewer, "newly": more, "p": mcnemar(fewer, more)}


def thresholds(
    cases: Sequence[Case],
    labels: Mapping[str, str],
    costs: Mapping[str, float] = COSTS,
    measured: Sequence[Case] | None = None,
) -> dict[str, dict[str, Any]]:
    """For each label the threshold that costs least on ``cases``, which were judged ``lowered``.

    ``labels`` gives each one's severity. Good parts pay 1 for a false reject, parts with the label
    pay the severity's cost for an escape; ties go to the middle of the longest of the cheapest
    stretches, as far from either mistake as can be. Escapes and false rejects there are those of
    ``measured``: the parts that chose would praise their own choice.
    """
    found = {}
    for label, severity in labels.items():
        wrong, fine = _scores(cases, label)
        if not len(wrong) or not len(fine):
            continue
        at = np.round(np.arange(0.05, 0.96, 0.01), 2)
        missed = np.searchsorted(wrong, at, "left")
        spoilt = len(fine) - np.searchsorted(fine, at, "left")
        cost = missed * costs.get(severity, 100.0) + spoilt
        cheapest = np.flatnonzero(cost == cost.min())
        stretches = np.split(cheapest, np.flatnonzero(np.diff(cheapest) > 1) + 1)
        best = at[max(stretches, key=len)]
        chosen = float(best[len(best) // 2])
        found[label] = {
            "threshold": chosen,
            "between": [float(best[0]), float(best[-1])],
            "cost": round(float(cost.min()), 2),
        }
        wrong, fine = _scores(cases if measured is None else measured, label)
        found[label] |= {
            "escapes": wilson(int((wrong < chosen).sum()), len(wrong)).as_dict(),
            "false_rejects": wilson(int((fine >= chosen).sum()), len(fine)).as_dict(),
        }
    return found


def _scores(cases: Sequence[Case], label: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of the parts with the defect, and of good ones; sorted."""
    wrong = np.sort([c.found.get(label, 0.0) for c in cases if label in c.defects])
    return wrong, np.sort([c.found.get(label, 0.0) for c in cases if c.truth == "pass"])


def curve(cases: Sequence[Case], label: str) -> dict[str, Any]:
    """Precision over recall of ``label`` by part: is it there at all? Judged ``lowered``. Of parts
    with one score the good ones come first: no threshold tells them from the others."""
    scored = sorted(
        ((c.found[label], label in c.defects) for c in cases if label in c.found),
        key=lambda s: (-s[0], s[1]),
    )
    there = sum(label in c.defects for c in cases)
    right = np.cumsum([r for _, r in scored], dtype=np.float64)
    precision = right / np.arange(1, len(scored) + 1) if scored else np.zeros(0)
    recall = right / there if there else np.zeros(len(scored))
    step = max(1, len(scored) // 200)
    return {
        "ap": round(average_precision(scored, there), 4) if there else None,
        "parts": there,
        "points": [
            [round(float(r), 4), round(float(p), 4), round(s, 3)]
            for r, p, (s, _) in list(zip(recall, precision, scored, strict=True))[::step]
        ],
    }
