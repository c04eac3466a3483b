"""What is kept up with each part is what all parts together give (S1, S5).

Charts, drift and the model of tags go on from where they were: a chart of the newest subgroups, one
addition to a sum. Here they are reckoned anew from everything at every step.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quality_parts import part

from inspector.config import Quality, load_station
from inspector.part import Outcome
from inspector.quality import spc
from inspector.quality.charts import Chart
from inspector.quality.drift import (
    PORTION,
    PSI,
    REFERENCE,
    WEIGHT,
    WIDTH,
    Drift,
    deciles_of,
    stability_index,
)
from inspector.quality.follow import Follower
from inspector.quality.moves import Moves
from inspector.quality.rules import SELECTED, Signal, signals
from inspector.quality.spc import ALL, ALLOWANCE, LIMIT, NEWEST, SHOWN, BatchCharts
from inspector.quality.tags import tag_model
from inspector.store import History
from inspector.store.cursor import records_after
from inspector.store.judged import judged
from inspector.store.tail import Tail

STATION = Path(__file__).parent.parent.parent / "station_configs" / "bottle-line.yaml"
PLAN = Quality(subgroup=20, phase_one=8, measured=3, measured_every=6)


def astray(parts: int, seed: int) -> list[Any]:
    """A batch whose second half is worse in every way."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(1, parts + 1):
        late = number > parts // 2
        outcome = Outcome.REJECT if rng.random() < (0.3 if late else 0.05) else Outcome.PASS
        label = str(rng.choice(["scratch", "no cap", "smear"], p=[0.6, 0.3, 0.1]))
        value = float(rng.normal(12.06 if late else 12.0, 0.05))
        made.append(part(number, outcome=outcome, label=label, value=value))
    return made


def tail_of(whole: Chart, newest: Chart) -> None:
    """``newest`` is the end of ``whole``."""
    for mine, all_of_it in (
        (newest.points, whole.points), (newest.z, whole.z),
        (newest.lower, whole.lower), (newest.upper, whole.upper),
    ):  # fmt: skip
        assert list(mine) == list(all_of_it[-len(mine) :])
    assert (newest.centre, newest.rare) == (whole.centre, whole.rare)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_newest_points_are_the_end_of_the_whole_chart(seed: int) -> None:
    charts = BatchCharts(PLAN, "B-1", "bottle@3")
    closed = 0
    for one in astray(600, seed):
        charts.part(one)
        if charts.closed == closed:
            continue
        closed = charts.closed
        total = Counter[str]()
        for group in charts.groups:
            total.update(group.labels)
        assert charts.labels == sorted(total, key=lambda k: (-total[k], k))
        for newest in (NEWEST, SHOWN):
            for label in (ALL, *charts.labels):
                whole, some = charts.p(label), charts.p(label, newest)
                assert whole and some
                tail_of(whole, some)
            (whole, some), both = (charts.u(), charts.u(newest)), charts.xbar_r("neck/height")
            assert whole and some and both
            tail_of(whole, some)
            for one_of, end in zip(both, charts.xbar_r("neck/height", newest) or (), strict=True):
                tail_of(one_of, end)


def swollen(z: list[float], side: float) -> tuple[float, int]:
    """How far values have gone beyond the allowance on one side, and since which of them: the
    largest of all sums that end with the newest value, or none."""
    sums = np.append(np.cumsum([side * value - ALLOWANCE for value in z[::-1]])[::-1], 0.0)
    return float(sums.max()), int(sums.argmax())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_sum_of_a_measure_is_that_of_all_its_means(seed: int) -> None:
    charts = BatchCharts(PLAN, "B-1", "bottle@3")
    first, spoken = PLAN.phase_one, 0
    for one in astray(900, seed):
        known = charts.measures.get("neck/height")
        before = known.count if known else 0
        said = [a for a in charts.part(one) if a.chart == "cusum"]
        known = charts.measures["neck/height"]
        if known.count == before or known.count <= PLAN.phase_one:
            assert not said
            continue
        both = charts.xbar_r("neck/height")
        assert both
        z = [float(value) for value in both[0].z[first:]]
        (above, up), (below, down) = swollen(z, 1.0), swollen(z, -1.0)
        assert bool(said) == (max(above, below) > LIMIT)
        if said:
            began = first + (up if above >= below else down)
            assert said[0].body["since"]["number"] == known.where[began][1]
            assert said[0].body["above"] == (above > LIMIT)
            first, spoken = known.count, spoken + 1
        else:
            assert (known.sums.above, known.sums.below) == pytest.approx((above, below))
    assert spoken >= 1


