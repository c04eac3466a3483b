"""A station file is either right, or every mistake in it is named with its line and its mend."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from inspector.config import ConfigError, load_station

FULL = """\
station: ST-01
line: filling-2
site: north
data: data
models: models
recipes: [a.yaml, b.yaml]
require_approval: false
threads: 2
providers: [CPUExecutionProvider]
cameras:
  - name: side
    source: genicam
    producer: virtual
    serial: V001
    user_id: ""
    ip: ""
    trigger: hardware
    features: {ExposureTime: 120.0}
    buffers: 16
    frame_timeout_ms: 200
travel:
  tracking: encoder
  gate_mm: 500
  speed_mm_s: 500
  mm_per_count: 0.1
  pitch_min_mm: 20
  slip_mm: 5
  lead_ms: 50
plc: {host: 127.0.0.1, port: 5020, unit: 1, poll_ms: 20, timeout_ms: 150}
stop: {rejects_in_a_row: 10, bin_full: true, air_low: true, confirmation_failed: true,
       light_fault: true}
store: {pass_image_every: 100, image_queue: 64, jpeg_quality: 92, reserve_mb: 512, stop_mb: 64}
web: {host: 127.0.0.1, port: 8000}
batch: {id: B1, product: bottle, texts: {lot: L1}}
mode: auto
clock: system
seed: 0
"""


def document() -> Any:
    return YAML(typ="safe").load(FULL)


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, value in items:
        yield from places(value, (*path, key))


def value_at(node: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        node = node[key]
    return node


def write(tmp_path: Path, node: Any) -> Path:
    stream = io.StringIO()
    YAML(typ="safe").dump(node, stream)
    path = tmp_path / "station.yaml"
    path.write_text(stream.getvalue())
    return path


def test_a_full_station_is_read_and_its_paths_start_at_the_file(tmp_path: Path) -> None:
    path = tmp_path / "station.yaml"
    path.write_text(FULL)
    station = load_station(path)
    assert station.data == tmp_path / "data"
    assert station.recipes[1] == tmp_path / "b.yaml"
    assert station.cameras[0].features == {"ExposureTime": 120.0}


def test_a_producer_is_found_from_wherever_the_station_is_started(tmp_path: Path) -> None:
    path = tmp_path / "station.yaml"
    for written, meant in (
        ("maker/tl.cti", tmp_path / "maker/tl.cti"),
        ("/opt/maker/tl.cti", Path("/opt/maker/tl.cti")),
        ("path", "path"),
        ("virtual", "virtual"),
    ):
        path.write_text(FULL.replace("producer: virtual", f"producer: {written}"))
        assert load_station(path).cameras[0].producer == meant


FREE = {("cameras", 0, "features"), ("batch", "texts")}
"""Mappings whose keys are the user's."""


@pytest.mark.parametrize("place", list(places(document())), ids=lambda p: ".".join(map(str, p)))
def test_a_wrong_value_in_any_field_is_named_with_its_line(
    tmp_path: Path, place: tuple[Any, ...]
) -> None:
    broken = document()
    node = broken
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = {"?": ["nonsense"]}
    path = write(tmp_path, broken)
    with pytest.raises(ConfigError) as caught:
        load_station(path)
    named = [p for p in caught.value.problems if p.field.startswith(".".join(map(str, place)))]
    assert named, str(caught.value)
    assert named[0].line is not None
    assert "?" in "\n".join(path.read_text().splitlines()[named[0].line - 1 : named[0].line + 2])


@pytest.mark.parametrize(
    "place",
    [p for p in places(document()) if isinstance(p[-1], str) and p[:-1] not in FREE],
    ids=lambda p: ".".join(map(str, p)),
)
def test_a_misspelt_field_is_answered_with_the_nearest_name(
    tmp_path: Path, place: tuple[Any, ...]
) -> None:
    broken = document()
    node = broken
    for key in place[:-1]:
        node = node[key]
    typo = place[-1] + "x"
    node[typo] = copy.deepcopy(node.pop(place[-1]))
    with pytest.raises(ConfigError) as caught:
        load_station(write(tmp_path, broken))
    unknown = next(p for p in caught.value.problems if p.field.endswith(typo))
    assert f"did you mean `{place[-1]}`?" in unknown.message
    assert typo in (tmp_path / "station.yaml").read_text().splitlines()[(unknown.line or 0) - 1]


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf"])
def test_what_is_no_number_is_no_limit(tmp_path: Path, number: str) -> None:
    """Every comparison with ``.nan`` is false: as a limit it would let everything through."""
    numbers = [p for p in places(document()) if isinstance(value_at(document(), p), float)]
    assert numbers
    for place in numbers:
        broken = document()
        value_at(broken, place[:-1])[place[-1]] = float(number.replace(".", ""))
        with pytest.raises(ConfigError) as caught:
            load_station(write(tmp_path, broken))
        assert any(p.field.startswith(".".join(map(str, place))) for p in caught.value.problems)


