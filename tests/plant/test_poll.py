"""The Modbus server for PLCs that poll: its map, its page, and clients of other makes. (S1)"""

from __future__ import annotations

import re
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from patch_cable import PatchCable
from scada_line import ScadaProcess

from inspector.plant.poll import LAYOUT, REGISTERS, pack
from inspector.trial import Trial

PAGE = Path(__file__).parent.parent.parent / "docs" / "scada.md"
STATUS: dict[str, Any] = {
    "ready": True, "running": True, "paused": False, "mode": "challenge", "batch": "L2417A",
    "recipe": "bottle-line@3", "parts_per_s": 20.0, "latency_ms": {"p99": 17.4},
    "counts": {"parts": 70_000, "passed": 69_900, "rejected": 90, "errors": 9, "not_inspected": 1},
    "alarms": [{"code": "bin_full", "stops": True}],
}  # fmt: skip


def registers(raw: bytes) -> list[int]:
    return list(struct.unpack(f">{REGISTERS}H", raw))


def test_the_block_says_what_the_heartbeat_said() -> None:
    block = registers(pack(STATUS, True, 65_537))

    assert block[:4] == [LAYOUT, 1, 0b110111, 3]
    assert block[4] << 16 | block[5] == 70_000
    assert block[14] << 16 | block[15] == 12_000
    assert block[16:18] == [174, 1]
    text = b"".join(word.to_bytes(2, "big") for word in block[22:])
    assert text[:32].rstrip(b"\0") == b"L2417A"
    assert text[32:].rstrip(b"\0") == b"bottle-line"


def test_a_lost_line_is_neither_alive_nor_ready() -> None:
    assert registers(pack(STATUS, False, 0))[2] & 0b111 == 0


def test_a_text_is_cut_behind_a_whole_character() -> None:
    """Half of one would be no UTF-8, which the page promises."""
    raw = pack(STATUS | {"batch": "批次" * 10, "recipe": "a" * 31 + "é@1"}, True, 0)
    assert raw[44:76] == ("批次" * 5).encode() + b"\0\0"
    assert raw[76:108] == b"a" * 31 + b"\0"


def test_nothing_heard_yet_is_no_error() -> None:
    assert registers(pack({}, False, 0))[:4] == [LAYOUT, 0, 0, 255]


def test_the_page_has_every_register() -> None:
    text = PAGE.read_text()
    rows = re.findall(r"^\| (\d+)(?:–(\d+))? \|", text[text.index("## Modbus") :], re.M)
    told = [n for first, last in rows for n in range(int(first), int(last or first) + 1)]
    assert told == list(range(REGISTERS))


@pytest.fixture(scope="module")
def poll(tmp_path_factory: pytest.TempPathFactory, scada_trial: Trial) -> Iterator[int]:
    """The port of a running line's server."""
    process = served(scada_trial, tmp_path_factory.mktemp("poll"))
    yield int(process.read("poll.url").rsplit(":", 1)[1])
    process.stop()


def served(trial: Trial, folder: Path) -> ScadaProcess:
    process = ScadaProcess(trial, folder, {"poll": {"port": 0}})
    process.start("poll.url")
    return process


def request(port: int, function: int, first: int, count: int, more: bytes = b"") -> bytes:
    """One request as a PLC's firmware makes it, byte by byte; the answer's function and data."""
    with socket.create_connection(("127.0.0.1", port), 5) as plc:
        body = struct.pack(">BBHH", 1, function, first, count) + more
        plc.sendall(struct.pack(">HHH", 7, 0, len(body)) + body)
        head = plc.recv(7, socket.MSG_WAITALL)
        if len(head) < 7:
            raise ConnectionError("no answer")
        length = int.from_bytes(head[4:6], "big") - 1
        return plc.recv(length, socket.MSG_WAITALL)


def test_a_raw_client_reads_the_running_line(poll: int) -> None:
    end = time.monotonic() + 15
    while True:
        answer = request(poll, 3, 0, REGISTERS)
        assert answer[0] == 3 and answer[1] == 2 * REGISTERS
        block = registers(answer[2:])
        if block[2] & 1 and block[5]:
            break
        assert time.monotonic() < end, block
        time.sleep(0.1)
    again = registers(request(poll, 4, 0, REGISTERS)[2:])
    assert again[1] != block[1]
    text = b"".join(word.to_bytes(2, "big") for word in again[38:])
    # the line is shared, and who was there before may have changed it over
    assert text.rstrip(b"\0") in (b"bottle-line", b"juice-line") and again[22]


def test_nothing_can_be_written(poll: int) -> None:
    answer = request(poll, 16, 0, 1, b"\x02\x00\x07")

    assert answer[0] == 16 | 0x80


def test_a_cut_cable_costs_one_request(poll: int) -> None:
    with PatchCable(poll) as cable:
        assert request(cable.port, 3, 0, 1)[2:] == b"\x00\x01"
        cable.cut()
        with pytest.raises(OSError):
            assert request(cable.port, 3, 0, 1)[0] == 3
        cable.mend()
        assert request(cable.port, 3, 0, 1)[2:] == b"\x00\x01"


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="MBPOLL MISSING: no foreign client")
def test_mbpoll_reads_it(poll: int) -> None:
    command = ["mbpoll", "-1", "-t", "4", "-r", "1", "-c", "4", "-p", str(poll), "127.0.0.1"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert told.returncode == 0, told.stderr
    assert re.search(r"\[1\]:\s+1$", told.stdout, re.M), told.stdout
