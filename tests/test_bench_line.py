"""The line's bench: what it measures adds up, and a larger picture is the same part."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inspector import bench_line
from inspector import recipe as recipes
from inspector.trial import CONFIGS, Plan, Trial, TrialError
from inspector.virtual.filmset import render_set
from inspector.virtual.world import World


def test_a_larger_picture_shows_the_same_parts_at_scaled_places(tmp_path: Path) -> None:
    films = render_set("bottle-line", 11, 2, tmp_path / "films")
    path = CONFIGS / "recipes" / "bench-print.yaml"

    large, scaled = bench_line._scaled(films, path, (1280, 1024), tmp_path / "scaled")

    roi = recipes.read(scaled).tools[0].roi
    assert roi == (384, 32, 896, 992)
    picture = large.film("side").picture(1)
    assert picture.shape == (1024, 1280, 3)
    small = films.film("side").picture(1)
    again = picture[32:992][::2, ::2].astype(int)
    assert np.abs(again - small.astype(int)).mean() < 8


def test_growth_is_the_slope_of_a_line_through_the_samples() -> None:
    samples = [(parts, 100.0 + parts / 50_000) for parts in range(0, 5000, 500)]
    assert bench_line._growth(samples, 100_000) == pytest.approx(2.0)
    assert bench_line._growth(samples, 0) == pytest.approx(0.09)
    assert bench_line._growth(samples[:2], 0) is None


@pytest.mark.parametrize("rate", [61.0, 100.0, 250.0, 430.0, 600.0])
def test_the_world_keeps_up_with_a_model_of_any_speed(tmp_path: Path, rate: float) -> None:
    """On a machine that ran the detector at 430/s the world refused its own file, and the bench
    ended."""
    films = render_set("bottle-line", 11, 1, tmp_path / "films")
    plan = Plan(films, tmp_path / "trial", rate, 10, world=bench_line.swift_world(rate))
    world = World.model_validate(Trial(plan)._world_settings())
    assert world.feed.pitch_mm > world.reach_mm


def test_a_world_that_does_not_start_says_why_though_its_log_is_gone(tmp_path: Path) -> None:
    films = render_set("bottle-line", 11, 1, tmp_path / "films")
    trial = Trial(Plan(films, tmp_path / "trial", 300.0, 10))
    with pytest.raises(TrialError, match=r"world\.log ends with: .*the flap needs \d+ mm"):
        trial.start_world()


@pytest.mark.slow
def test_the_threads_of_the_station_add_up_to_its_cost() -> None:
    """S6, S18: rate, errors, latency, processor time and memory of the whole line in one object."""
    words = ["bench", "line", "--seconds", "4", "--no-throughput", "--json"]
    run = subprocess.run(
        [sys.executable, "-m", "inspector", *words], capture_output=True, text=True, check=True
    )
    report = json.loads(run.stdout.splitlines()[-1])
    own = sum(t["cpu_ms"] for t in report["threads"] if t["thread"] != "models")
    assert report["station_cpu_ms"] == pytest.approx(own, abs=0.01)
    assert report["model_cpu_ms"] > report["station_cpu_ms"] > 0.3
    assert {t["thread"] for t in report["threads"]} >= {"loop", "ledger", "models"}
    assert report["verdicts"] == report["parts"]
    assert report["pss_mb"] > 50
