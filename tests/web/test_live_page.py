"""The live page in a real browser, fed by a real line: what it shows, and when it shows nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from typing import Any

import pytest

Line = Callable[..., BaseProcess]

# Reads the part number that the picture on the screen carries, and the verdict beside it, in one
# task of the page, so that nothing can change in between.
LOOK = """() => {
  const canvas = document.getElementById("picture");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const scale = Math.min(canvas.width / 640, canvas.height / 480);
  const left = (canvas.width - 640 * scale) / 2, top = (canvas.height - 480 * scale) / 2;
  const bright = (x, y) => pen.getImageData(left + x * scale, top + y * scale, 1, 1).data;
  let part = 0;
  for (let bit = 0; bit < 16; bit++) if (bright(bit * 40 + 20, 20)[0] > 128) part |= 1 << bit;
  const caption = document.getElementById("caption");
  const verdict = document.getElementById("verdict");
  return {
    drawn: bright(320, 300)[3] > 0,
    picture: { part, rejected: bright(620, 460)[0] > 170 },
    caption: {
      part: Number(caption.dataset.part), outcome: caption.dataset.outcome,
      words: caption.textContent,
    },
    verdict: { part: Number(verdict.dataset.part), outcome: verdict.dataset.outcome },
    near: Number(document.getElementById("near").dataset.part),
    word: document.getElementById("word").textContent,
    which: document.getElementById("which").textContent,
  };
}"""

NOTE_LINK = """() => {
  window.links = [];
  new MutationObserver(() => window.links.push([Date.now(), document.body.dataset.link]))
    .observe(document.body, { attributeFilter: ["data-link"] });
  let before = performance.now();
  window.stalledMs = 0;
  setInterval(() => {
    const now = performance.now();
    window.stalledMs += Math.max(0, now - before - 20);
    before = now;
  }, 20);
}"""
NOTE_VERDICTS = """() => {
  const verdict = document.getElementById("verdict");
  let shown = verdict.dataset.outcome;
  window.changes = [];
  new MutationObserver(() => {
    if (verdict.dataset.outcome === shown) return;
    shown = verdict.dataset.outcome;
    window.changes.push([performance.now(), shown]);
  }).observe(verdict, { attributeFilter: ["data-outcome"] });
}"""


def open_live(page: Any, url: str, outcome: str = "running") -> None:
    page.goto(url)
    page.wait_for_selector(f"#verdict[data-outcome={outcome}]")


def wait(page: Any, expression: str, seconds: float = 8.0) -> None:
    """Until ``expression`` is true; the page's policy forbids Playwright's own way, an eval."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never true: {expression}"
        page.wait_for_timeout(40)


def when(page: Any, link: str) -> float:
    """The wall-clock time in seconds at which the page's link became ``link``."""
    page.wait_for_selector(f"body[data-link={link}]", state="attached")
    return next(ms for ms, state in page.evaluate("window.links") if state == link) / 1e3


def is_blank_within_a_second(page: Any, ended: float) -> None:
    """After ``ended``. How long a busy machine let the page do nothing at all does not count."""
    blank = when(page, "lost")
    assert blank - ended <= 1.0 + page.evaluate("window.stalledMs") / 1e3


def test_a_verdict_never_stands_over_another_parts_picture(web: Any, line: Line, page: Any) -> None:
    process = line("--rate", "25")
    open_live(page, web.url)
    page.evaluate(f"window.look = {LOOK}; window.looks = []")
    page.evaluate("setInterval(() => window.looks.push(window.look()), 20)")
    wait(page, "new Set(window.looks.map((look) => look.picture.part)).size >= 3")
    os.kill(process.pid, signal.SIGUSR1)
    wait(page, "window.looks.some((look) => look.verdict.outcome === 'reject')")
    wait(page, "window.looks.some((look) => look.caption.outcome === 'reject')")
    looks = [look for look in page.evaluate("window.looks") if look["caption"]["part"]]
    assert len(looks) >= 5
    for look in looks:
        assert look["picture"]["part"] == look["caption"]["part"], look
        assert look["picture"]["rejected"] == (look["caption"]["outcome"] == "reject"), look
        assert str(look["caption"]["part"]) in look["caption"]["words"]
        assert look["near"] == look["verdict"]["part"], "the held reject's own picture"
        if look["verdict"]["part"]:
            assert look["which"] == f"Part {look['verdict']['part']}"
            assert look["word"] == look["verdict"]["outcome"].upper()


def test_a_slow_lines_field_says_each_parts_verdict_beside_its_picture(
    web: Any, line: Line, page: Any
) -> None:
    page.goto(web.url)
    line("--rate", "1.5", "--reject-every", "2")
    page.evaluate(f"window.look = {LOOK}; window.looks = []")
    page.evaluate("setInterval(() => window.looks.push(window.look()), 20)")
    wait(page, "new Set(window.looks.map((look) => look.verdict.outcome)).has('reject')")
    wait(page, "new Set(window.looks.map((look) => look.verdict.outcome)).has('pass')")
    looks = [look for look in page.evaluate("window.looks") if look["verdict"]["part"]]
    for look in looks:
        assert look["picture"]["part"] == look["verdict"]["part"] == look["caption"]["part"], look
        assert look["word"] == look["verdict"]["outcome"].upper()


