"""``code``: pixels go in, every 1D and 2D code on them comes out, its GS1 content understood.

Imported by ``tools`` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import ClassVar, Literal

import numpy as np
import zxingcpp
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from inspector.config import Settings, nearest
from inspector.part import INSIDE, Box, Finding, Pixels
from inspector.tools import dates
from inspector.tools.batch_text import BatchText, filled
from inspector.tools.code_quality import INDICATORS, OF_BARS, OF_MATRICES, quality_of
from inspector.tools.code_search import (
    WEAK,
    ReadCode,
    kinds_of,
    read_codes,
    search_codes,
)
from inspector.tools.gs1 import Gs1, Gs1Error, is_gtin, of_gtin, parse_gs1
from inspector.tools.onnx import Shelf
from inspector.tools.pattern import Pattern
from inspector.tools.step import Context, Step, Unjudged, corner_of, crop, is_left_out

SERIAL = "serial"
"""Label of the finding that carries the part's serial number. Of a case or pallet that is its SSCC;
the serials in the same picture are those of what is `INSIDE`."""

RETAIL = {"EAN13", "EAN8", "UPCA", "UPCE"}
"""Symbologies that hold a GTIN and nothing else."""
CARTON = {"ITF", "ITF14"}
"""zxing-cpp's names of the symbology that, in GS1's system, holds a GTIN-14 and nothing else (GS1
General Specifications, 5.3): its first digits are no application identifier."""

_FORMATS = {name for name in zxingcpp.BarcodeFormat.__members__ if name not in ("NONE", "All")}


class Expect(Settings):
    """What some code on the part must say; all that is given must hold for one and the same code.

    Texts may name the batch's: ``{lot}``.
    """

    content: BatchText = ""
    """The whole content."""
    pattern: str = ""
    """The form of the whole content, see ``tools/pattern.py``."""
    gtin: BatchText = ""
    """A GTIN-8, -12, -13 or -14."""
    lot: BatchText = ""
    expiry: BatchText = ""
    """(17) as printed by the batch, in any of `read`'s date formats or as YYYY-MM-DD; a month alone
    is its last day."""
    not_before_days: int | None = None
    """(17) lies at least this many days ahead of today."""
    serial: bool = False
    """The code must carry a serial number (21)."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, template: str) -> str:
        Pattern(template)
        return template

    @field_validator("gtin")
    @classmethod
    def _is_a_gtin(cls, gtin: str) -> str:
        if gtin and "{" not in gtin and not is_gtin(gtin):
            raise ValueError("a GTIN has 8, 12, 13 or 14 digits, the last its check digit")
        return gtin


class Limits(Settings):
    """What each code's print must reach; every indicator becomes a finding, limited or not."""

    symbol_contrast: float | None = Field(None, ge=0, le=1)
    edge_contrast: float | None = Field(None, ge=0, le=1)
    modulation: float | None = Field(None, ge=0, le=1)
    defects: float | None = Field(None, ge=0, le=1)
    """At most; the others are at least."""
    decodability: float | None = Field(None, ge=0, le=1)
    unused_correction: float | None = Field(None, ge=0, le=1)


class Params(Settings):
    """Which codes, and what they must say."""

    formats: tuple[str, ...] = ()
    """zxing-cpp's names, such as ``QRCode``, ``DataMatrix``, ``EAN13``; all when left out."""
    at_least: int = Field(1, ge=0)
    """Fewer codes than this reject the part."""
    gs1: bool = False
    """Every code must hold a valid GS1 element string, encoded with FNC1 in front, or one in
    brackets, or a GS1 Digital Link."""
    expect: Expect | None = None
    quality: Limits | None = Field(None, exclude_if=is_left_out)
    """Indicators of the print's quality after ISO/IEC 15416 and 15415, see
    ``tools/code_quality.py``; they are no grades, which need a calibrated verifier."""
    try_harder: bool = True
    """Also looks for turned, inverted and small codes; off saves time where codes stand upright."""
    persistent: bool = Field(False, exclude_if=is_left_out)
    """Where fewer than ``at_least`` were read without doubt, looks again: at the picture calmed,
    enlarged, evenly lit, at strips across whatever is striped, their blur undone, and at what
    numbers would look like there. Takes up to 60 times as long, but only then."""

    @field_validator("formats")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in _FORMATS:
                raise ValueError(f"no symbology `{name}`; {nearest(name, _FORMATS)}")
        return names

    @model_validator(mode="after")
    def _limits_what_they_have(self) -> Params:
        asked = self.quality.model_dump(exclude_none=True) if self.quality else {}
        matrix, bars = kinds_of(set(self.formats))
        for none, names, kind in (
            (not bars, OF_BARS, "bars"),
            (not matrix, OF_MATRICES, "squares"),
        ):
            limit = next((name for name in names if none and name in asked), None)
            if limit is not None:
                which = ", ".join(self.formats)
                raise ValueError(
                    f"`{limit}` is told of {kind} alone, never of {which}; leave it out"
                )
        return self


