"""The live page where a line changes its pace, its words are odd, or its person's language is
another: a line that the test itself drives."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from web.line_on_show import numbered, verdict

from inspector.display import Alarm, AlarmCode, Counts, Display, Status
from inspector.identity import Role
from inspector.part import Mode
from inspector.web.words import WORDS

SLOW, FAST = 1.0, 5.0
"""Parts per second on either side of the page's bounds."""


class Line:
    """Says what the test wants, and beats while the test waits."""

    def __init__(self, web: Any, page: Any) -> None:
        self._display = Display(web.run, pass_interval_ms=0, reject_interval_ms=0)
        self._page = page
        self.drawn = 0
        self.status = Status(
            station="test-1", ready=True, running=True, mode=Mode.AUTO, batch="L2417A",
            product="gel", recipe="bottle-line@4", parts_per_s=SLOW, since_part_ms=0.0,
        )  # fmt: skip
        page.on("websocket", lambda socket: socket.on("framesent", self._sent))

    def _sent(self, frame: Any) -> None:
        self.drawn += frame == "drawn"

    def beat(self, **now: Any) -> None:
        self.status = replace(self.status, **now)
        self._display.beat(self.status)

    def make(self, number: int, rejected: bool = False, **said: Any) -> None:
        """A part, until the page has it in hand."""
        made, had = replace(verdict(number, rejected, None), **said), self.drawn
        self.until(lambda: self._display.wants(made.outcome))
        self._display.show(made, {"side": numbered(number, rejected)}, Counts())
        self.until(lambda: self.drawn > had)

    def until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            self.beat()
            self._page.wait_for_timeout(20)

    def shown(self, part: int) -> bool:
        return bool(self._page.locator("#caption").get_attribute("data-part") == str(part))

    def close(self) -> None:
        self._display.close()


@pytest.fixture
def line(web: Any, page: Any) -> Iterator[Line]:
    made = Line(web, page)
    page.goto(web.url)
    made.until(lambda: page.locator("body").get_attribute("data-link") == "live")
    yield made
    made.close()


@pytest.fixture
def anna(web: Any, page: Any, line: Line) -> None:
    """An operator signs in."""
    token, _ = web.session(Role.OPERATOR, name="anna")
    page.context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
    page.reload()


def test_a_line_that_grows_slow_shows_no_part_of_long_ago(page: Any, line: Line) -> None:
    """The second part waited for its turn when the line grew fast."""
    line.make(1)
    line.until(lambda: line.shown(1))
    line.make(2)
    line.beat(parts_per_s=FAST)
    line.until(lambda: page.locator("#verdict").get_attribute("data-outcome") == "running")
    line.make(3)
    line.until(lambda: line.shown(3))
    page.evaluate("""() => {
      window.seen = [];
      new MutationObserver(() => window.seen.push(document.getElementById("caption").dataset.part))
        .observe(document.getElementById("caption"), { attributeFilter: ["data-part"] });
    }""")
    line.beat(parts_per_s=SLOW)
    line.make(4)
    line.until(lambda: line.shown(4))

    assert page.evaluate("window.seen") == ["4"]


@pytest.mark.parametrize(
    ("mode", "word", "pace"), [(Mode.SETUP, "SET-UP", FAST), (Mode.CLEANING, "CLEANING", SLOW)]
)
def test_no_green_field_stands_where_the_gate_rejects_every_part(
    page: Any, line: Line, mode: Mode, word: str, pace: float
) -> None:
    """It said GOOD, running well, while a line that awaits its first article threw all away."""
    field = page.locator("#verdict")
    line.beat(parts_per_s=pace, mode=mode)
    line.make(1)
    line.until(lambda: field.get_attribute("data-outcome") == mode)
    assert field.locator("#word").inner_text() == word
    assert "rejected" in field.locator("#why").inner_text()

    line.make(2, True)
    line.until(lambda: field.get_attribute("data-outcome") == "reject")


def test_a_measure_that_is_no_number_does_not_keep_a_part_shut(page: Any, line: Line) -> None:
    """JSON has no NaN: it travels as null."""
    bad = verdict(1, True, None).findings[0]
    large = replace(bad, value=15234.4, unit="{px}2")
    line.make(15, True, findings=(replace(bad, value=math.nan, unit="mm"), large))
    page.locator("#rejects button", has_text="#15").click()  # those of other tests stand there too

    said = page.locator("dialog .findings").inner_text()
    assert "cap tilted" in said
    assert "15,234 px²" in said, "and not 1.523e+4"