def test_pictures_follow_a_line_of_fifty_parts_a_second_ten_times_a_second(
    web: Any, line: Line, page: Any
) -> None:
    line("--rate", "50", "--reject-every", "50")
    open_live(page, web.url)
    page.evaluate("""() => {
      window.drawn = [];
      new MutationObserver(() => window.drawn.push(performance.now()))
        .observe(document.getElementById("caption"), { attributeFilter: ["data-part"] });
    }""")
    wait(page, "window.drawn.length && performance.now() - window.drawn[0] > 2000")
    drawn = page.evaluate("window.drawn")
    assert (len(drawn) - 1) / (drawn[-1] - drawn[0]) * 1000 >= 10


def test_a_fast_line_looks_steady_and_a_reject_is_held_for_two_seconds(
    web: Any, line: Line, page: Any
) -> None:
    process = line("--rate", "25")
    open_live(page, web.url)
    page.evaluate(NOTE_VERDICTS)
    os.kill(process.pid, signal.SIGUSR1)
    wait(page, "window.changes.length >= 2")
    (began, first), (ended, then) = page.evaluate("window.changes")
    assert (first, then) == ("reject", "running")
    assert ended - began >= 1990
    assert page.locator("#rejects li[id^=rejects-]").count() >= 1


def test_a_lost_line_blanks_the_page_within_a_second_and_comes_back_by_itself(
    web: Any, line: Line, page: Any
) -> None:
    first = line("--rate", "20")
    open_live(page, web.url)
    page.evaluate(NOTE_LINK)
    first.kill()
    is_blank_within_a_second(page, time.time())
    look = page.evaluate(LOOK)
    assert not look["drawn"], "the last picture is still there"
    assert (look["word"], look["which"]) == ("", "")
    assert page.locator(".lost").is_visible()
    assert page.locator("#lost-word").inner_text() == "NO CONNECTION"
    assert not page.locator(".figures").is_visible()
    line("--rate", "20")
    page.wait_for_selector("#verdict[data-outcome=running]")
    assert page.locator(".figures").is_visible()


def test_a_line_that_hangs_is_a_lost_line(web: Any, line: Line, page: Any) -> None:
    process = line("--rate", "20")
    open_live(page, web.url)
    page.evaluate(NOTE_LINK)
    os.kill(process.pid, signal.SIGSTOP)
    is_blank_within_a_second(page, time.time())
    os.kill(process.pid, signal.SIGCONT)
    page.wait_for_selector("#verdict[data-outcome=running]")


@pytest.fixture
def mortal_web(web: Any) -> Iterator[Any]:
    """The web process, for a test that kills it; the next test finds it alive again."""
    yield web
    web.start()


def test_a_killed_web_process_blanks_the_page_within_a_second(
    mortal_web: Any, line: Line, page: Any
) -> None:
    page.expected_errors = ("WebSocket", "ERR_CONNECTION")
    line("--rate", "20")
    open_live(page, mortal_web.url)
    page.evaluate(NOTE_LINK)
    mortal_web.kill()
    is_blank_within_a_second(page, time.time())
    assert not page.evaluate(LOOK)["drawn"]


@pytest.mark.slow
def test_a_page_finds_a_restarted_web_process_by_itself(web: Any, line: Line, page: Any) -> None:
    page.expected_errors = ("WebSocket", "ERR_CONNECTION")
    line("--rate", "20")
    open_live(page, web.url)
    web.kill()
    page.wait_for_selector("body[data-link=lost]", state="attached")
    web.start()
    page.wait_for_selector("#verdict[data-outcome=running]")


@pytest.mark.slow
def test_a_verdict_gives_way_to_waiting_when_no_part_comes(web: Any, line: Line, page: Any) -> None:
    page.goto(web.url)
    line("--rate", "20", "--parts", "5")
    page.wait_for_selector("#verdict[data-outcome=running]")
    page.wait_for_selector("#verdict[data-outcome=waiting]")
    assert page.locator("#which").inner_text().startswith("Last part")


def test_a_line_without_parts_shows_that_it_waits(web: Any, line: Line, page: Any) -> None:
    line("--rate", "0")
    open_live(page, web.url, "waiting")
    assert page.locator("#word").inner_text() == "WAITING"
    assert page.locator("#why").inner_text() == "Waiting for part"


def test_a_standing_line_shows_that_it_stands(web: Any, line: Line, page: Any) -> None:
    line("--rate", "0", "--stopped")
    open_live(page, web.url, "stopped")
    assert page.locator("#word").inner_text() == "STOPPED"


