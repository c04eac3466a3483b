"""GS1 element strings, as scanners give them and as people read them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.tools.gs1 import FNC1, Gs1Error, check_digit_holds, of_gtin, parse_gs1

TODAY = date(2026, 11, 23)
GTIN = "09506000134352"


def test_gtin_lot_serial_and_expiry_come_out() -> None:
    encoded = f"01{GTIN}17270228" + f"10L2417A{FNC1}21SN-00042"

    code = parse_gs1(encoded, TODAY)

    assert (code.gtin, code.lot, code.serial) == (GTIN, "L2417A", "SN-00042")
    assert code.expiry == date(2027, 2, 28)


def test_the_bracketed_form_says_the_same() -> None:
    bracketed = parse_gs1(f"(01){GTIN}(17)270228(10)L2417A(21)SN-00042", TODAY)

    assert bracketed == parse_gs1(f"{FNC1}01{GTIN}1727022810L2417A{FNC1}21SN-00042", TODAY)


def test_day_00_is_the_last_of_the_month() -> None:
    assert parse_gs1("17280200", TODAY).expiry == date(2028, 2, 29)


@pytest.mark.parametrize(
    ("year", "whole"), [("76", 2076), ("77", 1977), ("25", 2025), ("00", 2000)]
)
def test_two_digit_years_lie_within_fifty_years(year: str, whole: int) -> None:
    assert parse_gs1(f"17{year}0115", TODAY).expiry == date(whole, 1, 15)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("0109506000134353", "check digit"),
        ("01095060001343", "14 digits"),
        ("17271331", "no date"),
        ("10", "1 to 20"),
        ("10" + "A" * 21, "1 to 20"),
        ("hello", "application identifier"),
        ("", "empty"),
        ("(01)1(xx)", "digits"),
        ("10A" + FNC1 + "10B", "twice"),
        (f"01{GTIN}15261399", r"\(15\) 261399 is no date"),
        (f"01{GTIN}11269901", r"\(11\) 269901 is no date"),
        ("4149506000134353", r"\(414\) .* wrong check digit"),
        ("2539506000134353D1", r"\(253\) .* wrong check digit"),
        ("8018950600013435000074", r"\(8018\) .* wrong check digit"),
        ("800309506000134353SN1", r"\(8003\) .* wrong check digit"),
        ("80039506", r"\(8003\) has 14 digits"),
        ("10\u00c4", r"\(10\) must not hold `\u00c4`"),
        ("10A B", r"\(10\) must not hold ` `"),
        ("10A\x00B", r"\(10\) must not hold `'\\x00'`"),
        ("37many", r"\(37\) is a number"),
        ("05123", "`05` is no application identifier"),
        ("https://example.com/01/123", "14 digits"),
    ],
)
def test_what_is_wrong_is_named(content: str, why: str) -> None:
    with pytest.raises(Gs1Error, match=why):
        parse_gs1(content, TODAY)


@pytest.mark.parametrize(
    "content", ["2539506000134352D1", "8018950600013435000073", "800309506000134352SN1"]
)
def test_what_ends_with_its_check_digit_may_go_on(content: str) -> None:
    assert parse_gs1(content, TODAY).elements


def test_an_ean_says_its_gtin() -> None:
    assert of_gtin("4006381333931").gtin == "04006381333931"
    with pytest.raises(Gs1Error, match="no GTIN"):
        of_gtin("4006381333932")


def test_check_digits_of_known_numbers() -> None:
    assert check_digit_holds("4006381333931")
    assert check_digit_holds("96385074")
    assert not check_digit_holds("4006381333932")
    assert not check_digit_holds("40063813x3931")


@given(st.text(max_size=60))
def test_any_content_ends_in_a_code_or_a_clear_error(content: str) -> None:
    try:
        parse_gs1(content, TODAY)
    except Gs1Error as error:
        assert str(error)


@pytest.mark.parametrize(
    "link",
    [
        f"https://id.gs1.org/01/{GTIN}/10/L2417A/21/SN-00042?17=270228",
        f"http://example.com/some/path/01/{GTIN}/10/L2417A/21/SN-00042?17=270228&lang=de#more",
        f"HTTPS://ID.GS1.ORG/01/{GTIN[1:]}/10/L2417A/21/SN-00042?17=270228",
    ],
)
def test_a_digital_link_says_the_same_as_an_element_string(link: str) -> None:
    code = parse_gs1(link, TODAY)

    assert (code.gtin, code.lot, code.serial) == (GTIN, "L2417A", "SN-00042")
    assert code.expiry == date(2027, 2, 28)


@pytest.mark.parametrize(
    ("path", "elements"),
    [
        (f"01/{GTIN}/235/TPX5", (("01", GTIN), ("235", "TPX5"))),
        ("415/9506000134352/8020/REF7", (("415", "9506000134352"), ("8020", "REF7"))),
        ("414/9506000134352/7040/1ABC", (("414", "9506000134352"), ("7040", "1ABC"))),
    ],
)
def test_keys_that_have_qualifiers_of_another_group(
    path: str, elements: tuple[tuple[str, str], ...]
) -> None:
    assert parse_gs1(f"https://id.example.org/{path}", TODAY).elements == elements
    with pytest.raises(Gs1Error, match="does not belong behind"):
        parse_gs1(f"https://id.example.org/{path}/21/5", TODAY)


def test_percent_signs_in_a_link_are_characters() -> None:
    assert parse_gs1(f"https://x.org/01/{GTIN}/10/A%2FB", TODAY).lot == "A/B"


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("https://example.com/shop", "without a GS1 key"),
        (f"https:///01/{GTIN}", "without a GS1 key"),
        (f"https://x.org/01/{GTIN}/21/S/10/L", "does not belong behind"),
        (f"https://x.org/01/{GTIN}/10", "has no content"),
        ("https://x.org/01/09506000134353", "wrong check digit"),
        (f"https://x.org/01/{GTIN}?17=271350", "is no date"),
        ("https://[x/01/1", "address"),
    ],
)
def test_a_link_that_is_none_is_refused(link: str, why: str) -> None:
    with pytest.raises(Gs1Error, match=why):
        parse_gs1(link, TODAY)


@given(st.text(max_size=40))
def test_any_address_is_understood_or_refused_in_words(tail: str) -> None:
    try:
        parse_gs1(f"https://x.org/{tail}", TODAY)
    except Gs1Error as error:
        assert str(error)


def test_a_parts_identifier_has_the_characters_of_its_own() -> None:
    """(8010), of components and parts, may hold #, which no other may, and no small letters."""
    said = parse_gs1("80109506000#4/A-1\x1d8011" + "7", TODAY)
    assert said.elements == (("8010", "9506000#4/A-1"), ("8011", "7"))
    with pytest.raises(Gs1Error, match=r"\(8010\) must not hold `a`"):
        parse_gs1("80109506000a1", TODAY)
    with pytest.raises(Gs1Error, match=r"\(10\) must not hold `#`"):
        parse_gs1("10L#1", TODAY)
