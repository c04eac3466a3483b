"""The virtual camera's Encoder Control through harvesters, by the words of SFNC 2.7 (S2, S18)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from genicam import genapi, gentl
from harvesters.core import Harvester
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspector.cameras.producers import virtual_producer
from inspector.virtual.wire import TURNS

MODES = ("Off", "PositionUp", "PositionDown", "DirectionUp", "DirectionDown", "Motion")
U32 = 1 << 32


@pytest.fixture
def nodes(camera_bench: Any) -> Iterator[Any]:
    """The node map of the side camera, which nothing exposes; the encoder's pulses are counted."""
    camera_bench.wire.turn(0)
    harvester = Harvester()
    harvester.add_file(str(virtual_producer()))
    harvester.update()
    acquirer = harvester.create({"serial_number": "V001"})
    nodes = acquirer.remote_device.node_map
    nodes.TriggerSource.value = "Encoder0"
    yield nodes
    acquirer.destroy()
    harvester.reset()


def pulses(nodes: Any) -> int:
    return int(nodes.CounterValue.get_value(False, True))


def value(nodes: Any) -> int:
    return int(nodes.EncoderValue.get_value(False, True))


class Reference:
    """The standard, word by word and edge by edge."""

    def __init__(self, mode: str, output: str, divider: int) -> None:
        self.cycle = 4 if mode == "FourPhase" else 1
        self.output, self.divider = output, divider
        self.edges = self.value = self.furthest = self.steps = self.pulses = 0

    def edge(self, way: int) -> None:
        self.edges += way
        if abs(self.edges - self.value * self.cycle) < self.cycle:
            return  # within a quadrature cycle: jitter
        self.value += way
        new = (self.value - self.furthest) * (-1 if self.output == "PositionDown" else 1) > 0
        counts = {
            "Off": False, "PositionUp": new, "PositionDown": new, "Motion": True,
            "DirectionUp": way > 0, "DirectionDown": way < 0,
        }[self.output]  # fmt: skip
        if new:
            self.furthest = self.value
        self.steps += counts
        if self.steps == self.divider:
            self.steps = 0
            self.pulses += 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    mode=st.sampled_from(["FourPhase", "HighResolution"]),
    output=st.sampled_from(MODES),
    divider=st.integers(1, 12),
    start=st.sampled_from([0, 1_000, U32 - 1, U32 - 40, U32 // 2 - 20]),
    moves=st.lists(st.integers(-90, 90), min_size=1, max_size=12),
)
def test_any_movement_gives_the_value_and_the_pulses_of_the_standard(
    nodes: Any, camera_bench: Any, mode: str, output: str, divider: int, start: int,
    moves: list[int],
) -> None:  # fmt: skip
    position = start
    camera_bench.wire.turn(position)
    nodes.EncoderMode.value, nodes.EncoderOutputMode.value = mode, output
    nodes.EncoderDivider.value = divider
    nodes.EncoderReset.execute()
    nodes.CounterReset.execute()
    reference = Reference(mode, output, divider)
    for move in moves:
        position += move
        camera_bench.wire.turn(position % U32)
        for _ in range(abs(move)):
            reference.edge(1 if move > 0 else -1)
        assert (value(nodes), pulses(nodes)) == (reference.value, reference.pulses)


def test_swapped_channels_count_down_and_a_missing_one_does_not_count(
    nodes: Any, camera_bench: Any
) -> None:
    nodes.EncoderMode.value = "HighResolution"
    nodes.EncoderSourceA.value, nodes.EncoderSourceB.value = "Line9", "Line8"
    camera_bench.wire.turn(100)
    assert value(nodes) == -100
    nodes.EncoderSourceB.value = "Off"
    camera_bench.wire.turn(200)
    nodes.EncoderSourceA.value, nodes.EncoderSourceB.value = "Line8", "Line9"
    camera_bench.wire.turn(230)
    assert value(nodes) == -70, "what went by while a channel was off is lost"


def test_the_channels_are_lines_a_quarter_of_a_cycle_apart(nodes: Any, camera_bench: Any) -> None:
    levels = []
    for count in range(4):
        camera_bench.wire.turn(count)
        levels.append(int(nodes.LineStatusAll.get_value(False, True)) >> 8 & 0b11)
    assert levels == [0b00, 0b01, 0b11, 0b10], "A leads"


def test_a_position_that_is_written_is_where_it_goes_on_from(nodes: Any, camera_bench: Any) -> None:
    nodes.EncoderMode.value, nodes.EncoderOutputMode.value = "HighResolution", "PositionUp"
    nodes.EncoderDivider.value = 100
    camera_bench.wire.turn(99)
    nodes.EncoderValue.value = -1_000
    camera_bench.wire.turn(99 + 99)
    assert (value(nodes), pulses(nodes)) == (-901, 0), "and the way to the next pulse begins there"
    camera_bench.wire.turn(99 + 100)
    assert (value(nodes), pulses(nodes)) == (-900, 1)


def test_turns_that_nobody_read_in_time_lose_no_count(nodes: Any, camera_bench: Any) -> None:
    nodes.EncoderMode.value, nodes.EncoderOutputMode.value = "HighResolution", "PositionUp"
    nodes.EncoderDivider.value = 7
    for turn in range(1, 3 * TURNS):
        camera_bench.wire.turn(10 * turn)
    way = 10 * (3 * TURNS - 1)
    assert (value(nodes), pulses(nodes)) == (way, way // 7)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("EncoderDivider", 0), ("EncoderDivider", 1_000_001), ("EncoderSourceA", "Line2"),
     ("EncoderOutputMode", "Sideways"), ("EncoderSelector", "Encoder1")],
)  # fmt: skip
def test_what_an_encoder_cannot_be_is_refused(nodes: Any, name: str, wrong: Any) -> None:
    with pytest.raises((genapi.GenericException, gentl.GenericException)):
        nodes.get_node(name).value = wrong
