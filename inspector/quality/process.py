"""The quality process: ``python -m inspector.quality.process STATION RUN``.

Enters: the ledger's tail, the line's heartbeat, now and then a picture. Leaves: records at the desk
(``first_article``, ``challenge``, ``spc``, ``drift``, ``health``, ``maintenance``, holds), the
state for pages in ``<run>/quality.json``, and conditions for the line to show or to stop for. It
follows the line and never stands in its way: it reads the ledger by position, and a line without
it goes on inspecting, only that what awaits a signature stays awaiting one.

It comes round once a second, and ten times a second while somebody at the line waits for it: every
time that a process wakes costs as much as following two parts does.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog

from inspector import logs
from inspector.beat import Beat, Ending
from inspector.bus import BusError, CommandClient, NoAnswer, publish, run_dir
from inspector.config import Quality, Station, load_station
from inspector.display import DisplayReader, Topic
from inspector.identity import Action, Principal, Role
from inspector.quality import first_article, health, signing
from inspector.quality.errors import QualityError
from inspector.quality.follow import SHOW, Follower
from inspector.quality.looks import archived, looks_of
from inspector.quality.sheets import Sheets, printing
from inspector.store import DeskLedger, History, NoLedger, StoreError
from inspector.store.tags import FILE as TAGS
from inspector.store.tags import Tags
from inspector.store.tail import Tail

log = structlog.get_logger()

ROUND_S = 1.0
"""How often the ledger's end is read …"""
LOOK_S = 0.1
"""… while somebody waits at the line (`Follower.hastens`), or while it is owed something …"""
PEEK_S = 0.25
"""… and how often it is looked whether somebody does, where the plan has anything to wait for."""
PORTION = 500
"""Records a look takes in, so that the beat goes on while a long night is caught up with."""
FIGURES_S = 60.0
"""How often the equipment is sampled …"""
HEALTH_S = 3600.0
"""… and how often its state is recorded."""
PICTURE_S = 2.0
"""How often a picture is asked for: the line encodes none for us in between, …"""
AWAITED_S = 0.25
"""… and at most this long for nothing. Without it the line encoded for us until the next round, 12
pictures for one: 0.2 ms of each part at 50/s, 0.8 at 1280x1024."""
TELL_S = 0.5
"""How long the line may take to answer; …"""
RETRY_S = 5.0
"""… and after how long it is asked again to stop, where it refused."""
STATE_S = 0.5
"""How often the state of a first article or a challenge is written, if it is another …"""
CHARTS_S = 30.0
"""… and how often the charts' is, where nothing was recorded meanwhile: 50 kB, 5 ms."""
MEMORY_S = 300.0
"""How often what good parts were like is kept; what came behind it the ledger has."""
MEMORY = "drift.json"
"""In the data folder."""
COUNTED = "parts_since"
"""Of the challenge's state: it counts with every part, and is written with the charts."""
ME = Principal("quality", frozenset({Role.SYSTEM}))


def main(path: Path, run: Path | None = None) -> None:
    """Follow the line of station file ``path`` until SIGTERM or SIGINT."""
    station = load_station(path)
    run = run or run_dir(station.data)
    ending = Ending()
    with contextlib.suppress(OSError):
        os.nice(5)
    beat = Beat(run / "quality.beat")
    watching = Watching(station, station.quality or Quality(), run)
    # What has been imported stays: no collection need walk through it again.
    gc.collect()
    gc.freeze()
    ahead_ns = time.time_ns() - time.monotonic_ns()
    try:
        while not ending.is_set():
            beat.beat()
            utc_ns, before_ns = time.time_ns(), ahead_ns
            ahead_ns = utc_ns - time.monotonic_ns()
            if not watching.turn(utc_ns, ahead_ns - before_ns):
                watching.rest(ending)
    finally:
        watching.close()


