"""Whole stations on the virtual line, and what must be true of each of them in the end.

Two kinds of films. Bottles are judged by the shipped models. *Coded* parts carry a DataMatrix that
names the part on both views, ``G00017`` for a good and ``B00017`` for a bad one, and are judged by
reading it: a model's error cannot hide a fault of the line, and a picture that is taken for another
part's tells so.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import zxingcpp
from ruamel.yaml import YAML

from inspector import store
from inspector.identity import Principal, Role
from inspector.part import GateAction, Outcome, Verdict
from inspector.registers import PLC_BLOCK, PLC_REGISTERS, PlcStatus
from inspector.store.query import History, PartHistory
from inspector.trial import Plan, Trial, wait_for
from inspector.virtual.film import write_film
from inspector.virtual.filmset import FilmSet, render_set

SIZE = 128
GOOD, JUICE, BAD = "G", "J", "B"
ENGINEER = Principal("erika", frozenset({Role.ENGINEER}))
OPERATOR = Principal("otto", frozenset({Role.OPERATOR}))
LENIENT = {
    "clock": "trusted",
    "stop.rejects_in_a_row": 0,
    "stop.confirmation_failed": False,
    "stop.light_fault": False,
    "plc.timeout_ms": 1000,
}
"""Stations whose subject is no stop rule and no time-out, on a machine that may be busy."""


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> FilmSet:
    """Sixty water bottles, a quarter of them defective; fonts and textures that no model saw."""
    return render_set("bottle-line", 41, 60, tmp_path_factory.mktemp("films"), defect_rate=0.25)


@pytest.fixture(scope="session")
def juice(tmp_path_factory: pytest.TempPathFactory) -> FilmSet:
    """Thirty good juice bottles."""
    return render_set("juice-line", 42, 30, tmp_path_factory.mktemp("juice"), defect_rate=0.0)


@dataclass(frozen=True, slots=True)
class Coded:
    """Coded parts, and the recipes that judge them."""

    films: FilmSet
    recipe: Path
    """Passes good parts."""
    juice: Path
    """Passes the other product's parts."""
    kinds: str
    """``G``, ``J`` or ``B`` by film index."""


@pytest.fixture(scope="session")
def coded_parts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Coded]:
    """Makes a film of coded parts, one for each letter."""

    def make(kinds: str) -> Coded:
        folder = tmp_path_factory.mktemp("coded")
        noise = np.random.default_rng(len(kinds))
        pictures = []
        for index, kind in enumerate(kinds):
            code = zxingcpp.create_barcode(f"{kind}{index:05d}", zxingcpp.BarcodeFormat.DataMatrix)
            dots = np.array(code.to_image(scale=5))
            picture = np.full((SIZE, SIZE), 220, np.uint8)
            top, left = (SIZE - dots.shape[0]) // 2, (SIZE - dots.shape[1]) // 2
            picture[top : top + dots.shape[0], left : left + dots.shape[1]] = dots
            pictures.append(np.clip(picture, 20, 230))
        for view in ("side", "code"):
            frames = [p + noise.integers(0, 9, p.shape, np.uint8) for p in pictures]
            write_film(folder / f"{view}.film", frames, SIZE, SIZE, "Mono8")
        defect = {"label": "bad", "severity": "critical"}
        truth = [{"product": "", "defects": [defect] * (kind == BAD)} for kind in kinds]
        (folder / "truth.json").write_text(json.dumps(truth))
        (folder / "truth.json").chmod(0o600)
        card = {"product": "coded", "lot": "L", "date": "", "seed": 0, "count": len(kinds)}
        (folder / "film.json").write_text(json.dumps(card))
        recipes = [_recipe(folder, "coded", GOOD), _recipe(folder, "coded-juice", JUICE)]
        return Coded(FilmSet.open(folder), recipes[0], recipes[1], kinds)

    return make


@pytest.fixture(scope="session")
def coded(coded_parts: Callable[[str], Coded]) -> Coded:
    """Sixty coded parts, every fourth one bad."""
    return coded_parts("GGGB" * 15)


