"""The process that looks after releases: fetches them, lets them judge in shadow, takes them back.

Enters: a station file and its run directory. Leaves: releases installed, shadow records, and the
orders to the line to put one into service or to roll it back, in the station's own name. Started
by the supervisor as ``python -m inspector.release.process STATION RUN``, at the lowest priority:
it has the processor when nobody else wants it, and a part that is gone by then is left out.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from math import inf
from pathlib import Path

import cv2
import structlog

from inspector import logs
from inspector.beat import Beat, Ending
from inspector.bus import BusError, give, run_dir
from inspector.config import ConfigError, Station, load_station
from inspector.identity import Action, Principal, Role
from inspector.part import Outcome, Verdict
from inspector.recipe import digest_of, load, name_for, read
from inspector.release import stage
from inspector.release.bundle import ReleaseRefused
from inspector.release.centre import CENTRE, FromCentre
from inspector.release.channel import Pointer, fetch, newest
from inspector.release.installed import BASE, install, installed, load_release
from inspector.release.offer import Offer, OfferReader
from inspector.release.offered import Entry, Offered, State, tell
from inspector.release.shadow import Shadow
from inspector.release.stage import Change
from inspector.release.trust import known_signers
from inspector.release.watch import Probation, may_take_over, why_back
from inspector.releaseplan import Releases
from inspector.store import History, StoreError
from inspector.store.pages import events_of
from inspector.tools.card import ModelError

log = structlog.get_logger()

NICE = 19
LOOK_S = 2.0
"""How often the records are asked how the champion does."""
RECENT = 400
"""The newest parts that a champion on probation is judged by; older ones were judged before."""
RETRY_S = 30.0
"""A line that just makes another release ready refuses to go back: it is told again."""
TALLY_S = 60.0
FIRST_TALLY = 20
"""Parts after which a shadow is heard of for the first time; then every ``TALLY_S``."""
WHO = Principal("releases", frozenset({Role.SYSTEM}))


def main(path: Path, run: Path | None = None) -> None:
    """Run until SIGTERM or SIGINT."""
    station = load_station(path)
    run = run or run_dir(station.data)
    ending = Ending()
    os.nice(NICE)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    cv2.setNumThreads(1)
    beat = Beat(run / "releases.beat")
    caretaker = Caretaker(station, run, beat)
    try:
        while not ending.is_set():
            beat.beat()
            caretaker.turn()
    finally:
        caretaker.close()


class Caretaker:
    """One station's releases. ``turn`` waits for at most a fifth of a second."""

    def __init__(self, station: Station, run: Path, beat: Beat | None = None) -> None:
        self.station, self.plan = station, station.releases or Releases()
        self._files = {_name_of(path): path for path in station.recipes}
        self.shadows: dict[str, Shadow] = {}
        """By recipe name."""
        self._run, self._beat = run, beat
        self._offers = OfferReader(run)
        self._asked = self._looked = -inf
        self._told = time.monotonic()
        self._refused: dict[str, str] = {}
        self._known: object = None
        """Who may sign, and what the channel had, when a release was last refused."""
        self._ordered: dict[tuple[str, int], float] = {}
        """Orders that were answered, and from when on they may be given again."""
        self._changes: dict[str, Change] = {}
        self._proven: set[tuple[str, int]] = set()
        """Changes whose probation is over, by recipe and record."""
        self._centre: FromCentre | None = None

    def turn(self) -> None:
        """Judge a part in shadow if one is offered; now and then look at all else."""
        offer = self._offers.receive(200)
        if offer is not None:
            self._judge(offer)
        now = time.monotonic()
        if now - self._asked >= self.plan.poll_s and self.plan.source:
            self._asked = now
            self.fetch()
        if now - self._looked >= LOOK_S:
            self._looked = now
            try:
                self.look()
            except StoreError as error:
                log.warning("cannot read the records", why=str(error))
        if now - self._told >= TALLY_S:
            self._told = now
            self.tell()

    def _judge(self, offer: Offer) -> None:
        shadow = self.shadows.get(offer.recipe)
        if shadow is None or not shadow.wants(offer):
            return
        frames = self._offers.pictures(offer)
        if frames is None:
            return
        try:
            shadow.look(offer, frames, self.station.data)
        except StoreError as error:
            log.warning("a disagreement is not recorded", why=str(error))
        if shadow.judged == FIRST_TALLY:
            self._told = -inf

    def fetch(self) -> None:
        """Install what the channel has that is newer than what is here, and tell what it has."""
        key = os.environ.get(self.plan.key, "") if self.plan.key else ""
        source, name = self.plan.source, self.plan.channel
        offers: list[Entry] = []
        why = ""
        try:
            if source == CENTRE and self._centre is None:
                self._centre = FromCentre(self.station)
            there = self._centre
            pointers = there.newest(name) if there else newest(source, name, key)
            known = known_signers(self.station.data), frozenset(pointers)
            if known != self._known:
                self._known = known  # what was refused for its signatures may hold now
                self._refused.clear()
            for pointer in pointers:
                state, reason = self._take(pointer, key)
                offers.append(Entry(pointer.title, pointer.digest, pointer.number, state, reason))
        except ReleaseRefused as refusal:
            why = str(refusal)
            log.warning("no releases", why=why)
        with contextlib.suppress(OSError):  # only people read it
            tell(self.station.data, Offered(time.time_ns(), source, name, why, tuple(offers)))

    def look(self) -> None:
        """Who is champion, who should judge beside it, and whether the champion must go."""
        with History(self.station.data) as history:
            past = stage.changes(history)
        newest_of = stage.newest_of(past)
        undone = {change.digest for change in stage.undone_of(past)}
        here = installed(self.station.data)
        for name in self._files:
            now = newest_of.get(name)
            if now is not None:
                self._changes[name] = now
            chain = now.chain if now else (BASE,)
            if now is not None and not now.back and self._on_probation(now):
                wanted = chain[-2] if len(chain) > 1 else BASE
                self._beside(name, wanted, now.recipe_digest, 1.0)
                self._judge_champion(name, now)
                continue
            number = stage.number_of(self.station.data, chain[-1], here)
            newer = [
                i for i in here
                if i.release.manifest.name == name
                and i.release.manifest.number > number
                and i.digest not in undone and i.digest not in chain
            ]  # fmt: skip
            if not newer:
                self.shadows.pop(name, None)
                continue
            self._beside(name, newer[-1].digest, None, self.plan.shadow_share)
            shadow = self.shadows.get(name)
            if shadow and may_take_over(shadow.judged, shadow.disagreed, shadow.errors, self.plan):
                why = f"{shadow.judged} parts in shadow, {shadow.disagreed} otherwise"
                order = {"release": shadow.digest, "at": "batch", "why": why}
                self._order("activate", name, shadow.began_ns, **order)

    def tell(self) -> None:
        """Put the counts of every shadow on the desk."""
        for shadow in self.shadows.values():
            if shadow.judged:
                with contextlib.suppress(StoreError):
                    shadow.record(self.station.data, WHO.id)

    def close(self) -> None:
        """Tell the last counts and let go."""
        self.tell()
        self._offers.close()
        if self._centre is not None:
            self._centre.close()

    # Inside.

    def _take(self, pointer: Pointer, key: str) -> tuple[State, str]:
        """Install what an offer points to, if it is newer; what became of it, and why."""
        data, source, there = self.station.data, self.plan.source, self._centre
        recipe = pointer.title.partition("/")[0]
        here = [i for i in installed(data) if i.release.manifest.name == recipe]
        if any(i.digest == pointer.digest for i in here):
            return State.HERE, ""
        if pointer.digest in self._refused:
            return State.REFUSED, self._refused[pointer.digest]
        if pointer.number <= max((i.release.manifest.number for i in here), default=0):
            return State.OLDER, ""
        home, path = data / "releases", None
        try:
            if there:
                path = there.fetch(pointer, home, self._lives)
            else:
                path = fetch(source, pointer, home, key, self._lives)
            done = install(path, data, WHO.id, 1, self.station.providers, self._pause)
        except (ReleaseRefused, StoreError, OSError) as refusal:
            if path is not None and isinstance(refusal, ReleaseRefused):
                self._refused[pointer.digest] = str(refusal)  # what never came is asked for again
            log.error("release refused", why=str(refusal))
            return State.REFUSED, str(refusal)
        finally:
            (home / f".{pointer.digest}.release").unlink(missing_ok=True)
        log.info("release installed", release=done.installed.title)
        return State.HERE, ""

    def _beside(self, name: str, digest: str, champion: str | None, share: float) -> None:
        """See to it that release ``digest`` (or the station file's recipe) judges in shadow."""
        beside = champion or self._champion(name)
        now = self.shadows.get(name)
        if now is not None and (now.digest, now.beside) == (digest, beside):
            return
        if digest in self._refused:
            return
        try:
            if digest == BASE:
                path = self._files[name]
                recipe, title = load(path, self.station.models, 1, self.station.providers), name
                recipe.warm_up()
            else:
                loaded = load_release(
                    self.station.data, digest, 1, self.station.providers, self._pause
                )
                recipe, title = loaded.recipe, loaded.installed.title
        except (ReleaseRefused, ConfigError, ModelError) as refusal:
            self._refused[digest] = str(refusal)
            log.error("no shadow", why=str(refusal))
            return
        if now is not None and now.judged:
            now.record(self.station.data, WHO.id)
        self.shadows[name] = Shadow(digest, title, recipe, beside, share)
        log.info("in shadow", release=title, share=share)

    def _champion(self, name: str) -> str:
        """The recipe digest that judges ``name`` now."""
        change = self._changes.get(name)
        if change is not None:
            return change.recipe_digest
        return digest_of(read(self._files[name]))

    def _on_probation(self, change: Change) -> bool:
        key = change.recipe, change.position
        if key in self._proven:
            return False
        data, parts = self.station.data, self.plan.probation_parts
        with History(data) as history:
            newest = history.last(1)
        if newest and newest[0].verdict.stream == change.stream:
            over = newest[0].verdict.sequence - change.first >= parts
        else:  # started anew since, and the numbers with it
            over = stage.judged_since(data, change.position, parts)
        if over:
            self._proven.add(key)
        return not over

    def _judge_champion(self, name: str, change: Change) -> None:
        shadow = self.shadows.get(name)
        with History(self.station.data) as history:
            seen = probation(history, change, min(self.plan.probation_parts, RECENT), shadow)
        reason = why_back(seen, self.plan)
        if reason:
            self._order("rollback", name, change.position, recipe=name, why=reason)

    def _order(self, do: str, name: str, once: int, **args: str) -> None:
        """Give the line the order, once; to go back, until it is obeyed."""
        if time.monotonic() < self._ordered.get((f"{do} {name}", once), -inf):
            return
        try:
            answer = give(self._run, Action.INSTALL_RELEASE, {"do": do, **args}, WHO, 30.0)
            log.warning("ordered", do=do, recipe=name, ok=answer.ok, why=args.get("why"),
                        error=answer.error)  # fmt: skip
            again = do == "rollback" and not answer.ok
            self._ordered[f"{do} {name}", once] = time.monotonic() + RETRY_S if again else inf
        except BusError as error:
            log.error("the line does not answer", why=str(error))

    def _lives(self) -> None:
        if self._beat is not None:
            self._beat.beat()

    def _pause(self, spent_s: float) -> None:
        self._lives()
        time.sleep(min(spent_s, 0.1))


