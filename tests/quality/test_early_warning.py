"""What still passes but is no longer what it was is told before parts fail (S5, S19)."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from quality_parts import part

from inspector.config import Quality
from inspector.part import Outcome
from inspector.quality.drift import PORTION, REFERENCE, Drift, deciles_of, stability_index
from inspector.quality.health import LOOKS, Health
from inspector.quality.spc import ALL, BatchCharts

LIMITS = {"neck/height": (11.6, 12.4)}


def test_a_score_that_sinks_is_told_before_the_first_part_fails() -> None:
    rng = np.random.default_rng(1)
    drift = Drift("bottle@3", {})
    told = 0
    for number in range(1, 6001):
        # the reader is sure to 0.97; from part 2,000 on the ribbon wears, and at 0.80 it fails
        score = min(0.999, rng.normal(0.97 - max(0, number - 2000) * 0.17 / 4000, 0.01))
        if drift.part(part(number, score=score)):
            told = number
            break
    assert 2000 < told < 3000
    assert 0.97 - (told - 2000) * 0.17 / 4000 > 0.9, "long before 0.80"


def test_a_warning_says_how_far_since_when_and_what_it_heads_for() -> None:
    rng = np.random.default_rng(2)
    drift = Drift("bottle@3", LIMITS)
    warnings = []
    for number in range(1, 3001):
        level = 12.0 + max(0, number - 1000) * 0.4 / 3000
        warnings += drift.part(part(number, value=rng.normal(level, 0.03), score=1.0))
    (warning,) = warnings
    body = warning.body
    assert warning.feature == "neck/height" and body["sigmas"] > 3 and body["psi"] >= 0.2
    assert body["batch"] == "B-1" and 1000 < body["number"] < 1600
    left = 12.4 - (12.0 + (body["number"] - 1000) * 0.4 / 3000)
    assert body["limit_in_parts"] == pytest.approx(left * 3000 / 0.4, rel=0.5)


def test_a_process_that_does_not_drift_is_left_in_peace() -> None:
    false = 0
    for seed in range(12):
        rng = np.random.default_rng(100 + seed)
        drift = Drift("bottle@3", {})
        where: dict[str, Any] = {}
        values = rng.normal(12, 0.05, 6000)
        false += sum(bool(drift.value("height", float(v), where)) for v in values)
    assert false <= 1, f"{false} false warnings in 72,000 parts"


def test_rejects_and_set_up_parts_say_nothing_about_drift() -> None:
    drift = Drift("bottle@3", {})
    for number in range(REFERENCE * PORTION):
        drift.part(part(number + 1, outcome=Outcome.REJECT, score=0.2))
    assert drift.features == {}


def test_the_stability_index_is_small_for_the_same_and_large_for_another() -> None:
    rng = np.random.default_rng(3)
    reference = deciles_of(rng.normal(0, 1, 500))
    assert stability_index(reference, list(rng.normal(0, 1, 200))) < 0.12
    assert stability_index(reference, list(rng.normal(1, 1, 200))) > 0.5
    assert stability_index(deciles_of([1.0] * 500), [1.0] * 200) < 0.01


# -- control charts of a batch --------------------------------------------------------------------


def charted(shares: list[tuple[int, float]], seed: int = 4) -> tuple[BatchCharts, list[Any]]:
    rng = np.random.default_rng(seed)
    charts, alarms = BatchCharts(Quality(subgroup=50, phase_one=20), "B-1", "bottle@3"), []
    number = 0
    for parts, share in shares:
        for _ in range(parts):
            number += 1
            bad = rng.random() < share
            outcome = Outcome.REJECT if bad else Outcome.PASS
            alarms += charts.part(part(number, outcome=outcome))
    return charts, alarms


def test_a_share_that_rises_is_an_alarm_with_its_evidence() -> None:
    _, alarms = charted([(2000, 0.02), (500, 0.15)])
    alarm = next(a for a in alarms if a.chart == "p" and a.name == "scratch" and _newest(a) > 2000)
    group = alarm.body["evidence"]["subgroups"][-1]
    assert group["first"] <= 2101 and group["last"] - group["first"] == 49
    assert alarm.body["evidence"]["examples"][0]["label"] == "scratch"
    assert alarm.body["limits"][1] < alarm.body["points"][-1]
    assert alarm.body["false_alarms"] < 0.00135, "one event in a subgroup is expected: rare"


def _newest(alarm: Any) -> int:
    return int(alarm.body["evidence"]["subgroups"][-1]["first"])


def test_while_limits_are_set_nothing_is_said() -> None:
    charts, alarms = charted([(500, 0.02), (499, 0.3)])
    assert alarms == [] and not charts.state()["monitoring"]


def test_where_nothing_failed_while_limits_were_set_two_faults_together_are_many() -> None:
    """Half a fault in all of it, not one in 2,000 parts: of 20,000 those were ten."""
    charts = BatchCharts(Quality(subgroup=200, phase_one=20), "B-1", "bottle@3")
    bad = {4010, 4020}
    alarms = [
        alarm.name for number in range(1, 4201)
        for alarm in charts.part(part(number, outcome=Outcome.REJECT if number in bad
                                      else Outcome.PASS))
    ]  # fmt: skip
    assert charts.centres[ALL] == 1 / 8000 and ALL in alarms


def test_limits_leave_out_what_was_out_of_control() -> None:
    charts, _ = charted([(900, 0.02), (50, 0.5), (50, 0.02)])
    assert charts.centres[ALL] == pytest.approx(0.02, abs=0.012)


def test_an_error_is_no_part_of_a_subgroup() -> None:
    charts = BatchCharts(Quality(subgroup=50), "B-1", "bottle@3")
    for number in range(1, 101):
        charts.part(part(number, outcome=Outcome.ERROR if number % 2 else Outcome.PASS))
    assert len(charts.groups) == 1 and charts.groups[0].size == 50


def test_measures_are_charted_in_subgroups_of_neighbours() -> None:
    rng = np.random.default_rng(5)
    plan = Quality(measured=5, measured_every=25, phase_one=20)
    charts, alarms = BatchCharts(plan, "B-1", "bottle@3", LIMITS), []
    for number in range(1, 1501):
        level = 12.0 if number <= 1000 else 12.12
        alarms += charts.part(part(number, value=rng.normal(level, 0.05)))
    where = charts.measures["neck/height"].where
    assert all(last - first == 4 for _, first, last in where)
    assert {second[1] - first[1] for first, second in pairwise(where)} == {25}
    alarm = next(a for a in alarms if a.chart == "xbar" and _newest(a) > 1000)
    assert _newest(alarm) <= 1076, "a shift of 2.4 sigma of one part is seen within three subgroups"
    assert len(alarm.body["evidence"]["subgroups"][-1]["values"]) == 5


def test_a_part_with_two_findings_of_one_name_is_one_of_its_subgroup() -> None:
    charts = BatchCharts(Quality(measured=5, measured_every=25), "B-1", "bottle@3", LIMITS)
    for number in range(1, 201):
        one = part(number, value=12.0 + number % 5 / 10)
        more = replace(one.findings[-1], value=14.0)
        charts.part(replace(one, findings=(*one.findings, more)))
    known = charts.measures["neck/height"]
    assert {second[1] - first[1] for first, second in pairwise(known.where)} == {25}
    assert all(sorted(group) == [12.0, 12.1, 12.2, 12.3, 12.4] for group in known.groups)
    assert len(known.groups) == 8


def test_a_measure_beyond_all_numbers_is_in_no_chart() -> None:
    charts = BatchCharts(Quality(), "B-1", "bottle@3", LIMITS)
    charts.part(part(1, value=math.inf))
    assert not charts.measures


def test_a_rare_fault_that_becomes_twice_as_frequent_is_summed_up() -> None:
    _, alarms = charted([(4000, 0.02), (4000, 0.05)])
    alarm = next(a for a in alarms if a.chart == "p cusum" and _newest(a) > 4000)
    assert _newest(alarm) < 6500 and alarm.body["since"]["number"] > 3000
    assert alarm.body["false_alarms"] <= 1 / 500


def test_a_small_shift_that_lasts_is_summed_up_and_dated() -> None:
    rng = np.random.default_rng(15)
    plan = Quality(measured=5, measured_every=25, phase_one=20)
    charts, alarms = BatchCharts(plan, "B-1", "bottle@3", LIMITS), []
    for number in range(1, 3001):
        # half a standard deviation of one part is 1.1 of a subgroup's mean
        level = 12.0 if number <= 1000 else 12.025
        alarms += charts.part(part(number, value=rng.normal(level, 0.05)))
    alarm = next(a for a in alarms if a.chart == "cusum")
    assert 1000 < _newest(alarm) < 1600 and alarm.body["above"]
    assert alarm.body["since"]["number"] == pytest.approx(1000, abs=200)
    assert alarm.body["false_alarms"] == pytest.approx(1 / 469, rel=0.01)


# -- equipment ------------------------------------------------------------------------------------


def minutes(health: Health, count: int, figures: Any) -> list[Any]:
    orders = []
    for minute in range(count):
        orders += health.figures(60.0 * minute, figures(minute))
    return orders


def test_a_camera_that_warms_up_is_ordered_for_before_it_is_too_warm() -> None:
    rng = np.random.default_rng(6)

    def figures(minute: int) -> dict[str, float]:
        return {'camera_temperature_c{view="side"}': 45 + minute * 0.05 + rng.normal(0, 0.2)}

    health = Health(Quality(temperature_c=65))
    orders = minutes(health, 450, figures)
    assert [o.body["when"] for o in orders] == ["ahead", "now"]
    ahead = orders[0].body
    assert ahead["equipment"] == "side" and ahead["value"] < 60
    assert ahead["trend_per_h"] == pytest.approx(3.0, abs=4 * ahead["trend_error"])
    assert 0 < ahead["limit_in_h"] <= 24 and "vents" in ahead["advice"]


@pytest.mark.parametrize("settles_min", [10, 25, 60])
def test_a_camera_that_was_switched_on_and_warms_up_orders_nobody(settles_min: int) -> None:
    """Each Monday somebody was to clean its vents, until the evening."""
    rng = np.random.default_rng(settles_min)

    def figures(minute: int) -> dict[str, float]:
        warm = 48 - 26 * np.exp(-minute / settles_min) + rng.normal(0, 0.2)
        return {'camera_temperature_c{view="side"}': round(warm, 1)}

    assert minutes(Health(Quality(temperature_c=65)), 480, figures) == []


@pytest.mark.parametrize(
    ("count", "warms_k", "per_h", "whens"),
    [(340, 26.0, 3.0, ["ahead", "now"]), (150, 0.0, 0.72, ["ahead"])],
)
def test_an_order_that_stands_is_not_given_again(
    count: int, warms_k: float, per_h: float, whens: list[str]
) -> None:
    """At the edge of a rest below the limit, or of a day, the MES had another every few minutes."""
    rng = np.random.default_rng(1)

    def figures(minute: int) -> dict[str, float]:
        warm = 48 - warms_k * np.exp(-minute / 10) + per_h * minute / 60 + rng.normal(0, 0.2)
        return {'camera_temperature_c{view="side"}': round(warm, 1)}

    orders = minutes(Health(Quality(temperature_c=65)), count, figures)
    assert [order.body["when"] for order in orders] == whens


def test_a_healthy_day_orders_nobody() -> None:
    rng = np.random.default_rng(7)

    def figures(minute: int) -> dict[str, float]:
        return {
            'camera_temperature_c{view="side"}': 45 + rng.normal(0, 0.5),
            'camera_incomplete{view="side"}': minute // 60,
            "gate_rejects_commanded_total": minute * 20,
            "gate_rejects_confirmed_total": minute * 20,
        }  # fmt: skip

    assert minutes(Health(Quality()), 1440, figures) == []


def test_lost_frames_jitter_slow_gates_and_unseen_rejects_are_ordered_for() -> None:
    def figures(minute: int) -> dict[str, float]:
        late = {"5": 30.0, "10": 60.0, "50": 100.0, "+Inf": 100.0}
        return {
            **{f'stage_ms_bucket{{stage="frame",le="{le}"}}': n * minute for le, n in late.items()},
            **{f'stage_ms_bucket{{stage="gate",le="{le}"}}': n * minute for le, n in
               {"50": 10.0, "100": 100.0, "+Inf": 100.0}.items()},
            'camera_lost_frames{view="code"}': 31.0 * minute,
            "gate_rejects_commanded_total": 20.0 * minute,
            "gate_rejects_confirmed_total": 15.0 * minute,
        }  # fmt: skip

    found = {o.body["indicator"] for o in minutes(Health(Quality()), 3, figures)}
    assert found == {"trigger_jitter", "gate_response", "lost_frames", "unconfirmed_rejects"}


def test_a_lens_that_loses_focus_and_a_light_that_dims_are_ordered_for() -> None:
    health = Health(Quality())
    for n in range(LOOKS):
        odd = 0.5 if n % 4 == 0 else 1.0  # a bottle that shows its plain side
        health.look(n, "side", focus=0.15 * odd, light=120.0, reference=(0.2, 120.0))
        health.look(n, "code", focus=0.2 * odd, light=100.0, reference=(0.2, 120.0))
    orders = health.figures(1.0, {})
    assert {(o.body["indicator"], o.body["equipment"]) for o in orders} == {
        ("focus", "side"), ("light", "code"),
    }  # fmt: skip
    assert health.figures(2.0, {}) == [], "an order is given once"
