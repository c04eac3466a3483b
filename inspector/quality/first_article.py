"""A change-over is tried before it produces: a guided list, from the first part to the signature.

Enters: the verdicts and pictures of the parts that are fed after a change-over. Leaves: the list
as it stands, and in the end the *sheet*, which is what people sign. No I/O: ``process.py`` feeds
it, ``signing.py`` has it signed. Meanwhile the line judges, records and rejects everything.

The parts come in the order of the list: golden parts first, which must pass one after the other,
then each part with a seeded defect, which must be rejected for that defect. What the golden parts
show is compared with the order (code, date), with the tolerances, and with the focus and light of
the last first article that was signed for this recipe. A step that fails begins the list anew; each
attempt is recorded. Spec: S10's "first article in about 30 seconds".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from statistics import fmean
from typing import Any

from inspector.config import FirstArticle
from inspector.part import GateAction, GateDecision, Outcome, Verdict

KIND = "first_article"
"""Of the desk's records and of the signature under them."""
SHARPNESS = "sharpness"
"""Focus of a view in a sheet. Sheets that say ``focus`` measured the camera's noise with it."""
UNITS = {"1": "", "Cel": "°C", "{px}": "px", "{px}2": "px²", "mm2": "mm²", "deg": "°"}
"""UCUM units as people write them; another one is written as it is."""


class State(StrEnum):
    """How a step stands."""

    WAITING = "waiting"
    OK = "ok"
    FAILED = "failed"
    NONE = "none"
    """There is nothing to check: the recipe reads or measures nothing."""


@dataclass(slots=True)
class Step:
    """One line of the list."""

    name: str
    """``golden``, ``seeded: NAME``, ``print``, ``measures``, ``focus``, ``light``."""
    state: State = State.WAITING
    detail: str = ""
    """What was seen, in words."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a picture of one view looks like."""

    focus: float
    """Sharpness; only to be compared with the same view of the same product."""
    light: float
    """Mean brightness, 0..255."""


