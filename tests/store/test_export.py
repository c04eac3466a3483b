"""A batch as a table that others read, and as EPCIS events that GS1's schema accepts."""

from __future__ import annotations

import csv
import gc
import json
import os
import re
from dataclasses import replace
from datetime import datetime
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from inspector import cli
from inspector.part import Batch, Finding, Mode, Outcome
from inspector.store import DeskLedger, LineLedger, StoreError, export_batch
from inspector.store.bench import sample_gate, sample_verdict
from inspector.store.epcis import gtin_of
from inspector.store.export import COLUMNS, PartOf, row_of

GTIN = "4006381333931"
HEIGHT = Finding("fill", "measure", "height", value=12.5, unit="mm")
EDGE = Finding("edge", "measure", "width", value=41.25, unit="[px]")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Batch L1 of a GTIN: 60 parts, the second with a formula for a serial, the 50th a reject,
    the 7th an error, the 8th a challenge, the 9th in by-pass, the 10th the first again."""
    data = tmp_path_factory.mktemp("store")
    with LineLedger.open(data, station="s1", checkpoint_records=50) as ledger:
        ledger.add_batch(Batch("L1", GTIN, "bottle"), "begin", "user:7")
        for sequence in range(1, 61):
            verdict = sample_verdict(sequence, batch="L1")
            verdict = replace(
                verdict,
                serial={2: "=1+1", 10: "A/1", 1: "A/1"}.get(sequence, f"SN{sequence}"),
                findings=(*verdict.findings, HEIGHT, EDGE),
            )
            if sequence == 7:
                verdict = replace(verdict, outcome=Outcome.ERROR, reasons=("frame lost",))
            if sequence == 8:
                verdict = replace(verdict, mode=Mode.CHALLENGE)
            if sequence == 9:
                verdict = replace(verdict, mode=Mode.BYPASS, outcome=Outcome.NOT_INSPECTED)
                verdict = replace(verdict, reasons=("by-pass",))
            if sequence == 11:
                verdict = replace(verdict, serial=None)
            ledger.add_verdict(verdict)
            ledger.add_gate(sample_gate(verdict))
        ledger.add_verdict(sample_verdict(61, batch="L2"))
    return data


def test_a_csv_has_a_row_for_each_part_of_the_batch_alone(store: Path, tmp_path: Path) -> None:
    done = export_batch(store, "L1", "csv", tmp_path / "L1.csv")
    with (tmp_path / "L1.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert done.parts == len(rows) == 60
    assert [row["sequence"] for row in rows] == [str(n) for n in range(1, 61)]
    assert {row["batch"] for row in rows} == {"L1"}
    reject = rows[49]
    assert (reject["outcome"], reject["gate"], reject["gate_acknowledged"]) == (
        "reject",
        "reject",
        "true",
    )
    assert reject["defects"] == "cap"
    assert float(reject["fill.height [mm]"]) == 12.5
    assert float(reject["trigger_to_verdict_ms"]) == pytest.approx(17)


def test_a_part_that_went_by_unseen_was_made_when_it_was_missed(tmp_path: Path) -> None:
    """It has no trigger: its time is not that since the machine was switched on."""
    verdict = replace(sample_verdict(1), outcome=Outcome.ERROR, reasons=("nobody watched",))
    times = replace(verdict.times, trigger_ns=0, frame_ns=0, verdict_ns=10**15)
    with LineLedger.open(tmp_path, station="s1") as ledger:
        ledger.add_verdict(replace(verdict, times=times))
    for how in ("csv", "epcis"):
        export_batch(tmp_path, "L2417A", how, tmp_path / how)

    (row,) = csv.DictReader((tmp_path / "csv").read_text().splitlines())
    assert row["trigger_to_verdict_ms"] == ""
    made, inspected = json.loads((tmp_path / "epcis").read_text())["epcisBody"]["eventList"]
    assert made["eventTime"] == inspected["eventTime"] == row["utc"]


def test_a_serial_is_never_run_as_a_formula(store: Path, tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    export_batch(store, "L1", "csv", tmp_path / "L1.csv")
    assert ",'=1+1," in (tmp_path / "L1.csv").read_text()
    export_batch(store, "L1", "xlsx", tmp_path / "L1.xlsx")
    book = openpyxl.load_workbook(tmp_path / "L1.xlsx")
    serial = book["parts"].cell(3, list(COLUMNS).index("serial") + 1)
    assert (serial.value, serial.data_type) == ("=1+1", "s")


def test_a_workbook_is_read_by_another_library(store: Path, tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    assert export_batch(store, "L1", "xlsx", tmp_path / "L1.xlsx").parts == 60
    sheet = openpyxl.load_workbook(tmp_path / "L1.xlsx")["parts"]
    rows = list(sheet.values)
    assert len(rows) == 61
    assert list(rows[0]) == [*COLUMNS, "edge.width [[px]]", "fill.height [mm]"]
    assert rows[50][rows[0].index("outcome")] == "reject"
    assert rows[50][rows[0].index("fill.height [mm]")] == 12.5


def test_parquet_keeps_times_and_findings(store: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert export_batch(store, "L1", "parquet", tmp_path / "L1.parquet").parts == 60
    table = parquet.read_table(tmp_path / "L1.parquet")
    assert table.num_rows == 60 and str(table.schema.field("utc").type) == "timestamp[ns, tz=UTC]"
    findings = json.loads(table["findings"][49].as_py())
    assert findings[0]["reason"] == "0 caps found, exactly 1 expected"


def test_of_several_findings_of_a_kind_the_worst_is_the_measure() -> None:
    """It was the last: a part with a scratch too long seemed to have a short one."""
    found = ((3.0, True), (14.0, False), (99.0, True), (9.0, False))
    findings = tuple([replace(HEIGHT, value=value, ok=ok) for value, ok in found])
    part = PartOf(0, replace(sample_verdict(1), findings=findings), None)
    assert row_of(part, ["fill.height [mm]"])[-1] == 14


def test_a_part_that_came_back_is_inspected_again_and_made_once(tmp_path: Path) -> None:
    with LineLedger.open(tmp_path, station="s1") as ledger:
        ledger.add_batch(Batch("L1", "04006381333931"), "begin", "line")
        first = sample_verdict(50, batch="L1", serial="S1")  # a reject
        ledger.add_verdict(first)
        again = sample_verdict(51, batch="L1", serial="S1")
        ledger.add_verdict(replace(again, mode=Mode.REINSPECT))
    export_batch(tmp_path, "L1", "epcis", tmp_path / "L1.json")
    events = json.loads((tmp_path / "L1.json").read_text())["epcisBody"]["eventList"]
    assert [(e["bizStep"], e["disposition"]) for e in events] == [
        ("commissioning", "active"), ("inspecting", "non_conformant"), ("inspecting", "conformant"),
    ]  # fmt: skip
    assert len({e["epcList"][0] for e in events}) == 1


@pytest.fixture(scope="module")
def document(store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    case, pallet = "340123450000000017", "pallet 1"
    with DeskLedger.open(store) as desk:
        for link in (
            {"relation": "packed", "unit": case, "runs": [["plc-1", 1, 3]], "batches": ["L1"]},
            {"relation": "packed", "unit": "B", "runs": [["plc-1", 61, 61]], "batches": ["L2"]},
            {"relation": "packed", "unit": pallet, "units": [case, "B"]},
            {"relation": "shipped", "units": [pallet], "destination": "4012345000009",
             "at": 1_800_000_000_000_000_000},
        ):  # fmt: skip
            desk.add("link", link, "mes")
    out = tmp_path_factory.mktemp("out") / "L1.json"
    assert export_batch(store, "L1", "epcis", out).parts == 59
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_gs1s_own_schema_accepts_the_events(document: dict[str, Any], real_data: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    path = real_data / "standards" / "EPCIS-JSON-Schema.json"
    if not path.is_file():
        pytest.skip(f"STANDARD MISSING: {path}")
    formats = jsonschema.FormatChecker(formats=())  # only those below: the schema leans on them
    formats.checks("uri")(
        lambda text: (
            not isinstance(text, str)
            or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+$", text)
        )
    )
    formats.checks("date-time", ValueError)(
        lambda text: not isinstance(text, str) or datetime.fromisoformat(text).tzinfo
    )
    schema = json.loads(path.read_text())
    checker = jsonschema.Draft7Validator(schema, format_checker=formats)
    assert [error.message for error in checker.iter_errors(document)] == []
    for field, value in {"bizStep": "looking", "eventTime": "now", "epcList": ["SN1"]}.items():
        spoiled = json.loads(json.dumps(document))
        spoiled["epcisBody"]["eventList"][0][field] = value
        assert list(checker.iter_errors(spoiled)), field  # it would say


def test_what_was_packed_and_sent_follows(document: dict[str, Any]) -> None:
    events = document["epcisBody"]["eventList"]
    packing = [e for e in events if e["bizStep"] == "packing"]
    case, pallet = "https://id.gs1.org/00/340123450000000017", "urn:x-inspector:unit:pallet%201"
    made = [e["epcList"][0] for e in events if e["bizStep"] == "commissioning"]
    assert [(e["parentID"], e["childEPCs"]) for e in packing] == [
        (case, made[:3]), (pallet, [case]),
    ]  # fmt: skip
    sent = [e for e in events if e["bizStep"] == "shipping"]
    assert {e["epcList"][0] for e in sent} == {case, pallet}
    assert sent[0]["destinationList"][0]["destination"] == "https://id.gs1.org/417/4012345000009"


def test_what_an_inspection_found_is_its_disposition(document: dict[str, Any]) -> None:
    events = document["epcisBody"]["eventList"]
    seen = [e for e in events if e["bizStep"] == "inspecting"]
    made = [e for e in events if e["bizStep"] == "commissioning"]
    found = [e["disposition"] for e in seen]
    assert (found.count("conformant"), found.count("non_conformant")) == (56, 1)
    assert found.count("unknown") == 1
    assert len(made) == 58  # 60 less the challenge part and the one that was fed twice
    assert made[0]["epcList"] == ["https://id.gs1.org/01/04006381333931/21/A%2F1"]
    assert made[0]["ilmd"] == {"cbvmda:lotNumber": "L1"}
    assert made[0]["eventTime"] <= seen[0]["eventTime"]
    assert any(e["epcList"][0].startswith("urn:uuid:") for e in made)
    assert len({e["eventID"] for e in events}) == len(events)


def test_measures_are_sensor_elements_in_units_of_the_standard(document: dict[str, Any]) -> None:
    event = next(e for e in document["epcisBody"]["eventList"] if "sensorElementList" in e)
    (element,) = event["sensorElementList"]
    width, height = sorted(element["sensorReport"], key=lambda r: str(r.get("uom", "")))
    assert (height["type"], height["value"], height["uom"]) == ("Length", 12.5, "MMT")
    assert width["type"] == "urn:x-inspector:measure:%5Bpx%5D" and width["value"] == 41.25


def test_the_same_event_has_the_same_id_each_time(
    store: Path, document: dict[str, Any], tmp_path: Path
) -> None:
    export_batch(store, "L1", "epcis", tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == document


def test_what_two_batches_put_on_a_pallet_are_two_events_and_its_shipping_is_one(
    store: Path, document: dict[str, Any], tmp_path: Path
) -> None:
    """A repository took the second for the first, and knew nothing of what it added."""
    export_batch(store, "L2", "epcis", tmp_path / "L2.json")
    other = json.loads((tmp_path / "L2.json").read_text())
    of, same = (
        {e["eventID"]: e for e in each["epcisBody"]["eventList"]} for each in (document, other)
    )
    both = of.keys() & same.keys()
    assert [of[id] == same[id] for id in both] == [True]
    assert of[both.pop()]["bizStep"] == "shipping"


@pytest.mark.parametrize(
    ("product", "gtin"),
    [
        (GTIN, "04006381333931"),
        ("4006381333932", None),
        ("96385074", "00000096385074"),
        ("bottle", None),
        ("", None),
        ("٤٠٠٦٣٨١٣٣٣٩٣١", None),
    ],
)
def test_a_product_that_is_a_gtin_is_known_by_its_check_digit(
    product: str, gtin: str | None
) -> None:
    assert gtin_of(product) == gtin


def test_what_cannot_be_exported_is_said_and_leaves_what_was_there(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "L1.xlsx"
    out.write_text("before")
    with pytest.raises(StoreError, match="no part of a batch 'Z'"):
        export_batch(store, "Z", "xlsx", out)
    with pytest.raises(StoreError, match="no format 'pdf'; there are csv, xlsx"):
        export_batch(store, "L1", "pdf", out)
    monkeypatch.setattr("inspector.store.export.XLSX_ROWS", 10)
    pytest.importorskip("xlsxwriter")
    with pytest.raises(StoreError, match="export it as parquet or csv"):
        export_batch(store, "L1", "xlsx", out)
    assert out.read_text() == "before" and list(tmp_path.iterdir()) == [out]
    device = tmp_path / "null"
    os.mkfifo(device)  # it was replaced by a file; what has no name was an internal error
    for other in (device, tmp_path, Path()):
        with pytest.raises(StoreError, match="is no file"):
            export_batch(store, "L1", "csv", other)
    assert device.is_fifo()


def test_the_command_exports(store: Path, tmp_path: Path) -> None:
    words = ["export", str(store), "--batch", "L1", "--format", "csv"]
    made = CliRunner().invoke(cli.app, [*words, "--out", str(tmp_path / "x.csv"), "--json"])
    assert made.exit_code == 0 and json.loads(made.output)["parts"] == 60


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_sheet_for_which_there_is_no_room_is_refused_in_words(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr("xlsxwriter.workbook.ZipFile", full)
    with pytest.raises(StoreError, match=r"L1\.xlsx: No space left on device"):
        export_batch(store, "L1", "xlsx", tmp_path / "L1.xlsx")
    assert list(tmp_path.iterdir()) == []
    gc.collect()  # its rows' file is closed by nobody
