"""A recipe's YAML and its models go in; a callable comes out that judges one part.

May import the tools, config and part; imported by the line, the command line and training, so that
what is evaluated is what runs.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, ValidationInfo, model_validator

from inspector.config import ConfigError, Problem, Settings, load_yaml, nearest
from inspector.part import Area, Batch, Box, Finding, Outcome, Pixels, Severity
from inspector.tools import TOOLS
from inspector.tools.code import SERIAL
from inspector.tools.follow import around, as_taught, boxes_of, in_frame, place_of, places_of
from inspector.tools.logic import Rule, check_follow, check_rules, settle, tolerate
from inspector.tools.onnx import Shelf
from inspector.tools.place import Place
from inspector.tools.step import Context, Step, Tool, Unjudged, is_left_out

if TYPE_CHECKING:
    AnyStep = Step
else:
    AnyStep = Annotated[
        reduce(or_, (tool.Step for tool in TOOLS.values())), Field(discriminator="kind")
    ]

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
"""BCP 47 primary tag."""
_WORST_FIRST = {Severity.CRITICAL: 0, Severity.MAJOR: 1, Severity.MINOR: 2}


class RecipeFile(Settings):
    """A recipe as it is written."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    revision: int = Field(1, ge=1)
    """Counted up by whoever changes it; the digest tells revisions apart for certain."""
    product: str = ""
    """What it is for: the product's name or GTIN."""
    views: tuple[str, ...] = ("image",)
    """The pictures of a part that it needs: camera names of the station."""
    bits: int | None = Field(None, ge=8, le=16, exclude_if=is_left_out)
    """How many bits the values in picture files of sixteen have (12: up to 4095), for who judges
    files; told by the files themselves where it is left out. Cameras say it of their own."""
    tools: tuple[AnyStep, ...]
    """Run in this order."""
    rules: tuple[Rule, ...] = Field((), exclude_if=is_left_out)
    """Which steps must hold together; a step that none names must hold by itself."""
    limits: dict[Severity, Annotated[int, Field(ge=1)]] = Field({}, exclude_if=is_left_out)
    """How many parts of a batch may pass though they have a finding of this severity."""
    words: dict[Language, dict[str, str]] = Field({}, exclude_if=is_left_out)
    """How pages and reports call its labels, steps and reasons in another language, as in
    ``zh: {cap missing: 缺少瓶盖}``. The record holds them as they are written above."""

    @model_validator(mode="after")
    def _hangs_together(self, info: ValidationInfo) -> RecipeFile:
        if not self.tools:
            raise ValueError("a recipe without tools would pass everything; add one")
        names = [step.name for step in self.tools]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice:
            raise ValueError(f"two tools are named `{twice}`; findings could not be told apart")
        if len(set(self.views)) < len(self.views) or not self.views:
            raise ValueError("`views` lists each view once, and at least one")
        for step in self.tools:
            if step.view and step.view not in self.views:
                near = nearest(step.view, self.views)
                raise ValueError(f"tool `{step.name}` looks at view `{step.view}`; {near}")
            if not step.view and len(self.views) > 1:
                raise ValueError(f"tool `{step.name}` must say which `view` it looks at")
        check_follow(self.tools, info)
        check_rules(self.rules, names)
        if Severity.CRITICAL in self.limits:
            raise ValueError("`limits`: a part with a critical finding never passes")
        return self


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a recipe says of one part."""

    outcome: Outcome
    """Pass, reject or error."""
    reasons: tuple[str, ...]
    """Why it is not a pass, worst first."""
    findings: tuple[Finding, ...]
    serial: str | None
    """From a code, if one carries it."""
    ms: float
    """How long it took, in wall milliseconds."""
    tolerated: tuple[Severity, ...] = ()
    """Severities of findings that it passes in spite of: whoever counts the batch's adds one to
    each."""


class _Tools:
    """The tools of a recipe, in its order, for one part at a time: each owns the buffers that its
    model is bound to."""

    def __init__(self, steps: Sequence[Step], shelf: Shelf) -> None:
        self.pairs: list[tuple[Step, Tool]] = [
            (step, TOOLS[step.kind](step, shelf)) for step in steps
        ]
        self._under = {step.name: _under(step) for step in steps}
        self._turned: dict[str, Pixels] = {}

    def look(
        self, step: Step, tool: Tool, pixels: Pixels, context: Context
    ) -> list[Finding] | None:
        """What a step finds, in the frame's pixels, whatever it follows; None where it looks at
        ``every`` place, and there is none."""
        if not step.every:
            return self._look(step, tool, pixels, context)
        first = context.places.get(step.follow)
        found: list[Finding] | None = None
        for place in places_of(context.boxes[step.follow], step.every, pixels.shape):
            context.places[step.follow] = place
            found = (found or []) + self._look(step, tool, pixels, context)
        if first is None:
            context.places.pop(step.follow, None)
        else:
            context.places[step.follow] = first
        return found

    def _look(self, step: Step, tool: Tool, pixels: Pixels, context: Context) -> list[Finding]:
        if not step.follow or not step.turned_back:
            return tool.look(pixels, context)
        place = context.places[step.follow]
        picture = as_taught(pixels, place, self._under[step.name], self._turned.get(step.name))
        if place.box is None:
            self._turned[step.name] = picture
        try:
            found = tool.look(picture, context)
        except Unjudged as error:
            raise Unjudged(str(error), in_frame(error.findings, place)) from None
        if step.name in context.places:
            context.places[step.name] = place.after(context.places[step.name])
        return in_frame(found, place)


class Recipe:
    """A recipe made ready. As many threads may judge by it at once as its shelf has ``judges``."""

    def __init__(self, file: RecipeFile, shelf: Shelf) -> None:
        """Raises ``ModelError`` when a model must not run."""
        self.file = file
        self.name, self.revision, self.views = file.name, file.revision, file.views
        self.limits = file.limits
        self.digest = digest_of(file)
        only = file.views[0]
        steps = [s if s.view else s.model_copy(update={"view": only}) for s in file.tools]
        self._sets = tuple(_Tools(steps, shelf) for _ in range(shelf.judges))
        self._free = list(self._sets)
        self.areas = tuple(_area([s for s in steps if s.view == view]) for view in file.views)
        """By view: what of the frame the steps look at; None is all of it."""
        self.places: Mapping[str, Place] = {}
        """Where the newest part was found, by what ``follow`` calls it, …"""
        self.boxes: Mapping[str, tuple[Box, ...]] = {}
        """… and all boxes that were found in order."""
        self._leaders = {s.follow: s.follow.partition("/")[::2] for s in steps if s.follow}
        digests = (d for _, tool in self.tools for d in tool.model_digests)
        self.model_digests: tuple[str, ...] = tuple(dict.fromkeys(digests))

    @property
    def tools(self) -> Sequence[tuple[Step, Tool]]:
        """Its steps in order, each with its tool: those that judge where nobody else does."""
        return self._sets[-1].pairs

    def warm_up(self) -> None:
        """Runs every model once, so that the first part is as fast as the others."""
        for tools in self._sets:
            for _, tool in tools.pairs:
                tool.warm_up()

    def judge(
        self,
        frames: Mapping[str, Pixels],
        batch: Batch,
        today: date,
        clock_synced: bool = True,
        tolerated: Mapping[Severity, int] | None = None,
    ) -> Judgement:
        """Judges one part by its frames, (h, w) or (h, w, 3) BGR uint8, by view.

        ``tolerated`` counts the batch's parts so far by ``Judgement.tolerated``; left out, the
        recipe's limits let nothing through. Never raises for what a frame holds: what cannot be
        judged is an error. A recipe with one view takes a single frame of whatever name.
        """
        tools = self._free.pop()
        try:
            return self._judge(tools, frames, Context(batch, today, clock_synced), tolerated)
        finally:
            self._free.append(tools)

    def _judge(
        self,
        tools: _Tools,
        frames: Mapping[str, Pixels],
        context: Context,
        tolerated: Mapping[Severity, int] | None,
    ) -> Judgement:
        started = time.perf_counter_ns()
        self.places, self.boxes = context.places, context.boxes
        findings: list[Finding] = []
        views, errors = self._seen(frames)
        context.sizes.update({view: (p.shape[0], p.shape[1]) for view, p in views.items()})
        silent: dict[str, str] = {}
        idle: set[str] = set()
        for step, tool in tools.pairs:
            if step.view not in views:
                continue
            if step.follow and step.follow not in (context.boxes if step.every else context.places):
                silent[step.name] = step.follow
                continue
            try:
                found = tools.look(step, tool, views[step.view], context)
                if found is None:
                    idle.add(step.name)
                findings += found or []
                self._lead(step, found or [], context)
            except Unjudged as error:
                errors.append(f"{step.name}: {error}")
                findings += error.findings
            except Exception as error:  # whatever breaks in a tool, the part must not pass
                errors.append(f"{step.name} failed: {type(error).__name__}: {error}")
        findings, excused = settle(self.file.rules, findings, silent, idle)
        spent: tuple[Severity, ...] = ()
        lost = [f"{n}: `{silent[n]}` gave no place to look at" for n in silent if n not in excused]
        if not lost and not errors:
            findings, spent = tolerate(findings, self.file.limits, tolerated)
        elif all(f.ok for f in findings):  # what could not look must not end in a pass
            errors += lost
        return _judgement(findings, errors, started, spent)

    def _seen(self, frames: Mapping[str, Pixels]) -> tuple[dict[str, Pixels], list[str]]:
        """The frames that tools can look at, by view, and what is wrong with the others."""
        views: dict[str, Pixels] = {}
        errors: list[str] = []
        for view in self.views:
            pixels = frames.get(view)
            if pixels is None and len(self.views) == 1 and len(frames) == 1:
                pixels = next(iter(frames.values()))
            flaw = _flaw(pixels)
            if flaw or pixels is None:
                errors.append(f"view {view}: {flaw}")
            else:
                views[view] = pixels
        return views, errors

    def _lead(self, step: Step, found: Sequence[Finding], context: Context) -> None:
        """Where a step found the part, for those that follow it."""
        for place, (leader, label) in self._leaders.items():
            if leader == step.name:
                context.boxes[place] = boxes_of(found, label)
                box = None if place in context.places else place_of(found, label)
                if box:
                    context.places[place] = box


def load(
    path: Path | str,
    models: Path | Shelf = Path("models"),
    threads: int = 2,
    providers: Sequence[str] = ("CPUExecutionProvider",),
) -> Recipe:
    """The recipe in ``path``. A ``Shelf`` instead of a models folder shares opened models.

    Raises ``ConfigError`` (file, line, field) or ``ModelError`` (model, what is wrong, mend).
    """
    shelf = models if isinstance(models, Shelf) else Shelf(Path(models), threads, providers)
    return Recipe(read(Path(path), shelf), shelf)


def read(path: Path, shelf: Shelf | None = None) -> RecipeFile:
    """The validated recipe in ``path``; with a ``shelf`` also its models' cards and labels.

    Raises ``ConfigError``.
    """
    context = {"shelf": shelf, "folder": path.parent} if shelf else {}
    file = load_yaml(path, RecipeFile, **context)
    if file.name != name_for(path) and path.parent.name == "recipes":
        raise ConfigError(
            path, [Problem(1, "name", f"must be `{name_for(path)}`, as the file is named")]
        )
    return file


def name_for(path: Path) -> str:
    """The name of the recipe in ``path``: the file's, ``-`` for what a name cannot hold."""
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:63] or "recipe"


