"""Everything about one batch on one page: decisions, report, trace, recall. (S10, S11, S14, I9)"""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from waiting import until
from web.axe import violations
from web.shift_of_parts import forget_shift, write_shift

from inspector.identity import Role
from inspector.part import Disposition, Outcome
from inspector.quality.batch_facts import Facts
from inspector.store import DeskLedger, History
from inspector.store.batches import Batches, State
from inspector.store.cursor import newest_desk
from inspector.store.genealogy import Consumed, Shipped, Unit
from inspector.store.holds import Holds
from inspector.store.reviews import Decision, Opinion, add_review
from inspector.store.signatures import Signatures
from inspector.web import lineage
from inspector.web.lot_decide import checks_of
from inspector.web.said import said
from inspector.web.words import WORDS

LOT, PIN = "L2501", "3690"
PLACES = ("Aldi Nord", "Edeka Süd", "Rewe West")


@pytest.fixture(scope="module")
def made(web: Any) -> Iterator[Any]:
    """A batch of 1,500 parts that is closed: two material lots, 120 cases on 12 pallets, of which
    nine went to three places; a reviewer has overridden a reject."""
    write_shift(web.data, 1500, batch=LOT, closed=True)
    with DeskLedger.open(web.data) as desk, History(web.data) as history:
        bad = history.last(1, faulty=True)[0]
        add_review(desk, history, Opinion(bad.verdict.part_id, Decision.OVERRIDE, Outcome.PASS,
                                          "side", (), "a drop of water"), "mei")  # fmt: skip
        desk.add_all([("link", body, "mes") for body in links()])
    yield web
    forget_shift(web.data)


def links() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"relation": "consumed", "batch": LOT, "material": name, "lot": lot}
        for name, lot in (("cap-28", "CL-77"), ("label", "LB-9"))
    ]
    for n in range(120):
        found.append({"relation": "packed", "unit": f"CASE-{n:03}", "level": "case",
                      "runs": [["plc-1", 1 + 12 * n, 12 + 12 * n]], "batches": [LOT]})  # fmt: skip
    for p in range(12):
        cases = [f"CASE-{n:03}" for n in range(10 * p, 10 * p + 10)]
        found.append({"relation": "packed", "unit": f"PALLET-{p:02}", "level": "pallet",
                      "units": cases})  # fmt: skip
    found += [
        {"relation": "shipped", "units": [f"PALLET-{p:02}" for p in range(3 * i, 3 * i + 3)],
         "destination": place, "document": f"DN-{i}", "at": time.time_ns()}
        for i, place in enumerate(PLACES)
    ]  # fmt: skip
    return found


@pytest.fixture
def lot(made: Any, page: Any) -> Any:
    """The page of the batch, as quality sees it."""
    token, _ = made.session(Role.QA, name="qin")
    page.context.add_cookies([{"name": "inspector", "value": token, "url": made.url}])
    open_lot(made, page)
    return page


def open_lot(web: Any, page: Any, query: str = "") -> None:
    page.goto(f"{web.url}desk/batch?id={LOT}{query}")
    page.locator(".lot-head .life").wait_for()
    page.wait_for_function("window.socket && window.socket.connected")


def sign(page: Any, secret: str = PIN) -> None:
    page.locator(".sign input[type=password]").fill(secret)
    page.locator(".sign .button.main").dblclick()  # a glove touches twice


def state(web: Any) -> State | None:
    with History(web.data) as history, Batches(web.data) as batches, Holds(web.data) as holds:
        return batches.life(history, holds, LOT).state


def decisions(web: Any) -> list[Any]:
    with History(web.data) as history:
        return [record for _, record in newest_desk(history, "disposition", 10)]


def test_all_about_the_batch_stands_on_one_page(made: Any, lot: Any) -> None:
    assert lot.locator(".lot-head .life").inner_text() == "Closed"
    assert "1,500" in lot.locator(".tile", has_text="Parts").first.inner_text()
    assert lot.locator(".board svg.chart").count() >= 3
    assert "agrees" in lot.locator(".panel", has_text="Counts and reconciliation").inner_text()
    for name in ("articles", "challenges", "deviations", "reviews", "signatures"):
        assert lot.locator(f"#{name}").count() == 1
    assert "a drop of water" in lot.locator("#reviews").inner_text()
    assert "No independent counter" in lot.locator(".lot-checks").inner_text()
    assert lot.locator(".nav a[aria-current]").inner_text() == "Batches"


