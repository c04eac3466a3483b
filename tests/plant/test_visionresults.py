"""Results as OPC UA clients ask for them, from the ledger: by every field that a result shows, with
the job, the measurement and the product that its part had. (S10, I9)"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua
from obeying_line import Obeying
from structlog.testing import capture_logs

from inspector.bus import run_dir
from inspector.identity import Action, Principal, Role
from inspector.part import Batch, Verdict, boot_id
from inspector.plant import desk
from inspector.plant.desk import Line
from inspector.plant.opcua import VisionServer
from inspector.plant.vision import Facts, Method
from inspector.plant.visionmethods import HEARD_S, VisionMethods
from inspector.plant.visionpeople import CALLER
from inspector.plant.visionresults import DONE, UNKNOWN, VisionResults
from inspector.plant.visionspace import Space
from inspector.store import LineLedger
from inspector.store.bench import sample_verdict

FILTERS = ("MeasId", "PartId", "ExternalRecipeId", "InternalRecipeId", "ExternalConfigurationId",
           "InternalConfigurationId", "ProductId", "JobId")  # fmt: skip


def judged(number: int, **which: Any) -> Verdict:
    """A part that was judged just now, on this machine."""
    verdict = sample_verdict(number, **which)
    return replace(verdict, times=replace(verdict.times, boot_id=boot_id()))


class Station:
    """Two batches, of which the second runs."""

    def __init__(self, data: Path) -> None:
        self.old, self.new = judged(1, batch="A"), judged(2, batch="B", serial="S2")
        with LineLedger.open(data, station="ST-01") as ledger:
            for verdict, product in ((self.old, "juice"), (self.new, "water")):
                ledger.add_batch(Batch(verdict.batch, product, "bottle"), "begin", "line")
                ledger.add_verdict(verdict)
        file: Any = SimpleNamespace(station="ST-01", data=data, recipes=())
        section: Any = SimpleNamespace()
        self.line = Line(file, run_dir(data))
        self.server = VisionServer(file, section)
        nothing: Any = None
        self.server.space = Space(nothing, 2, False, nothing, nothing, nothing)
        self.server.status = {"batch": "B", "product": "water", "recipe": "bottle@3"}
        self.results = VisionResults(self.server, self.line)

    def listed(self, **wanted: str) -> list[str]:
        """The ids of the results that fit."""
        texts = [ua.Variant(wanted.get(name, "")) for name in FILTERS]
        page = [ua.Variant(0), ua.Variant(0), ua.Variant(0)]
        answer = asyncio.run(self.results.filtered(ua.NodeId(), ua.Variant(0), *texts, *page))
        assert isinstance(answer, list)
        return [json.loads(one)["ResultId"] for one in json.loads(answer[3].Value)]

    def asked(self, verdict: Verdict) -> dict[str, str]:
        id = ua.Variant(str(verdict.part_id))
        answer = asyncio.run(self.results.by_id(ua.NodeId(), id, ua.Variant(0)))
        assert isinstance(answer, list)
        return dict(json.loads(answer[1].Value))


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    station = Station(tmp_path)
    yield station
    station.line.close()


def test_an_old_result_says_the_job_and_product_of_its_part_and_not_of_today(
    station: Station,
) -> None:
    job = station.server.jobs.begin("M-7", station.new.times.verdict_ns)
    old, new = station.asked(station.old), station.asked(station.new)
    assert (old["JobId"], old["ProductId"], old["MeasId"]) == ("A", "juice", "plc-1/1")
    assert (new["JobId"], new["ProductId"], new["MeasId"]) == (job.id, "water", "M-7")


def test_a_part_is_of_the_job_under_way_whatever_the_clock_says(station: Station) -> None:
    """UTC that was set back, as by NTP after a start without network, gave it to another job; and
    the clock that decides begins anew with the machine."""
    jobs, times = station.server.jobs, station.new.times
    job = jobs.begin("M-7", times.verdict_ns)
    back = replace(station.new, times=replace(times, utc_ns=times.utc_ns - 3_600_000_000_000))
    before = replace(station.new, times=replace(times, boot_id="the boot before"))
    assert (jobs.of(back)[0], jobs.of(before)[0]) == (job.id, "B")


def test_results_are_found_by_every_field_that_they_show(station: Station) -> None:
    job = station.server.jobs.begin("M-7", station.new.times.verdict_ns)
    new, old = str(station.new.part_id), str(station.old.part_id)
    assert station.listed() == [new, old]
    for name, wanted, found in (
        ("JobId", job.id, [new]), ("JobId", "A", [old]), ("JobId", "job-of-nobody", []),
        ("MeasId", "M-7", [new]), ("MeasId", "plc-1/1", [old]), ("MeasId", "M-8", []),
        ("ProductId", "juice", [old]), ("ProductId", "beer", []), ("PartId", "S2", [new]),
        ("InternalConfigurationId", "ST-01", [new, old]), ("InternalConfigurationId", "ST-02", []),
        ("ExternalConfigurationId", "anything", []), ("ExternalRecipeId", "bottle", [new, old]),
    ):  # fmt: skip
        assert station.listed(**{name: wanted}) == found, (name, wanted)


def test_a_product_that_nobody_knows_starts_nothing(station: Station) -> None:
    """The line ran what it had, and the client believed that it was what it had asked for."""
    obeying = Obeying(run_dir(station.line.data))
    methods = VisionMethods(station.server, station.line)
    station.server.vision.heard(Facts(True, True))

    async def start() -> Any:
        CALLER.set(Principal("olga", frozenset({Role.OPERATOR})))
        given = [ua.Variant(text) for text in ("M-1", "", "", "beer", "")]
        return await methods._starter(Method.START_CONTINUOUS)(ua.NodeId(), *given)

    try:
        job, error = asyncio.run(start())
        assert (job.Value, error.Value) == ("", UNKNOWN)
        assert not obeying.commands and station.server.jobs.now is None
    finally:
        obeying.close()


def test_a_single_job_is_of_the_first_part_after_its_start(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be judged before the line's answer has come: a robot's one trigger was two parts. One
    from before the start is none. Who started it does not wait for a heartbeat in between: there
    may be none."""
    asked: list[Action] = []
    methods = VisionMethods(station.server, station.line)
    station.server.vision.heard(Facts(True, True))
    heartbeat: Any = station.line.heartbeat
    heartbeat.body, heartbeat._sent_ns = {"paused": True}, time.monotonic_ns()
    monkeypatch.setattr(desk, "FRESH_S", 60.0)
    times = station.old.times
    old = replace(sample_verdict(3), times=replace(times, verdict_ns=time.monotonic_ns() - 1))

    async def ask(action: Action, args: Any) -> int:
        asked.append(action)
        if action is Action.RESUME:
            await methods.judged(old)
            assert asked == [Action.RESUME]
            now = replace(times, verdict_ns=time.monotonic_ns())
            for number in (4, 5):
                await methods.judged(replace(sample_verdict(number), times=now))
        return DONE

    monkeypatch.setattr(methods, "_ask", ask)
    monkeypatch.setattr(station.server, "show", nothing)
    monkeypatch.setattr(station.server, "heard", nothing)
    monkeypatch.setattr(station.server, "tell", nothing)

    async def start() -> Any:
        CALLER.set(Principal("olga", frozenset({Role.OPERATOR})))
        given = [ua.Variant(text) for text in ("M-1", "", "", "", "")]
        return await methods._starter(Method.START_SINGLE)(ua.NodeId(), *given)

    began = time.monotonic()
    _, error = asyncio.run(start())
    assert time.monotonic() - began < HEARD_S
    assert error.Value == DONE and asked == [Action.RESUME, Action.PAUSE]
    assert not station.server.vision.single


def test_a_single_job_that_stops_nothing_is_said(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line ran on, and nobody was told: whoever had started it had his answer already."""
    methods = VisionMethods(station.server, station.line)
    methods._single = (
        Principal("olga", frozenset({Role.OPERATOR})),
        station.server.jobs.begin("", 0),
    )
    station.server.vision.single = True
    monkeypatch.setattr(station.server, "heard", nothing)
    with capture_logs() as logs:
        asyncio.run(methods.judged(station.new))  # there is no line here
    assert [one["event"] for one in logs] == ["the line was not stopped behind its single job"]


async def nothing(*_: Any, **__: Any) -> None:
    """Nobody listens."""