def digest_of(file: RecipeFile) -> str:
    """SHA-256 of the canonical recipe: defaults filled in, keys sorted, no comments, UTF-8 JSON."""
    return hashlib.sha256(canonical(file.model_dump(mode="json"))).hexdigest()


def canonical(statement: Any) -> bytes:
    """UTF-8 JSON, keys sorted: what is digested and signed."""
    text = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def _area(steps: Sequence[Step]) -> Area | None:
    """A box around all that ``steps`` look at. Who follows a part looks where it stands."""
    places: list[Area] = []
    for step in steps:
        for place in step.looks_at():
            if place is None or step.follow:
                return None
            places.append(place)
    if not places:
        return None
    return around(places)


def _under(step: Step) -> tuple[Area, ...]:
    """What a step that follows a part reads of the taught picture; none is all of it. A ROI of its
    own does not hold for those of its lines that have another."""
    places = step.looks_at()
    if step.roi:
        return (step.roi, *filter(None, places))
    return () if None in places else tuple(filter(None, places))


def _flaw(pixels: Pixels | None) -> str:
    """What makes a frame unusable, or nothing."""
    if pixels is None:
        return "no frame"
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        return f"pixels are {getattr(pixels, 'dtype', type(pixels).__name__)}, uint8 is needed"
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        return f"frame has shape {pixels.shape}; (h, w) or (h, w, 3) is needed"
    if pixels.size == 0:
        return f"frame has shape {pixels.shape}: it is empty"
    return ""


def _judgement(
    findings: list[Finding], errors: list[str], started: int, spent: tuple[Severity, ...] = ()
) -> Judgement:
    bad = [f for f in findings if not f.ok]
    bad.sort(key=lambda finding: _WORST_FIRST[finding.severity])
    if any(f.score != f.score for f in findings):
        errors.append("a tool answered with a score that is not a number")
    reasons = [*errors]
    for finding in bad:
        if finding.reason not in reasons and not any(finding.reason in e for e in errors):
            reasons.append(finding.reason or f"{finding.tool}: {finding.label}")
    if errors:
        outcome = Outcome.ERROR
    elif bad:
        outcome = Outcome.REJECT
    else:
        outcome = Outcome.PASS
    serial = next((f.text for f in findings if f.label == SERIAL and f.kind == "code"), None)
    ms = (time.perf_counter_ns() - started) / 1e6
    return Judgement(outcome, tuple(reasons), tuple(findings), serial, ms, spent)