def test_a_decision_takes_a_reason_and_a_signature(made: Any, lot: Any) -> None:
    """Held, then released; what was decided names its signature, and its signer (I9)."""
    lot.locator("[name=step-hold]").click()
    lot.get_by_text("Say why").wait_for()
    lot.locator("input[name=reason]").fill("caps look dull")
    lot.locator("[name=step-hold]").dblclick()
    sign(lot, "0000")
    lot.locator(".sign .note.bad").get_by_text("wrong").wait_for()
    assert state(made) is State.CLOSED, "a wrong secret decides nothing"
    sign(lot)
    lot.locator(".life[data-life=on_hold]").wait_for()
    held = decisions(made)[0]
    assert (held.principal, held.body["reason"]) == ("qin", "caps look dull")
    with Signatures(made.data) as signatures:
        signature = signatures.at(held.body["signature"])
    assert (signature.name, signature.meaning, signature.batch) == ("qin", "held", LOT)
    assert lot.locator("#signatures").get_by_text("batch hold").count() == 1
    lot.wait_for_function("window.socket && window.socket.connected")
    lot.locator("input[name=reason]").fill("looked at 200 of them")
    lot.locator("[name=step-release]").click()
    sign(lot)
    lot.locator(".life[data-life=released]").wait_for()
    assert state(made) is State.RELEASED
    assert lot.locator("[name=step-release]").is_disabled()
    assert "released already" in lot.locator(".lot-ways").inner_text()


def test_a_hold_is_of_what_the_line_makes_when_it_is_signed(
    made: Any, lot: Any, line: Callable[..., Any]
) -> None:
    """A page that was opened while the batch ran paused whatever ran hours later."""
    with made.client() as client:
        running = line("--rate", "0", "--batch", LOT)
        until(lambda: client.get("/healthz").status_code == 200)
        open_lot(made, lot)
        running.kill()
        until(lambda: client.get("/healthz").status_code == 503)

    lot.locator("input[name=reason]").fill("caps look dull")
    lot.locator("[name=step-hold]").click()
    sign(lot)

    lot.locator(".life[data-life=on_hold]").wait_for()


def test_who_is_not_quality_reads_and_decides_nothing(made: Any, page: Any) -> None:
    token, _ = made.session(Role.AUDITOR, name="ulla")
    page.context.add_cookies([{"name": "inspector", "value": token, "url": made.url}])
    open_lot(made, page, "&by=batch")

    assert page.locator("input[name=reason]").count() == 0
    assert page.locator("[name=step-hold]").is_disabled()
    assert page.get_by_text("Only quality may decide").count() == 1
    assert page.get_by_text("Hold all of it").count() == 0


def test_the_report_is_a_pdf_in_the_pages_language(made: Any) -> None:
    with made.client(Role.QA, name="qin") as client:
        answer = client.get(f"/lot/report.pdf?id={LOT}&zh=true", timeout=60)
        assert answer.status_code == 200 and answer.content[:5] == b"%PDF-"
        assert client.get("/lot/report.pdf?id=never").status_code == 404
    with made.client(Role.OPERATOR, name="anna") as client:
        assert client.get(f"/lot/report.pdf?id={LOT}").status_code == 403


def test_the_trace_leads_from_a_node_to_what_it_stands_for(made: Any, lot: Any) -> None:
    graph = lot.locator("svg.lineage")
    assert graph.locator(".node.material").count() == 2
    assert graph.locator(".node.sent").count() == 3 and graph.locator(".node.here").count() == 1
    assert graph.locator(".node.unit").count() <= 2 * lineage.MOST, "120 cases are grouped"
    graph.locator(".node.sent", has_text="Aldi Nord").click()
    rows = lot.locator("#trace tbody tr")
    rows.first.wait_for()
    assert rows.count() == 33 and "DN-0" in rows.first.inner_text()
    lot.locator("svg.lineage .node.material", has_text="CL-77").click()
    lot.get_by_role("link", name="Recall this lot").click()
    lot.wait_for_url("**by=lot**")
    assert lot.locator("select[name=lot]").input_value() == "cap-28\tCL-77"


def test_a_recall_shows_where_it_went_before_anything_is_held(made: Any, lot: Any) -> None:
    before = decisions(made)
    open_lot(made, lot, "&by=lot&lot=cap-28%09CL-77")
    recall = lot.locator("#recall")
    for place in PLACES:
        assert place in recall.inner_text()
    assert "1,500" in recall.locator(".tile", has_text="Parts").first.inner_text()
    recall.locator("input[name=recall-reason]").fill("yearly drill")
    recall.get_by_role("button", name="Record as a drill").click()
    first = lot.get_by_text("The drill is on record").inner_text()
    lot.mouse.down(click_count=2)  # a glove's second touch, when the first is done
    lot.mouse.up(click_count=2)
    lot.wait_for_timeout(100)
    assert lot.get_by_text("The drill is on record").inner_text() == first, "one is on record"
    assert decisions(made) == before, "a drill holds nothing"

    recall.locator("input[name=recall-reason]").fill("metal in the caps")
    recall.get_by_role("button", name="Hold all of it").click()
    sign(lot)
    lot.get_by_text("All of it is on hold").wait_for()
    record = decisions(made)[0]
    assert record.body["cause"] == "recall" and record.body["batches"] == [LOT]
    assert record.body["disposition"] == Disposition.HOLD and record.body["signature"] > 0
    assert state(made) is State.ON_HOLD


