"""Material lots, cases, pallets and shipments: traced both ways, recalled (S11, S13, S14)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from inspector.cli import app
from inspector.part import Batch, new_part_id
from inspector.store import DeskLedger, History, LineLedger, StoreError, recalls
from inspector.store.bench import sample_verdict
from inspector.store.genealogy import Genealogy, joined
from inspector.store.holds import KIND as HOLDS
from inspector.store.holds import Holds, Run
from inspector.store.recalls import (
    Affected,
    Criteria,
    MaterialLot,
    TooWide,
    UnknownCriterion,
    affected,
    as_csv,
    units_affected,
)
from inspector.store.related import desk_records
from inspector.store.spans import events_near, runs_spanning

T0 = 1_800_000_000_000_000_000
"""When the first part triggers, UTC ns; one part every 100 ms."""
STEP = 100_000_000


def _fill(data: Path) -> None:
    """Batches A (parts 1 to 400), B (401 to 700) and C of another stream (1 to 100)."""
    with LineLedger.open(data, station="s1") as ledger:
        for stream, numbers, at in (("plc-1", range(1, 701), 0), ("plc-2", range(1, 101), 700)):
            for number in numbers:
                batch = "C" if stream == "plc-2" else "A" if number <= 400 else "B"
                if number in (1, 401):
                    ledger.add_batch(Batch(batch, "04012345123456"), "begin", "line")
                utc = T0 + (at + number) * STEP
                verdict = sample_verdict(number, batch=batch, stream=stream)
                ledger.add_verdict(
                    replace(
                        verdict,
                        part_id=new_part_id(utc),
                        serial=f"{batch}{number}",
                        times=replace(verdict.times, utc_ns=utc),
                    )
                )
            ledger.add_event("alarm", "line", code="jam", stream=stream)
        ledger.add_batch(Batch("C"), "end", "line")


class Place:
    """A station with such batches, its desk and what is asked of both."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.desk, self.genealogy = DeskLedger.open(data), Genealogy(data)
        self.history = History(data)

    def close(self) -> None:
        self.genealogy.close()
        self.history.close()
        self.desk.close()

    def link(self, relation: str, **body: Any) -> None:
        self.desk.add("link", {"relation": relation} | body, "mes")

    def consumed(self, batch: str, lot: str, **body: Any) -> None:
        self.link("consumed", batch=batch, material="cap", lot=lot, **body)

    def packed(self, unit: str, first: int, last: int, batch: str = "A", level: str = "case",
               **body: Any) -> None:  # fmt: skip
        self.link("packed", unit=unit, level=level, runs=[["plc-1", first, last]], batches=[batch],
                  **body)  # fmt: skip

    def affected(self, **criteria: Any) -> Affected:
        return affected(self.history, self.genealogy, Criteria(**criteria))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("store")
    _fill(data)
    return data


@pytest.fixture
def place(shared: Path, tmp_path: Path) -> Iterator[Place]:
    place = Place(Path(shutil.copytree(shared, tmp_path / "data")))
    yield place
    place.close()


def test_a_lot_is_traced_to_its_customers_and_a_serial_back_to_its_lots(place: Place) -> None:
    place.consumed("A", "CL-77")
    place.consumed("B", "CL-78", supplier="Caps & Co")
    place.packed("case-1", 1, 24)
    place.packed("case-2", 25, 48)
    place.packed("case-3", 401, 424, "B")
    place.link("packed", unit="pallet-1", level="pallet", units=["case-1", "case-2", "case-3"])
    place.link("shipped", units=["pallet-1"], destination="4012345000009", at=T0, document="D1")
    found = place.affected(lots=(MaterialLot("CL-77"),))
    assert (found.batches, found.runs, found.parts) == (("A",), (), 400)
    units = {unit.id: unit for unit in units_affected(place.genealogy, found)}
    assert set(units) == {"case-1", "case-2", "pallet-1"}
    assert units["case-1"].shipped and units["case-1"].shipped.destination == "4012345000009"
    assert [unit.id for unit in place.genealogy.holder("plc-1", 410)] == ["case-3", "pallet-1"]
    assert [use.lot for use in place.genealogy.materials_of("B")] == ["CL-78"]
    inside, runs = place.genealogy.inside("pallet-1")
    assert inside[0].id == "pallet-1" and len(inside) == 4
    assert runs == (Run("plc-1", 1, 48), Run("plc-1", 401, 424))
    assert place.affected(units=("pallet-1",)).parts == 72


