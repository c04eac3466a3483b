"""What a template makes legal, and when a look-alike may stand for another character."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.tools.pattern import Pattern, PatternError, look_alikes


@pytest.mark.parametrize(
    ("template", "legal", "illegal"),
    [
        (r"L\d{4}\a", "L2417A", "L2417"),
        (r"[A-F0-9]{2,3}", "A0", "A"),
        (r"(JAN|FEB)X?", "FEBX", "FEX"),
        (r"a\.b", "a.b", "axb"),
        (r".{3}", "x-y", "xy"),
    ],
)
def test_a_template_says_what_is_legal(template: str, legal: str, illegal: str) -> None:
    assert Pattern(template).matches(legal)
    assert not Pattern(template).matches(illegal)


def test_a_look_alike_is_put_right_where_only_one_of_both_is_legal() -> None:
    lot = Pattern(r"L\d{4}\a")

    assert lot.mend("L24I7A") == "L2417A"
    assert lot.mend("L241748") is None
    assert lot.mend("L24178") == "L2417B"


def test_two_characters_that_are_both_legal_are_never_equated() -> None:
    anything = Pattern(r"[A-Z0-9]{3}")

    assert anything.mend("A8B") == "A8B"
    assert Pattern(r"(B1|88)").mend("81") is None, "8 is legal in the first place"


def test_a_character_with_two_legal_look_alikes_stays_unreadable() -> None:
    assert Pattern(r"[O0]X").mend("QX") is None


def test_no_digit_stands_for_another() -> None:
    for digit in "0123456789":
        assert not look_alikes(digit) & set("0123456789")


def test_an_accent_that_the_recogniser_invented_goes() -> None:
    assert Pattern(r"\d{2}SEP").mend("15SÉP") == "15SEP"


@pytest.mark.parametrize("template", ["[A-", "(A", "A)", "x*", "x+", "{2}", "[]", "a{3,1}", "\\"])
def test_a_broken_template_says_where(template: str) -> None:
    with pytest.raises(PatternError) as error:
        Pattern(template)
    assert template in str(error.value)


@given(st.from_regex(r"[A-C]{1,2}[0-3]{2,3}(XY|Z)?", fullmatch=True), st.text(max_size=8))
def test_templates_agree_with_regular_expressions(legal: str, other: str) -> None:
    template = r"[A-C]{1,2}[0-3]{2,3}(XY|Z)?"
    pattern = Pattern(template)

    assert pattern.matches(legal)
    assert pattern.matches(other) == bool(re.fullmatch(template, other))


@given(st.text(alphabet="ABLRO01I8", max_size=7))
def test_what_is_mended_is_legal_and_legal_characters_stay(text: str) -> None:
    pattern = Pattern(r"L[AB]\d{2}R?")
    mended = pattern.mend(text)

    if mended is not None:
        assert pattern.matches(mended)
        legal = pattern.legal(len(text))
        kept = [a == b for a, b, chars in zip(text, mended, legal, strict=True) if a in chars]
        assert all(kept)
