"""What a classifier says becomes a verdict: sure and good, sure and bad, or unsure, which rejects
(S3, S7)."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from pydantic import ValidationError
from tools.model_shelf import answering

from inspector.part import Batch, Finding, Severity
from inspector.tools.card import ModelError
from inspector.tools.classify import Classify, ClassifyStep
from inspector.tools.onnx import Shelf
from inspector.tools.step import Context, Unjudged

CONTEXT = Context(Batch("B"), date(2026, 11, 23))
GREY = np.full((48, 80, 3), 90, np.uint8)
CLASSES = ("good", "scratch", "dent")


def classifier(shelf: Shelf, roi: list[int] | None = None, **params: Any) -> Classify:
    step = {"name": "c", "kind": "classify", "roi": roi, "params": {"model": "m/1"} | params}
    return Classify(ClassifyStep.model_validate(step, context={"shelf": shelf}), shelf)


def said(models: Path, scores: list[float], form: str = "softmax", **params: Any) -> list[Finding]:
    logits = params.pop("logits", False)
    shelf = answering(
        models, "classify", form, [np.array([scores])], CLASSES, output={"logits": logits}
    )
    return classifier(shelf, **params).look(GREY, CONTEXT)


def test_a_surely_good_part_passes_with_its_class_and_score(tmp_path: Path) -> None:
    (found,) = said(tmp_path, [0.9, 0.06, 0.04], expect=["good"])

    assert (found.label, found.ok, found.box) == ("good", True, (0.0, 0.0, 80.0, 48.0))
    assert found.score == pytest.approx(0.9)


def test_a_surely_bad_part_is_rejected_by_its_worst_class(tmp_path: Path) -> None:
    (found,) = said(tmp_path, [0.1, 0.3, 0.6], defects={"dent": "critical", "scratch": "minor"})

    assert (found.label, found.ok, found.severity) == ("dent", False, Severity.CRITICAL)
    assert found.reason == "dent (0.60)"


def test_of_two_that_it_may_be_it_is_rejected_as_the_worse(tmp_path: Path) -> None:
    defects = {"dent": "critical", "scratch": "minor"}

    (found,) = said(tmp_path, [0.15, 0.5, 0.35], defects=defects)
    assert (found.label, found.severity) == ("dent", Severity.CRITICAL)
    (found,) = said(tmp_path, [0.05, 0.9, 0.05], defects=defects)
    assert (found.label, found.severity) == ("scratch", Severity.MINOR)


@pytest.mark.parametrize(
    ("form", "scores", "severity"),
    [
        ("softmax", [0.5, 0.1, 0.4], Severity.CRITICAL),
        ("softmax", [0.4, 0.35, 0.25], Severity.MINOR),
        ("softmax", [0.34, 0.31, 0.35], Severity.CRITICAL),
        ("softmax", [0.5, 0.24, 0.26], Severity.CRITICAL),
        ("sigmoid", [0.1, 0.1, 0.5], Severity.CRITICAL),
        ("sigmoid", [0.1, 0.5, 0.1], Severity.MINOR),
    ],
)
def test_what_may_be_a_critical_defect_is_critical(
    tmp_path: Path, form: str, scores: list[float], severity: Severity
) -> None:
    """A recipe's limits let parts through with minor findings."""
    defects = {"dent": "critical", "scratch": "minor"}
    shelf = answering(tmp_path, "classify", form, [np.array([scores])], CLASSES)
    step = {"name": "c", "kind": "classify", "severity": "minor"}
    step |= {"params": {"model": "m/1", "defects": defects}}
    tool = Classify(ClassifyStep.model_validate(step, context={"shelf": shelf}), shelf)

    (found,) = tool.look(GREY, CONTEXT)

    assert (found.label, found.severity) == ("unsure", severity)


@pytest.mark.parametrize("good", [0.31, 0.5, 0.69])
def test_between_good_and_bad_lies_the_band_that_rejects(tmp_path: Path, good: float) -> None:
    (found,) = said(tmp_path, [good, 1 - good, 0], expect=["good"], unsure=[0.3, 0.7])

    assert (found.label, found.ok) == ("unsure", False)
    assert "not sure: " in found.reason and "good" in found.reason


def test_two_defects_that_share_the_score_are_a_defect_all_the_same(tmp_path: Path) -> None:
    (found,) = said(tmp_path, [0.2, 0.4, 0.4], expect=["good"])

    assert (found.label, found.ok) == ("scratch", False)