def test_a_recall_by_defect_or_time_holds_parts_and_not_the_batch(made: Any, lot: Any) -> None:
    open_lot(made, lot, "&by=defect&defect=cap_missing")
    parts = lot.locator("#recall .tile", has_text="Parts of other").inner_text()
    assert 0 < int(parts.split()[0]) < 200
    open_lot(made, lot, "&by=time&since=2026-01-02T10:00&until=2026-01-01T10:00")
    lot.get_by_text("Give a beginning and a later end").wait_for()
    open_lot(made, lot, "&by=lot&lot=cap-28%09nothing")
    lot.get_by_text("Nothing is known of it").wait_for()


def test_what_is_recalled_is_a_file_that_harms_no_spreadsheet(made: Any) -> None:
    with made.client(Role.QA, name="qin") as client:
        answer = client.get(f"/lot/recall.csv?id={LOT}&by=batch")
        rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
        assert sum(row["kind"] == "unit" for row in rows) == 132
        assert {row["destination"] for row in rows} == {"", *PLACES}
        assert client.get(f"/lot/recall.csv?id={LOT}&by=lot&lot=x").status_code == 409
        assert client.get(f"/lot/recall.csv?id={LOT}&by=lot&lot=label%09LB-9").status_code == 200
    with History(made.data) as history:
        [(_, export)] = newest_desk(history, "export", 1)
    assert export.body["lot"] == "label\tLB-9", "the record says what was taken along"


def test_other_pages_lead_here_and_it_speaks_chinese(made: Any, lot: Any) -> None:
    lot.goto(f"{made.url}batches")
    lot.locator(f'a[href^="/desk/batch?id={LOT}"]').first.wait_for()
    lot.goto(f"{made.url}desk/dashboards?period=day&batch={LOT}")
    lot.locator(f'a[href^="/desk/batch?id={LOT}"]').first.wait_for()
    lot.context.add_cookies([{"name": "language", "value": "zh", "url": made.url}])
    open_lot(made, lot)
    assert "追溯" in lot.locator("#trace").inner_text()
    assert "召回" in lot.locator("#recall").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_accessibility_check_finds_nothing(made: Any, browser: Any, scheme: str) -> None:
    context = browser.new_context(bypass_csp=True, color_scheme=scheme, locale="en-GB")
    token, _ = made.session(Role.QA, name="qin")
    context.add_cookies([{"name": "inspector", "value": token, "url": made.url}])
    page = context.new_page()
    open_lot(made, page, "&by=lot&lot=cap-28%09CL-77&trace=sent:Aldi+Nord")
    found = violations(page)
    context.close()
    assert found == []


def test_a_batch_that_never_was_is_no_error(made: Any, lot: Any) -> None:
    lot.goto(f"{made.url}desk/batch?id=<b>never")
    lot.get_by_text("There was never a batch <b>never").wait_for()


def test_what_counts_differ_in_is_said_in_the_pages_language() -> None:
    """A release was decided by an English sentence in the middle of a Chinese one."""
    chinese = WORDS["zh"]
    shown: Any = SimpleNamespace(
        word=lambda key, *values: chinese[key].format(*values),
        said=lambda text: said("zh", text, {}),
    )
    facts = Facts(LOT, differences=("12 parts at the infeed, 11 triggers",))
    assert not re.search("[a-z]", checks_of(shown, facts, 0, False)[0].said)


def test_thousands_of_units_make_a_graph_that_can_be_read() -> None:
    """(S11)"""
    sent = [Shipped(f"Store {n % 40}", "", 1, 1) for n in range(400)]
    pallets = [Unit(f"P{n}", "pallet", "", sent[n]) for n in range(400)]
    cases = [Unit(f"C{n}", "case", f"P{n // 20}", sent[n // 20]) for n in range(8000)]
    lots = [Consumed("B", f"part-{n % 3}", f"lot-{n}", "", None, None, n) for n in range(60)]

    graph = lineage.graph(
        "B", lots, [*cases, *pallets], lambda key, *v: " ".join([key, *map(str, v)])
    )

    assert all(len(nodes) <= lineage.MOST + 1 for _, nodes in graph.columns)
    by_name = dict(graph.columns)
    assert sum(len(node.members) for node in by_name["trace.units"]) == 8000
    assert sum(len(node.members) for node in by_name["trace.materials"]) == 60
    into = sum(n for (one, _), n in graph.edges.items() if one == "batch")
    assert into == 8000, "nothing is lost on the way"
