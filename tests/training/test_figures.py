"""What is measured is what runs, and the numbers are those of the textbooks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from inspector.virtual.filmset import FilmSet, render_set
from training.cases import Case
from training.cli import app
from training.drift import by_chance, judged, mmd, psi
from training.figures import compare, curve, escapes, figures, mcnemar, thresholds
from training.scale import spread

CONFIGS = Path(__file__).parents[2] / "station_configs" / "recipes"
MODELS = Path(__file__).parents[2] / "models"


def case(
    name: str, truth: str, outcome: str, defect: str = "scratch", score: float = 0.0, by: str = "a"
) -> Case:
    defects = {defect: "major"} if truth == "reject" else {}
    found = {"scratch": score} if score else {}
    return Case(name, truth, defects, {"station": by}, outcome, (), found, 5.0)


MIXED = [
    *(case(f"e{i}", "reject", "pass") for i in range(3)),
    *(case(f"r{i}", "reject", "reject") for i in range(17)),
    *(case(f"f{i}", "pass", "reject", by="b") for i in range(2)),
    *(case(f"p{i}", "pass", "pass") for i in range(38)),
]


def test_escapes_and_false_rejects_with_wilsons_interval() -> None:
    found = figures(MIXED)
    assert found["escapes"] == {"value": 0.15, "n": 20, "interval95": [0.05237, 0.36042]}
    assert found["false_rejects"]["value"] == 0.05
    assert found["escapes_by_defect"]["scratch"]["n"] == 20
    assert found["slices"]["station"]["b"]["false_rejects"]["value"] == 1.0
    assert escapes(MIXED, "dent").n == 0


@pytest.mark.parametrize(("b", "c", "p"), [(0, 0, 1.0), (10, 2, 0.038574), (6, 0, 0.03125)])
def test_mcnemars_exact_p(b: int, c: int, p: float) -> None:
    assert mcnemar(b, c) == mcnemar(c, b) == p


def test_two_recipes_are_compared_part_by_part() -> None:
    better = [c if not c.escape else case(c.name, "reject", "reject") for c in MIXED]
    better[-1] = case(MIXED[-1].name, "pass", "reject")
    found = compare(MIXED, better)
    assert found["mended"] == ["e0", "e1", "e2"] and found["spoilt"] == ["p37"]
    assert found["by_defect"]["scratch"]["no_longer"] == 3
    assert [f["right"] for f in found["flips"]] == [True, True, True, False]
    with pytest.raises(ValueError, match="different parts"):
        compare(MIXED, better[::-1])


def test_a_threshold_is_the_cheapest_and_far_from_either_mistake() -> None:
    cases = [
        *(case(f"g{i}", "pass", "pass", score=0.1 + i / 100) for i in range(10)),
        *(case(f"b{i}", "reject", "reject", score=0.6 + i / 100) for i in range(10)),
    ]
    chosen = thresholds(cases, {"scratch": "major"})["scratch"]
    assert 0.2 < chosen["threshold"] < 0.6 and chosen["cost"] == 0
    assert chosen["between"] == [0.2, 0.6]
    fresh = [case("g", "pass", "reject", score=0.9), case("b", "reject", "pass", score=0.1)]
    told = thresholds(cases, {"scratch": "major"}, measured=fresh)["scratch"]
    assert told["threshold"] == chosen["threshold"]
    assert told["escapes"]["value"] == told["false_rejects"]["value"] == 1.0


def test_cost_decides_between_an_escape_and_false_rejects() -> None:
    cases = [
        case("weak", "reject", "reject", score=0.3),
        *(case(f"g{i}", "pass", "pass", score=0.4) for i in range(50)),
    ]
    dear = thresholds(cases, {"scratch": "critical"})["scratch"]["threshold"]
    cheap = thresholds(cases, {"scratch": "minor"})["scratch"]["threshold"]
    assert dear <= 0.3 and cheap > 0.4


def test_a_curve_falls_where_good_parts_score_higher() -> None:
    cases = [case("b", "reject", "reject", score=0.5), case("g", "pass", "reject", score=0.9)]
    assert curve(cases, "scratch")["points"] == [[0.0, 0.0, 0.9], [1.0, 0.5, 0.5]]


def test_one_score_for_all_parts_tells_none_from_another() -> None:
    bad = [case(f"b{i}", "reject", "reject", score=0.5) for i in range(5)]
    good = [case(f"g{i}", "pass", "reject", score=0.5) for i in range(95)]

    for cases in (bad + good, good + bad):
        assert curve(cases, "scratch")["ap"] == 0.05


def test_between_the_ends_of_a_stretch_nothing_costs_more() -> None:
    cases = [
        *(case(f"b{i}", "reject", "reject", score=s) for i, s in enumerate((0.205, 0.9))),
        *(case(f"g{i}", "pass", "reject", score=s) for i, s in enumerate([0.15] * 9 + [0.4] * 10)),
    ]

    found = thresholds(cases, {"scratch": "minor"}, {"minor": 10.0})["scratch"]

    assert found["between"] == [0.41, 0.9] and found["threshold"] == 0.66


def test_psi_and_mmd_tell_a_shift_from_chance() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(0, 1, 800)

    def said(middle: float, count: int, spread: float = 1.0) -> str:
        now = rng.normal(middle, spread, count)
        return judged(psi(before, now), by_chance(before, now))

    assert [said(0, 800), said(1, 800), said(3, 20, 0.3)] == ["steady", "drift", "drift"]
    few = [said(0, 20) for _ in range(100)]
    assert few.count("steady") >= 97
    a, b, c = (rng.normal(m, 1, (120, 6)) for m in (0, 0, 0.7))
    assert mmd(a, b)[1] > 0.05 and mmd(a, c)[1] < 0.01


def test_jobs_run_here_when_no_cluster_is_named() -> None:
    told = []
    assert spread(abs, [-1, 2], told=lambda done, of: told.append((done, of))) == [1, 2]
    assert told == [(1, 2), (2, 2)]


def _square(number: int) -> int:
    return number * number


@pytest.mark.slow
def test_jobs_run_on_a_cluster_of_two_workers() -> None:
    pytest.importorskip("ray")
    assert spread(_square, list(range(8)), ray="local:2") == [n * n for n in range(8)]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> FilmSet:
    return render_set(
        "bottle-line", 5, 9, tmp_path_factory.mktemp("films"), 0.2, novelty="label_torn",
        novelty_rate=0.7,
    )  # fmt: skip


def test_a_recipe_is_evaluated_as_it_runs_and_written_up_with_pictures(
    films: FilmSet, tmp_path: Path
) -> None:
    recipe = CONFIGS / "bottle-line.yaml"
    done = CliRunner().invoke(
        app,
        ["evaluate", str(recipe), str(films.folder), "--champion", str(recipe), "--models",
         str(MODELS), "--out", str(tmp_path), "--json", "--threads", "1"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output + str(done.exception)
    report = json.loads((tmp_path / "report.json").read_text())
    torn = report["figures"]["escapes_by_defect"]["label_torn"]
    assert torn["n"] >= 3 and torn["value"] > 0.5  # no shipped model knows it
    assert report["comparison"]["flips"] == [] and report["comparison"]["p"] == 1.0
    html = (tmp_path / "report.html").read_text()
    assert "label_torn" in html and "data:image/jpeg;base64," in html and "<svg" in html
