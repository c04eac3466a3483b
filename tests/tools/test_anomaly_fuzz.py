"""Whatever comes as a frame, a ROI, a place or a bank: ``anomaly`` judges it or says why not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from any_frame import frames
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from surfaces import surface

from inspector.part import Batch, Finding, Outcome
from inspector.recipe import Recipe, load
from inspector.tools.anomaly import Anomaly, AnomalyStep, Params
from inspector.tools.bank import Bank, TaughtBank, keep_bank, packed, unpacked
from inspector.tools.card import ModelError
from inspector.tools.likeness import fit_member
from inspector.tools.onnx import Shelf
from inspector.tools.step import Context, Unjudged
from inspector.tools.texture import Source, Texture

SHELF = Shelf(Path(__file__).parents[2] / "models")
RECIPE = """
name: fuzz
tools:
  - {name: spots, kind: blob, params: {threshold: {method: local}}}
  - {name: whole, kind: anomaly, params: {bank: %(bank)s}}
  - {name: place, kind: anomaly, roi: [8, 8, 60, 56], params: {bank: %(bank)s}}
  - {name: spot, kind: anomaly, follow: spots/spot, params: {bank: %(bank)s}}
rules:
  - {name: all-of-it, any: [spots, whole]}
"""


def small_bank() -> Bank:
    source = Source("")
    texture = Texture((source,), SHELF, False)
    grids = [texture.describe(surface(i, (96, 64)), (96, 64))["filters"] for i in range(4)]
    members = tuple(fit_member(source, way, grids) for way in ("spread", "nearest"))
    return Bank((96, 64), False, False, members, limit=3)


BANK = small_bank()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "fuzz.yaml"
    path.write_text(RECIPE % {"bank": keep_bank(BANK, folder)})
    return load(path, SHELF)


@settings(max_examples=40, deadline=None)
@given(frames(st.integers(0, 9).map(lambda seed: surface(seed, (96, 64), seed % 2 == 1))))
def test_any_frame_ends_in_a_verdict_and_nothing_breaks(recipe: Recipe, frame: Any) -> None:
    judged = recipe.judge({"image": frame}, Batch("b"), date(2026, 1, 1), True, {})
    assert judged.outcome in (Outcome.PASS, Outcome.REJECT, Outcome.ERROR)
    assert not [reason for reason in judged.reasons if " failed: " in reason], judged.reasons
    for finding in judged.findings:
        assert 0 <= finding.score <= 1
        assert finding.ok or finding.reason
        if finding.kind == "anomaly":
            assert finding.box is not None and np.isfinite(finding.box).all()
            x1, y1, x2, y2 = finding.box
            assert 0 <= x1 < x2 <= frame.shape[1] and 0 <= y1 < y2 <= frame.shape[0]


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(-3, 140)] * 4))
def test_any_roi_is_refused_when_it_is_written_or_judged_or_unjudged(
    roi: tuple[int, int, int, int],
) -> None:
    try:
        step = AnomalyStep(
            name="s", kind="anomaly", roi=roi, params=Params(bank=TaughtBank.of(BANK))
        )
    except ValidationError as error:
        assert str(error)
        return
    try:
        found = Anomaly(step, SHELF).look(
            surface(1, (96, 64)), Context(Batch("b"), date(2026, 1, 1))
        )
    except Unjudged as error:
        assert str(error)
    else:
        assert all(isinstance(f, Finding) for f in found)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_any_bytes_are_a_bank_or_refused(at: int, value: int, cut: bool) -> None:
    data = bytearray(packed(BANK))
    if cut:
        del data[at % len(data) :]
    else:
        data[at % len(data)] = value
    try:
        assert unpacked(bytes(data)).members
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0, 0.0])
def test_a_bank_whose_numbers_are_none_is_refused(number: float) -> None:
    member = BANK.members[0]
    axes = np.array(member.axes)
    axes[0, 0] = number
    for broken in (
        replace(BANK, scale=number),
        replace(BANK, members=(replace(member, spread=number),)),
    ):
        with pytest.raises(ValueError):
            unpacked(packed(broken))
    if not np.isfinite(number):
        with pytest.raises(ValueError):
            unpacked(packed(replace(BANK, members=(replace(member, axes=axes),))))


def test_a_bank_of_another_backbone_is_refused_by_its_name() -> None:
    member = replace(BANK.members[0], source=Source("texture-features/1", (0, 64)))
    step = AnomalyStep(
        name="s",
        kind="anomaly",
        params=Params(bank=TaughtBank.of(replace(BANK, members=(member,)))),
    )
    with pytest.raises(ModelError, match=r"texture-features/1.*25 channels, there are 64"):
        Anomaly(step, SHELF)


def test_a_bank_that_was_not_looked_for_says_so() -> None:
    step = AnomalyStep(name="s", kind="anomaly", params=Params(bank="0" * 64))
    with pytest.raises(ModelError, match="load the recipe from its file"):
        Anomaly(step, SHELF)