def test_a_lot_that_went_in_for_a_while_names_its_parts_and_a_second_more(place: Place) -> None:
    place.consumed("A", "CL-1", **{"from": T0 + 100 * STEP, "to": T0 + 200 * STEP})
    place.consumed("B", "CL-1", **{"from": None, "to": T0 + 410 * STEP})
    found = place.affected(lots=(MaterialLot("CL-1", "cap"),))
    assert found.batches == ()
    # ten parts are a second; B's begin with B
    assert found.runs == (Run("plc-1", 90, 209), Run("plc-1", 401, 419))
    assert found.parts == 120 + 19 and len(found.materials) == 2


def test_a_lot_that_is_still_going_in_means_the_whole_batch(place: Place) -> None:
    with LineLedger.open(place.data, station="s1") as line:
        line.add_batch(Batch("D"), "begin", "line")
    place.consumed("D", "CL-2", **{"from": T0 + 5000 * STEP})
    assert place.affected(lots=(MaterialLot("CL-2"),)).batches == ("D",)


@pytest.mark.parametrize(
    ("first", "last", "runs"),
    [
        (0, 1, [Run("plc-1", 1, 10)]),
        (350, 360, [Run("plc-1", 340, 369)]),
        (695, 705, [Run("plc-1", 685, 700), Run("plc-2", 1, 14)]),
        (5000, 6000, []),
        (-500, -400, []),
    ],
)
def test_a_span_is_found_in_every_stream(shared: Path, first: int, last: int, runs: Any) -> None:
    with History(shared) as history:
        assert runs_spanning(history, T0 + first * STEP, T0 + last * STEP) == runs


@pytest.mark.parametrize(
    ("batch", "first", "runs"),
    [
        (None, 450, [(440, 469), (840, 869)]),
        ("L", 450, [(440, 469), (860, 869)]),
        (None, 200, [(190, 219), (590, 619)]),
    ],
)
def test_a_span_is_found_though_the_clock_was_set_back_in_it(
    tmp_path: Path, batch: str | None, first: int, runs: list[tuple[int, int]]
) -> None:
    """A recall missed the parts of the hour that came twice, or all that were made before a few
    whose clock had lost its day."""
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for number in range(1, 1001):
            at = number if number <= 500 else number - 400
            utc = number * STEP if 300 < number <= 320 else T0 + at * STEP
            of = "M" if 600 <= number < 860 else "L"
            verdict = sample_verdict(number, batch=of, stream="plc-1")
            times = replace(verdict.times, utc_ns=utc)
            ledger.add_verdict(replace(verdict, part_id=new_part_id(utc), times=times))
    with History(tmp_path) as history:
        found = runs_spanning(history, T0 + first * STEP, T0 + (first + 10) * STEP, batch)
    assert found == [Run("plc-1", *run) for run in runs]


def test_each_criterion_adds_to_what_is_affected(place: Place) -> None:
    found = place.affected(batches=("C",), serials=("A7", "A8"), runs=(Run("plc-1", 9, 20),))
    assert found == Affected(("C",), (Run("plc-1", 7, 20),), 114, ())
    defect = place.affected(defect="cap", batches=("A",))
    assert defect.batches == () and defect.parts == 8  # each 50th
    assert place.affected(defect="cap").parts == 16
    assert place.affected(defect="scratch").parts == 0
    for wrong in ({"lots": (MaterialLot("X"),)}, {"batches": ("X",)}, {"serials": ("X",)},
                  {"units": ("X",)}):  # fmt: skip
        with pytest.raises(UnknownCriterion, match="X"):
            place.affected(**wrong)


def test_a_defect_of_too_many_parts_must_be_narrowed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inspector.store.recalls.DEFECTS_MAX", 10)
    with pytest.raises(TooWide, match="name batches"):
        place.affected(defect="cap")


def test_what_is_packed_again_is_where_it_was_packed_last(place: Place) -> None:
    place.packed("case-1", 1, 24)
    place.packed("case-9", 10, 12)
    holder = place.genealogy.holder
    assert [holder("plc-1", n)[0].id for n in (9, 10, 12, 13)] == [
        "case-1", "case-9", "case-9", "case-1",
    ]  # fmt: skip
    place.link("unpacked", unit="case-1")
    assert holder("plc-1", 9) == () and place.genealogy.units_of_batch("A")[0].id == "case-9"


def test_a_long_run_is_found_at_every_place(place: Place) -> None:
    place.packed("silo", 1_000, 95_000)
    for number, inside in ((999, 0), (1_000, 1), (11_500, 1), (95_000, 1), (95_001, 0)):
        assert len(place.genealogy.holder("plc-1", number)) == inside
    assert place.genealogy.inside("silo")[1] == (Run("plc-1", 1_000, 95_000),)
    assert place.genealogy.units_of_runs([Run("plc-1", 90_000, 200_000)])[0].id == "silo"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), max_size=25))