class Watching:
    """The loop's state: everything that can be made anew from the ledger, and open sockets."""

    def __init__(self, station: Station, plan: Quality, run: Path) -> None:
        self._station, self._plan, self._run, self._data = station, plan, run, station.data
        self._client = CommandClient(run)
        self._status: DisplayReader | None = None
        self._pictures: DisplayReader | None = None
        self._history: History | None = None
        self._tail: Tail | None = None
        self._tags: Tags | None = None
        self._at = -1
        self._follower: Follower | None = None
        self._asked: dict[str, Any] = {}
        self._charts: dict[str, Any] = {}
        due = ("figures", "health", "picture", "release", "state", "charts", "tell", "memory")
        self._due = dict.fromkeys(due, 0.0)
        self._peeks = plan.challenge is not None or plan.first_article is not None
        self._shown: dict[str, str] = {}
        self._awaits: str | None = None
        self._sheets = Sheets(self._data, printing(station, plan))
        self._owed: list[tuple[Action, dict[str, Any]]] = []

    def turn(self, utc_ns: int, set_ns: int = 0) -> bool:
        """One round; whether there is more to read at once. ``set_ns``: by how much UTC was set
        since the last one."""
        if self._follower is None and not self._begin():
            return False
        follower, tail = self._follower, self._tail
        assert follower is not None and tail is not None
        follower.clock_set(set_ns)
        read = 0
        for position, record in tail.after(self._at, PORTION, lambda: follower.hears_gates):
            self._at, read = position, read + 1
            if record is not None:
                self._do(follower.record(position, record))
        if read < PORTION:
            self._do(follower.at(utc_ns))
            self._listen(utc_ns)
            self._awaited()
        if read < PORTION or any(args["stop"] for _, args in self._owed):
            self._tell()
        self._sheets.turn()
        self._show()
        if time.monotonic() >= self._due["memory"]:
            self._due["memory"] = time.monotonic() + MEMORY_S
            self._remember()
        return read == PORTION

    def rest(self, ending: Ending) -> None:
        """Wait for the next round's time, or until somebody at the line waits for it."""
        until = time.monotonic() + ROUND_S
        while not self._wanted() and (left := until - time.monotonic()) > 0:
            if ending.wait(min(left, PEEK_S) if self._peeks else left):
                return
            if self._peeks and self._tail is not None and self._tail.newest_event() > self._at:
                return
        if self._wanted():
            ending.wait(LOOK_S)

    def _wanted(self) -> bool:
        return bool(self._owed) or self._follower is None or self._follower.hastens

    def close(self) -> None:
        """Let go of everything."""
        self._remember()
        self._client.close()
        for held in (self._status, self._pictures, self._history, self._tags):
            if held is not None:
                held.close()

    def _begin(self) -> bool:
        """Open the ledger, and go back to where the charts and the last challenge begin."""
        try:
            self._history = History(self._data, bound_s=10.0)
        except NoLedger:
            return False  # the line has never run here
        self._tail = Tail(self._history)
        self._follower, self._at = Follower.resume(
            self._station, self._plan, self._history,
            lambda image: archived(self._data, image), self._tags_at, self._remembered(),
        )  # fmt: skip
        # Orders that stand are said again only where the equipment is still ill.
        log.info("following the line", after=self._at)
        return True

    def _remember(self) -> None:
        memory = self._follower.memory() if self._follower is not None else None
        if memory is not None:
            with contextlib.suppress(OSError):  # a full disk keeps what it had
                publish(self._data / MEMORY, json.dumps(memory))

    def _remembered(self) -> Mapping[str, Any] | None:
        with contextlib.suppress(OSError, ValueError):
            memory: dict[str, Any] = json.loads((self._data / MEMORY).read_text())
            return memory
        return None

    def _tags_at(self, utc_ns: int) -> Mapping[str, float]:
        """The process tags at a moment, those that can be believed; none where nobody tells any."""
        if self._tags is None:
            if not (self._data / TAGS).is_file():
                return {}
            self._tags = Tags(self._data)
        try:
            samples = self._tags.at(utc_ns)
        except StoreError:
            return {}
        return {s.tag: s.value for s in samples if s.value is not None and s.quality == "good"}

    def _listen(self, utc_ns: int) -> None:
        """A picture at intervals, and once a minute the line's figures. In between nobody listens,
        and the line neither encodes nor tells them for us."""
        assert self._follower is not None
        now = time.monotonic()
        if self._pictures is None and now >= self._due["picture"]:
            self._due["picture"] = now + PICTURE_S
            self._pictures = DisplayReader(self._run, Topic.PASS)
        if self._pictures is not None:
            awaited_s = 0.0 if self._wanted() else AWAITED_S
            if (message := self._pictures.receive(awaited_s)) is not None:
                self._pictures.close()
                self._pictures = None
                self._do(self._follower.picture(message.body, looks_of(message), utc_ns))
        if self._status is not None and (status := self._status.receive()) is not None:
            self._figures(utc_ns, status.body.get("figures", {}))
            self._remind(status.body.get("alarms", ()))
            self._status.close()
            self._status = None
        if self._status is None and now >= self._due["figures"]:
            self._due["figures"] = now + FIGURES_S
            self._status = DisplayReader(self._run, Topic.STATUS)

    def _figures(self, utc_ns: int, told: Mapping[str, Any]) -> None:
        assert self._follower is not None
        figures = {k: float(v) for k, v in told.items() if isinstance(v, int | float)}
        self._do(self._follower.figures(utc_ns, figures))
        if time.monotonic() >= self._due["health"] and self._follower.health.indicators:
            self._due["health"] = time.monotonic() + HEALTH_S
            self._do([(health.KIND, {"indicators": self._follower.health.state()})])

    def _awaited(self) -> None:
        """What the line waits for: its sheet once it is signed, its release if it was not told."""
        assert self._follower is not None
        awaited = self._follower.awaited
        before, self._awaits = self._awaits, awaited.id
        if before and awaited.id != before and signing.article(self._data, before):
            self._sheets.want(before)  # once more: its signature is on it now
        now = time.monotonic()
        if awaited.id and now >= self._due["release"]:
            self._due["release"] = now + RETRY_S
            # All is signed and the line died before it heard of it: tell it.
            with contextlib.suppress(QualityError, BusError, StoreError):
                signing.release(self._data, self._run, awaited, ME)

    def _do(self, entries: list[tuple[str, dict[str, Any]]]) -> None:
        """Record, and show on the line what stops it or wants a person."""
        if not entries:
            return
        self._due["charts"] = 0.0
        if said := [(kind, body, ME.id) for kind, body in entries if kind != SHOW]:
            # All of it or nothing: what failed is not on record without what is on hold for it.
            with DeskLedger.open(self._data) as desk:
                desk.add_all(said)
        for kind, body in entries:
            if kind == SHOW:
                self._announce(**body)
                continue
            named = (f"{name} {text}" for name, text in body.items() if isinstance(text, str))
            log.info("recorded", kind=kind, what=", ".join(named)[:200])
            if kind == first_article.KIND:
                self._sheets.want(str(body["id"]))

    def _announce(self, code: str, detail: str, on: bool = True, stop: bool = False) -> None:
        if not stop:
            before, self._shown[code] = self._shown.get(code, ""), detail if on else ""
            if before == self._shown[code]:
                return
            # Of what was not told yet the newest is enough.
            self._owed = [o for o in self._owed if o[1]["stop"] or o[1]["code"] != code]
        args = {"code": code, "detail": detail, "on": on, "stop": stop}
        self._owed.append((Action.ANNOUNCE, args))

    def _remind(self, alarms: Iterable[Mapping[str, Any]]) -> None:
        """Tell the line again what stands and what is over, where ``alarms``, which it shows, are
        others: it was started anew, or we were."""
        standing = {alarm.get("code") for alarm in alarms}
        owed = {args["code"] for _, args in self._owed}
        for code, detail in self._shown.items():
            if bool(detail) != (code in standing) and code not in owed:
                args = {"code": code, "detail": detail, "on": bool(detail), "stop": False}
                self._owed.append((Action.ANNOUNCE, args))

    def _tell(self) -> None:
        """Give the line what it is owed; a line that is away hears it when it is back."""
        while self._owed and time.monotonic() >= self._due["tell"]:
            action, args = self._owed[0]
            try:
                answer = self._client.send(action, args, ME, TELL_S)
            except NoAnswer:
                return
            if not answer.ok:
                log.error("the line refuses", action=str(action), why=answer.error)
                if args["stop"]:  # it must stop all the same
                    self._due["tell"] = time.monotonic() + RETRY_S
                    return
            self._owed.pop(0)

    def _show(self) -> None:
        now = time.monotonic()
        if now < self._due["state"] or self._follower is None:
            return
        self._due["state"] = now + STATE_S
        asked = self._follower.asked()
        charts = now >= self._due["charts"]
        if not charts and _steps(asked) == _steps(self._asked):
            return
        if charts:
            self._due["charts"] = now + CHARTS_S
            before, self._charts = self._charts, self._follower.state()
            if self._charts == before:
                return
        self._asked = asked
        publish(self._run / "quality.json", json.dumps(self._charts | asked, default=str))


def _steps(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked, less what counts with every part."""
    due = asked.get("challenge") or {}
    return {**asked, "challenge": {k: v for k, v in due.items() if k != COUNTED}}


def state(run: Path) -> Mapping[str, Any]:
    """What the quality process last said of itself: first article, challenge, charts, drift,
    health; empty where it does not run. For pages, which may ask often: it is read when it is
    another."""
    path = run / "quality.json"
    try:
        seen = path.stat()
        return _read(path, seen.st_ino, seen.st_mtime_ns)
    except (OSError, ValueError):
        return {}


@lru_cache(4)
def _read(path: Path, file: int, written_ns: int) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


if __name__ == "__main__":
    logs.run("quality", lambda: main(Path(sys.argv[1]), Path(sys.argv[2])))
