"""The batch report says what the ledger holds, in both languages (S11, S12, S14, I4)."""

from __future__ import annotations

import ast
import json
import re
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from unicodedata import combining

import numpy as np
import pytest
from quality_parts import part, words_of
from reportlab.pdfbase import pdfmetrics
from typer.testing import CliRunner

from inspector import printed
from inspector.cli import app
from inspector.config import Quality
from inspector.part import Batch, GateAction, GateDecision, Mode, Outcome, new_part_id
from inspector.quality import first_article, paper, report, sheet
from inspector.quality.batch_facts import gather, made_when, outline
from inspector.quality.errors import QualityError
from inspector.quality.report import batch_report
from inspector.quality.report_words import LANGUAGES, WORDS
from inspector.store import DeskLedger, History, LineLedger, StoreError
from inspector.store.figures import period

LIMITS = {"can": {"neck/height": (1.0, 2.0)}, "bottle": {"neck/height": (11.6, 12.4)}}
"""Two recipes measure under one name."""


def test_its_counts_are_those_of_the_ledger(made) -> None:  # type: ignore[no-untyped-def]
    facts = gather(made.data, made.batch, Quality(), check=False)
    with History(made.data) as history:
        counts = history.counts(made.batch)
        defects = history.defects(made.batch)
    assert {o: n for o, n in counts.items() if n} == {o: n for o, n in facts.counts.items() if n}
    assert dict(facts.labels) == defects
    assert facts.gates.total() == facts.counts.total() and facts.unheard == 0
    assert facts.streams == {"plc-1": (1, 4000, 4000)}
    assert facts.closed and facts.product == "Mineral water 0.5 l"


