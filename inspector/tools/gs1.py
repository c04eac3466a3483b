"""The element string of a GS1 barcode goes in; GTIN, lot, serial, expiry … come out.

After the GS1 General Specifications: application identifiers (section 3), their fixed lengths
(7.8.5), the check digit (7.9), two-digit years (7.12). Imported by ``tools/code.py`` and
``tools/code_quality.py``.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date
from urllib.parse import parse_qsl, unquote, urlsplit

FNC1 = "\x1d"
"""The separator between element strings of variable length (ASCII group separator)."""

FIXED = {
    "00": 18, "01": 14, "02": 14, "03": 14, "04": 16, "11": 6, "12": 6, "13": 6, "14": 6, "15": 6,
    "16": 6, "17": 6, "18": 6, "19": 6, "20": 2, "31": 6, "32": 6, "33": 6, "34": 6, "35": 6,
    "36": 6, "41": 13,
}  # fmt: skip
"""Characters after an identifier that begins with these two digits (figure 7.8.5-2); 31-36 have
four-digit identifiers, 41 three-digit ones."""

LONG = {
    "23": 3, "24": 3, "25": 3, "31": 4, "32": 4, "33": 4, "34": 4, "35": 4, "36": 4, "39": 4,
    "40": 3, "41": 3, "42": 3, "43": 4, "70": 4, "71": 3, "72": 4, "80": 4, "81": 4, "82": 4,
}  # fmt: skip
"""Length of the identifier itself by its first two digits, where it is not two."""

ASSIGNED = {
    "00", "01", "02", "03", "10", "11", "12", "13", "15", "16", "17", "20", "21", "22", "30", "37",
    *LONG, *(f"9{n}" for n in range(10)),
}  # fmt: skip
"""How identifiers that mean something begin (figure 3.2-1): a number that is no element string must
not be taken for one."""

CHARACTERS = frozenset(
    "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
)
"""What a text may consist of (figure 7.11-1); a space is not among it."""
PART_CHARACTERS = frozenset("#-/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""The same of a component's or part's identifier, (8010) (figure 7.11-2)."""

CHECKED = {
    "00": 18, "01": 14, "02": 14, "03": 14, **{f"41{n}": 13 for n in range(8)}, "253": 13,
    "255": 13, "402": 17, "8003": 14, "8006": 14, "8017": 18, "8018": 18, "8026": 14,
}  # fmt: skip
"""Identifiers that begin with so many digits, the last of them a check digit."""

DATES = ("11", "12", "13", "15", "16", "17")

LIMITS = {"10": 20, "21": 20, "22": 20, "30": 8, "37": 8, "90": 30}
"""Longest content of common identifiers of variable length; 90 where not listed."""

QUALIFIERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "00": ((),), "01": (("22", "10", "21"), ("235",)), "253": ((),), "255": ((),), "401": ((),),
    "402": ((),), "414": (("254",), ("7040",)), "415": (("8020",),), "417": (("7040",),),
    "8002": ((),), "8003": ((),), "8004": (("7040",),), "8006": (("22", "10", "21"),),
    "8010": (("8011",),), "8013": ((),), "8017": (("8019",),), "8018": (("8019",),),
}  # fmt: skip
"""Primary keys of a GS1 Digital Link and the qualifiers that may follow each, in this order, of one
group."""

_BRACKETS = re.compile(r"\((\d{2,4})\)")


class Gs1Error(ValueError):
    """No valid element string; ``str()`` says which identifier is wrong and why."""


@dataclass(frozen=True, slots=True)
class Gs1:
    """What a GS1 code says."""

    elements: tuple[tuple[str, str], ...]
    """(application identifier, content) as encoded."""
    gtin: str | None = None
    """(01), 14 digits, check digit verified."""
    lot: str | None = None
    """(10)."""
    expiry: date | None = None
    """(17); a day of 00 means the last of the month."""
    serial: str | None = None
    """(21)."""
    sscc: str | None = None
    """(00), 18 digits, check digit verified: a case or a pallet."""


def parse_gs1(content: str, today: date) -> Gs1:
    """``content`` as a scanner gives it, with FNC1, in brackets as it is printed for people, or as
    a GS1 Digital Link, ``https://id.example.org/01/09506000134352/10/L1?17=261231``.

    ``today`` decides the century of two-digit years. Raises ``Gs1Error``.
    """
    if content[:8].lower().startswith(("http://", "https://")):
        elements = _linked(content)
    else:
        elements = _bracketed(content) if content.startswith("(") else elements_of(content)
    known = dict(elements)
    if len(known) < len(elements):
        # The same identifier twice with the same content is allowed (section 4.15).
        for ai, value in elements:
            if known[ai] != value:
                raise Gs1Error(f"({ai}) stands twice, as {value} and as {known[ai]}")
    for ai in filter(known.__contains__, CHECKED):
        number = known[ai][: CHECKED[ai]]
        if len(number) < CHECKED[ai]:
            raise Gs1Error(f"({ai}) has {CHECKED[ai]} digits, not `{number}`")
        if not check_digit_holds(number):
            raise Gs1Error(f"({ai}) {known[ai]} has a wrong check digit")
    days = {ai: _date(ai, known[ai], today) for ai in DATES if ai in known}
    return Gs1(
        tuple(elements),
        known.get("01"),
        known.get("10"),
        days.get("17"),
        known.get("21"),
        known.get("00"),
    )