@dataclass(slots=True)
class Article:
    """One first article under way."""

    plan: FirstArticle
    id: str
    """What the line awaits; the signature's subject."""
    batch: str
    recipe: str
    """``name@revision``; empty until the first part tells."""
    texts: Mapping[str, str]
    """What is to be printed, as ordered."""
    reference: Mapping[str, Look]
    """Focus and light by view at the last signed first article; empty for the first one."""
    attempt: int = 1
    golden: list[Verdict] = field(default_factory=list)
    seeded: list[tuple[Verdict, bool]] = field(default_factory=list)
    """Parts with a seeded defect, and whether it was found."""
    looks: dict[str, list[Look]] = field(default_factory=dict)
    refused: set[tuple[str, int]] = field(default_factory=set)
    """Parts, by stream and number, of which the gate has acknowledged that it rejects them."""
    errors: int = 0
    """Parts of this attempt that could not be judged; they are fed again."""
    failed: str = ""
    """Why this attempt is over."""

    @property
    def attempted(self) -> str:
        """Which attempt of which first article this is."""
        return f"{self.id}.{self.attempt}"

    def part(self, verdict: Verdict) -> None:
        """The next part was judged."""
        if self.failed or self.complete:
            return
        self.recipe = verdict.recipe
        if verdict.outcome is Outcome.ERROR:
            self.errors += 1
            return
        if len(self.golden) < self.plan.golden_parts:
            if verdict.outcome is Outcome.PASS:
                self.golden.append(verdict)
            else:
                self.failed = f"golden part {len(self.golden) + 1} was rejected: {_why(verdict)}"
            return
        wanted = self.plan.seeded[len(self.seeded)]
        found = verdict.outcome is Outcome.REJECT and _has(verdict, wanted.label)
        self.seeded.append((verdict, found))
        if verdict.outcome is Outcome.PASS:
            self.failed = f"seeded part {wanted.name!r} was not rejected"
        elif not found:
            self.failed = (
                f"seeded part {wanted.name!r} was rejected for another reason than"
                f" {wanted.label!r}: {_why(verdict)}"
            )

    def picture(self, looks: Mapping[str, Look]) -> None:
        """Pictures of a golden part, by view."""
        if not self.failed:
            for view, look in looks.items():
                self.looks.setdefault(view, []).append(look)

    def heard(self, told: GateDecision) -> None:
        """What became of a part at the gate."""
        if told.action is not GateAction.PERMIT and told.acknowledged_ns:
            self.refused.add((told.stream, told.sequence))

    @property
    def challenged(self) -> bool:
        """Whether the gate has acknowledged that it rejects the seeded parts: eye and gate were
        both tried, as in a challenge test."""
        return self.complete and bool(self.seeded) and not self.unheard

    @property
    def unheard(self) -> bool:
        """Whether the gate's word on a seeded part is still to come."""
        return any((v.stream, v.sequence) not in self.refused for v, _ in self.seeded)

    @property
    def complete(self) -> bool:
        """Whether every part has come."""
        return len(self.golden) == self.plan.golden_parts and len(self.seeded) == len(
            self.plan.seeded
        )

    @property
    def over(self) -> bool:
        """Whether this attempt has its result: everything has come and been seen, or it failed."""
        return bool(self.failed) or (self.complete and bool(self.looks))

    @property
    def passed(self) -> bool:
        """Whether it may be signed."""
        return self.over and all(s.state in (State.OK, State.NONE) for s in self.steps())

    def again(self) -> Article:
        """The next attempt."""
        return Article(
            self.plan, self.id, self.batch, self.recipe, self.texts, self.reference,
            self.attempt + 1,
        )  # fmt: skip

    def steps(self) -> list[Step]:
        """The list as it stands, in the order in which it is worked through."""
        plan, golden = self.plan, len(self.golden)
        steps = [Step("golden", _state(golden == plan.golden_parts), f"{golden} of "
                      f"{plan.golden_parts} passed")]  # fmt: skip
        if self.failed and golden < plan.golden_parts:
            steps[0] = Step("golden", State.FAILED, self.failed)
        for number, wanted in enumerate(plan.seeded):
            step = Step(f"seeded: {wanted.name}", detail=f"feed it; expected: "
                        f"{wanted.label or 'a reject'}")  # fmt: skip
            if number < len(self.seeded):
                verdict, found = self.seeded[number]
                step.state = State.OK if found else State.FAILED
                step.detail = f"part {verdict.sequence}: {verdict.outcome}, {_why(verdict)}"
            steps.append(step)
        return [*steps, self._print(), self._measures(), *self._pictures()]

    def sheet(self) -> dict[str, Any]:
        """Everything that is signed: plain texts, numbers, lists and maps."""
        parts = [*self.golden, *(verdict for verdict, _ in self.seeded)]
        utc = [verdict.times.utc_ns for verdict in parts]
        return {
            "id": self.id,
            "batch": self.batch,
            "recipe": self.recipe,
            "recipe_digest": parts[0].recipe_digest if parts else "",
            "models": list(parts[0].model_digests) if parts else [],
            "software": parts[0].software if parts else "",
            "texts": dict(self.texts),
            "attempt": self.attempt,
            "passed": self.passed,
            "failed": self.failed,
            "station_s": round((max(utc) - min(utc)) / 1e9, 3) if utc else 0.0,
            "not_judged": self.errors,
            "steps": [
                {"name": s.name, "state": str(s.state), "detail": s.detail} for s in self.steps()
            ],
            "parts": [
                {"stream": v.stream, "number": v.sequence, "part": str(v.part_id),
                 "outcome": str(v.outcome)} for v in parts
            ],
            "looks": {
                view: {SHARPNESS: fmean(k.focus for k in looks), "light": fmean(k.light for k in
                       looks)} for view, looks in sorted(self.looks.items())
            },
        }  # fmt: skip

    def _print(self) -> Step:
        """Code and date as ordered: whatever the recipe reads on the golden parts."""
        step = Step("print")
        read = {f.tool: f for v in self.golden for f in v.findings if f.text is not None}
        if len(self.golden) < self.plan.golden_parts:
            return step
        wrong = [f for v in self.golden for f in v.findings if f.text is not None and not f.ok]
        said = " ".join(str(f.text) for f in read.values())
        bare = "".join(said.split()).upper()
        missing = [
            name for name, text in self.texts.items()
            if text and read and "".join(text.split()).upper() not in bare
        ]  # fmt: skip
        if not read:
            step.state, step.detail = State.NONE, "the recipe reads nothing"
        elif wrong:
            step.state, step.detail = State.FAILED, wrong[0].reason
        else:
            step.state = State.OK
            step.detail = "; ".join(f"{tool}: {f.text}" for tool, f in sorted(read.items()))
            if missing:
                step.detail += f" (not read as such: {', '.join(missing)}; the recipe checked it)"
        return step

    def _measures(self) -> Step:
        step = Step("measures")
        if len(self.golden) < self.plan.golden_parts:
            return step
        values: dict[tuple[str, str, str], list[float]] = {}
        wrong = ""
        for verdict in self.golden:
            for f in verdict.findings:
                if f.value is not None:
                    values.setdefault((f.tool, f.label, f.unit or ""), []).append(f.value)
                    wrong = wrong or (f.reason if not f.ok else "")
        if not values:
            step.state, step.detail = State.NONE, "the recipe measures nothing"
        else:
            step.state = State.FAILED if wrong else State.OK
            step.detail = wrong or "; ".join(
                f"{label} {_digits(fmean(found), 4)} {UNITS.get(unit, unit)}".rstrip()
                for (_, label, unit), found in sorted(values.items())
            )
        return step

    def _pictures(self) -> list[Step]:
        focus, light = Step("focus"), Step("light")
        if not self.looks or len(self.golden) < self.plan.golden_parts:
            return [focus, light]
        focus.state = light.state = State.OK
        sharp, bright = [], []
        for view, looks in sorted(self.looks.items()):
            now = Look(fmean(k.focus for k in looks), fmean(k.light for k in looks))
            was = self.reference.get(view)
            if was is None:
                sharp.append(f"{view}: {_digits(now.focus, 3)}, becomes the reference")
                bright.append(f"{view}: {now.light:.0f}, becomes the reference")
                continue
            ratio, off = now.focus / was.focus if was.focus else 0.0, now.light - was.light
            sharp.append(f"{view}: {ratio:.0%} of the sign-off")
            bright.append(f"{view}: {now.light:.0f}, {off:+z.0f} from the sign-off")
            if ratio < self.plan.focus_ratio:
                focus.state = State.FAILED
            if abs(off) > self.plan.light_levels:
                light.state = State.FAILED
        focus.detail, light.detail = "; ".join(sharp), "; ".join(bright)
        return [focus, light]


def reference_of(sheet: Mapping[str, Any]) -> dict[str, Look]:
    """Focus and light by view, as a signed sheet has them; what was measured otherwise is none."""
    looks = {v: k for v, k in (sheet.get("looks") or {}).items() if SHARPNESS in k}
    return {str(v): Look(float(k[SHARPNESS]), float(k["light"])) for v, k in looks.items()}


def _digits(value: float, digits: int) -> str:
    """So many digits of a number, of a larger one all before its point; never an exponent, which
    nobody reads on a sheet and no language's sentence takes for a number."""
    if abs(value) >= 10**digits:
        return f"{value:.0f}"
    return f"{Decimal(f'{value:.{digits}g}'):f}"


def _state(ok: bool) -> State:
    return State.OK if ok else State.WAITING


def _has(verdict: Verdict, label: str) -> bool:
    return not label or any(f.label == label and not f.ok for f in verdict.findings)


def _why(verdict: Verdict) -> str:
    return verdict.reasons[0] if verdict.reasons else "nothing found"
