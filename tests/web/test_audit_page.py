"""The audit trail on its page and in its file: searched, paged, exported (I9, S16)."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from inspector.identity import Role
from inspector.part import Disposition, Mode, Outcome
from inspector.store import DeskLedger
from inspector.store.reviews import Decision
from inspector.web.said import said

DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def deeds(web: Any) -> Any:
    """More than a page of them, by two people."""
    with DeskLedger.open(web.data) as desk:
        desk.add("review", {}, "nina")
        desk.add_all(
            [("review", {"part": f"P{n}", "verdict": "=danger()"}, "nina") for n in range(130)]
        )
        desk.add(
            "disposition",
            {"disposition": "hold", "reason": "<b>loose</b> cap", "seen": DIGEST},
            "jonas",
        )
    return web


@pytest.fixture
def auditor(deeds: Any, page: Any) -> Any:
    """A page of somebody who reads and changes nothing."""
    token, _ = deeds.session(Role.AUDITOR, name="ulla")
    cookie = {"name": "inspector", "value": token, "url": deeds.url}
    page.context.add_cookies([cookie])
    return page


def test_the_newest_deeds_are_shown_and_older_ones_follow(deeds: Any, auditor: Any) -> None:
    auditor.goto(f"{deeds.url}desk/audit?what=review&who=nina")
    rows = auditor.locator("tbody tr")
    auditor.wait_for_selector("text=P129")
    assert rows.count() == 100
    auditor.locator(".more .button").click()
    auditor.wait_for_selector("text=P0,")
    assert rows.count() == 131
    assert auditor.locator(".more .button").count() == 0


def test_a_search_stands_in_the_address_and_finds(deeds: Any, auditor: Any) -> None:
    auditor.goto(f"{deeds.url}desk/audit")
    auditor.wait_for_selector("input[name=who]")
    auditor.locator("input[name=who]").fill("Jonas")
    auditor.locator("input[name=text]").fill("loose")
    auditor.locator(".search .main").click()
    auditor.wait_for_selector("tbody tr >> text=jonas")
    assert auditor.locator("tbody tr").count() == 1
    assert "who=Jonas" in auditor.url
    said = "reason <b>loose</b> cap, seen abababab…, disposition hold"
    assert said in auditor.locator("tbody tr").inner_text()
    assert auditor.locator("nav a[aria-current]").inner_text() == "Audit trail"


def test_the_export_is_what_was_searched_and_harms_no_spreadsheet(deeds: Any) -> None:
    with deeds.client(Role.AUDITOR, name="ulla") as client:
        answer = client.get("/audit.csv?what=review&who=nina&since=2020-01-01")
        assert answer.headers["content-disposition"].startswith("attachment; filename=")
        rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
        assert len(rows) == 131
        assert rows[0]["details"] == "part P129, verdict =danger()"
        assert rows[-1]["details"] == "", "what has no details has none here"
        assert f"seen {DIGEST}" in client.get("/audit.csv?who=jonas").text
        newest = client.get("/audit.csv?what=export").text
        assert "ulla" in newest, "an export is a deed too"
        assert "since 2020-01-01" in newest, "and says what was taken along"


def test_a_chinese_deed_beside_a_long_text_stands_in_one_line(deeds: Any, auditor: Any) -> None:
    with DeskLedger.open(deeds.data) as desk:
        desk.add("disposition", {"disposition": "hold", "reason": "loose cap " * 40}, "olga")
    auditor.context.add_cookies([{"name": "language", "value": "zh", "url": deeds.url}])
    auditor.goto(f"{deeds.url}desk/audit?who=olga")
    deed = auditor.locator("tbody td.phrase")
    assert deed.inner_text() == "工件处置"
    details = auditor.locator("tbody tr").inner_text()
    assert "原因 loose cap loose" in details and "处置 扣留" in details
    lines = "td => { const r = document.createRange(); r.selectNodeContents(td);"
    assert deed.evaluate(lines + " return r.getClientRects().length; }") == 1


@pytest.mark.parametrize("word", [*Decision, *Disposition, *Mode, *Outcome])
def test_a_detail_that_is_one_of_a_few_words_is_said_in_chinese(word: str) -> None:
    assert not said("zh", word, {}).isascii()


def test_an_operator_reads_no_audit_trail(deeds: Any) -> None:
    with deeds.client(Role.OPERATOR) as client:
        assert client.get("/desk/audit").status_code == 403
        assert client.get("/audit.csv").status_code == 403
