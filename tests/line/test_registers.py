"""docs/modbus.md is what a PLC's programmer builds from: it must say what registers.py does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plc_blocks import plc_status

from inspector.line.modes import INDEX
from inspector.line.outputs import Outputs
from inspector.registers import (
    DECISIONS,
    HEARTBEAT_TIMEOUT_MS,
    LAYOUT,
    OUTPUTS,
    PLC_BLOCK,
    PLC_HEAD_BYTES,
    PLC_REGISTERS,
    STATION_BLOCK,
    STATION_REGISTERS,
    TRIGGERS,
    U32,
    Action,
    Decision,
    GateReason,
    PlcStatus,
    StationBit,
    Trigger,
    output_bit,
    pack_station,
    station_run,
    unpack_station,
)

PAGE = (Path(__file__).parents[2] / "docs" / "modbus.md").read_text()


def words(raw: bytes) -> list[int]:
    return [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]


def register(name: str) -> int:
    """Where the page says that ``name`` is."""
    match = re.search(rf"^\| (\d+)(?:–\d+)? \| {name} \|", PAGE, re.M)
    assert match, f"docs/modbus.md has no register {name!r}"
    return int(match[1])


def test_every_field_of_the_plc_block_stands_where_the_page_says() -> None:
    fields = {
        "heartbeat": 2, "zone epoch": 3, "part counter": 4, "encoder": 5, "infeed": 6,
        "rejects commanded": 7, "rejects confirmed": 8, "acknowledged": 9, "check failures": 10,
        "gate passed": 1, "gate part": 12, "PLC clock": 13, "run": 14,
    }  # fmt: skip
    names = {"PLC clock": "plc_ms"}
    wide = {"part counter", "encoder", "infeed", "rejects commanded", "rejects confirmed",
            "acknowledged", "gate part", "PLC clock", "run"}  # fmt: skip
    for name, value in fields.items():
        attribute = names.get(name, name.replace(" ", "_"))
        block = words(replace(plc_status(run=0, layout=0), **{attribute: value}).pack())
        zero = words(plc_status(run=0, layout=0, heartbeat=0).pack())
        at = [i for i, (a, b) in enumerate(zip(block, zero, strict=True)) if a != b]
        at = [i for i in at if i != 1 or name == "heartbeat"]
        assert at == [register(name) + (name in wide)], name
    assert register("layout") == PLC_BLOCK
    assert register("triggers") == PLC_HEAD_BYTES // 2


def test_the_sizes_and_limits_are_those_of_the_page() -> None:
    assert f"First register {PLC_BLOCK}, {PLC_REGISTERS} registers." in PAGE
    assert f"First register {STATION_BLOCK}, {STATION_REGISTERS} registers." in PAGE
    assert f"ring of {TRIGGERS} entries of 6 registers" in PAGE
    assert f"ring of {DECISIONS} entries of 6 registers" in PAGE
    assert f"within the last {HEARTBEAT_TIMEOUT_MS} ms" in PAGE
    assert f"| 200 | layout | {LAYOUT};" in PAGE
    for action in Action:
        assert not action or f"| {action.value} {action.name.lower()} |" in PAGE
    for reason in GateReason:
        name = "by-pass" if reason is GateReason.BYPASS else reason.name.lower()
        assert f"| {reason.value} {name} |" in PAGE
    for mode, index in INDEX.items():
        assert f"{index} {'by-pass' if mode == 'bypass' else mode}" in PAGE


def test_the_two_examples_of_the_page_have_the_right_check_value() -> None:
    for decision in (
        Decision(1, 17, Action.PERMIT),
        Decision(2, 18, Action.REJECT, GateReason.DEFECT),
    ):
        assert decision.pack().hex(" ", 2) in PAGE


def test_the_station_says_for_which_run_its_decisions_are() -> None:
    raw = pack_station(1, StationBit.READY, 0, [bytes(12)] * DECISIONS, 0xDEADBEEF)
    assert station_run(raw) == 0xDEADBEEF
    assert words(raw)[4:6] == [0xDEAD, 0xBEEF]


def test_a_process_output_stands_where_the_page_says() -> None:
    assert "8 to 15 process outputs 1 to 8" in PAGE
    assert [output_bit(n) for n in range(1, OUTPUTS + 1)] == [1 << bit for bit in range(8, 16)]
    block = pack_station(1, StationBit.READY | output_bit(8), 0, [bytes(12)] * DECISIONS)
    assert words(block)[2] == 0x8001 and output_bit(8) in unpack_station(block)[2]


def test_an_output_ends_by_itself() -> None:
    outputs = Outputs()
    outputs.switch(1, 2.0, 0)
    outputs.switch(3, 1.0, 0)
    assert outputs.bits(0) == output_bit(1) | output_bit(3)
    assert outputs.bits(1_000_000_000) == output_bit(1)
    outputs.switch(1, 0, 1_000_000_000)
    assert outputs.bits(1_000_000_000) == StationBit(0)
    for number, seconds in ((0, 1), (9, 1), (1, -1), (1, 1e6), (1, float("nan"))):
        with pytest.raises(ValueError, match="output"):
            outputs.switch(number, seconds, 0)


@settings(deadline=None)
@given(flip=st.integers(0, 12 * 8 - 1), part=st.integers(1, U32))
def test_a_decision_with_any_one_bit_wrong_is_refused(flip: int, part: int) -> None:
    raw = bytearray(Decision(7, part, Action.PERMIT).pack())
    raw[flip // 8] ^= 1 << flip % 8
    ring = [bytes(12)] * (DECISIONS - 1)
    *_, decisions, wrong = unpack_station(pack_station(0, StationBit(0), 0, [bytes(raw), *ring]))
    assert decisions[0] is None
    assert wrong == 1


@settings(deadline=None)
@given(counter=st.integers(1, 10**6), encoder=st.integers(0, U32), run=st.integers(0, U32))
def test_the_plc_block_reads_as_it_was_written(counter: int, encoder: int, run: int) -> None:
    first = max(1, counter - TRIGGERS + 1)
    triggers = tuple(Trigger(n, encoder, 5) for n in range(first, counter + 1))
    status = plc_status(part_counter=counter, encoder=encoder, run=run, triggers=triggers)
    assert PlcStatus.unpack(status.pack()) == status
