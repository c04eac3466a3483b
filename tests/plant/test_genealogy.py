"""Links, traces and recalls over the wire: a complaint's serial to its lots, a lot to its customers
(S11, S14, S15, S21)."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from inspector.identity import Role
from inspector.part import Batch, Mode
from inspector.plant.genealogy import _counted
from inspector.plant.linkwords import PackedWords
from inspector.store import History, LineLedger, verify
from inspector.store.bench import sample_verdict
from inspector.store.holds import Run

WHY = {"reason": "cap supplier recall", "requester": "QA"}
CASE, PALLET = "340123450000000017", "340123450000000024"


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory, full_plant: Any) -> Any:
    """A plant of its own, whose links and holds disturb nobody."""
    plant = full_plant(tmp_path_factory.mktemp("linked"))
    mes = plant.client(plant.key("mes", Role.MACHINE))
    for link in (
        {"relation": "consumed", "batch": "A", "material": "cap-28", "lot": "CL/77 ä"},
        {"relation": "packed", "unit": CASE, "serials": ["S10", "S20"],
         "sequences": {"first": 21, "last": 30}},
        {"relation": "packed", "unit": PALLET, "level": "pallet", "units": [CASE]},
        {"relation": "shipped", "units": [PALLET], "destination": "4012345000009",
         "document": "DN-17", "at": "2026-11-20T08:00:00Z"},
    ):  # fmt: skip
        reply = mes.post("/links", link)
        assert reply.status == 201, reply.body
    plant.mes = mes
    return plant


@pytest.fixture(scope="module")
def mes(linked: Any) -> Any:
    return linked.mes


def test_a_lot_is_traced_forwards(mes: Any) -> None:
    trace = mes.get(f"/trace?lot={quote('CL/77 ä')}").json
    assert [batch["id"] for batch in trace["batches"]] == ["A"] and trace["parts"] == 120
    units = {unit["id"]: unit for unit in trace["units"]}
    assert units[CASE]["parent"] == PALLET and units[CASE]["destination"] == "4012345000009"
    assert units[CASE]["shipped_at"] == "2026-11-20T08:00:00Z" and trace["units_total"] == 2


def test_a_serial_is_traced_backwards(mes: Any) -> None:
    trace = mes.get("/trace?serial=S20").json
    assert trace["part"]["sequence"] == 20 and trace["part"]["batch"] == "A"
    (batch,) = trace["batches"]
    assert batch["materials"][0]["lot"] == "CL/77 ä" and batch["product"] == "04012345123456"
    assert [unit["id"] for unit in trace["units"]] == [CASE, PALLET]
    assert any(event["kind"] == "alarm" for event in trace["events"])
    assert mes.get(f"/trace?part={trace['part']['id']}").json["part"] == trace["part"]


def test_a_pallet_is_traced_to_its_parts(mes: Any) -> None:
    trace = mes.get(f"/trace?unit={PALLET}").json
    assert trace["parts"] == 12 and trace["batches"][0]["id"] == "A"
    assert [(run["first"], run["last"]) for run in trace["runs"]] == [(10, 10), (20, 30)]


@pytest.mark.parametrize(
    ("link", "status"),
    [
        ({"relation": "packed", "unit": "340123450000000018", "serials": ["S10"]}, 422),
        ({"relation": "packed", "unit": "case", "serials": ["never"]}, 404),
        ({"relation": "packed", "unit": "case"}, 422),
        ({"relation": "packed", "unit": CASE, "units": [PALLET]}, 409),
        ({"relation": "packed", "unit": CASE, "units": [CASE]}, 409),
        ({"relation": "shipped", "units": ["never"], "destination": "X"}, 404),
        ({"relation": "unpacked", "unit": "never"}, 404),
        ({"relation": "consumed", "batch": "A", "material": "cap", "lot": "x",
          "from": "2026-11-20T08:00:00Z", "to": "2026-11-20T08:00:00Z"}, 422),
        ({"relation": "married", "unit": "case"}, 422),
    ],
)  # fmt: skip
def test_a_link_that_cannot_be_is_refused(mes: Any, link: Any, status: int) -> None:
    reply = mes.post("/links", link)
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json"


def test_what_nobody_knows_is_not_traced(mes: Any) -> None:
    for query in ("lot=never", "serial=never", "batch=never", "unit=never"):
        assert mes.get(f"/trace?{query}").status == 404
    assert mes.get("/trace").status == 422 and mes.get("/trace?lot=a&batch=b").status == 422


def test_a_recall_holds_all_of_it_in_one_record(linked: Any, mes: Any) -> None:
    size = desk_size(linked)
    asked = {"criteria": {"lots": [{"lot": "CL/77 ä"}], "serials": ["S130"]}, **WHY}
    reply = mes.post("/recalls", asked, Idempotency_Key="recall-1")
    assert reply.status == 201, reply.body
    recall = reply.json
    assert recall["batches"] == ["A"] and recall["parts"] == 121
    assert recall["destinations"] == ["4012345000009"] and recall["units_total"] == 2
    assert desk_size(linked) == size + 1
    assert mes.post("/recalls", asked, Idempotency_Key="recall-1").json == recall
    assert mes.get("/batches/A").json["state"] == "on_hold"
    assert mes.get("/parts?serial=S130").json["items"][0]["disposition"]["reason"] == WHY["reason"]
    state = mes.get(f"/recalls/{recall['id']}").json
    assert state["standing"] is True and state["recall"] == recall and state["principal"] == "mes"
    export = mes.get(f"/recalls/{recall['id']}/export")
    assert export.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(export.body.decode())))
    assert {row["kind"] for row in rows} == {"batch", "run", "unit"}
    assert next(row for row in rows if row["id"] == CASE)["destination"] == "4012345000009"
    lifted = mes.post(f"/recalls/{recall['id']}/lift", WHY)
    assert lifted.status == 201, lifted.body
    assert mes.get("/batches/A").json["state"] == "closed"
    assert mes.get(f"/recalls/{recall['id']}").json["standing"] is False
    assert mes.post(f"/recalls/{recall['id']}/lift", WHY).status == 409
    assert verify(linked.data).ok


def test_what_another_recall_holds_too_stays_held_when_one_is_lifted(linked: Any, mes: Any) -> None:
    """It went out, and nobody had looked at it."""

    def recalled(criteria: dict[str, Any]) -> str:
        return str(mes.post("/recalls", {"criteria": criteria, **WHY}).json["id"])

    def held(serial: str) -> str:
        found = mes.get(f"/parts?serial={serial}").json["items"][0]["disposition"]
        return str(found["disposition"])

    whole, several = recalled({"batches": ["A"]}), recalled({"batches": ["A"], "serials": ["S130"]})
    one = recalled({"serials": ["S130", "S140"]})
    assert mes.post(f"/recalls/{one}/lift", WHY).json["runs"] != []
    assert (held("S130"), held("S140")) == ("hold", "release")
    assert mes.post(f"/recalls/{several}/lift", WHY).status == 201
    assert held("S130") == "release" and mes.get("/batches/A").json["state"] == "on_hold"
    assert mes.get(f"/recalls/{several}").json["standing"] is True, "the other one holds it"
    assert mes.post(f"/recalls/{several}/lift", WHY).status == 409
    assert mes.post(f"/recalls/{whole}/lift", WHY).status == 201
    assert mes.get("/batches/A").json["state"] == "closed"
    assert verify(linked.data).ok


def test_a_drill_finds_everything_and_holds_nothing(mes: Any) -> None:
    asked = {"criteria": {"units": [PALLET]}, "drill": True, **WHY}
    recall = mes.post("/recalls", asked).json
    assert recall["parts"] == 12 and recall["disposition"] is None
    assert mes.get(f"/recalls/{recall['id']}").json["standing"] is False
    standing = mes.get("/parts?serial=S20").json["items"][0]["disposition"]
    assert standing is None or standing["disposition"] != "hold"


@pytest.mark.parametrize(
    ("criteria", "status"),
    [({}, 422), ({"lots": [{"lot": "x"}]}, 404), ({"batches": ["x"]}, 404), ({"x": 1}, 422),
     ({"defect": "never"}, 404), ({"sequences": {"first": 1, "last": 10**6}}, 404)],
)  # fmt: skip
def test_a_recall_of_nothing_is_refused(mes: Any, criteria: Any, status: int) -> None:
    assert mes.post("/recalls", {"criteria": criteria, **WHY}).status == status


def test_who_links_need_not_recall(linked: Any) -> None:
    client = linked.client(linked.key("operator", Role.OPERATOR))
    assert client.post("/recalls", {"criteria": {"batches": ["A"]}, **WHY}).status == 403
    link = {"relation": "consumed", "batch": "A", "material": "m", "lot": "l"}
    assert client.post("/links", link).status == 201


def desk_size(plant: Any) -> int:
    with History(plant.data) as history:
        return len(history.desk(limit=100_000))


def test_a_part_that_came_back_is_linked_and_counted_once(linked: Any, mes: Any) -> None:
    """I1: its first inspection is the one that production counts."""
    before = mes.get("/batches/B").json["counts"]
    again = replace(sample_verdict(181, batch="B", serial="S70"), mode=Mode.REINSPECT)
    with LineLedger.open(linked.data, station="BOT-L3-01") as line:
        line.add_verdict(again)
    counts = mes.get("/batches/B").json["counts"]
    assert counts == before | {"others": 1, "reinspected": 1, "recovered": 1}
    newest, first = mes.get("/parts?serial=S70").json["items"]
    said = mes.get(f"/parts/{newest['id']}").json
    assert said["mode"] == "reinspect" and said["earlier"] == [first["id"]]
    assert mes.get("/trace?serial=S70").json["earlier"][0]["id"] == first["id"]


def test_a_unit_knows_the_batch_that_was_made_while_another_one_waited(tmp_path: Path) -> None:
    """Its case is missed by a recall of that batch otherwise."""
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for batch, numbers in (("A", range(1, 21)), ("B", range(21, 41)), ("A", range(41, 61))):
            ledger.add_batch(Batch(batch, "water"), "begin", "mes")
            for number in numbers:
                ledger.add_verdict(sample_verdict(number, batch=batch))
            ledger.add_batch(Batch(batch, "water"), "end", "mes")
        ledger.commit()
    packed = PackedWords.model_validate(
        {"relation": "packed", "unit": "pallet-1", "sequences": {"first": 1, "last": 60}}
    )
    with History(tmp_path) as history:
        runs, batches = _counted(history, [], packed)
    assert runs == [Run("plc-1", 1, 60)] and sorted(batches) == ["A", "B"]