def test_the_chart_sees_where_the_process_went_astray(made) -> None:  # type: ignore[no-untyped-def]
    facts = gather(made.data, made.batch, Quality(), LIMITS, check=False)
    assert facts.charts is not None
    chart = facts.charts.p("scratch")
    assert chart is not None and len(chart.points) == 39
    assert not [i for i in chart.outside if i < 29] and [i for i in chart.outside if i >= 29]
    said = [row for row in facts.deviations if row[1] == "spc_alarm"]
    assert any("scratch" in row[2] for row in said)
    capable = facts.charts.capability("neck/height")
    assert capable is not None and capable.cp is not None
    assert capable.cp.low < 0.4 / (3 * 0.08) < capable.cp.high


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_pdf_says_it_all(made, language: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "report.pdf"
    facts = batch_report(made.data, made.batch, out, language, check=language == "en")
    said, w = words_of(out), WORDS[language]
    for name in ("batch_report", "counts", "pareto", "spc", "pictures", "deviations",
                 "signatures", "proof"):  # fmt: skip
        assert w[name] in said, name
    assert facts.root in said and f"{facts.counts[Outcome.PASS]:,}" in said
    assert facts.counts[Outcome.ERROR]  # which every page counts among the judged
    assert f"{100 * facts.counts[Outcome.PASS] / facts.counts.total():.2f} %" in said
    assert "missing cap" in said and "Mineral water" in said
    assert (w["verified"] in said) == (language == "en")
    assert out.stat().st_size < 1_000_000


def test_a_chinese_report_says_in_chinese_what_the_record_says(tmp_path: Path) -> None:
    """Reasons, labels, alarms, decisions, what a signature means: all but what people wrote."""
    recipe = tmp_path / "bottle.yaml"
    recipe.write_text(json.dumps({"name": "bottle", "words": {"zh": {"scratch": "划痕"}}}))
    batch = Batch("B-1", "", "bottle", {"lot": "L1"})
    with LineLedger.open(tmp_path, station="ST-01") as line, DeskLedger.open(tmp_path) as desk:
        line.add_batch(batch, "begin", "line")
        wrong = replace(part(1, outcome=Outcome.REJECT), reasons=("no code read",))
        line.add_verdict(wrong)
        line.add_event("alarm", "line", code="camera_lost", detail="side: no answer in 30 ms")
        edges = "edges without a picture between parts 3 and 4"
        line.add_event("alarm", "line", code="tracking_lost", detail=edges)
        line.add_batch(batch, "end", "otto")
        line.commit()
        desk.add(
            "disposition",
            {"batch": "B-1", "disposition": "hold", "reason": "part without cap"},
            "qa",
        )
        step = {"name": "seeded: scratch", "state": "failed", "detail": "9 of 10 passed"}
        failed = {"batch": "B-1", "recipe": "bottle@3", "id": "a", "attempt": 1, "passed": False,
                  "station_s": 1.0, "parts": [], "steps": [step]}  # fmt: skip
        desk.add("first_article", failed, "quality")
    given = [str(tmp_path), "B-1", str(out := tmp_path / "r.pdf"), "zh", "-", "", "", ""]
    printed.report(*given, str(recipe))
    said = words_of(out)
    for one in (
        "批号 L1", "未读到码", "相机断开: side：30 ms 内无应答", "扣留: part without cap",
        "工件位置未知: 工件 3 与 4 之间有触发沿但无图像", "10 件中 9 件通过",
    ):  # fmt: skip
        assert one in said, one
    assert said.count("划痕") == 2 and "scratch" not in said


@pytest.mark.parametrize(
    ("value", "span", "said"),
    [(1234.56, 2.0, "1234.56"), (1233.56, 2.0, "1233.56"), (12.0003, 0.08, "12.0003"),
     (0.0, 0.0, "0.0000"), (51234.0, 900.0, "51234")],
)  # fmt: skip
def test_limits_and_centre_are_never_one_number(value: float, span: float, said: str) -> None:
    assert paper.figure(value, span) == said


@pytest.mark.parametrize(
    ("decided", "stands", "zh"),
    [
        ([("hold", None)], "hold", "已扣留"),
        ([("hold", None), ("release", None)], "release", "已放行"),
        ([("scrap", None), ("release", None)], "scrap", "已报废"),
        ([("hold", 5), ("release", None)], "hold", "已扣留"),
        ([("hold", 15)], None, "结束"),
    ],
)
def test_a_report_says_how_its_batch_stands_and_not_what_was_written_last(
    decided: list[tuple[str, int | None]], stands: str | None, zh: str, tmp_path: Path
) -> None:
    """A released batch stood there as `release` in red, one with parts on hold as ended. Parts 11
    to 20 are another batch's."""
    with LineLedger.open(tmp_path, station="ST-01") as ledger:
        for batch, first in (("B-1", 1), ("B-2", 11), ("B-1", 21)):
            ledger.add_batch(Batch(batch, "", "bottle", {}), "begin", "line")
            for number in range(first, first + 10):
                ledger.add_verdict(part(number, batch=batch))
            ledger.add_batch(Batch(batch, "", "bottle", {}), "end", "otto")
        ledger.commit()
    with DeskLedger.open(tmp_path) as desk:
        for disposition, number in decided:
            what = {"batch": "B-1"} if number is None else {"runs": [["plc-1", number, number]]}
            desk.add("disposition", {"disposition": disposition, "reason": "r", **what}, "quinn")
    facts = batch_report(tmp_path, "B-1", out := tmp_path / "r.pdf", "zh", check=False)
    assert facts.standing == stands
    assert len([row for row in facts.deviations if row[1] == "hold"]) == len(decided) * bool(stands)
    assert zh in words_of(out).partition(WORDS["zh"]["counts"])[0]
    with History(tmp_path) as history:
        assert stands is None or outline(history, "B-1").standing == stands


def test_nothing_that_failed_is_left_out_for_want_of_room(tmp_path: Path) -> None:
    """Forty rows were printed of challenges and deviations, and of first articles every attempt."""
    with LineLedger.open(tmp_path, station="ST-01") as ledger:
        ledger.add_batch(Batch("B-1", "", "bottle", {}), "begin", "line")
        ledger.add_verdict(part(1))
        for _ in range(60):
            ledger.add_event("alarm", "line", code="bin_full", detail="")
        bypass = {"reason": "sensor is broken"}
        ledger.add_event("command", "otto", args=bypass, result={"mode": "bypass"})
        ledger.add_batch(Batch("B-1", "", "bottle", {}), "end", "otto")
        ledger.commit()
    step = {"name": "golden", "state": "failed", "detail": "golden part 1"}
    sheet = {"batch": "B-1", "recipe": "bottle@3", "station_s": 1.0, "parts": [], "steps": [step]}
    tried = {"batch": "B-1", "parts": [], "at_utc_ns": 1, "asked_by": "otto", "why": "no cap"}
    with DeskLedger.open(tmp_path) as desk:
        desk.add_all([
            ("first_article", sheet | {"id": "a1", "attempt": n, "passed": n == 3}, "quality")
            for n in range(1, 301)
        ])  # fmt: skip
        desk.add_all([("challenge", tried | {"result": "good"}, "quality")] * 60)
        desk.add("challenge", tried | {"result": "failed"}, "quality")
    batch_report(tmp_path, "B-1", out := tmp_path / "r.pdf", "en", check=False)
    said = words_of(out)
    assert "sensor is broken" in said and "and 21 more" in said
    assert re.search(r"otto +failed +no cap", said) and "and 21 more" in said
    assert "Attempt 3: passed" in said and "Attempt 300: failed" in said
    assert said.count("golden part 1") == 5 and "295 earlier attempts" in said


def test_what_went_by_unjudged_was_not_inspected(tmp_path: Path) -> None:
    """A by-pass of two parts in ten stood in its report as ten that were inspected."""
    with LineLedger.open(tmp_path, station="ST-01") as ledger:
        for number in range(1, 11):
            by = {"outcome": Outcome.NOT_INSPECTED, "mode": Mode.BYPASS} if number > 8 else {}
            ledger.add_verdict(part(number, **by))
        ledger.commit()
    batch_report(tmp_path, "B-1", out := tmp_path / "r.pdf", "en", check=False)
    said = words_of(out)
    assert re.search(r"^ *8 +100\.00 %", said, re.MULTILINE)
    assert re.search(r"By-pass, not inspected +2\b", said) and "a1" * 8 in said


@pytest.mark.parametrize("gated", [True, False])
def test_a_station_without_a_gate_owes_no_word_to_one(gated: bool, tmp_path: Path) -> None:
    with LineLedger.open(tmp_path, station="ST-01") as ledger:
        if gated:
            one = part(1, batch="B-0")
            ledger.add_verdict(one)
            ledger.add_gate(GateDecision(one.part_id, "plc-1", 1, GateAction.PERMIT, "", 1, 2))
        for number in range(2, 12):
            ledger.add_verdict(part(number))
        ledger.commit()
    batch_report(tmp_path, "B-1", out := tmp_path / "r.pdf", "en", check=False)
    assert ("differs by 10" in words_of(out)) is gated
    assert (WORDS["en"]["gate_silent"] in words_of(out)) is gated


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch that was bad in its middle, long ago, and that another recipe goes on with."""
    data = tmp_path_factory.mktemp("two")
    rng = np.random.default_rng(2)
    with LineLedger.open(data, station="ST-01") as ledger:
        ledger.add_batch(Batch("B-1", "", "bottle", {}), "begin", "line")
        for number in range(1, 2601):
            bad = rng.random() < (0.6 if 700 < number <= 800 else 0.02)
            verdict = part(number, outcome=Outcome.REJECT if bad else Outcome.PASS, value=12.0)
            after = replace(verdict, recipe="bottle@4") if number > 2500 else verdict
            ledger.add_verdict(after)
        ledger.add_batch(Batch("B-1", "", "bottle", {}), "end", "otto")
        ledger.commit()
    return data


def test_a_rule_that_spoke_before_what_is_drawn_has_spoken(two: Path, tmp_path: Path) -> None:
    facts = batch_report(two, "B-1", out := tmp_path / "r.pdf", "en", Quality(subgroup=20))
    assert facts.charted["bottle@3"].closed == 125, "of which 60 are drawn"
    assert "no rule has spoken" not in words_of(out).partition("bottle@4")[0]
    assert re.search(r"Out of control: \d+ of 125 subgroups", words_of(out))


def test_another_recipe_is_another_process(two: Path, tmp_path: Path) -> None:
    facts = batch_report(two, "B-1", out := tmp_path / "r.pdf", "en", Quality(subgroup=20))
    assert [charts.parts for charts in facts.charted.values()] == [2500, 100]
    assert "control · bottle@3" in words_of(out) and "control · bottle@4" in words_of(out)


def test_the_font_has_every_sign_that_is_printed() -> None:
    paper.load_font()
    glyphs = pdfmetrics.getFont(paper.FONT).face.charToGlyph
    signs = {c for words in WORDS.values() for word in words.values() for c in word}
    for module in (paper, report, sheet, first_article):
        for node in ast.walk(ast.parse(Path(module.__file__ or "").read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                signs |= set(node.value)
    assert [c for c in sorted(signs - {"\n"}) if ord(c) not in glyphs] == []
    assert not [c for c in signs if combining(c)], "it would stand beside its letter: X̄"


def test_names_of_people_and_products_are_no_boxes() -> None:
    """Polish, Czech, Turkish, Vietnamese, Ukrainian, Greek, Korean, and hanzi beyond GB 2312."""
    names = "Łukasz Żółć Jiří Šťastný İğdır Đặng Thị Huệ Їжак Ελένη Άννα 김철수 喆堃祎玥 礦泉水 榊"
    paper.load_font()
    glyphs = pdfmetrics.getFont(paper.FONT).face.charToGlyph
    assert [sign for sign in names if ord(sign) not in glyphs] == []


@pytest.mark.parametrize(
    ("language", "word"), [("en", "W" * 8000), ("en", "wide " * 2000), ("zh", "印" * 8000)]
)
def test_a_text_longer_than_a_page_prevents_no_report(
    tmp_path: Path, language: str, word: str
) -> None:
    batch = Batch("B-1", word, "bottle", {"lot": word})
    with LineLedger.open(tmp_path, station="ST-01") as line, DeskLedger.open(tmp_path) as desk:
        line.add_batch(batch, "begin", "line")
        for number in range(1, 5):
            line.add_verdict(replace(part(number, outcome=Outcome.REJECT), reasons=(word,)))
        line.add_event("alarm", "line", code="other", detail=word)
        line.add_batch(batch, "end", "otto")
        line.commit()
        desk.add("disposition", {"batch": "B-1", "disposition": "hold", "reason": word}, "qa")

    out = tmp_path / "report.pdf"
    batch_report(tmp_path, "B-1", out, language, check=False)
    assert out.read_bytes()[:4] == b"%PDF"


def test_what_was_recorded_of_a_batch_is_known_however_much_came_after_it(tmp_path: Path) -> None:
    sheet = {"id": "B-1.1", "batch": "B-1", "recipe": "bottle@3", "passed": True}
    with LineLedger.open(tmp_path, station="ST-01") as line, DeskLedger.open(tmp_path) as desk:
        line.add_batch(Batch("B-1", "Water", "bottle", {"lot": "L1"}), "begin", "line")
        line.add_event("command", "otto", result={"mode": "bypass"}, args={"reason": "lamp"})
        line.add_event("alarm", "line", code="bin_full", detail="")
        line.add_verdict(part(1))
        line.add_batch(Batch("B-1", "Water", "bottle", {"lot": "L1"}), "end", "otto")
        line.commit()
        desk.add("first_article", sheet, "quality")
        desk.add("challenge", {"batch": "B-1", "result": "good"}, "quality")
        desk.add("disposition", {"batch": "B-1", "disposition": "hold", "reason": "x"}, "qa")
        for number in range(2, 600):
            line.add_batch(Batch(f"B-{number}", "Milk", "bottle", {}), "begin", "line")
            line.add_batch(Batch(f"B-{number}", "Milk", "bottle", {}), "end", "otto")
        for _ in range(5100):
            line.add_event("alarm", "line", code="jam", detail="")
            line.add_event("command", "otto", result={})
        line.commit()
        desk.add_all([("first_article", sheet | {"batch": "B-2"}, "quality")] * 300)
        desk.add_all([("challenge", {"batch": "B-2", "result": "good"}, "quality")] * 2100)
        desk.add_all([("disposition", {"batch": "B-2", "disposition": "hold"}, "qa")] * 2100)

    with History(tmp_path) as history:
        shown = outline(history, "B-1")
    for facts in (gather(tmp_path, "B-1", check=False), shown):
        assert (facts.product, facts.texts, facts.closed) == ("Water", {"lot": "L1"}, True)
        assert (len(facts.articles), len(facts.challenges), facts.standing) == (1, 1, "hold")
        assert [what for _, what, _, _ in facts.deviations] == ["bypass", "alarm", "hold"]


def test_a_batch_that_went_on_after_another_misses_no_part(tmp_path: Path) -> None:
    """And has none of the other's alarms."""
    minute = 60 * 10**9
    began = time.time_ns() - 100 * minute
    now = [began]
    with LineLedger.open(tmp_path, station="ST-01", utc_ns=lambda: now[0]) as line:
        for batch, numbers in (("A", range(1, 21)), ("B", range(21, 41)), ("A", range(42, 62))):
            line.add_batch(Batch(batch, "Water", "bottle", {}), "begin", "line")
            now[0] += minute
            for number in numbers:
                made = part(number, batch=batch)
                times = replace(made.times, utc_ns=now[0])
                made = replace(made, part_id=new_part_id(now[0]), times=times)
                line.add_verdict(made)
                line.add_gate(
                    GateDecision(made.part_id, "plc-1", number, GateAction.PERMIT, "none", 1, 2)
                )
            line.add_event("alarm", "line", code="jam", detail=batch)
            now[0] += minute
            line.add_batch(Batch(batch, "Water", "bottle", {}), "end", "otto")
            now[0] += minute
        line.commit()

    with History(tmp_path) as history:
        shown = outline(history, "A")
        made_ns = history.batch("A").first_utc_ns, history.batch("A").last_utc_ns + minute
        drawn = period(history, made_when(history, "A", *made_ns), 6, ["A"])
    assert sum(slice.parts for slice in drawn.slices) == 40
    for facts in (gather(tmp_path, "A", check=False), shown):
        assert (facts.counts.total(), facts.gated, facts.unheard) == (40, 40, 0)
        assert [said for _, _, said, _ in facts.deviations] == ["jam: A", "jam: A"]
        assert facts.streams == {"plc-1": (1, 61, 60)}  # 41 alone is missing
        assert (facts.began_ns, facts.ended_ns) == (began, began + 8 * minute)


def test_a_ledger_that_was_changed_is_said_to_be(made, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = copytree(made.data, tmp_path / "data")
    line = sqlite3.connect(data / "line.db")
    where = "SELECT position, body FROM record WHERE instr(body, 'bin_full')"
    ((position, body),) = line.execute(where).fetchall()
    changed = (body.replace(b"bin_full", b"all_fine"), position)
    line.execute("UPDATE record SET body = ? WHERE position = ?", changed)
    line.commit()
    line.close()
    facts = gather(data, made.batch)
    assert facts.verified and str(position) in facts.verified


def test_both_languages_have_every_word() -> None:
    assert WORDS["en"].keys() == WORDS["zh"].keys()


def test_the_command_and_its_mistakes(made, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "r.pdf"
    run = CliRunner().invoke(
        app, ["report", str(made.data), made.batch, "--out", str(out), "--no-check", "--json"]
    )
    said = json.loads(run.stdout)
    assert said["parts"] == 4000 and said["verified"] is None and out.read_bytes()[:4] == b"%PDF"
    with pytest.raises(StoreError, match="no part of a batch 'B-9'"):
        batch_report(made.data, "B-9", out)
    with pytest.raises(QualityError, match="there are en, zh"):
        batch_report(made.data, made.batch, out, "fr")
