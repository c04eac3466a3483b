"""The quality process: ``python -m inspector.quality.process STATION RUN``.

Enters: the ledger's tail, the line's heartbeat, now and then a picture. Leaves: records at the desk
(``first_article``, ``challenge``, ``spc``, ``drift``, ``health``, ``maintenance``, holds), the
state for pages in ``<run>/quality.json``, and conditions for the line to show or to stop for. It
follows the line and never stands in its way: it reads the ledger by position, and a line without
it goes on inspecting, only that what awaits a signature stays awaiting one.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from inspector import logs
from inspector.beat import Beat, Ending
from inspector.bus import BusError, CommandClient, NoAnswer, run_dir
from inspector.config import Quality, Station, load_station
from inspector.display import DisplayReader, Topic
from inspector.identity import Action, Principal, Role
from inspector.quality import first_article, health, signing
from inspector.quality.errors import QualityError
from inspector.quality.follow import Follower
from inspector.quality.looks import archived, looks_of
from inspector.quality.sheets import Sheets
from inspector.store import DeskLedger, History, StoreError
from inspector.store.cursor import records_after
from inspector.store.tags import FILE as TAGS
from inspector.store.tags import Tags

log = structlog.get_logger()

LOOK_S = 0.1
"""How often the ledger's end is looked at."""
PORTION = 500
"""Records a look takes in, so that the beat goes on while a long night is caught up with."""
FIGURES_S = 60.0
"""How often the equipment is sampled …"""
HEALTH_S = 3600.0
"""… and how often its state is recorded."""
PICTURE_S = 2.0
"""How often a picture is asked for: the line encodes none for us in between."""
RETRY_S = 5.0
STATE_S = 0.5
"""How often the state of a first article or a challenge is written, if it is another …"""
CHARTS_S = 2.0
"""… and how often the charts' is: 50 kB, that cost as much as following the parts does."""
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
    try:
        while not ending.is_set():
            beat.beat()
            if not watching.turn(time.time_ns()):
                ending.wait(LOOK_S)
    finally:
        watching.close()