def test_joined_runs_hold_the_same_parts(spans: list[tuple[int, int]]) -> None:
    runs = [Run("s", first, first + more) for first, more in spans]
    parts = {n for run in runs for n in range(run.first, run.last + 1)}
    kept = list(joined(runs))
    assert [n for run in kept for n in range(run.first, run.last + 1)] == sorted(parts)
    assert all(b.first > a.last + 1 for a, b in pairwise(kept))


def test_one_record_holds_batches_and_runs_together(place: Place) -> None:
    body = {"disposition": "hold", "reason": "r", "batches": ["A", "C"],
            "runs": [["plc-1", 401, 420]]}  # fmt: skip
    place.desk.add("disposition", body, "qa")
    with Holds(place.data) as holds:
        for stream, number, batch, wanted in (
            ("plc-1", 5, "A", True), ("plc-1", 401, "B", True), ("plc-1", 421, "B", False),
            ("plc-2", 1, "C", True),
        ):  # fmt: skip
            assert (holds.of_part(stream, number, batch) is not None) is wanted
        assert len(holds.standing()) == 3


def test_the_table_is_safe_to_open(place: Place) -> None:
    place.packed("=cmd()", 1, 24)
    place.link("shipped", units=["=cmd()"], destination="+49", at=T0, document="")
    found = place.affected(runs=(Run("plc-1", 1, 30),), batches=("C",))
    lines = list(as_csv(found, units_affected(place.genealogy, found), place.history))
    assert lines[0].startswith("kind,id,level,first,last,parts,inside,destination")
    assert lines[1].startswith("batch,C,") and ",100," in lines[1]
    assert lines[2] == "run,plc-1,,1,30,30,,,,\r\n"
    assert lines[3].startswith("unit,'=cmd(),case") and ",'+49," in lines[3]


def test_the_index_is_made_again_from_the_records(place: Place) -> None:
    place.consumed("A", "CL-1")
    place.packed("case-1", 1, 24)
    place.packed("case-2", 5, 30)
    place.link("nonsense")
    before = (place.genealogy.batches_of("CL-1"), place.genealogy.holder("plc-1", 7))
    place.genealogy.close()
    for file in place.data.glob("genealogy.db*"):
        file.unlink()
    place.genealogy = Genealogy(place.data)
    assert (place.genealogy.batches_of("CL-1"), place.genealogy.holder("plc-1", 7)) == before


def test_what_the_machine_did_stands_beside_the_part(place: Place) -> None:
    part = place.history.by_serial("A400")[0]
    kinds = [event.kind for event in events_near(place.history, part.position, 5)]
    assert kinds == ["alarm", "alarm"]


def test_a_case_is_packed_and_found_without_a_look_at_its_neighbours(place: Place) -> None:
    """Each was compared with all that held one of the 10,000 numbers before it: the first answer
    about a batch in 170,000 boxes took half a minute."""
    boxes = [
        ("link", {"relation": "packed", "unit": f"c{n}", "runs": [["plc-9", n * 20, n * 20 + 19]],
                  "batches": ["A"]}, "mes")
        for n in range(1000)
    ]  # fmt: skip
    looks = count()  # each after 1,000 steps of SQLite
    with place.genealogy.current() as index:
        index.set_progress_handler(lambda: next(looks) * 0, 1000)
    place.desk.add_all(boxes)
    assert place.genealogy.holder("plc-9", 19_999)[0].id == "c999"
    assert len(place.genealogy.units_of_runs([Run("plc-9", 9_990, 19_999)])) == 501
    assert next(looks) < 300


def test_a_recall_is_told_though_its_table_cannot_be_written(place: Place, tmp_path: Path) -> None:
    """Who was told of the folder alone believed that nothing was held, and recalled again."""
    out = tmp_path / "nowhere" / "affected.csv"
    words = ["recall", str(place.data), "--batch", "A", "--reason", "leaks", "--out", str(out)]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert isinstance(done.exception, StoreError) and str(out) in str(done.exception)
    assert json.loads(done.stdout)["held"] is True
    with Holds(place.data) as holds:
        assert holds.of_batch("A") is not None


