"""An output of somebody else's: the page for him is followed to the letter. (I2)"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from inspector.config import ConfigError, Station, load_station
from inspector.line.driver import load
from inspector.line.process import open_gate
from inspector.registers import Action, GateReason, StationBit

PAGE = (Path(__file__).parents[2] / "docs" / "outputs.md").read_text()
FIRST, SECOND = (
    YAML(typ="safe").load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
)
(DRIVER,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)


def station_with(folder: Path, output: dict[str, Any]) -> Station:
    file = folder / "station.yaml"
    written = {
        "station": "T-01", "recipes": ["one.yaml"], "batch": {"id": "B-1"}, "output": output,
        "cameras": [{"name": "side"}], "travel": FIRST["travel"],
    }  # fmt: skip
    with file.open("w") as stream:
        YAML(typ="safe").dump(written, stream)
    return load_station(file)


@pytest.fixture
def card() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield server


def test_a_new_output_joins_with_one_file(tmp_path: Path, card: socket.socket) -> None:
    (tmp_path / "relay.py").write_text(DRIVER)
    options = {"host": "127.0.0.1", "port": card.getsockname()[1]}
    assert SECOND["output"]["options"].keys() == options.keys()
    station = station_with(tmp_path, SECOND["output"] | {"options": options, "window_ms": 10_000})
    heard: list[bytes] = []

    def hear() -> bytes:
        link, _ = card.accept()
        with link:
            link.settimeout(20)
            heard.append(link.recv(1))
        return heard[-1]

    gate = open_gate(station)
    with closing(gate):
        assert hear() == b"0", "it rests low"
        gate.show(StationBit.READY, 0)
        gate.alive(time.monotonic_ns() + 60_000_000_000)
        gate.decide(0, 1, Action.PERMIT, GateReason.NONE, time.monotonic_ns() + 2_000_000_000)
        while hear() != b"1":
            """It is set anew all the while."""
    card.settimeout(0.3)
    with suppress(TimeoutError):
        while True:
            hear()
    assert heard[-1] == b"0"


def test_the_output_of_the_page_is_one_and_its_paths_start_at_the_file(tmp_path: Path) -> None:
    lines = {name: f"{name}.value" for name in ("path", "conveyor", "beacon")}
    for name in lines.values():
        (tmp_path / name).write_text("?")
    assert FIRST["output"].keys() >= lines.keys()
    gate = open_gate(station_with(tmp_path, FIRST["output"] | lines))
    with closing(gate):
        until = time.monotonic() + 20
        while [(tmp_path / n).read_text().strip() for n in lines.values()] != ["0", "1", "0"]:
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no such file"),
        ("def open_gate(:", "SyntaxError"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
        ("gate = 1", "has no function `open_gate(station)`"),
        ("def open_gate(station):\n    return print", "lacks decide"),
        ("def open_gate(station):\n    raise OSError('no card')", "OSError: no card"),
    ],
)
def test_what_is_wrong_with_a_driver_is_said_in_words(
    tmp_path: Path, text: str | None, says: str
) -> None:
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    station = station_with(tmp_path, {"driver": "mine.py"})
    with pytest.raises(ConfigError, match=re.escape(says)) as refused:
        open_gate(station)
    assert "mine.py" in str(refused.value)


def test_a_driver_is_a_python_file(tmp_path: Path) -> None:
    (tmp_path / "relay.so").write_bytes(b"")
    with pytest.raises(ConfigError, match="is a Python file"):
        load(tmp_path / "relay.so")


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ({}, "an output is a `path`, or has a `driver`"),
        ({"path": "a", "driver": "b.py"}, "an output is a `path`, or has a `driver`"),
        ({"path": "a", "options": {"b": 1}}, "`options` are for a `driver`"),
        ({"driver": "b.py", "beacon": "c"}, "remove the paths"),
    ],
)
def test_an_output_is_described_in_one_way(
    tmp_path: Path, output: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        station_with(tmp_path, output)