def _name_of(path: Path) -> str:
    """The recipe's own name, which its file need not have; the file's where somebody is at it."""
    try:
        return read(path).name
    except ConfigError:
        return name_for(path)


def probation(history: History, change: Change, limit: int, shadow: Shadow | None) -> Probation:
    """What the champion of ``change`` has done since it took over, from the records."""
    verdicts = [
        part.verdict for part in history.last(limit)
        if part.verdict.recipe_digest == change.recipe_digest
        and part.position > change.position
    ]  # fmt: skip
    errors = sum(_its_own(v) for v in verdicts)
    ms = sorted((v.times.verdict_ns - v.times.frame_ns) / 1e6 for v in verdicts if v.times.frame_ns)
    failed = any(
        event.body.get("command") == Action.ANNOUNCE
        and event.body.get("args", {}).get("code") == "challenge_failed"
        and event.body.get("args", {}).get("on", True)
        for position, event in events_of(history, "command", limit=200)
        if position > change.position
    )
    compared = shadow is not None and shadow.beside == change.recipe_digest
    return Probation(
        len(verdicts),
        errors,
        ms[int(len(ms) * 0.99)] if ms else 0.0,
        shadow.judged if compared and shadow else 0,
        shadow.disagreed if compared and shadow else 0,
        failed,
    )


def _its_own(verdict: Verdict) -> bool:
    """Whether a part was not judged because of what judges: a picture that never came, or a part
    that nobody watched, is no fault of the release."""
    came = verdict.times.frame_ns > 0 and not any("no frame" in why for why in verdict.reasons)
    return verdict.outcome is Outcome.ERROR and came


if __name__ == "__main__":
    logs.run("releases", lambda: main(Path(sys.argv[1]), Path(sys.argv[2])))
