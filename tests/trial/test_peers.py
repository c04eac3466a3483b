"""Bad peers at the other end of the station's Modbus link (I2, I5), and a foreign one beside it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import struct
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest

from inspector.registers import LAYOUT, PLC_BLOCK, PLC_REGISTERS, STATION_BLOCK, PlcStatus
from inspector.store.query import History
from inspector.trial import Plan, Trial

MBAP = 7
TROUBLES = (
    "garbage", "trickle", "silent", "closes", "exception", "short", "other layout",
    "other transaction", "corrupt decisions", "duplicated",
)  # fmt: skip


class BadCable:
    """A TCP proxy between station and PLC that spoils what goes through, as ``mode`` says."""

    def __init__(self) -> None:
        self.mode = ""
        self.spoilt = 0
        self._dice = random.Random(3)
        self._loop = asyncio.new_event_loop()
        self._plc_port = 0
        self._ends: set[asyncio.StreamWriter] = set()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def connect(self, plc_port: int) -> None:
        self._plc_port = plc_port

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    def _run(self, started: threading.Event) -> None:
        self._loop.run_until_complete(self._serve(started))
        self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        self._ending, self._over = asyncio.Event(), asyncio.Event()
        server = await asyncio.start_server(self._attend, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._ending.wait()
        server.close()
        self._over.set()
        # Nobody is cancelled, for a connection that is just being opened would be lost unclosed:
        # every end is cut off until all have noticed, those just accepted too.
        while asyncio.all_tasks() - {asyncio.current_task()}:
            for end in self._ends:
                end.transport.abort()
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.02)

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plc: asyncio.StreamWriter | None = None
        self._ends.add(writer)
        try:
            answers, plc = await asyncio.open_connection("127.0.0.1", self._plc_port)
            self._ends.add(plc)
            while True:
                request = await _message(reader)
                if self.mode == "corrupt decisions" and request[MBAP] == 23:
                    self.spoilt += 1
                    at = len(request) - 1 - self._dice.randrange(16 * 12)
                    request = request[:at] + bytes([request[at] ^ 0x41]) + request[at + 1 :]
                plc.write(request)
                answer = await _message(answers)
                await self._answer(writer, answer)
        except (OSError, EOFError):
            pass
        finally:
            ends = [end for end in (writer, plc) if end is not None]
            for end in ends:
                end.close()
            for end in ends:
                with contextlib.suppress(OSError):
                    await end.wait_closed()
            self._ends.difference_update(ends)

    async def _answer(self, writer: asyncio.StreamWriter, answer: bytes) -> None:
        dice, mode = self._dice, self.mode
        self.spoilt += mode not in ("", "corrupt decisions")
        match mode:
            case "garbage":
                writer.write(dice.randbytes(len(answer)))
            case "trickle":
                for byte in answer:
                    if writer.is_closing():
                        raise EOFError
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.05)
            case "silent":  # until the very end
                await self._over.wait()
            case "closes":
                writer.write(answer[: dice.randrange(len(answer))])
                writer.close()
                raise EOFError
            case "exception":
                writer.write(answer[:4] + struct.pack(">HBBB", 3, answer[6], answer[7] | 0x80, 4))
            case "short":
                body = answer[6:9] + b"\0" * 20
                writer.write(answer[:4] + struct.pack(">H", len(body)) + body)
            case "other layout":
                layout = struct.pack(">H", LAYOUT + 1)
                writer.write(answer[: MBAP + 2] + layout + answer[MBAP + 4 :])
            case "other transaction":
                writer.write(bytes([answer[0] ^ 1]) + answer[1:])
            case "duplicated":
                writer.write(answer + answer)
            case _:
                writer.write(answer)
        await writer.drain()


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(6)
    return head + await reader.readexactly(int.from_bytes(head[4:], "big"))


@pytest.fixture(scope="module")
def linked(
    coded: Any,
    plan: Callable[..., Plan],
    watch: Callable[[Trial], Any],
    audit: Callable[[Trial], Any],
    ask: Callable[..., bytes],
) -> Any:
    """Every trouble on the cable for a while, and again and again a whole one."""
    cable = BadCable()
    facts: dict[str, Any] = {"permits": {}}
    station = {"plc.port": cable.port, "plc.timeout_ms": 200}
    trial = Trial(plan(coded, travel_s=0.5, station=station))
    try:
        trial.start_world()
        cable.connect(trial.port)
        trial.start_station()
        seen = watch(trial)
        seen.passes()
        facts["pids"] = trial.pids()
        facts["before"] = trial.now()["triggers"]
        facts["foreign"] = PlcStatus.unpack(ask(trial.port, 3, PLC_BLOCK, PLC_REGISTERS)[2:])
        facts["after"] = trial.now()["triggers"]
        facts["station block"] = ask(trial.port, 3, STATION_BLOCK, 4)
        facts["mbpoll"] = _mbpoll(trial.port)
        for trouble in TROUBLES:
            cable.spoilt, cable.mode = 0, trouble
            seen.until(lambda: cable.spoilt >= 3 or cable.mode == "silent", trouble)
            seen.go_on(8)
            cable.mode = ""
            seen.passes(2)
        trial.act("cut", ms=700)
        seen.go_on(12)
        seen.passes(2)
        trial.act("slow", ms=1500)
        seen.go_on(20)  # more than stood between eye and gate
        before = trial.now()["gate_passed"]
        seen.go_on(20)
        facts["passed while dead slow"] = trial.now()["gate_passed"] - before
        trial.act("slow", on=False)
        seen.passes()
        facts["pids at the end"] = trial.pids()
        seen.finish()
        yield audit(trial), facts
    finally:
        trial.stop()
        cable.close()


def _mbpoll(port: int) -> str:
    program = shutil.which("mbpoll")
    if program is None:
        return ""
    command = [program, "-m", "tcp", "-p", str(port), "-a", "1", "-r", "1", "-c", "1", "-1"]
    done = subprocess.run([*command, "127.0.0.1"], capture_output=True, text=True, check=False)
    return done.stdout


def test_no_bad_peer_lets_anything_unjudged_through(linked: Any, coded: Any) -> None:
    auditor, _ = linked
    auditor.check(coded, late_revokes=len(TROUBLES))


def test_no_bad_peer_ends_a_process(linked: Any) -> None:
    _, facts = linked
    assert facts["pids"] == facts["pids at the end"]


def test_nothing_passes_a_plc_that_hears_the_station_too_late(linked: Any) -> None:
    _, facts = linked
    assert facts["passed while dead slow"] == 0


def test_a_lost_link_is_recorded_with_its_cause(linked: Any) -> None:
    auditor, _ = linked
    with History(auditor.trial.data) as history:
        causes = " | ".join(
            str(e.body["why"]) for e in history.events("gate_link", 1000) if not e.body["up"]
        )
    for cause in ("register layout", "does not fit", "no answer"):
        assert cause in causes, causes


def test_a_foreign_client_reads_the_plc_while_the_line_runs(linked: Any) -> None:
    _, facts = linked
    status = facts["foreign"]
    assert status.layout == LAYOUT
    assert facts["before"] <= status.part_counter <= facts["after"]
    assert facts["station block"][:2] == bytes([3, 8])
    assert int.from_bytes(facts["station block"][2:4], "big") == LAYOUT


def test_mbpoll_reads_the_plc_while_the_line_runs(linked: Any) -> None:
    _, facts = linked
    if not facts["mbpoll"]:
        pytest.skip("MBPOLL NOT TESTED: it is not installed; a raw socket did its part")
    assert "[1]" in facts["mbpoll"], facts["mbpoll"]