def _recipe(folder: Path, name: str, kind: str) -> Path:
    steps = [
        {
            "name": f"{view}-code",
            "kind": "code",
            "view": view,
            "params": {
                "formats": ["DataMatrix"],
                "expect": {"pattern": f"{kind}\\d{{5}}"},
                "try_harder": False,
            },
        }
        for view in ("side", "code")
    ]
    path = folder / f"{name}.yaml"
    with path.open("w") as file:
        YAML(typ="safe").dump({"name": name, "views": ["side", "code"], "tools": steps}, file)
    return path


class Auditor:
    """Reads a trial's ledger and the world's report as an auditor would."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        with History(trial.data, bound_s=30.0) as history:
            self.parts: tuple[PartHistory, ...] = history.last(1_000_000)[::-1]
            self.streams = [
                str(event.body["stream"]) for event in history.events("stream_opened", 1000)[::-1]
            ]
        self.world = trial.report()

    def by_number(self, stream: str | None = None) -> dict[int, PartHistory]:
        """The parts of one stream, or of the only one."""
        streams = {part.verdict.stream for part in self.parts}
        stream = stream or streams.pop()
        found = [part for part in self.parts if part.verdict.stream == stream]
        return {part.verdict.sequence: part for part in found}

    def verdicts(self) -> dict[int, Verdict]:
        """Of the only stream, by part number."""
        return {number: part.verdict for number, part in self.by_number().items()}

    def check(
        self,
        coded: Coded | None = None,
        *,
        in_order: bool = True,
        late_revokes: int = 0,
        by_flap: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Everything that holds of every station on every day.

        ``coded``: the film, whose parts came one after the other if ``in_order``.
        ``late_revokes``: how often a zone was lost, for a good part may be in the flap just then.
        ``by_flap``: what went through while the flap was stuck, by its name in the world's report.
        """
        self.every_trigger_has_one_verdict()
        self.every_verdict_names_what_made_it()
        self.only_recorded_passes_were_permitted()
        assert self.world["unjudged_passed"] == by_flap.get("unjudged_passed", 0), self.world
        assert self.world["revoked_passed"] <= late_revokes, self.world
        if coded is not None:
            self.every_part_was_judged_by_its_own_pictures(coded, in_order)
            assert self.world["escapes"] == by_flap.get("escapes", 0), self.world
        report = store.verify(self.trial.data)
        assert report.ok, str(report)

    def every_trigger_has_one_verdict(self) -> None:
        """I1, for a world whose PLC counted in one run."""
        numbers = [(part.verdict.stream, part.verdict.sequence) for part in self.parts]
        assert len(set(numbers)) == len(numbers)
        if len(set(self.streams)) == 1:
            assert sorted(self.verdicts()) == list(range(1, self.world["triggers"] + 1))

    def every_verdict_names_what_made_it(self) -> None:
        """I3."""
        verdicts = [part.verdict for part in self.parts]
        assert len({v.part_id for v in verdicts}) == len(verdicts)
        assert all(v.part_id.version == 7 for v in verdicts)
        for v in verdicts:
            assert v.station and v.stream and v.batch and v.software
            assert "@" in v.recipe and len(v.recipe_digest) == 64
            assert v.times.boot_id and v.times.utc_ns and v.times.verdict_ns
            if v.outcome in (Outcome.PASS, Outcome.REJECT):
                assert 0 < v.times.trigger_ns <= v.times.frame_ns + 10_000_000, v
                assert v.times.frame_ns < v.times.verdict_ns, v
            assert bool(v.reasons) == (v.outcome is not Outcome.PASS), v

    def only_recorded_passes_were_permitted(self) -> None:
        """I2, as the ledger has it."""
        for part in self.parts:
            permits = [g for g in part.gates if g.action is GateAction.PERMIT]
            assert len(permits) <= 1, part
            if permits:
                assert part.verdict.outcome in (Outcome.PASS, Outcome.NOT_INSPECTED), part
                assert part.verdict.times.verdict_ns <= permits[0].decided_ns, part

    def every_part_was_judged_by_its_own_pictures(self, coded: Coded, in_order: bool) -> None:
        """The codes on both views name one and the same part, and it is the one that came."""
        for part in self.parts:
            v = part.verdict
            codes = {f.text for f in v.findings if f.text}
            if not codes or v.outcome is Outcome.ERROR:
                continue
            assert len(codes) == 1, v
            code = str(codes.pop())
            assert code[0] == coded.kinds[int(code[1:])]
            if in_order:
                assert int(code[1:]) == (v.sequence - 1) % len(coded.kinds), v
            if v.outcome is Outcome.PASS:
                assert code[0] != BAD, v

    def summary(self) -> dict[str, Any]:
        """For the message of a failed test."""
        outcomes = [str(part.verdict.outcome) for part in self.parts]
        return {name: outcomes.count(name) for name in sorted(set(outcomes))} | self.world