def test_the_command_line_traces_and_recalls(place: Place, tmp_path: Path) -> None:
    place.consumed("A", "CL-77")
    place.packed("case-1", 1, 24)
    place.link("shipped", units=["case-1"], destination="4012345000009", at=T0, document="D1")

    def run(*words: str) -> Any:
        done = CliRunner().invoke(app, [words[0], str(place.data), *words[1:], "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    back = run("trace", "--serial", "A7")
    assert back["batch"] == "A" and back["materials"][0]["lot"] == "CL-77"
    assert back["units"][0]["shipped"]["destination"] == "4012345000009"
    assert run("trace", "--lot", "CL-77")["parts"] == 400
    table = tmp_path / "out" / "affected.csv"
    table.parent.mkdir()
    drill = run("recall", "--lot", "CL-77", "--reason", "drill", "--drill", "--out", str(table))
    assert drill["held"] is False and drill["destinations"] == ["4012345000009"]
    assert "case-1" in table.read_text()
    with Holds(place.data) as holds:
        assert holds.of_batch("A") is None
        made = run("recall", "--lot", "CL-77", "--serial", "B401", "--reason", "caps leak")
        (record,) = desk_records(place.data, HOLDS)
        assert record.body["answer"]["id"] == made["id"], "by which the MES finds and lifts it"
        assert record.body["criteria"] == {"lots": ["CL-77"], "serials": ["B401"]}
        standing = holds.of_batch("A")
        assert standing is not None and standing.disposition == "hold"
        assert holds.of_part("plc-1", 401, "B") is not None
    for wrong in (["recall", "--reason", "x"], ["recall", "--lot", "CL-77"], ["trace"]):
        assert CliRunner().invoke(app, [wrong[0], str(place.data), *wrong[1:]]).exit_code == 2


def test_lifting_a_recall_releases_none_that_somebody_else_wants_held(place: Place) -> None:
    """Nor those that waited for rework before it. A recall that was lifted holds nothing more."""

    def decide(disposition: str, first: int, last: int, **more: Any) -> None:
        body = {"disposition": disposition, "reason": "r", "requester": "q"}
        with DeskLedger.open(place.data) as desk:
            desk.add("disposition", body | {"runs": [["plc-1", first, last]]} | more, "qa")

    def recalled(id: str, first: int, last: int) -> None:
        decide("hold", first, last, cause="recall", batches=["B"], answer={"id": id})

    decide("rework", 5, 5)
    recalled("r1", 1, 20)
    recalled("r2", 15, 30)
    decide("hold", 8, 9)
    decide("release", 10, 10)
    found = Affected(("B",), (Run("plc-1", 1, 20),), 320, ())
    with History(place.data) as history:
        free = recalls.lifted(history, place.data, "r1", found)
        runs = [(1, 4), (6, 7), (10, 14)]
        assert free == Affected((), tuple(Run("plc-1", *run) for run in runs), 11, ())
        decide("release", 15, 15, cause="recall_lifted", recall="r2", batches=["B"])
        free = recalls.lifted(history, place.data, "r1", found)
        runs[-1] = (10, 20)
        assert free == Affected(("B",), tuple(Run("plc-1", *run) for run in runs), 317, ())
        assert recalls.lifted(history, place.data, "r2", found) is None


def test_a_recall_of_a_batch_in_very_many_boxes_names_each(tmp_path: Path) -> None:
    with Genealogy(tmp_path) as genealogy:
        boxes = [f"box-{number}" for number in range(20_007)]
        with genealogy.current() as index:
            index.execute("BEGIN")
            index.executemany("INSERT INTO unit VALUES (?, 'box', '', 0)", [(b,) for b in boxes])
            index.executemany("INSERT INTO made VALUES ('A', ?)", [(b,) for b in boxes])
            index.execute("COMMIT")

        found = Affected(("A",), (), 1, ())
        assert len(units_affected(genealogy, found)) == len(boxes)


def test_a_serial_that_many_parts_carry_recalls_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as of a printer that is stuck."""
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for number in range(1, 301):
            ledger.add_verdict(sample_verdict(number, serial="S1"))
    with History(tmp_path) as history, Genealogy(tmp_path) as genealogy:
        found = affected(history, genealogy, Criteria(serials=("S1",)))
        assert (found.runs, found.parts) == ((Run("plc-1", 1, 300),), 300)
        monkeypatch.setattr(recalls, "SERIAL_MAX", 299)
        with pytest.raises(TooWide, match="more than 299 parts carried 'S1'"):
            affected(history, genealogy, Criteria(serials=("S1",)))


def test_a_fast_line_mixes_no_batch_with_the_one_beside_it(tmp_path: Path) -> None:
    """A sub-lot follows its lot without a gap."""
    step = 5_000_000
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for number in range(1, 1201):
            batch = "A" if number <= 400 else "B" if number <= 800 else "C"
            verdict = sample_verdict(number, batch=batch)
            utc = T0 + number * step
            times = replace(verdict.times, utc_ns=utc)
            ledger.add_verdict(replace(verdict, part_id=new_part_id(utc), times=times))
    with History(tmp_path) as history:
        made = history.batch("B")
        (run,) = runs_spanning(history, made.first_utc_ns, made.last_utc_ns, "B")
    assert run == Run("plc-1", 401, 800)
