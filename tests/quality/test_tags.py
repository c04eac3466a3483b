"""The tag that moves with the defects is named, with its uncertainty (S5, S10)."""

from __future__ import annotations

import numpy as np
import pytest

from inspector.quality.tags import tag_model

TEMPERATURE = [53, 57, 58, 63, 66, 67, 67, 67, 68, 69, 70, 70, 70, 70, 72, 73, 75, 75, 76, 76, 78,
               79, 81]  # fmt: skip
FAILED = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
"""O-rings of 23 shuttle flights (Dalal, Fowlkes, Hoadley 1989): the logit is 15.04 - 0.232 °F."""


def test_the_published_fit_of_the_o_rings() -> None:
    model = tag_model([bool(f) for f in FAILED], {"joint": TEMPERATURE}, least=(20, 5))
    assert model is not None
    assert model.effects[0].coefficient == pytest.approx(-0.2322, abs=5e-4)
    assert model.effects[0].error == pytest.approx(0.1082, abs=5e-4)
    assert model.intercept == pytest.approx(15.0429, abs=0.03)
    assert model.intercept_error == pytest.approx(7.3786, abs=0.03)


def test_the_defect_rate_is_predicted_from_the_tags_as_published() -> None:
    """At the 31 °F of the last flight; the interval at 65 °F holds what happened about there."""
    model = tag_model([bool(f) for f in FAILED], {"joint": TEMPERATURE}, least=(20, 5))
    assert model is not None
    cold, mild = model.rate({"joint": 31}), model.rate({"joint": 65.0})
    assert cold is not None and cold.share == pytest.approx(0.9996, abs=2e-4)
    assert mild is not None and mild.low < 4 / 12 < mild.high and mild.share < cold.share
    assert model.rate({"other": 1.0}) is None


def test_a_predicted_rate_is_the_rate_that_comes_and_its_interval_is_honest() -> None:
    rng = np.random.default_rng(9)
    within = 0
    for _ in range(60):
        tags = {name: rng.normal(50, 5, 800) for name in ("speed", "pressure")}
        truth = lambda pressure: 1 / (1 + np.exp(2.2 - 0.16 * (pressure - 50)))  # noqa: E731
        model = tag_model(list(rng.random(800) < truth(tags["pressure"])), tags)
        assert model is not None
        rate = model.rate({"speed": 52.0, "pressure": 58.0})
        assert rate is not None
        within += rate.low <= truth(58.0) <= rate.high
    assert 51 <= within <= 60, "95 of 100 is the promise"


def test_the_tag_is_named_among_others_and_its_interval_holds_the_truth() -> None:
    rng = np.random.default_rng(7)
    tags = {name: rng.normal(50, 5, 3000) for name in ("speed", "pressure", "humidity")}
    drive = (tags["pressure"] - 50) / 5
    faulty = rng.random(3000) < 1 / (1 + np.exp(-(-3 + 0.8 * drive)))
    model = tag_model(list(faulty), tags)
    assert model is not None
    named = model.named()
    assert named is not None and named.tag == "pressure"
    assert named.low < np.exp(0.8) < named.high and named.p < 1e-6
    assert [e.p > 0.01 for e in model.effects[1:]] == [True, True]


def test_among_tags_that_do_not_matter_none_is_named() -> None:
    rng = np.random.default_rng(8)
    named = 0
    for _ in range(100):
        tags = {f"t{i}": rng.normal(size=300) for i in range(10)}
        model = tag_model(list(rng.random(300) < 0.1), tags)
        named += model is not None and model.named() is not None
    assert named <= 4, "one in a hundred is the promise"


def test_a_tag_that_separates_wholly_leaves_the_model_finite() -> None:
    x = np.linspace(-1, 1, 400)
    model = tag_model(list(x > 0.5), {"x": x})
    assert model is not None and np.isfinite(model.effects[0].coefficient)


def test_too_little_gives_no_model() -> None:
    assert tag_model([False] * 500, {"x": list(range(500))}) is None
    assert tag_model([True] * 20 + [False] * 30, {"x": list(range(50))}) is None
    still = [1.0] * 500
    assert tag_model([i % 9 == 0 for i in range(500)], {"still": still}) is None
