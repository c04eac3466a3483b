"""Tools compose: one's place is another's ROI, rules and limits make the verdict and say why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.config import ConfigError
from inspector.part import Batch, Finding, Outcome, Severity
from inspector.recipe import Judgement, Recipe, digest_of, read
from inspector.tools.follow import as_taught, place_of
from inspector.tools.logic import Rule, settle, tolerate
from inspector.tools.place import Place
from inspector.tools.step import Unjudged

RecipeOf = Callable[..., Recipe]
RECIPES = Path(__file__).parents[2] / "station_configs" / "recipes"


def bad(tool: str, severity: Severity = Severity.MAJOR) -> Finding:
    return Finding(tool, "blob", "spot", ok=False, severity=severity, reason=f"{tool} is wrong")


def good(tool: str) -> Finding:
    return Finding(tool, "blob", "spot")


def reasons(findings: list[Finding]) -> list[str]:
    return [f.reason for f in findings if not f.ok]


def test_without_rules_every_wrong_finding_stands() -> None:
    findings, excused = settle((), [bad("a"), good("b")], ())
    assert reasons(findings) == ["a is wrong"] and not excused


def test_any_of_two_excuses_the_one_that_fails_and_keeps_its_reason() -> None:
    findings, excused = settle([Rule(name="code", any=("a", "b"))], [bad("a"), good("b")], ())
    assert not reasons(findings) and excused == {"a", "b"}
    assert findings[0].reason == "a is wrong"


def test_any_rejects_when_all_fail_with_its_own_severity_and_reason() -> None:
    rule = Rule(name="code", any=("a", "b"), severity=Severity.CRITICAL, reason="no code at all")
    findings, _ = settle([rule], [bad("a"), bad("b")], ())
    assert reasons(findings) == ["a is wrong", "b is wrong", "no code at all"]
    assert findings[-1].severity is Severity.CRITICAL and findings[-1].kind == "rule"


def test_at_least_two_of_three() -> None:
    rule = Rule(name="two", of=("a", "b", "c"), at_least=2)
    assert not reasons(settle([rule], [bad("a")], ())[0])
    broken = reasons(settle([rule], [bad("a"), bad("c")], ())[0])
    assert broken[-1] == "two: a, c failed, 2 of 3 must hold"


def test_rules_name_earlier_rules() -> None:
    rules = [Rule(name="front", all=("a", "b")), Rule(name="side", any=("front", "c"))]
    assert not reasons(settle(rules, [bad("a"), bad("b")], ())[0])
    assert len(reasons(settle(rules, [bad("a"), bad("c")], ())[0])) == 3


def test_a_step_that_gave_no_answer_does_not_hold() -> None:
    assert reasons(settle([Rule(name="r", any=("a", "b"))], [bad("b")], {"a"})[0])


@pytest.mark.parametrize(("idle", "broken"), [({"b"}, True), ({"a", "b"}, False), (set(), False)])
def test_a_step_that_had_nothing_to_look_at_excuses_nobody_and_breaks_no_rule(
    idle: set[str], broken: bool
) -> None:
    """Neither date nor code was read, for there was no label: the part passed."""
    findings = [] if "a" in idle else [bad("a")]
    rule = Rule(name="marked", any=("a", "b"), reason="neither of them")
    assert ("neither of them" in reasons(settle([rule], findings, (), idle)[0])) is broken


def test_a_rule_of_steps_that_had_nothing_to_look_at_excuses_nobody_either() -> None:
    rules = [Rule(name="both", all=("a", "b")), Rule(name="one", any=("both", "c"))]
    assert len(reasons(settle(rules, [bad("c")], (), {"a", "b"})[0])) == 2


def test_a_broken_rule_outweighs_one_that_excuses() -> None:
    rules = [Rule(name="loose", any=("a", "b")), Rule(name="strict", all=("a",))]
    findings, excused = settle(rules, [bad("a")], ())
    assert "a is wrong" in reasons(findings) and "a" not in excused


def test_a_step_outside_every_rule_still_rejects_by_itself() -> None:
    assert reasons(settle([Rule(name="r", any=("a", "b"))], [bad("a"), bad("z")], ())[0]) == [
        "z is wrong"
    ]


@pytest.mark.parametrize(
    ("so_far", "passes"),
    [({}, True), ({Severity.MINOR: 2}, True), ({Severity.MINOR: 3}, False), (None, False)],
)
def test_a_batch_lets_minor_findings_through_up_to_its_limit(
    so_far: Mapping[Severity, int] | None, passes: bool
) -> None:
    findings, spent = tolerate([bad("a", Severity.MINOR)], {Severity.MINOR: 3}, so_far)
    assert findings[0].ok is passes and spent == ((Severity.MINOR,) if passes else ())


def test_a_limit_for_minor_ones_lets_no_major_one_through() -> None:
    mixed = [bad("a", Severity.MINOR), bad("b", Severity.MAJOR)]
    findings, spent = tolerate(mixed, {Severity.MINOR: 9}, {})
    assert len(reasons(findings)) == 2 and not spent


@given(
    st.sets(st.sampled_from("abcd")),
    st.sets(st.sampled_from("abcd")),
    st.lists(st.sampled_from("abcd"), min_size=1, unique=True),
    st.integers(1, 4),
)
def test_rules_decide_as_counting_does(
    failing: set[str], silent: set[str], members: list[str], k: int
) -> None:
    k = min(k, len(members))
    rule = Rule(name="r", of=tuple(members), at_least=k)
    findings, _ = settle([rule], [bad(n) if n in failing else good(n) for n in "abcd"], silent)
    holding = [m for m in members if m not in failing | silent]
    outside = failing - set(members)
    assert bool(reasons(findings)) == (len(holding) < k or bool(outside))


LIGHTS = """
tools:
  - {name: left, kind: illumination, roi: [0, 0, 8, 8], params: {low: 100}}
