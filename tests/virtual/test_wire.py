"""The wire: a page that the world writes and the cameras read."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest

from inspector.virtual.wire import ENTRIES, SIZE, Fault, Wire


def entry(page: bytes, number: int) -> tuple[int, ...]:
    return struct.unpack_from("=QQQII", page, 64 + (number - 1) % ENTRIES * 64)


def test_a_pulse_is_a_numbered_entry_with_its_picture_instant_and_fault(tmp_path: Path) -> None:
    before = time.monotonic_ns()
    with Wire.create(tmp_path / "wire") as wire:
        assert wire.pulse(7) == 1
        assert wire.pulse(9, Fault.DELAY, argument=30, cameras=0b10) == 2
        page = wire.path.read_bytes()
    magic, futex, head = struct.unpack_from("=QI4xQ", page)
    assert (magic.to_bytes(8, "little"), futex, head) == (b"INPWIRE\0", 2, 2)
    number, frame, instant, fault, argument = entry(page, 1)
    assert (number, frame, fault, argument) == (1, 7, 0, 0)
    assert before <= instant <= time.monotonic_ns()
    assert entry(page, 2)[3:] == (3 | 0b10 << 8, 30)
    assert len(page) == SIZE


def test_the_ring_of_entries_holds_the_newest_64(tmp_path: Path) -> None:
    with Wire.create(tmp_path / "wire") as wire:
        for index in range(200):
            wire.pulse(index)
        page = wire.path.read_bytes()
    assert [entry(page, n)[0] for n in range(137, 201)] == list(range(137, 201))
    assert entry(page, 200)[1] == 199


def test_a_turn_is_a_numbered_count_with_its_instant_and_picture(tmp_path: Path) -> None:
    with Wire.create(tmp_path / "wire") as wire:
        wire.turn(2**32 - 1, 7, t_ns=123)
        wire.turn(3, None, t_ns=456)
        wire.turn(3, None, t_ns=789)
        page = wire.path.read_bytes()
    turns, futex = struct.unpack_from("=QI", page, 24)
    assert (turns, futex) == (3, 2), "a belt that stands wakes nobody"
    assert [struct.unpack_from("=QQII", page, 4160 + 24 * n) for n in range(3)] == [
        (1, 123, 2**32 - 1, 7),
        (2, 456, 3, 2**32 - 1),
        (3, 789, 3, 2**32 - 1),
    ]


def test_an_old_wire_is_replaced_and_not_reused(tmp_path: Path) -> None:
    with Wire.create(tmp_path / "wire") as old:
        old.pulse(1)
        with Wire.create(tmp_path / "wire") as new:
            assert (old.head, new.head) == (1, 0)
            new.pulse(5)
            assert old.head == 1


@pytest.mark.parametrize("content", [b"", b"INPWIRE\0", bytes(SIZE)])
def test_what_is_not_a_wire_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "wire").write_bytes(content)
    with pytest.raises(ValueError, match="not a wire"):
        Wire(tmp_path / "wire")
