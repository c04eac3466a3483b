"""The guided list of a change-over: what passes, what fails, what is signed (S8, S10)."""

from __future__ import annotations

import pytest
from quality_parts import part

from inspector.config import FirstArticle, Seeded
from inspector.part import Mode, Outcome, Verdict
from inspector.quality.first_article import Article, Look, State, reference_of
from inspector.store.signatures import Subject

PLAN = FirstArticle(
    golden_parts=2,
    seeded=[Seeded(name="scratched", label="scratch"), Seeded(name="no cap", label="missing cap")],
)
LOOKS = {"side": Look(0.2, 120.0)}


def article(plan: FirstArticle = PLAN, reference: dict[str, Look] | None = None) -> Article:
    return Article(plan, "id-1", "B-1", "bottle@3", {"lot": "L2417A"}, reference or {})


def setup(number: int, label: str = "", **fields: float) -> Verdict:
    outcome = Outcome.REJECT if label else Outcome.PASS
    return part(number, outcome=outcome, label=label, mode=Mode.SETUP, **fields)  # type: ignore[arg-type]


def fed(one: Article, *labels: str, looks: dict[str, Look] = LOOKS) -> Article:
    for number, label in enumerate(labels, 1):
        one.part(setup(number, label))
        if not label:
            one.picture(looks)
    return one


def states(one: Article) -> dict[str, str]:
    return {step.name: str(step.state) for step in one.steps()}


def test_golden_parts_pass_and_seeded_ones_fail_in_their_order() -> None:
    one = fed(article(), "", "", "scratch", "missing cap")
    assert one.over and one.passed
    assert states(one) == {
        "golden": "ok", "seeded: scratched": "ok", "seeded: no cap": "ok", "print": "ok",
        "measures": "none", "focus": "ok", "light": "ok",
    }  # fmt: skip
    sheet = one.sheet()
    assert sheet["passed"] and [p["number"] for p in sheet["parts"]] == [1, 2, 3, 4]
    assert 0 < sheet["station_s"] <= 30
    assert reference_of(sheet) == LOOKS
    assert Subject.of("first_article", "id-1", sheet).sha256


def test_it_guides_through_what_is_still_to_come() -> None:
    one = fed(article(), "")
    assert not one.over and states(one)["golden"] == State.WAITING
    assert "expected: scratch" in one.steps()[1].detail


def test_a_seeded_defect_that_passes_fails_the_list() -> None:
    one = fed(article(), "", "", "")
    assert one.over and not one.passed and "'scratched' was not rejected" in one.failed
    again = fed(one.again(), "", "", "scratch", "missing cap")
    assert again.passed and again.sheet()["attempt"] == 2


def test_rejected_for_another_reason_is_not_found() -> None:
    one = fed(article(), "", "", "missing cap")
    assert "another reason" in one.failed and states(one)["seeded: scratched"] == "failed"


def test_a_golden_part_that_is_rejected_fails_the_list() -> None:
    one = fed(article(), "", "scratch")
    assert "golden part 2 was rejected" in one.failed and not one.passed
    assert states(one)["golden"] == "failed"


def test_parts_that_could_not_be_judged_are_fed_again() -> None:
    one = article()
    one.part(part(1, outcome=Outcome.ERROR, mode=Mode.SETUP))
    one = fed(one, "", "", "scratch", "missing cap")
    assert one.passed and one.sheet()["not_judged"] == 1


def test_a_lens_or_a_light_that_has_changed_since_the_sign_off_fails() -> None:
    reference = {"side": Look(0.4, 120.0)}
    soft = fed(article(reference=reference), "", "", "scratch", "missing cap")
    assert states(soft)["focus"] == "failed" and states(soft)["light"] == "ok" and not soft.passed
    dark = fed(article(reference={"side": Look(0.2, 150.0)}), "", "", "scratch", "missing cap")
    assert states(dark)["light"] == "failed" and not dark.passed


def test_without_a_picture_it_is_not_done() -> None:
    one = fed(article(), "", "", "scratch", "missing cap", looks={})
    assert one.complete and not one.over and not one.passed


@pytest.mark.parametrize(("value", "said"), [(12.0, "12.15"), (15234.0, "15234")])
def test_measures_are_on_the_sheet_without_exponents(value: float, said: str) -> None:
    """An area stood there as 1.523e+04, a sharpness as 2.31e-05, and on Chinese sheets the English
    about them, for no sentence took these for numbers."""
    one = article()
    for number in (1, 2):
        one.part(setup(number, value=value + number / 10))
        one.picture({"side": Look(2.31e-5, 120.0)})
    steps = {step.name: step for step in one.steps()}
    assert steps["measures"].state is State.OK
    assert steps["measures"].detail == f"height {said} mm"
    assert steps["focus"].detail == "side: 0.0000231, becomes the reference"
