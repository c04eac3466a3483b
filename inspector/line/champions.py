"""Which release judges each recipe's parts, and how another one takes its place.

Enters: the command to put an installed release into service or to take it back. Leaves: the plan
changed between two parts, the old recipe kept warm, an event that says who, what, why and from
which part. Imports release, store, display and the line's own modules; ``commands.py`` and
``process.py`` call it.

The release is read, checked and warmed up in a thread; the line judges on meanwhile, and the change
itself is one assignment between two parts. It happens at the start of the next batch, or at once:
then what comes after it is a sub-lot of its own, so that no batch mixes two models. A challenge
test is due after it, and after the way back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from inspector.bus import Command
from inspector.config import Station
from inspector.display import AlarmCode
from inspector.line.changeover import Recipe, job, views_at
from inspector.line.line import Line
from inspector.part import Batch
from inspector.release.bundle import ReleaseRefused
from inspector.release.installed import BASE, load_release
from inspector.release.stage import KIND, PENDING, waits
from inspector.store import History, StoreError

log = structlog.get_logger()

CHAIN_MAX = 5
"""Champions remembered per recipe, the newest last; the way back goes along them, and ends at the
recipe of the station file, however many there were."""
SUB_LOT = ".s"


class NoRelease(Exception):
    """The line cannot do this with that release; ``str()`` says why."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A release that may judge from the next part on."""

    digest: str
    title: str
    recipe: Recipe


@dataclass(slots=True)
class _Loading:
    command: Command
    future: Future[_Ready]
    at: str
    back: bool
    undone: set[str] = field(default_factory=set)
    """Recipes that have been rolled back since it was asked for."""