def test_a_batch_that_is_longer_than_what_is_kept_goes_on_being_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where only the newest subgroups are kept, a rule that spoke once can speak again."""
    monkeypatch.setattr(spc, "GROUPS_MAX", 15)
    charts = BatchCharts(PLAN, "B-1", "bottle@3", {"neck/height": (11.0, 13.0)})
    found: list[tuple[int, str]] = []
    for number in range(1, 2001):
        bad = number % 500 > 460 and number % 2 == 0  # in each 500 parts one bad spell
        high = 0.4 if number % 500 > 440 else 0.0
        value = 12.0 + high + 0.05 * ((number * 7919) % 13 - 6) / 6
        outcome = Outcome.REJECT if bad else Outcome.PASS
        found += [(number // 500, alarm.chart) for alarm in
                  charts.part(part(number, outcome=outcome, value=value))]  # fmt: skip
    assert len(charts.groups) == 15 and charts.closed == 100
    assert len(charts.measures["neck/height"].groups) == 15
    assert charts.measures["neck/height"].count > 300
    for chart in ("p", "xbar"):
        assert {spell for spell, said in found if said == chart} >= {1, 2, 3}


def scratch(z: list[float], since: int) -> list[Signal]:
    """The rules as they read."""
    found = []
    for at in range(since, len(z)):
        for rule in SELECTED:
            first = max(0, at - rule.of + 1)
            for side in (1.0, -1.0):
                beyond = [i for i in range(first, at + 1) if side * z[i] > rule.sigma]
                if len(beyond) >= rule.count and beyond[-1] == at:
                    found.append(Signal(rule.name, at, tuple(beyond), side > 0))
    return found


@given(st.lists(st.floats(-4, 4), max_size=40), st.integers(0, 40))
def test_the_rules_say_of_points_what_they_read(z: list[float], since: int) -> None:
    assert signals(z, SELECTED, since) == scratch(z, since)


@pytest.mark.parametrize("seed", range(4))
def test_drift_warns_where_both_witnesses_of_all_values_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    level = np.repeat([0.0, 2.0, 0.0, -2.0], 30 * PORTION)  # it wanders, comes back, wanders again
    values = [float(v) for v in rng.normal(0, 1, REFERENCE * PORTION)]
    values += [float(v) for v in rng.normal(level, 1)]
    drift, told, scratched, warned = Drift("bottle@3", {}), [], [], False
    for number, value in enumerate(values, 1):
        if drift.value("gloss", value, {}):
            told.append(number)
        if number % PORTION or number <= REFERENCE * PORTION:
            continue
        reference = values[: REFERENCE * PORTION]
        means = [float(np.mean(values[i : i + PORTION])) for i in range(0, number, PORTION)]
        mean, spread = np.mean(means[:REFERENCE]), np.std(means[:REFERENCE], ddof=1)
        at = float(mean)
        for portion in means[REFERENCE:]:
            at = WEIGHT * portion + (1 - WEIGHT) * at
        beyond = abs(at - mean) > WIDTH * spread * np.sqrt(WEIGHT / (2 - WEIGHT))
        newest = values[max(REFERENCE, number // PORTION - 8) * PORTION : number]
        index = stability_index(deciles_of(reference), newest)
        assert drift.features["gloss"].at == pytest.approx(at)
        if warned:
            warned = beyond or index >= PSI / 2
        elif beyond and index >= PSI:
            warned = True
            scratched.append(number)
        assert drift.features["gloss"].warned == warned
    assert told == scratched and len(told) >= 2


def test_the_model_of_tags_is_that_of_each_parts_own_values() -> None:
    """Parts share the map of their tags; a tag that is told of later is no part's before."""
    rng = np.random.default_rng(7)
    told: list[dict[str, float]] = []

    def tags_at(utc_ns: int) -> dict[str, float]:
        speed = {"speed": float(rng.normal(500, 3))} if len(told) > 5 else {}
        told.append(speed | {"pressure": float(len(told) // 40)})
        return told[-1]

    moves, mine = Moves(tags_at), list[tuple[bool, dict[str, float]]]()
    tags: dict[str, float] = {}
    for number in range(1, 1201):
        faulty = bool(rng.random() < (0.05 if number < 700 else 0.4))
        one = judged(part(number, outcome=Outcome.REJECT if faulty else Outcome.PASS))
        asked = len(told)
        moves.part(one)
        tags = tags | told[-1] if len(told) > asked else tags
        takt = {"takt_ms": 40.0} if number > 1 else {}
        mine.append((faulty, tags | takt))
    moves.fit(one.utc_ns)
    names = mine[-1][1].keys()
    whole = [(faulty, all_of) for faulty, all_of in mine if names <= all_of.keys()]
    assert 0 < len(whole) < len(mine)
    columns = {name: [all_of[name] for _, all_of in whole] for name in names}
    model = tag_model([faulty for faulty, _ in whole], columns)
    assert model is not None and moves._model == model
    named = moves.named()
    assert named is not None and named["tag"] == "pressure"

    moves._model = None
    moves.fit(one.utc_ns + 10**9)
    assert moves._model is None  # it is fitted every ten seconds
    moves.fit(one.utc_ns - 3600 * 10**9)
    assert moves._model == model  # and a clock that is set back puts it off no longer


def test_figures_and_whole_verdicts_say_the_same(made: Any) -> None:
    station = load_station(STATION).model_copy(update={"data": made.data})
    plan = Quality(subgroup=100)
    with History(made.data) as history:
        by_verdict, by_figure = Follower(station, plan), Follower(station, plan)
        whole, _ = records_after(history, -1, 20_000)
        said = [(at, by_verdict.record(at, record)) for at, record in whole]
        skimmed = [
            (at, by_figure.record(at, record))
            for at, record in Tail(history).after(-1, 20_000, lambda: by_figure.hears_gates)
            if record is not None
        ]
    assert [entry for entry in said if entry[1]] == [entry for entry in skimmed if entry[1]]
    assert any(kind == "spc" for _, entries in skimmed for kind, _ in entries)
    assert by_verdict.state() == by_figure.state()