def test_why_a_by_pass_was_ordered_stands_as_somebody_wrote_it(page: Any, line: Line) -> None:
    """Parts of it were taken for the station's own words."""
    page.locator("#language").click()
    line.beat(alarms=(Alarm(AlarmCode.BYPASS, "light repair until 10: electrician"),))
    what = page.locator("#alarm-what")
    line.until(lambda: "旁路" in what.inner_text())
    assert "(light repair until 10: electrician)" in what.inner_text()


def test_a_call_for_help_speaks_the_language_that_the_page_is_switched_to(
    web: Any, page: Any, line: Line
) -> None:
    with web.client(Role.OPERATOR, name="anna") as client:
        assert client.post("/help", json={"reason": "maintenance"}).status_code == 200
        line.until(lambda: page.locator("#help-why").inner_text() == "Maintenance")
        page.locator("#language").click()
        why, what = (page.locator(f"#help-{name}").inner_text() for name in ("why", "what"))
        client.post("/help/come", json={})

    assert why == WORDS["zh"]["help.maintenance"]
    assert what.startswith("anna") and "called" not in what


def test_a_batch_is_asked_for_by_the_name_that_it_has(page: Any, line: Line, anna: None) -> None:
    """``$&`` and ``$$`` mean something to the browser's own ``replace``."""
    line.until(lambda: page.locator("body").get_attribute("data-link") == "live")
    line.beat(batch="L$$7 $& 24/17")
    line.until(lambda: page.locator("#batch").inner_text() == "L$$7 $& 24/17")
    page.locator("#do-start").click()
    page.locator("dialog footer .button").first.click()

    page.locator("dialog h2", has_text="L$$7 $& 24/17").wait_for()


def test_a_part_can_be_rejected_again_where_the_station_did_not_answer(
    page: Any, line: Line, anna: None
) -> None:
    line.until(lambda: page.locator("body").get_attribute("data-link") == "live")
    line.make(1)
    page.locator("[data-strip=parts]").click()
    page.locator("#rejects li button").first.click()
    page.expected_errors = ("Failed to load resource",)
    page.route("**/line/reject", lambda route: route.abort())
    reject = page.locator("dialog .danger")
    reject.click()
    line.until(lambda: page.locator("dialog .note.bad").count() == 1)
    assert reject.is_enabled()

    page.unroute("**/line/reject")
    page.route("**/line/reject", lambda route: route.fulfill(json={"gate": "pending"}))
    reject.click()
    line.until(lambda: "on hold" in page.locator("dialog .note").inner_text())
    assert reject.is_disabled(), "once is enough"


def test_who_touches_twice_is_asked_once_who_they_are(page: Any, line: Line) -> None:
    """A second sheet stood under the first one, and was asked for a PIN once more."""
    asks: list[Any] = []
    nobody = {"user": None, "people": ["anna"], "may": []}
    page.route("**/session", lambda route: (asks.append(route), route.fulfill(json=nobody)))
    page.locator("#person").evaluate("node => { node.click(); node.click(); }")
    line.until(lambda: len(asks) > 1 and page.locator("dialog .tile").count())
    assert page.locator("dialog").count() == 1

    page.keyboard.press("Escape")
    page.locator("#person").click()
    page.locator("dialog .tile").wait_for()


def test_who_touches_twice_acknowledges_no_alarm_that_nobody_has_read(
    page: Any, line: Line, anna: None
) -> None:
    asked: list[Any] = []
    page.route("**/line/acknowledge", lambda route: (asked.append(route), route.fulfill(json={})))
    first, next_ = Alarm(AlarmCode.PLC_LOST, "", stops=True), Alarm(AlarmCode.BYPASS, "repair")
    line.beat(alarms=(first, next_))
    line.until(lambda: "PLC" in page.locator("#alarm-what").inner_text())
    page.locator("#alarm-acknowledge").click()
    line.beat(alarms=(replace(first, acknowledged=True), next_))
    line.until(lambda: "repair" in page.locator("#alarm-what").inner_text())
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)
    page.wait_for_timeout(50)

    assert len(asked) == 1


def test_an_alarm_of_an_earlier_day_says_which_day(page: Any, line: Line) -> None:
    now = time.time_ns()
    old = Alarm(AlarmCode.DISK_LOW, since_utc_ns=now - 40 * 86_400_000_000_000)
    line.beat(alarms=(old, Alarm(AlarmCode.LIGHT, since_utc_ns=now)))
    line.until(lambda: page.locator("#alarm-all").is_visible())
    page.locator("#alarm-all").click()
    rows = page.locator("dialog .alarms div span").all_inner_texts()

    assert [bool(re.search(r" 20\d\d", row)) for row in rows] == [True, False]