class Champions:
    """The recipes at work, by name, and the releases behind them."""

    def __init__(
        self, line: Line, recipes: dict[str, Recipe], base: Mapping[str, Recipe],
        chains: Mapping[str, list[str]], pending: Mapping[str, tuple[_Ready, str]] | None = None,
    ) -> None:  # fmt: skip
        """``recipes`` is what change-overs choose from: this replaces its entries. ``base`` are the
        station file's own, ``chains`` what `restore` found, ``pending`` what `waiting` did."""
        self._line, self._recipes = line, recipes
        self._chains = {name: list(chains.get(name, [BASE])) for name in recipes}
        self._held = {(name, BASE): _Ready(BASE, _title(r), r) for name, r in base.items()}
        for name, recipe in recipes.items():
            digest = self._chains[name][-1]
            self._held[name, digest] = _Ready(digest, _title(recipe), recipe)
        self._pending: dict[str, tuple[_Ready, str]] = dict(pending or {})
        self._loading: list[_Loading] = []
        self._pool = ThreadPoolExecutor(1, "release")

    @property
    def loading(self) -> bool:
        """Whether somebody waits for a release to be ready."""
        return bool(self._loading)

    def install(self, command: Command) -> dict[str, Any] | None:
        """Obey ``install_release``: the answer, or None when it comes from ``finished``.

        Arguments: ``do``: ``activate`` (the default) with ``release`` (digest or ``name/version``)
        and ``at`` (``batch``, the default, or ``part``), or ``rollback`` with ``recipe``; ``why``.
        Raises ``NoRelease``.
        """
        args = command.args
        do, at = args.get("do", "activate"), args.get("at", "batch")
        if do == "rollback":
            return self._back(command)
        if do != "activate" or at not in ("batch", "part"):
            raise NoRelease("`do` is activate or rollback, and `at` is batch or part")
        name = args.get("release")
        if not isinstance(name, str) or not name:
            raise NoRelease("`release` is the digest or name/version of an installed release")
        self._load(command, name, at, back=False)
        return None

    def finished(self) -> list[tuple[Command, dict[str, Any] | str]]:
        """Commands whose release is ready, with the answer, or with why it is not."""
        done = [entry for entry in self._loading if entry.future.done()]
        self._loading = [entry for entry in self._loading if not entry.future.done()]
        answers: list[tuple[Command, dict[str, Any] | str]] = []
        for entry in done:
            try:
                ready = entry.future.result()
                if (name := ready.recipe.name) in entry.undone:
                    raise NoRelease(f"{name} was rolled back after that; look, and install again")
                answers.append(
                    (entry.command, self._put(entry.command, ready, entry.at, entry.back))
                )
            except Exception as error:  # a release that breaks must not take the line with it
                log.error("release not in service", why=str(error))
                self._line.alarms.happened(AlarmCode.MODEL, str(error))
                answers.append((entry.command, str(error)))
        return answers

    def due(self, name: str, batch: str) -> Recipe | None:
        """The recipe that takes over with ``batch``, if it is another one and one waits for it."""
        waiting = self._pending.get(name)
        if waiting is None or batch == self._line.plan.newest.batch.id:
            return None
        return waiting[0].recipe

    def began(self, name: str, first: int, principal: str) -> None:
        """A batch has begun for which a release was `due`."""
        waiting = self._pending.pop(name, None)
        if waiting is not None:
            ready, why = waiting
            self._takes_over(name, ready, first, "batch", principal, why, back=False)

    def close(self) -> None:
        """Let go of the thread; what it loads is of no use any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    # Inside.

    def _back(self, command: Command) -> dict[str, Any] | None:
        name = str(command.args.get("recipe") or self._line.plan.newest.recipe.name)
        chain = self._chains.get(name)
        if chain is None:
            raise NoRelease(f"no recipe {name!r} here; there are {', '.join(sorted(self._chains))}")
        if waiting := self._pending.pop(name, None):
            self._undo(name)
            self._event(
                PENDING, command.principal.id, recipe=name, digest="", withdrawn=waiting[0].title
            )
            return {"withdrawn": waiting[0].title, "recipe": waiting[0].title}
        if len(chain) < 2:
            raise NoRelease(f"{name} runs the recipe of the station file; nothing is before it")
        ready = self._held.get((name, chain[-2]))
        if ready is None:
            self._load(command, chain[-2], "part", back=True)
            return None
        self._undo(name)
        return self._put(command, ready, "part", back=True)

    def _undo(self, name: str) -> None:
        """What is still being loaded was asked for before this roll-back, and must not win."""
        for entry in self._loading:
            entry.undone.add(name)

    def _load(self, command: Command, name: str, at: str, back: bool) -> None:
        if self._loading:
            raise NoRelease("another release is being made ready; try again when it is answered")
        station = self._line.station
        self._loading.append(
            _Loading(command, self._pool.submit(_make_ready, station, name), at, back)
        )

    def _put(self, command: Command, ready: _Ready, at: str, back: bool) -> dict[str, Any]:
        line, name, who = self._line, ready.recipe.name, command.principal.id
        why = str(command.args.get("why") or "")[:500]
        if name not in self._recipes:
            known = ", ".join(sorted(self._recipes))
            raise NoRelease(f"this station does not make {name!r}; its recipes: {known}")
        cameras = [camera.name for camera in line.station.cameras]
        stand_in = job(ready.recipe, line.plan.newest.batch, cameras)
        if ready.digest == self._chains[name][-1]:
            raise NoRelease(f"{ready.title} is in service already")
        self._held[name, ready.digest] = ready
        if at == "batch":
            self._pending[name] = ready, why
            self._event(
                PENDING, who, recipe=name, digest=ready.digest, release=ready.title, why=why
            )
            return {"release": ready.title, "digest": ready.digest, "at": "batch"}
        first = line.matching.newest + 1
        old = line.plan.at(first)
        body = {"release": ready.title, "digest": ready.digest, "at": "part", "from": first,
                "stream": line.stream}  # fmt: skip
        if old.recipe.name == name and not line.plan.ended:
            lot = _sub_lot(old.batch)
            line.plan.substitute(replace(stand_in, batch=lot), first)
            line.ledger.add_batch(old.batch, "end", who)
            line.ledger.add_batch(lot, "begin", who)
            line.periods.begin(lot.id, first, "sub-lot", who)
            body |= {"batch": lot.id, "sub_lot_of": old.batch.id}
        else:
            line.plan.substitute(replace(stand_in, batch=old.batch), first)
        self._takes_over(name, ready, first, "part", who, why, back)
        return body

    def _takes_over(
        self, name: str, ready: _Ready, first: int, at: str, who: str, why: str, back: bool
    ) -> None:
        chain = self._chains[name]
        before = chain[-1]
        if back:
            chain.pop()
        else:
            releases = [digest for digest in chain if digest != BASE]
            chain[:] = [BASE, *[*releases, ready.digest][1 - CHAIN_MAX :]]
        self._recipes[name] = ready.recipe
        self._pending.pop(name, None)  # an older order, if one waits: the newest holds
        kept = {(name, digest) for digest in (BASE, *chain[-2:])}
        for key in [k for k in self._held if k[0] == name and k not in kept]:
            del self._held[key]
        self._event(
            KIND, who, recipe=name, digest=ready.digest, release=ready.title, before=before,
            chain=list(chain), at=at, stream=self._line.stream, back=back, why=why,
            recipe_digest=ready.recipe.digest, **{"from": first},
        )  # fmt: skip
        # The quality room asks for the test, shows that it is due, and stops the line if it fails.
        self._event(
            "challenge_due", who, recipe=name, digest=ready.digest, why=f"{ready.title} took over"
        )
        log.info("release in service", release=ready.title, back=back, first=first, why=why)

    def _event(self, kind: str, principal: str, **body: Any) -> None:
        self._line.ledger.add_event(kind, principal, **body)


def restore(
    station: Station, recipes: Mapping[str, Recipe]
) -> tuple[dict[str, Recipe], dict[str, list[str]], list[str]]:
    """The recipes to start with, who came before each, and what could not be used and why.

    A champion that does not hold any more (I7) gives way to the one before it; at the end of every
    chain stands the station file's own recipe.
    """
    chains, refused, chosen = _chains(station), [], dict(recipes)
    for name, recipe in recipes.items():
        chain = chains.setdefault(name, [BASE])
        while chain and chain[-1] != BASE:
            try:
                chosen[name] = _make_ready(station, chain[-1], gently=False).recipe
                break
            except (ReleaseRefused, StoreError) as error:
                refused.append(str(error))
                chain.pop()
        else:
            chosen[name] = recipe
            chain[:] = chain or [BASE]
    return chosen, {name: chains[name] for name in recipes}, refused


def waiting(
    station: Station, recipes: Collection[str]
) -> tuple[dict[str, tuple[_Ready, str]], list[str]]:
    """What was to take over with the next batch when the line ended, with why, by recipe; and what
    of it could not be used."""
    try:
        with History(station.data) as history:
            asked = waits(history)
    except StoreError:
        return {}, []  # no ledger yet
    found: dict[str, tuple[_Ready, str]] = {}
    refused = []
    for name, event in asked.items():
        if name not in recipes:
            continue
        digest = str(event.body["digest"])
        try:
            ready = _make_ready(station, digest, gently=False)
            views_at(name, ready.recipe.views, [camera.name for camera in station.cameras])
            found[name] = ready, str(event.body.get("why") or "")
        except (ReleaseRefused, StoreError, ValueError) as error:
            refused.append(str(error))
    return found, refused


def _chains(station: Station) -> dict[str, list[str]]:
    try:
        with History(station.data) as history:
            events = history.events(KIND, 1000)
    except StoreError:
        return {}  # no ledger yet
    chains: dict[str, list[str]] = {}
    for event in events:
        name = str(event.body.get("recipe"))
        chains.setdefault(name, [str(digest) for digest in event.body.get("chain", ())])
    return chains


def _make_ready(station: Station, name: str, gently: bool = True) -> _Ready:
    pause: Callable[[float], None] = _give_way if gently else lambda spent_s: None
    loaded = load_release(
        station.data, name, station.threads, station.providers, pause, station.judges
    )
    return _Ready(loaded.installed.digest, loaded.installed.title, loaded.recipe)


def _give_way(spent_s: float) -> None:
    """The line's own parts come first: the processor is theirs for twice as long."""
    time.sleep(min(2 * spent_s, 0.2))


def _sub_lot(batch: Batch) -> Batch:
    """The part of ``batch`` that another model judges."""
    whole, mark, number = batch.id.rpartition(SUB_LOT)
    if not (mark and number.isdigit()):
        whole, number = batch.id, "1"
    return replace(batch, id=f"{whole[:56]}{SUB_LOT}{int(number) + 1}")


def _title(recipe: Recipe) -> str:
    return f"{recipe.name}@{recipe.revision}"