class Watching:
    """The loop's state: everything that can be made anew from the ledger, and open sockets."""

    def __init__(self, station: Station, plan: Quality, run: Path) -> None:
        self._station, self._plan, self._run, self._data = station, plan, run, station.data
        self._client = CommandClient(run)
        self._status = DisplayReader(run, Topic.STATUS)
        self._pictures: DisplayReader | None = None
        self._picture_due = 0.0
        self._history: History | None = None
        self._tags: Tags | None = None
        self._at = -1
        self._follower: Follower | None = None
        self._written = b""
        self._asked: dict[str, Any] = {}
        self._due = dict.fromkeys(("figures", "health", "release", "state", "charts"), 0.0)
        self._shown: dict[str, str] = {}
        self._awaits = ""
        self._sheets = Sheets(self._data)
        self._owed: list[tuple[Action, dict[str, Any]]] = []

    def turn(self, utc_ns: int) -> bool:
        """One round; whether there is more to read at once."""
        if self._follower is None and not self._begin():
            time.sleep(LOOK_S)
            return False
        assert self._follower is not None and self._history is not None
        records, self._at = records_after(self._history, self._at, PORTION)
        for position, record in records:
            self._do(self._follower.record(position, record))
        if len(records) < PORTION:
            self._do(self._follower.at(utc_ns))
            self._listen(utc_ns)
        self._tell()
        self._sheets.turn()
        self._show(utc_ns)
        return len(records) == PORTION

    def close(self) -> None:
        """Let go of everything."""
        self._client.close()
        self._status.close()
        if self._pictures is not None:
            self._pictures.close()
        if self._history is not None:
            self._history.close()
        if self._tags is not None:
            self._tags.close()

    def _begin(self) -> bool:
        """Open the ledger, and go back to where the charts and the last challenge begin."""
        try:
            self._history = History(self._data, bound_s=10.0)
        except StoreError:
            return False  # the line has never run here
        self._follower, self._at = Follower.resume(
            self._station, self._plan, self._history,
            lambda image: archived(self._data, image), self._tags_at,
        )  # fmt: skip
        # Orders that stand are said again only where the equipment is still ill.
        log.info("following the line", after=self._at)
        return True

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
        """The heartbeat and, at intervals, a picture."""
        assert self._follower is not None
        now = time.monotonic()
        if self._pictures is None and now >= self._picture_due:
            self._pictures = DisplayReader(self._run, Topic.PASS)
        if self._pictures is not None and (message := self._pictures.receive()) is not None:
            self._do(self._follower.picture(message.body, looks_of(message), utc_ns))
            self._pictures.close()
            self._pictures = None
            self._picture_due = now + PICTURE_S
        status = self._status.receive()
        if status is None:
            return
        if now >= self._due["figures"]:
            self._due["figures"] = now + FIGURES_S
            figures = {k: float(v) for k, v in status.body.get("figures", {}).items()
                       if isinstance(v, int | float)}  # fmt: skip
            self._do(self._follower.figures(utc_ns, figures))
        if now >= self._due["health"] and self._follower.health.indicators:
            self._due["health"] = now + HEALTH_S
            body = {"indicators": self._follower.health.state()}
            self._do([(health.KIND, body)])
        awaits = str(status.body.get("awaits") or "")
        if self._awaits and awaits != self._awaits and signing.article(self._data, self._awaits):
            self._sheets.want(self._awaits)  # once more: its signature is on it now
        self._awaits = awaits
        if awaits and now >= self._due["release"]:
            self._due["release"] = now + RETRY_S
            self._release(status.body)

    def _release(self, body: Mapping[str, Any]) -> None:
        """All is signed and the line died before it heard of it: tell it."""
        wanted = signing.Awaited(
            str(body["awaits"]), tuple(body.get("needs") or ()), str(body.get("batch", "")),
            str(body.get("recipe", "")),
        )  # fmt: skip
        with contextlib.suppress(QualityError, BusError, StoreError):
            signing.release(self._data, self._run, wanted, ME)

    def _do(self, entries: list[tuple[str, dict[str, Any]]]) -> None:
        """Record, and show on the line what stops it or wants a person."""
        if not entries:
            return
        with DeskLedger.open(self._data) as desk:
            for kind, body in entries:
                if kind == "show":
                    self._announce(**body)
                    continue
                desk.add(kind, body, ME.id)
                log.info("recorded", kind=kind, what=str(body)[:200])
                if kind == first_article.KIND:
                    self._sheets.want(str(body["id"]))

    def _announce(self, code: str, detail: str, on: bool = True, stop: bool = False) -> None:
        if not stop and self._shown.get(code, "") == (detail if on else ""):
            return
        self._shown[code] = detail if on else ""
        args = {"code": code, "detail": detail, "on": on, "stop": stop}
        self._owed.append((Action.ANNOUNCE, args))

    def _tell(self) -> None:
        """Give the line what it is owed; a line that is away hears it when it is back."""
        while self._owed:
            action, args = self._owed[0]
            try:
                answer = self._client.send(action, args, ME, 0.5)
            except NoAnswer:
                return
            if not answer.ok:
                log.error("the line refuses", action=str(action), why=answer.error)
            self._owed.pop(0)

    def _show(self, utc_ns: int) -> None:
        now = time.monotonic()
        if now < self._due["state"] or self._follower is None:
            return
        self._due["state"] = now + STATE_S
        asked = self._follower.asked()
        if asked == self._asked and now < self._due["charts"]:
            return
        self._due["charts"], self._asked = now + CHARTS_S, asked
        text = json.dumps(self._follower.state(), default=str).encode()
        if text != self._written:
            self._written = text
            new = self._run / "quality.json.new"
            new.write_bytes(text)
            new.replace(self._run / "quality.json")


def state(run: Path) -> dict[str, Any]:
    """What the quality process last said of itself: first article, challenge, charts, drift,
    health; empty where it does not run. For pages."""
    try:
        found: dict[str, Any] = json.loads((run / "quality.json").read_text())
    except (OSError, ValueError):
        return {}
    return found


if __name__ == "__main__":
    logs.run("quality", lambda: main(Path(sys.argv[1]), Path(sys.argv[2])))
