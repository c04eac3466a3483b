"""The life of a batch by the interface: planned, held, released, rejected; refusals explained."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from obeying_line import Obeying

from inspector.bus import run_dir
from inspector.config import Calendar
from inspector.identity import Principal, Role
from inspector.part import Batch
from inspector.plant.batches import _batch, begun, changed, closed
from inspector.plant.batchwords import BatchOrder, Changeover
from inspector.plant.desk import Desk
from inspector.plant.problems import Problem
from inspector.plant.requests import Once
from inspector.store import DeskLedger, LineLedger
from inspector.store.batches import State

WHY = {"reason": "caps were good", "requester": "QA"}
ORDER = {
    "id": "P1", "begin": False, "order": "4711", "target": 1000, "product": "04012345123456",
    "texts": {"lot": "P1"}, "operator": "Ayşe",
}  # fmt: skip


def test_an_order_is_planned_and_shows_before_it_runs(mes: Any, auditor: Any) -> None:
    reply = mes.post("/batches", ORDER, Idempotency_Key="plan-P1")
    assert reply.status == 202 and reply.json["result"] == {"batch": "P1", "state": "planned"}
    assert mes.post("/batches", ORDER, Idempotency_Key="plan-P1").json == reply.json
    said = auditor.get("/batches/P1").json
    assert said["state"] == "planned" and said["order"] == "4711" and said["target"] == 1000
    assert said["texts"] == {"lot": "P1"} and said["operator"] == "Ayşe"
    assert said["began_at"] is None and said["counts"]["passed"] == 0
    assert [b["id"] for b in auditor.get("/batches?planned=true").json["items"]] == ["P1"]
    assert "P1" not in [b["id"] for b in auditor.get("/batches").json["items"]]
    assert mes.post("/batches/P1/start", None).status == 503  # there is no line here
    assert mes.post("/batches/never/start", None).status == 404
    assert mes.post("/batches/P1/release", WHY).json["type"].endswith("planned")
    assert mes.post("/batches/P1/hold", WHY).status in (200, 202)
    assert mes.post("/batches/P1/start", None).json["type"].endswith("on-hold")
    assert mes.post("/batches/P1/release", WHY).status == 201
    assert auditor.get("/batches/P1").json["state"] == "planned"
    assert mes.post("/batches/P1/close", None).json["result"]["state"] == "closed"
    closed = auditor.get("/batches/P1").json  # it may begin all the same, as it was planned
    assert closed["state"] == "closed" and closed["order"] == "4711" and closed["target"] == 1000
    assert closed["texts"] == {"lot": "P1"} and closed["product"] == ORDER["product"]
    assert auditor.get("/batches?planned=true").json["items"] == []


def test_a_closed_batch_is_released_recalled_and_rejected(mes: Any, auditor: Any) -> None:
    said = auditor.get("/batches/A").json
    assert said["state"] in ("closed", "released") and said["ended_at"]
    assert said["production_day"] and said["reconciliation"] is None
    if said["state"] == "closed":
        assert mes.post("/batches/A/release", WHY).status == 201
    refused = mes.post("/batches", {"id": "A"})
    assert refused.status == 409 and refused.json["type"].endswith("released")
    assert "an id of its own" in refused.json["detail"]
    hold = mes.post("/batches/A/hold", WHY)
    assert hold.status in (200, 202)
    followed = mes.get(f"/rejects/{hold.json['id']}")  # of a 202 the gate has yet to confirm it
    assert followed.status == 200 and followed.json["request"] == hold.json
    assert auditor.get("/batches/A").json["state"] == "on_hold"
    assert mes.post("/batches/A/release", WHY).status == 201
    assert auditor.get("/batches/A").json["state"] == "released"


def test_a_running_batch_is_closed_before_it_is_judged(mes: Any, auditor: Any) -> None:
    assert auditor.get("/batches/B").json["state"] == "running"
    for step in ("release", "reject"):
        refused = mes.post(f"/batches/B/{step}", WHY)
        assert refused.status == 409 and "close it first" in refused.json["detail"]
    refused = mes.post("/batches", {"id": "B"})
    assert refused.status == 409 and "runs already" in refused.json["detail"]


def test_a_planned_batch_that_begins_with_a_change_over_begins_as_it_was_planned(
    tmp_path: Path,
) -> None:
    """It had no print to be compared with, and stood among the planned ones for ever."""
    mes = Principal("mes", frozenset({Role.MACHINE}))
    with LineLedger.open(tmp_path, station="ST-01") as line:
        line.add_batch(Batch("B", "", "bottle"), "begin", "line")
    with DeskLedger.open(tmp_path) as ledger:
        ledger.add("batch", {**ORDER, "action": "plan", "batch": "P1", "recipe": "bottle"}, "mes")
    station: Any = SimpleNamespace(data=tmp_path)
    obeying = Obeying(run_dir(tmp_path))
    desk = Desk(station, run_dir(tmp_path))
    asked = Changeover.model_validate({"recipe": "juice", "batch": {"id": "P1"}})
    desk.requests.once(Once(mes, None, {}), lambda: changed(desk, mes, asked))
    plan = desk.batches.plan("P1")
    assert plan is not None and (plan.recipe, plan.order, plan.target) == ("juice", "4711", 1000)
    assert desk.batches.planned() == ()
    desk.close()
    obeying.close()
    batch = {"id": "P1", "product": ORDER["product"], "texts": ORDER["texts"]}
    assert obeying.next().args == {"recipe": "juice", "batch": batch}


def test_what_the_line_did_though_its_answer_was_lost_is_on_record_once_it_is_asked_again(
    tmp_path: Path,
) -> None:
    """The MES was told to repeat it, heard that the batch ran, and order and target were gone."""
    mes = Principal("mes", frozenset({Role.MACHINE}))
    args = {"id": "P1", "product": "", "texts": {"lot": "P1"}}
    asked = BatchOrder(id="P1", texts={"lot": "P1"}, order="4711", target=1000)
    with LineLedger.open(tmp_path, station="ST-01") as line:
        line.add_batch(Batch("P1", "", "bottle", {"lot": "P1"}), "begin", "mes")
        line.add_event("command", "mes", command="start_batch", args=args, result={"from": 17})
    station: Any = SimpleNamespace(data=tmp_path)
    desk = Desk(station, run_dir(tmp_path))
    with pytest.raises(Problem, match="runs already"):  # as another would have it
        begun(desk, mes, asked.model_copy(update={"texts": {"lot": "P2"}}))
    once = Once(mes, "begin-P1", {})
    _, answer, _ = desk.requests.once(once, lambda: begun(desk, mes, asked))
    assert answer["result"] == {"from": 17}
    plan = desk.batches.plan("P1")
    assert plan is not None and (plan.order, plan.target) == ("4711", 1000)
    with pytest.raises(Problem, match="runs already"):  # another request, and it is known
        begun(desk, mes, asked)
    with LineLedger.open(tmp_path, station="ST-01") as line:  # and so with its end
        line.add_batch(Batch("P1", "", "bottle"), "end", "mes")
        line.add_event(
            "command", "mes", command="end_batch", args={"id": "P1"}, result={"parts": 9}
        )
    once = Once(mes, "end-P1", {})
    _, answer, _ = desk.requests.once(once, lambda: closed(desk, mes, "P1"))
    assert answer["result"] == {"parts": 9}
    with pytest.raises(Problem, match="is closed"):
        closed(desk, mes, "P1")
    desk.close()


def test_a_batch_that_goes_on_has_not_ended_though_the_line_is_lost(tmp_path: Path) -> None:
    """It was said to have ended when it was closed the first time."""
    with LineLedger.open(tmp_path, station="ST-01") as line:
        for action in ("begin", "end", "begin"):
            line.add_batch(Batch("P1", "", "bottle"), action, "mes")
    station: Any = SimpleNamespace(data=tmp_path, calendar=Calendar())
    desk = Desk(station, run_dir(tmp_path))
    with desk.history() as history:
        said = _batch(desk, history, "P1")
    desk.close()
    assert (said["state"], said["running"], said["ended_at"]) == (State.RUNNING, False, None)