@pytest.fixture(scope="session")
def audit() -> Callable[[Trial], Auditor]:
    """An auditor of a trial that has ended."""
    return Auditor


@pytest.fixture(scope="session")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Plan]:
    """A plan for coded parts without end, or so many, at 25 parts/s unless it says otherwise."""

    def make(coded: Coded, *, recipes: Iterable[Path] = (), **fields: Any) -> Plan:
        station = LENIENT | {"store.reserve_mb": 0, "store.stop_mb": 0} | fields.pop("station", {})
        return Plan(
            coded.films,
            tmp_path_factory.mktemp("trial"),
            recipes=tuple(recipes) or (coded.recipe,),
            station=station,
            **{"rate": 25.0} | fields,
        )

    return make


class Watch:
    """Waits for what a running trial does, never for time to go by."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    def until(self, condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
        if not wait_for(condition, seconds):
            pytest.fail(f"{what}: not in {seconds:g} s\n{self.trial.now()}\n{self.tail()}")

    def reach(self, part: int) -> None:
        """Until the PLC has counted ``part``."""
        self.until(lambda: self.trial.now()["triggers"] >= part, f"part {part} did not come")

    def go_on(self, parts: int) -> None:
        """Until so many more parts were counted."""
        self.reach(self.trial.now()["triggers"] + parts)

    def passes(self, more: int = 3) -> None:
        """Until ``more`` further parts have come to the good side."""
        wanted = self.trial.now()["gate_passed"] + more
        self.until(lambda: self.trial.now()["gate_passed"] >= wanted, "nothing passes")

    def finish(self, parts: int = 10, seconds: float = 60.0) -> None:
        """Feed ``parts`` more, let the last one leave and its record be written, end both."""
        trial = self.trial
        if not trial.plan.parts:
            trial.act("feed", count=parts)
        self.until(lambda: trial.now()["state"] == "done", "the last part did not leave", seconds)
        last = PlcStatus.unpack(asked(trial.port, 3, PLC_BLOCK, PLC_REGISTERS)[2:]).part_counter

        def recorded() -> bool:
            with History(trial.data, bound_s=30.0) as history:
                (newest,) = history.last(1)
            return newest.verdict.sequence == last and bool(newest.gates)

        self.until(recorded, "the last part is not on record", 20.0)
        trial.stop_station()
        trial.stop()

    def tail(self) -> str:
        return self.trial.log()[-3000:]


@pytest.fixture(scope="session")
def watch() -> Callable[[Trial], Watch]:
    """Whoever waits for a running trial."""
    return Watch


def asked(port: int, function: int, address: int, count: int) -> bytes:
    """What a PLC answers: the PDU, to a client that shares no line of code with the station."""
    with socket.create_connection(("127.0.0.1", port), 5.0) as line:
        line.sendall(struct.pack(">HHHBBHH", 7, 0, 6, 1, function, address, count))
        answer = b""
        while len(answer) < 6 or len(answer) < 6 + int.from_bytes(answer[4:6], "big"):
            more = line.recv(512)
            assert more, "closed"
            answer += more
    return answer[7:]


@pytest.fixture(scope="session")
def ask() -> Callable[..., bytes]:
    """``asked``, for tests."""
    return asked
