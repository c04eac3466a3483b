"""What is made from which part number on, so that no part is judged by a mixture.

Enters: change-overs with the number from which they hold. Leaves: the job of any number. Imports
part; the line imports it. Recipes are loaded and warm before they come here, so a change-over is
one assignment between two parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import Protocol

from inspector.part import Area, Batch, Finding, Mode, Outcome, Pixels, Severity


class Judgement(Protocol):
    """What a recipe says about one part."""

    @property
    def outcome(self) -> Outcome: ...
    @property
    def reasons(self) -> tuple[str, ...]: ...
    @property
    def findings(self) -> tuple[Finding, ...]: ...
    @property
    def serial(self) -> str | None: ...
    @property
    def ms(self) -> float: ...
    @property
    def tolerated(self) -> tuple[Severity, ...]: ...


class Recipe(Protocol):
    """A recipe as the line uses it; ``inspector.recipe.load`` makes them."""

    @property
    def name(self) -> str: ...
    @property
    def revision(self) -> str | int: ...
    @property
    def digest(self) -> str: ...
    @property
    def model_digests(self) -> tuple[str, ...]: ...
    @property
    def views(self) -> tuple[str, ...]: ...
    @property
    def areas(self) -> tuple[Area | None, ...]: ...
    @property
    def limits(self) -> Mapping[Severity, int]: ...
    def judge(
        self,
        frames: Mapping[str, Pixels],
        batch: Batch,
        today: date,
        clock_synced: bool = True,
        tolerated: Mapping[Severity, int] | None = None,
    ) -> Judgement: ...


@dataclass(frozen=True, slots=True)
class Job:
    """A recipe at work on a batch."""

    recipe: Recipe
    batch: Batch
    title: str
    """The recipe's ``name@revision``."""
    views: tuple[str, ...]
    """The cameras whose pictures it needs."""
    awaits: str = ""
    """What must be signed before a part of it may pass: an id; empty when it is released …"""
    needs: tuple[str, ...] = ()
    """… and the kinds of signatures under it, such as ``first_article``."""

    def found(self, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """``findings`` by the cameras' names, under which pictures are kept and shown: a recipe
        with one view may call it otherwise."""
        if self.views == self.recipe.views:
            return findings
        return tuple([replace(finding, view=self.views[0]) for finding in findings])


def job(recipe: Recipe, batch: Batch, cameras: Sequence[str]) -> Job:
    """``recipe`` at work on ``batch`` at a station with ``cameras``.

    Raises ``ValueError`` if it needs a view that no camera gives. A recipe with one view takes
    the picture of the only camera, whatever either is called.
    """
    views = views_at(recipe.name, recipe.views, cameras)
    return Job(recipe, batch, f"{recipe.name}@{recipe.revision}", views)


def views_at(recipe: str, views: Sequence[str], cameras: Sequence[str]) -> tuple[str, ...]:
    """The cameras that show a recipe's ``views``; raises ``ValueError`` as ``job`` does."""
    missing = [view for view in views if view not in cameras]
    if missing and len(views) == len(cameras) == 1:
        return tuple(cameras)
    if missing:
        raise ValueError(
            f"recipe {recipe} needs view `{missing[0]}`; cameras: {', '.join(cameras)}"
        )
    return tuple(views)


class Plan:
    """Jobs by the part number from which each holds."""

    def __init__(self, first: Job) -> None:
        self._jobs: list[tuple[int, Job]] = [(0, first)]
        self._kept: tuple[str, int, Sequence[tuple[int, Job]]] | None = None
        self.challenged = range(0)
        """The part numbers that a challenge test has asked for."""
        self.ended = False
        """The newest job's batch has ended, and none has begun since."""

    @property
    def newest(self) -> Job:
        """The job that holds from now on, or will."""
        return self._jobs[-1][1]

    @property
    def jobs(self) -> Sequence[tuple[int, Job]]:
        """Each job with the part from which on it holds, as far as anybody needs it; the newest
        last."""
        return self._jobs

    def resume(self, stream: str, first: int, earlier: Sequence[tuple[int, Job]]) -> None:
        """The line has started again: in ``stream`` the newest job holds from ``first`` on only,
        and until then those ``earlier``."""
        self._kept = stream, first, earlier

    def at(self, number: int) -> Job:
        """The job of part ``number``."""
        for first, planned in reversed(self._jobs):
            if number >= first:
                return planned
        return self._jobs[0][1]

    def over(self, numbers: range) -> Iterator[tuple[range, Job]]:
        """``numbers`` in a row, by the job of each stretch."""
        edges = [first for first, _ in self._jobs if first in numbers[1:]]
        for first, end in pairwise([numbers.start, *edges, numbers.stop]):
            yield range(first, end), self.at(first)

    def mode(self, number: int, mode: Mode) -> Mode:
        """What part ``number`` is, at a line that is in ``mode``."""
        if self.at(number).awaits:
            return Mode.SETUP
        return Mode.CHALLENGE if number in self.challenged else mode

    def change(self, planned: Job, first: int) -> None:
        """``planned`` holds from part ``first`` on. A change already planned beyond is dropped."""
        self._jobs = [entry for entry in self._jobs if entry[0] < first]
        self._jobs.append((first, planned))

    def release(self, following: int) -> int:
        """What was planned last has all its signatures; from which part on, ``following`` at the
        earliest, parts of it may pass."""
        first = max(self._jobs[-1][0], following)
        self.change(replace(self.newest, awaits="", needs=()), first)
        return first

    def substitute(self, stand_in: Job, first: int) -> None:
        """From part ``first`` on ``stand_in`` takes the place of its recipe's namesake, which may
        have had other views: the job that runs then goes on as its batch, those planned for later
        keep theirs."""
        name = stand_in.recipe.name

        def with_it(planned: Job, batch: Batch) -> Job:
            if planned.recipe.name != name:
                return planned
            return replace(stand_in, batch=batch, awaits=planned.awaits, needs=planned.needs)

        running = with_it(self.at(first), stand_in.batch)
        later = [(at, with_it(its, its.batch)) for at, its in self._jobs if at > first]
        self._jobs = [entry for entry in self._jobs if entry[0] < first]
        self._jobs += [(first, running), *later]

    def renumber(self, stream: str) -> None:
        """Numbers begin anew: what was planned last holds from the first part on, except in the
        stream for one of whose parts it was planned."""
        self._jobs = [(0, self.newest)]
        if self._kept is not None and self._kept[0] == stream:
            _, first, earlier = self._kept
            self._jobs = [*earlier, (first, self.newest)]
        self._kept = None
        self.challenged = range(0)

    def forget_before(self, number: int) -> None:
        """Parts below ``number`` are all decided."""
        while len(self._jobs) > 1 and self._jobs[1][0] <= number:
            del self._jobs[0]