def test_a_missing_file_names_the_neighbour_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "station.yaml").write_text(FULL)
    with pytest.raises(ConfigError, match=r"did you mean .*station\.yaml"):
        load_station(tmp_path / "staton.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("- a\n- b\n", "is a list; expected fields: station"),
        ("ST-01\n", "is a single value; expected fields: station"),
        ("station: [\n", "not YAML here"),
        ("station: a\nstation: b\n", "duplicate key"),
        ("a: *nowhere\n", "undefined alias"),
        ("a: !!python/object:os.system x\n", "unknown field"),
        ("\x00", "not YAML"),
        ("station: !!bool x\n", "not YAML"),
    ],
)
def test_what_is_not_a_station_is_refused_in_words(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "station.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_station(path)


def test_a_mistake_that_cameras_share_by_an_anchor_is_named_where_it_is_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "station.yaml"
    path.write_text(
        "station: ST-01\nrecipes: [r.yaml]\nbatch: {id: B1}\ncameras:\n"
        "  - &eye\n    name: side\n    triger: free\n"
        "  - <<: *eye\n    name: top\n"
        "  - <<: [*eye, {rate: 0}]\n    name: code\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_station(path)
    assert [(p.line, p.field) for p in caught.value.problems] == [
        (7, "cameras.0.triger"),
        (7, "cameras.1.triger"),
        (10, "cameras.2.rate"),
        (7, "cameras.2.triger"),
    ]


def test_print_that_yaml_takes_for_a_number_or_a_day_is_to_be_quoted(tmp_path: Path) -> None:
    path = tmp_path / "station.yaml"
    path.write_text(
        FULL.replace("batch:", "batch: {id: B1, texts: {lot: 12, date: 2027-08-01}}\n_:")
    )
    with pytest.raises(ConfigError) as caught:
        load_station(path)
    told = {p.field: p.message for p in caught.value.problems}
    assert "put it in quotes" in told["batch.texts.lot"]
    assert "put it in quotes" in told["batch.texts.date"]


def test_of_a_file_that_is_far_too_large_little_is_read() -> None:
    with pytest.raises(ConfigError, match="/dev/zero: has more than 1048576 bytes"):
        load_station(Path("/dev/zero"))


def test_a_file_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "station.yaml"
    path.write_bytes(b"station: a\nline: \xff\n")
    with pytest.raises(ConfigError, match=r"station\.yaml:2: is not UTF-8"):
        load_station(path)


def test_a_camera_that_nobody_would_trigger_is_refused(tmp_path: Path) -> None:
    """The line triggers by software where a PLC, or the first camera, has seen a part."""
    text = "cameras:\n  - {name: side, serial: V1, trigger: software}\n"
    station = tmp_path / "station.yaml"
    station.write_text(f"station: T\nrecipes: [r.yaml]\nbatch: {{id: B}}\n{text}", "utf-8")
    with pytest.raises(ConfigError, match=r"nobody triggers side: .* `encoder` or `free`"):
        load_station(station)
    station.write_text(station.read_text("utf-8") + "plc: {host: 10.0.0.5}\n", "utf-8")
    assert load_station(station).cameras[0].trigger == "software"


def test_a_folder_camera_without_its_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "station.yaml"
    path.write_text(FULL.replace("source: genicam", "source: folder"))
    with pytest.raises(ConfigError, match=r"a folder camera needs `folder`"):
        load_station(path)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cut=st.integers(0, len(FULL)), junk=st.text(max_size=8))
def test_any_damage_to_the_text_ends_in_a_station_or_a_clear_error(
    tmp_path: Path, cut: int, junk: str
) -> None:
    path = tmp_path / "station.yaml"
    path.write_bytes((FULL[:cut] + junk + FULL[cut + len(junk) :]).encode("utf-8", "replace"))
    try:
        load_station(path)
    except ConfigError as error:
        assert str(path) in str(error)