class CodeStep(Step):
    """A ``code`` step of a recipe."""

    kind: Literal["code"]
    params: Params = Params()

    def labels(self, classes: Sequence[str]) -> Sequence[str]:
        """Symbologies, what codes carry, indicators of print."""
        return (*sorted(_FORMATS), SERIAL, INSIDE, *INDICATORS)


class Code:
    """Reads codes with zxing-cpp."""

    Step: ClassVar[type[CodeStep]] = CodeStep

    def __init__(self, step: CodeStep, shelf: Shelf) -> None:
        self._step = step
        self.model_digests: tuple[str, ...] = ()
        self._formats = zxingcpp.barcode_formats_from_str("|".join(step.params.formats))
        expect = step.params.expect
        self._pattern = Pattern(expect.pattern) if expect and expect.pattern else None

    def warm_up(self) -> None:
        """Reads a blank once."""
        read_codes(np.zeros((64, 64), np.uint8), self._formats)

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """One finding per code, its symbology as label; then those that are missing; then the
        serial number, labelled ``serial``, or a case's SSCC and the serials ``inside``."""
        step, params = self._step, self._step.params
        area = crop(pixels, step.roi)
        codes = self._codes(area)
        expect = _Expected(params.expect, context) if params.expect else None
        found, serials, units, met, why, most = [], [], [], expect is None, "", -1
        for code in codes:
            content, box = code.text, _around(code.corners, step)
            try:
                gs1 = _understood(code, context.today) if _is_gs1(params) else None
                fault = _unmarked(code) if params.gs1 else ""
            except Gs1Error as error:
                gs1, fault = None, f"{code.symbology} {error}" if params.gs1 else ""
            found.append(step.finding(code.symbology, fault, text=content, box=box))
            if params.quality:
                found += self._quality(area, code, params.quality, box)
            if gs1 and gs1.serial:
                serials.append((gs1.serial, box))
            if gs1 and gs1.sscc:
                units.append(step.finding(SERIAL, text=gs1.sscc, box=box))
            if expect and not met:
                met, fault = expect.holds(content, gs1, self._pattern)
                if (said := expect.said_by(gs1)) > most:  # of the code that it seems to be about
                    why, most = fault, said
        if len(codes) < params.at_least:
            reason = f"{len(codes)} codes read, at least {params.at_least} must be"
            found.append(step.finding("code", reason))
        elif not met:
            found.append(step.finding("code", why or "no code read"))
        label = INSIDE if units else SERIAL
        return found + units + [step.finding(label, text=text, box=box) for text, box in serials]

    def _quality(self, area: Pixels, code: ReadCode, limits: Limits, box: Box) -> list[Finding]:
        """One finding per indicator that the code has, its value as it was measured."""
        quality = quality_of(area, code)
        found = []
        for name in INDICATORS:
            value = getattr(quality, name) if quality else None
            limit = getattr(limits, name)
            said = name.replace("_", " ")
            if value is None:
                continue
            fault = ""
            if limit is not None and name == "defects" and value > limit:
                fault = f"{code.symbology}: {said} {value:.2f}, at most {limit:g} may be"
            elif limit is not None and name != "defects" and value < limit:
                fault = f"{code.symbology}: {said} {value:.2f}, at least {limit:g} must be"
            found.append(self._step.finding(name, fault, value=value, unit="1", box=box))
        if quality is None and limits != Limits():
            fault = f"{code.symbology}: its print quality cannot be told"
            found.append(self._step.finding("quality", fault, box=box))
        return found

    def _codes(self, area: Pixels) -> list[ReadCode]:
        """The codes as they stand; if they are too few, those that other views show as well."""
        params = self._step.params
        harder = params.try_harder
        found = read_codes(area, self._formats, rotate=harder, downscale=harder, invert=harder)
        wanted = max(1, params.at_least)
        sure = sum(code.symbology not in WEAK for code in found)
        if params.persistent and sure < wanted:
            found = search_codes(area, self._formats, found, wanted)
        return found