def of_gtin(number: str) -> Gs1:
    """What an EAN or UPC symbol says: its number alone. Raises ``Gs1Error``."""
    if not is_gtin(number):
        raise Gs1Error(f"`{number}` is no GTIN")
    return Gs1((("01", number.zfill(14)),), number.zfill(14))


def is_gtin(number: str) -> bool:
    """Whether it is a GTIN-8, -12, -13 or -14."""
    return len(number) in (8, 12, 13, 14) and check_digit_holds(number)


def check_digit_holds(number: str) -> bool:
    """Whether the last digit of a GTIN, SSCC or GLN is its check digit (section 7.9.1)."""
    if not (number.isascii() and number.isdigit()) or len(number) < 2:
        return False
    weights = (3 if i % 2 == 0 else 1 for i in range(len(number) - 1))
    total = sum(int(d) * w for d, w in zip(reversed(number[:-1]), weights, strict=True))
    return (10 - total % 10) % 10 == int(number[-1])


def elements_of(content: str) -> list[tuple[str, str]]:
    """The element strings, (identifier, content), of what a scanner gives of a GS1 code, with FNC1;
    neither check digits nor dates are looked at. Raises ``Gs1Error``."""
    elements = []
    rest = content.lstrip(FNC1)
    while rest:
        ai = rest[: LONG.get(rest[:2], 2)]
        if not (ai.isascii() and ai.isdigit()) or len(ai) < LONG.get(rest[:2], 2):
            raise Gs1Error(f"`{rest[:4]}` is no application identifier")
        rest = rest[len(ai) :]
        length = FIXED.get(ai[:2])
        if length is not None:
            value, rest = rest[:length], rest[length:].removeprefix(FNC1)
        else:
            value, _, rest = rest.partition(FNC1)
        elements.append((ai, _checked(ai, value)))
    if not elements:
        raise Gs1Error("is empty")
    return elements


def _linked(content: str) -> list[tuple[str, str]]:
    """The element strings of a GS1 Digital Link URI (release 1.4, sections 4.5 to 4.8): a primary
    key in the path, its qualifiers after it in their order, other identifiers as query."""
    try:
        parts = urlsplit(content)
        query = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=32)
    except ValueError:
        raise Gs1Error("is no address that can be read") from None
    path = [unquote(piece) for piece in parts.path.split("/") if piece]
    start = next((i for i, piece in enumerate(path[:-1]) if piece in QUALIFIERS), None)
    if not parts.netloc or start is None:
        raise Gs1Error("is an address without a GS1 key such as /01/…")
    pairs = path[start:]
    if len(pairs) % 2:
        raise Gs1Error(f"`{pairs[-1]}` in its path has no content")
    elements: list[tuple[str, str]] = []
    groups = QUALIFIERS[pairs[0]]
    allowed = list(next((group for group in groups if pairs[2:3] and pairs[2] in group), groups[0]))
    for ai, value in zip(pairs[::2], pairs[1::2], strict=True):
        if elements and ai not in allowed:
            raise Gs1Error(f"({ai}) does not belong behind ({elements[-1][0]}) in its path")
        del allowed[: allowed.index(ai) + 1 if ai in allowed else 0]
        if ai == "01" and len(value) in (8, 12, 13):
            value = value.zfill(14)  # these may stand as they are
        elements.append((ai, _checked(ai, value)))
    for ai, value in query:
        if ai.isascii() and ai.isdigit() and len(ai) in (2, 3, 4):
            elements.append((ai, _checked(ai, value)))
    return elements


def _bracketed(content: str) -> list[tuple[str, str]]:
    pieces = _BRACKETS.split(content)
    if pieces[0] or len(pieces) < 3:
        raise Gs1Error(f"`{content[:8]}` is no application identifier in brackets")
    return [
        (ai, _checked(ai, value.rstrip(FNC1)))
        for ai, value in zip(pieces[1::2], pieces[2::2], strict=True)
    ]


def _checked(ai: str, value: str) -> str:
    length = FIXED.get(ai[:2])
    digits = value.isascii() and value.isdigit()
    if ai[:2] not in ASSIGNED:
        raise Gs1Error(f"`{ai}` is no application identifier")
    if length is not None:
        if len(value) != length or not digits:
            raise Gs1Error(f"({ai}) has {length} digits, not `{value}`")
    elif ai in ("30", "37") and not digits:
        raise Gs1Error(f"({ai}) is a number, not `{value}`")
    elif not 1 <= len(value) <= LIMITS.get(ai, 90):
        raise Gs1Error(f"({ai}) has 1 to {LIMITS.get(ai, 90)} characters, not {len(value)}")
    legal = PART_CHARACTERS if ai == "8010" else CHARACTERS
    wrong = next((char for char in value if char not in legal), "")
    if wrong:
        raise Gs1Error(f"({ai}) must not hold `{wrong if wrong.isprintable() else ascii(wrong)}`")
    return value


def _date(ai: str, digits: str, today: date) -> date:
    """Two-digit years lie at most 49 years back and 50 ahead of this one (section 7.12)."""
    year, month, day = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    gap = year - today.year % 100
    century = today.year // 100 + (-1 if gap >= 51 else 1 if gap <= -50 else 0)
    try:
        whole = century * 100 + year
        return date(whole, month, day or calendar.monthrange(whole, month)[1])
    except (ValueError, IndexError):
        raise Gs1Error(f"({ai}) {digits} is no date") from None