def test_without_rules_the_best_class_must_be_sure_by_itself(tmp_path: Path) -> None:
    (sure,) = said(tmp_path, [0.1, 0.8, 0.1])
    (unsure,) = said(tmp_path, [0.3, 0.6, 0.1])

    assert (sure.label, sure.ok) == ("scratch", True)
    assert (unsure.label, unsure.text, unsure.ok) == ("unsure", "scratch", False)


def test_a_model_that_was_exported_for_two_pictures_at_once_judges_one(tmp_path: Path) -> None:
    """It was refused; what its answer says of the second picture is nobody's."""
    entry = helper.make_tensor_value_info("images", TensorProto.UINT8, (2, 64, 64, 3))
    answer = np.array([[0.9, 0.06, 0.04], [0.0, 1.0, 0.0]])
    shelf = answering(tmp_path, "classify", "softmax", [answer], CLASSES, entry=entry)

    (found,) = classifier(shelf, expect=["good"]).look(GREY, CONTEXT)

    assert (found.label, found.ok) == ("good", True)


def test_logits_become_shares_in_the_tool(tmp_path: Path) -> None:
    (found,) = said(tmp_path, [6.0, 1.0, 0.0], expect=["good"], logits=True)

    assert found.score == pytest.approx(0.991, abs=0.001)


def test_sigmoids_are_judged_each_by_itself(tmp_path: Path) -> None:
    found = said(tmp_path, [0.9, 0.5, 0.8], "sigmoid", expect=["good"], defects={"dent": "minor"})

    assert [(f.label, f.ok) for f in found] == [("good", True), ("dent", False)]
    assert found[1].severity == Severity.MINOR


def test_what_must_be_there_and_is_not_or_hardly_is_rejected(tmp_path: Path) -> None:
    missing, hardly = said(tmp_path, [0.1, 0.5, 0.0], "sigmoid", expect=["good", "scratch"])

    assert (missing.label, missing.reason) == ("good", "no good (0.10)")
    assert (hardly.label, hardly.text, hardly.ok) == ("unsure", "scratch", False)


def test_several_places_are_judged_each_by_itself(tmp_path: Path) -> None:
    found = said(tmp_path, [0.9, 0.1, 0], expect=["good"], rois=[[0, 0, 40, 48], [40, 0, 80, 48]])

    assert [f.box for f in found] == [(0.0, 0.0, 40.0, 48.0), (40.0, 0.0, 80.0, 48.0)]


@pytest.mark.parametrize(
    ("form", "scores"),
    [("softmax", [0.5, 0.1, 0.1]), ("sigmoid", [3.0, 0.1, 0.1]), ("sigmoid", [-1.0, 0.1, 0.1])],
)
def test_scores_that_are_no_scores_are_not_judged(
    tmp_path: Path, form: str, scores: list[float]
) -> None:
    with pytest.raises(Unjudged, match="scores"):
        said(tmp_path, scores, form)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"expect": ["god"]}, "did you mean `good`"),
        ({"expect": ["dent"], "defects": {"dent": "minor"}}, "expected and a defect"),
        ({"defects": dict.fromkeys(CLASSES, "minor")}, "no part could pass"),
        ({"unsure": [0.7, 0.3]}, "low <= high"),
    ],
)
def test_rules_that_make_no_sense_are_refused(
    tmp_path: Path, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        said(tmp_path, [1, 0, 0], **params)


def test_a_model_that_the_card_does_not_describe_is_refused(tmp_path: Path) -> None:
    shelf = answering(tmp_path, "classify", "softmax", [np.zeros((1, 4))], CLASSES)
    with pytest.raises(ModelError, match="another model"):
        shelf.open("m/1", "classify")
    shelf = answering(tmp_path, "classify", "yolov8", [np.zeros((1, 3))], CLASSES)
    with pytest.raises(ModelError, match="known for `classify`: softmax, sigmoid"):
        shelf.open("m/1", "classify")


@settings(max_examples=40, deadline=None)
@given(
    scores=st.lists(st.floats(width=32), min_size=3, max_size=3),
    form=st.sampled_from(["softmax", "sigmoid"]),
    logits=st.booleans(),
    roi=st.none() | st.tuples(*[st.integers(0, 100)] * 4),
)
def test_any_answer_ends_in_findings_or_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory,
    scores: list[float],
    form: str,
    logits: bool,
    roi: tuple[int, ...] | None,
) -> None:
    models = tmp_path_factory.mktemp("models")
    try:
        found = said(models, scores, form, logits=logits, roi=roi and list(roi), expect=["good"])
    except (ValidationError, Unjudged) as error:
        assert str(error)
    else:
        assert all(0 <= f.score <= 1 and (f.ok or f.reason) for f in found)