class _Expected:
    """The rule with the batch's texts put in."""

    def __init__(self, rule: Expect, context: Context) -> None:
        self._rule, self._today = rule, context.today
        if rule.not_before_days is not None and not context.clock_synced:
            raise Unjudged("the clock is not synchronised, no expiry can be judged")
        self._content = filled(rule.content, context)
        self._gtin = filled(rule.gtin, context)
        self._lot = filled(rule.lot, context)
        self._expiry = filled(rule.expiry, context)

    def holds(self, content: str, gs1: Gs1 | None, pattern: Pattern | None) -> tuple[bool, str]:
        """Whether one code says what it must, and if not, why."""
        rule = self._rule
        if self._content and content != self._content:
            return False, f"code reads `{content}`, must be `{self._content}`"
        if pattern and not pattern.matches(content):
            return False, f"code reads `{content}`, which has not the form {rule.pattern}"
        if not (self._gtin or self._lot or self._expiry or rule.serial) and (
            rule.not_before_days is None
        ):
            return True, ""
        if gs1 is None:
            return False, f"code `{content}` is no GS1 element string"
        if self._gtin and gs1.gtin != self._gtin.zfill(14):
            return False, f"GTIN is {gs1.gtin or 'missing'}, must be {self._gtin.zfill(14)}"
        if self._lot and gs1.lot != self._lot:
            return False, f"lot is {gs1.lot or 'missing'}, must be {self._lot}"
        if rule.serial and not gs1.serial:
            return False, "the serial number is missing"
        return self._expiry_holds(gs1.expiry)

    def said_by(self, gs1: Gs1 | None) -> int:
        """How much of what is asked for a code says at all."""
        if gs1 is None:
            return 0
        dated = bool(self._expiry) or self._rule.not_before_days is not None
        asked = (self._gtin, self._lot, self._rule.serial, dated)
        says = (gs1.gtin, gs1.lot, gs1.serial, gs1.expiry)
        return sum(bool(a and b) for a, b in zip(asked, says, strict=True))

    def _expiry_holds(self, expiry: date | None) -> tuple[bool, str]:
        rule = self._rule
        if not self._expiry and rule.not_before_days is None:
            return True, ""
        if expiry is None:
            return False, "the expiry date is missing"
        if rule.not_before_days is not None:
            why = dates.shortfall((expiry - self._today).days, rule.not_before_days, None)
            if why:
                return False, f"expiry {expiry.isoformat()}: {why}"
        if self._expiry:
            wanted = dates.find_date(self._expiry, dates.WRITTEN, self._today, whole=True)
            if wanted is None:
                raise Unjudged(f"the batch's expiry `{self._expiry}` is no date")
            if wanted.day != expiry:
                return False, f"expiry is {expiry.isoformat()}, must be {wanted.day.isoformat()}"
        return True, ""


def _understood(code: ReadCode, today: date) -> Gs1:
    if code.symbology in CARTON and len(code.text) != 14:
        raise Gs1Error(f"`{code.text}` is no GTIN")
    if code.symbology in RETAIL | CARTON:
        return of_gtin(code.text)
    return parse_gs1(code.text, today)


def _unmarked(code: ReadCode) -> str:
    """Why no scanner takes a code for one of GS1's, though its content would do: a printer that
    leaves FNC1 away prints what looks the same, and nobody's till or wholesaler reads it."""
    plain = code.text.startswith("(") or code.text[:4].lower() == "http"
    if code.gs1 or plain or code.symbology in RETAIL | CARTON:
        return ""
    return f"{code.symbology} `{code.text}` does not begin with FNC1, as GS1 codes do"


def _is_gs1(params: Params) -> bool:
    """Without a rule nothing is read into a content: then each code is one finding and no more."""
    return params.gs1 or params.expect is not None


def _around(corners: NDArray[np.float64], step: CodeStep) -> Box:
    dx, dy = corner_of(step.roi)
    (x1, y1), (x2, y2) = corners.min(0).tolist(), corners.max(0).tolist()
    return x1 + dx, y1 + dy, x2 + dx, y2 + dy