rules: %s
"""


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        ("[{name: r, any: [lefd]}]", "did you mean `left`"),
        ("[{name: left, any: [left]}]", "has the name of a tool"),
        ("[{name: r, any: [left], all: [left]}]", "exactly one of"),
        ("[{name: r, of: [left]}]", "goes with `at_least`"),
        ("[{name: r, of: [left], at_least: 2}]", "goes with `at_least`"),
        ("[{name: r}]", "exactly one of"),
        ("[{name: r, all: [left, left]}]", "each step once"),
        ("[]\nlimits: {critical: 3}", "never passes"),
        ("[]\nlimits: {minor: 0}", "greater than or equal to 1"),
    ],
)
def test_rules_that_say_nothing_sensible_are_refused(
    recipe_of: RecipeOf, rules: str, what: str
) -> None:
    with pytest.raises(ConfigError, match=what):
        recipe_of(LIGHTS % rules)


def judge(recipe: Recipe, pixels: np.ndarray, tolerated: object = None) -> Judgement:
    return recipe.judge({"image": pixels}, Batch("b"), date(2026, 1, 1), True, tolerated)  # type: ignore[arg-type]


def test_a_light_fault_is_an_error_whatever_the_rules_say(recipe_of: RecipeOf) -> None:
    recipe = recipe_of(LIGHTS % "[{name: r, any: [left]}]")
    assert judge(recipe, np.zeros((32, 32), np.uint8)).outcome is Outcome.ERROR


def test_recipes_that_use_none_of_it_keep_their_canonical_form(tmp_path: Path) -> None:
    plain = read(RECIPES / "bottle-cap.yaml").model_dump(mode="json")
    assert not {"rules", "limits"} & set(plain) and "follow" not in plain["tools"][0]
    # as it was before there were rules, so that approvals hold
    written = (RECIPES / "bottle-cap.yaml").read_text()
    counts = "      counts:\n        - {label: Bottle, at_least: 1, reason: no bottle}\n"
    assert counts in written
    before = tmp_path / "bottle-cap.yaml"
    before.write_text(written.replace(counts, ""))
    assert digest_of(read(before)).startswith("0c2aba95e6f0752b")


def test_the_box_of_one_step_is_the_picture_of_the_next() -> None:
    pixels = np.arange(100 * 80, dtype=np.uint32).astype(np.uint8).reshape(100, 80)
    place = place_of([bad("a"), Finding("a", "detect", "cap", box=(10.4, 20.6, 30.2, 40.0))])
    assert place
    cut = as_taught(pixels, place, (), None)
    assert np.shares_memory(cut, pixels) and np.array_equal(cut, pixels[20:40, 10:31])
    assert place.around((0, 0, 5, 5)) == (10, 20, 15, 25)


@pytest.mark.parametrize("box", [(-50, 0, -3, 9), (90, 0, 120, 9), (5, 5, 5, 5), (0, 300, 9, 310)])
def test_a_place_outside_the_picture_is_unjudged(box: tuple[float, ...]) -> None:
    place = place_of([Finding("a", "detect", "cap", box=box)])  # type: ignore[arg-type]
    assert place
    with pytest.raises(Unjudged, match="not in the picture"):
        as_taught(np.zeros((100, 80), np.uint8), place, (), None)


def test_a_roi_that_hangs_out_of_the_frame_with_its_part_is_unjudged() -> None:
    place = Place(np.array([(1.0, 0, 30), (0, 1, 0)]))
    with pytest.raises(Unjudged, match="partly out of the frame"):
        as_taught(np.zeros((100, 80), np.uint8), place, ((60, 0, 79, 20),), None)