def test_an_alarm_says_what_happened_and_what_to_do(web: Any, line: Line, page: Any) -> None:
    line("--rate", "20", "--alarm", "bin_full")
    open_live(page, web.url)
    page.wait_for_selector("#alarm:not([hidden])")
    assert page.locator("#alarm-what").inner_text() == "The reject bin is full (side)"
    assert page.locator("#alarm-do").inner_text() == "Empty the bin, then resume."


def test_by_pass_cannot_be_overlooked(web: Any, line: Line, page: Any) -> None:
    line("--rate", "20", "--mode", "bypass")
    open_live(page, web.url, "not_inspected")
    fact = page.locator("#fact-mode[data-mode=bypass]")
    assert "By-pass" in fact.inner_text()
    assert fact.evaluate("node => getComputedStyle(node).backgroundColor") == "rgb(85, 39, 154)"


def test_the_language_switches_whole_and_is_remembered(web: Any, line: Line, page: Any) -> None:
    line("--rate", "20", "--alarm", "plc_lost")
    open_live(page, web.url)
    page.wait_for_selector("#alarm:not([hidden])")
    page.get_by_role("button", name="中文").click()
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert page.locator("#word").inner_text() == "良好"
    assert page.locator("#alarm-what").inner_text() == "与 PLC 的连接中断 (side)"
    english = page.evaluate("""() => [...document.querySelectorAll("[data-word]")]
      .filter((n) => !/[\\u4e00-\\u9fff]/.test(n.textContent)).map((n) => n.dataset.word)""")
    assert english == []
    page.reload()
    page.wait_for_selector("#verdict[data-outcome=running]")
    assert page.locator("#word").inner_text() == "良好"
    page.get_by_role("button", name="English").click()
    assert page.locator("#word").inner_text() == "GOOD"


def test_the_theme_switches(web: Any, page: Any) -> None:
    page.goto(web.url)
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert page.evaluate(ground) == "rgb(11, 13, 16)"
    page.locator("#theme").click()
    assert page.evaluate(ground) == "rgb(223, 227, 231)"


def test_the_last_rejects_are_there_for_a_page_opened_later(
    web: Any, line: Line, page: Any
) -> None:
    line("--rate", "40", "--reject-every", "5", "--parts", "60")
    first = "#rejects li[id^=rejects-]"
    page.goto(web.url)
    wait(page, f"document.querySelectorAll('{first}').length === 8")
    page.wait_for_selector(f"{first}:first-of-type b:text-is('#60')")
    page.reload()
    wait(page, f"document.querySelectorAll('{first}').length === 8")
    numbers = page.locator(f"{first} b").all_inner_texts()
    assert numbers == ["#60", "#55", "#50", "#45", "#40", "#35", "#30", "#25"]


@pytest.mark.parametrize(
    ("width", "height", "panel_mm"), [(1280, 800, 217), (1920, 1080, 344), (390, 844, 0)]
)
def test_everything_fits_the_screen(
    web: Any, line: Line, page: Any, width: int, height: int, panel_mm: float
) -> None:
    line("--rate", "20", "--reject-every", "7", "--alarm", "rejects_in_a_row")
    page.set_viewport_size({"width": width, "height": height})
    open_live(page, web.url, "reject")
    page.wait_for_selector("#alarm:not([hidden])")
    sizes = page.evaluate("""() => {
      const root = document.scrollingElement;
      const box = (id) => document.querySelector(id).getBoundingClientRect().toJSON();
      return {
        wide: root.scrollWidth, tall: root.scrollHeight, word: box("#word"),
        verdict: box("#verdict"), foot: box(".foot"),
        buttons: [...document.querySelectorAll("button")]
          .filter((b) => b.checkVisibility()).map((b) => b.getBoundingClientRect().toJSON()),
        letter: parseFloat(getComputedStyle(document.getElementById("word")).fontSize),
        cut: [...document.querySelectorAll("dd, .label, dt, #word, .actions .button span")]
          .filter((n) => n.scrollWidth > n.clientWidth + 1).map((n) => n.id || n.textContent),
      };
    }""")
    assert sizes["wide"] <= width
    assert sizes["cut"] == []
    assert all(b["width"] >= 64 and b["height"] >= 64 for b in sizes["buttons"])
    assert sizes["word"]["right"] <= sizes["verdict"]["right"]
    # Capitals are 0.7 of the font's size; 1/200 of the distance is read with ease.
    assert not panel_mm or 0.7 * sizes["letter"] / width * panel_mm >= 3000 / 200
    if width >= 900:
        assert sizes["tall"] <= height
        assert sizes["foot"]["bottom"] <= height


def test_the_operators_page_runs_no_script_but_our_own(web: Any, page: Any) -> None:
    page.goto(web.url)
    scripts = page.evaluate("""() => [...new Set([
      ...performance.getEntriesByType("resource").map((entry) => entry.name),
      ...[...document.scripts].map((script) => script.src)])]
      .filter((name) => /\\.m?js(\\?|$)/.test(name))""")

    assert len(scripts) >= 5
    assert [name for name in scripts if not name.startswith(f"{web.url}static/")] == []
