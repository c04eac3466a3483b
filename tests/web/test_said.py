"""What the record says in English stands on the page in its language: every sentence that the code
can make, the recipe's own words, and the same in Python as in a browser. (S8, S10)"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inspector.config import load_yaml
from inspector.line.judges import LATE
from inspector.part import Disposition
from inspector.recipe import RecipeFile, digest_of
from inspector.registers import GateReason
from inspector.tools import classify, code, code_quality, compare, illumination
from inspector.tools.anomaly import LABEL as ANOMALY
from inspector.web import said as said_room
from inspector.web import words_reasons
from inspector.web.said import label, said, words_of

ROOT = Path(__file__).parents[2]
INSPECTOR = ROOT / "inspector"
RECIPES = ROOT / "station_configs" / "recipes"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
OWN = {
    "print": "喷码",
    "cap colour": "瓶盖颜色",
    "cap missing": "缺瓶盖",
    "cap": "瓶盖",
    "cap width": "瓶盖宽度",
    "cap lean": "瓶盖倾角",
}

# Sentences are looked for where a verdict's reasons are made. What is raised while a recipe is
# loaded never becomes a reason: an engineer reads it, with file and line.
LOADING = {"ValueError", "ModelError", "ConfigError", "PatternError", "Problem", "_error"}
SOURCES = [
    *sorted((INSPECTOR / "tools").glob("*.py")),
    INSPECTOR / "recipe.py",
    *(INSPECTOR / "line" / f"{name}.py" for name in (
        "alarms", "atgate", "commands", "eye", "eyematching", "inputs", "judging", "line",
        "matching", "modbus", "modes", "owed", "periods", "plcgate", "plcmatching", "refeed",
        "releasing", "restart", "runs", "tracking", "watch",
    )),
    *(INSPECTOR / "cameras" / f"{name}.py" for name in (
        "devices", "features", "genicam", "inputs",
    )),
    *(INSPECTOR / "quality" / f"{name}.py" for name in (
        "challenge", "first_article", "follow", "health", "rules", "spc",
    )),
]  # fmt: skip
RAISING = [
    *sorted((INSPECTOR / "web").glob("*.py")), *sorted((INSPECTOR / "teach").glob("*.py")),
    *sorted((INSPECTOR / "release").glob("*.py")), *sorted((INSPECTOR / "cameras").glob("*.py")),
    *sorted((INSPECTOR / "line").glob("*.py")), *sorted((INSPECTOR / "quality").glob("*.py")),
    *sorted((INSPECTOR / "identity").glob("*.py")),
    *(INSPECTOR / f"{name}.py" for name in ("draft", "heat", "newstep", "retry")),
    *(INSPECTOR / "store" / f"{name}.py" for name in (
        "holds", "recipes", "reviews", "signatures",
    )),
]  # fmt: skip
"""What these refuse is told on a page: by the page itself, or by a command that it has run."""
OUTSIDE = {
    "bench.py", "bench_kinds.py", "bank.py", "card.py", "contract.py", "difference.py",
    "golden.py", "kept.py", "likeness.py", "onnx.py", "pattern.py",
}  # fmt: skip
"""Modules of `tools` that judge no part by themselves: they load, or measure themselves."""
PIECES = {
    "{} of {} parts {}",
    # `logic`: three pieces of one sentence
    "{}: {} failed, {} of ", "{} must hold",
    # `blob`, `count`, `detect`: "… where at least 2 must be"
    "at least {}", "at most {}", "exactly {}", ", the largest of {} px",
    "{} spots where {} may be{}",
    "{} pieces where {} must be", "{} × {} where {} must be",
    # `measure`, `segment`, `align`: a size, then its limit
    "{} is {} {}", " with {} of uncertainty", "{}, at least {} is needed{}",
    "part is turned by {} deg",
    "{}, at most {} is allowed{}", "{}, at most {} deg is allowed",
    "{} {} {}{}, at most {} is allowed",
    "{} × {} {}", "{} {}² of {}", "{}, at least {} must be", "{}, at most {} may be",
    # names and what follows them
    "{} {}", "{}: {}", "{} × {}", "{} of {} px", "{} ({})", "{}: {} not found", " and ",
    # `ocv`: what follows the character; `gs1`: what follows the symbology
    "{} was never taught", "{} does not stand where it was taught",
    # texts of a step's detail
    "; moves with {}", "; ", ", ", " ", "{}: {}, becomes the reference",
    " (not read as such: {}; the recipe checked it)",
    "{} {} {}", "seeded: {}",
    "{} `{}`: {}", "not sure: {}", "no {} ({})",
    # what is no reason: said while a recipe is loaded, and beside a period
    "{} was taught on {} channels, there are {}", "from the record before this one until now",
    "tool `{}` follows `{}`, no tool of its view above it",
    "tool `{}` follows `{}`, which finds `every` part of several",
    # `atgate`: who, then what became of them; `devices`, `features`, `inputs`: what was asked for
    "was refused, and the gate let it pass", "were refused, and the gate let them pass",
    "was rejected at the gate, and nobody had refused it",
    "were rejected at the gate, and nobody had refused them",
    "part {} {}", "parts {} {}", "without a number", "{} parts {} {}", "a part {} {}",
    "of parts {}", "one {} {}", "{} to {}",
    "serial {}, user_id {}", ", ip {}", "no camera has", "{} cameras have",
    "; more than one producer sees it: name one by its path as `producer`",
    "{}: {} {}; there are: {}", "; {}", "; did you mean {}?", "did you mean {}? ",
    "{}: has no {}; {}it has {}", "{} is not {}", " {}",
    # `parts`: how many teach; `bundle`, `newstep`: what another's sentence begins with
    "{}, not {}", "{}: {}: {}", "Value error, ",
    "{} good parts{} by recipe {} have a kept picture of {}, copies left out, {} are needed; let"
    " the line run, and have the station file keep pictures of more passes"
    " (`store.pass_image_every`)",
    # `batch_text`: what for, where it is known
    " for {}", "batch {} has no text `{}`{}; {}", "batch {} has nothing for `{}`{}; give it a text",
    # what is no sentence
    "DD MMM YYYY", "DD MMM YY", "DD MMM", "DD MMMM YYYY", "DD MM YYYY", "MMM YYYY",
    "MMMM YYYY", "MMM YY", ", MMMM", "recipe failed",
}  # fmt: skip
"""Pieces of sentences; whole ones of each stand in `WHOLE`."""
WHOLE = (
    "batch B-7 has no text `lot`; known: none",
    "batch B-7 has no text `lot` for print; known: none",
    "batch B-7 has nothing for `{lot}`; give it a text",
    "batch B-7 has nothing for `{lot}` for print; give it a text",
    "the model found class 9, its card names 2 from 0: the card belongs to another model",
    "print: cap-colour, date failed, 2 of 3 must hold",
    "3 spots where at least 6 may be, the largest of 12 px", "3 spots where at most 1 may be",
    "3 pieces where exactly 4 must be", "3 pieces where at least 4 must be",
    "3 pieces where at most 2 must be", "2 × cap where exactly 1 must be",
    "0 × cap where at least 1 must be", "2 × cap where at most 1 must be",
    "cap width is 98.900 px, at most 98.7 is allowed",
    "cap lean is -3.100 deg, at least -2.5 is needed with 0.020 of uncertainty",
    "part is turned by 12.0 deg, at most 5 deg is allowed",
    "cap: 3.20 × 1.10 mm; length 3.20 mm, at most 2 is allowed",
    "cap: area 3.20 mm², at most 2 is allowed", "cap: width 3.20 mm, at most 2 is allowed",
    "3 × cap, at most 2 may be", "3.20 mm² of cap, at least 4 must be",
    "something foreign of 120 px", "cap missing (0.83)", "cap width: left and right not found",
    "lot `A` was never taught", "lot `A` does not stand where it was taught",
    "lot `A`: 20% of its ink is missing, smeared: 12% more ink than taught",
    "lot `A`: 20% of its ink is missing, smeared: 9% more ink than taught, faint: 40% of the "
    "taught contrast", "lot `A`: faint: 40% of the taught contrast",
    "DataMatrix (01) 0401 has a wrong check digit", "DataMatrix is empty",
    "DataMatrix `99` is no application identifier", "side: only part of the picture came",
    "side: a frame without a trigger",
    "side: 12.5, becomes the reference",
    "side: 120, +4 from the sign-off; code: 97% of the sign-off",
    "print: L1 (not read as such: date; the recipe checked it)",
    "cap colour is ΔE 13.1 off (L* a* b* 30.0 1.0 2.0)", "late: side has no frame",
    "no cap missing (0.11)", "not sure about cap (0.41)", "not sure: cap 0.52, cap missing 0.41",
    "lot `L24`: 3 days ahead, at least 5 must be",
    "expiry 2026-01-01: 9 days ahead, at most 5 may be",
    "DataMatrix: modulation 0.20, at least 0.4 must be", "no date found",
    "side: no camera has serial 12, ip 10.0.0.7; there are: none",
    "side: 2 cameras have serial 12; there are: 12, 12",
    "side: 2 cameras have serial 12; there are: 12, 12; more than one producer sees it: name one by"
    " its path as `producer`",
    "side: no such feature; did you mean side?", "side: 7 is outside 1 … 5 mm",
    "side: 7 is not 0 + n·2; try 6 or 8", "side: 7 is none of code", "side: a whole number",
    "side: 7 is not a whole number", "side: has no code; it has left, right",
    "side: has no code; did you mean left? it has left, right",
    "gate_response: Check the PLC's cycle time and its network.",
    "focus side: Clean the lens and check its lock ring.", "cap width: 9 on a side",
    "range, cap width: 9 on a side ×1; 2 of 3 beyond 2σ ×3; 4 of 5 beyond 1σ ×2; 1 beyond 3σ ×1",
    "p cusum, all faults: CUSUM for twice as many ×1", "cap width: +3.1 σ",
    "cap width: 1 beyond 3σ; moves with cap",
    "parts 3, 5 to 7 were rejected at the gate, and nobody had refused them",
    "12 parts at the infeed, 11 triggers", "5 triggers, 4 verdicts",
    "9 rejects commanded, 3 confirmed, 0 alarmed",
    "6 rejects and errors, of which 4 were refused at the gate",
    "8 to 200 parts teach, not 3", "part 7: a picture of 3x3 is too small to have a surface; draw"
    " it anew",
    "3 good parts by recipe cap have a kept picture of side, copies left out, 8 are needed; let the"
    " line run, and have the station file keep pictures of more passes (`store.pass_image_every`)",
    "3 good parts of cap by recipe cap have a kept picture of side, copies left out, 8 are needed;"
    " let the line run, and have the station file keep pictures of more passes"
    " (`store.pass_image_every`)",
)  # fmt: skip


def sentences(node: ast.AST) -> Iterator[str]:
    """Texts with a blank in them under ``node``, ``{}`` where something is filled in."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        func = node.exc.func
        if getattr(func, "id", getattr(func, "attr", "")) in LOADING:
            return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    text = None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    elif isinstance(node, ast.JoinedStr):
        text = "".join(map(filled, node.values))
    if text is not None:
        if " " in text:
            yield text
        return
    for child in ast.iter_child_nodes(node):
        yield from sentences(child)


def filled(node: ast.expr) -> str:
    """A piece of an f-string; ``LATE`` is a word that several sentences share."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    name = getattr(getattr(node, "value", None), "id", "")
    return LATE if name == "LATE" else "{}"


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.name not in OUTSIDE], ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_every_sentence_of_the_code_is_in_the_catalogue(path: Path) -> None:
    missing = []
    for sentence in dict.fromkeys(sentences(ast.parse(path.read_text()))):
        if sentence in PIECES or (path.name == "recipe.py" and "approv" in sentence):
            continue
        spoken = sentence.replace("{}", "7")
        if path.name == "gs1.py":  # it follows the code's symbology
            spoken = f"DataMatrix {spoken}"
        if not CHINESE.search(said("zh", spoken, {})):
            missing.append(sentence)
    assert missing == [], "give each a row in words_reasons.py or words_refusals.py"


@pytest.mark.parametrize("path", RAISING, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_refusal_of_the_code_is_in_the_catalogue(path: Path) -> None:
    raised = [
        sentence
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Raise) and node.exc is not None
        for sentence in sentences(node)
    ]
    missing = [
        sentence
        for sentence in dict.fromkeys(raised)
        if sentence not in PIECES
        and not CHINESE.search(said("zh", sentence.replace("{}", "7"), {}))
    ]
    assert missing == [], "give each a row in words_raised.py or words_refusals.py"


@pytest.mark.parametrize("text", WHOLE)
def test_a_sentence_that_is_put_together_is_translated_to_its_end(text: str) -> None:
    spoken = said("zh", text, OWN)
    names = r"“[^”]*”|IP|PLC|ΔE|L\* a\* b\*|DataMatrix|px|mm|deg|side|code|cap-colour|left|right"
    rest = re.sub(names, "", spoken)

    assert CHINESE.search(spoken)
    assert re.findall(r"[A-Za-z]{2,}", rest) == [], spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("d/line.db: no space left on the disk (SQLITE_FULL)",
         "d/line.db：磁盘没有剩余空间（SQLITE_FULL）"),
        ("d: 100000 records wait for the disk (d/line.db: no space left on the disk (SQLITE_FULL))",
         "d：100000 条记录等待写入磁盘（d/line.db：磁盘没有剩余空间（SQLITE_FULL））"),
        ("focus side: Clean the lens and check its lock ring.",
         "side 对焦：请清洁镜头并检查锁紧环。"),
        ("light side: Clean the light; replace it if its output stays low.",
         "side 光源：请清洁光源；若亮度仍低，请更换。"),
        ("score of cap: +3.1 σ; moves with temperature side",
         "cap 的得分：偏移 +3.1 σ；随 side 温度 变化"),
        ("d/line.db: another process holds its write lock (SQLITE_BUSY)",
         "d/line.db：另一个进程占用其写入锁（SQLITE_BUSY）"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_file_or_camera(text: str, spoken: str) -> None:
    assert said("zh", text, {}) == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("3 pieces where exactly 4 must be; 3.20 mm² of cap, at least 4 must be",
         "3 个，应正好 4 个；瓶盖 3.20 mm²，应至少 4"),
        ("8 to 200 parts teach, not 3; lot `a; b` was never taught",
         "示教需要 8 至 200 件，而不是 3 件；批号字符 “a; b” 未示教"),
        ("challenge test: cap width: +3.1 σ; DataMatrix: modulation 0.20, at least 0.4 must be",
         "挑战测试：瓶盖宽度：偏移 +3.1 σ；DataMatrix：调制比 0.20，应至少 0.4"),
        ("view side: part is turned by 12.0 deg, at most 5 deg is allowed",
         "视图 side：工件旋转 12.0°，最多允许 5°"),
    ],
)  # fmt: skip
def test_of_several_sentences_each_is_said_by_itself(text: str, spoken: str) -> None:
    """A place of the first took in the second, and its words stood at the end of both."""
    assert said("zh", text, OWN) == spoken


def test_places_of_a_row_are_those_of_its_sentence() -> None:
    for rows in said_room.ROWS.values():
        for english, text in (*rows, *words_reasons.JOINTS):
            places = {place.strip("#") for place in re.findall(r"\{(\d)#?\}", english)}
            assert set(re.findall(r"\{(\d)\}", text)) == places, english
            if (english, text) not in words_reasons.JOINTS and re.search("[a-z]", english):
                assert CHINESE.search(text), english


def test_no_sentence_stands_twice() -> None:
    for rows in said_room.ROWS.values():
        known: dict[str, str] = {}
        for english, text in rows:
            assert known.setdefault(english, text) == text, english


def test_every_reason_of_the_gate_and_every_label_of_the_tools_has_a_word() -> None:
    labels = {
        ANOMALY, classify.UNSURE, code.SERIAL, illumination.LIGHT_FAULT, *compare.LABELS,
        *code_quality.INDICATORS, "spot", "count", "piece", "code", "quality", "part", "lot",
        "date",
        *(reason.name.lower() for reason in GateReason), *map(str, Disposition), "bin_full",
    }  # fmt: skip
    for one in labels:
        assert CHINESE.search(label("zh", one, {})), one


def test_every_unit_of_the_tools_is_written_as_people_write_it() -> None:
    found = set()
    for path in (INSPECTOR / "tools").glob("*.py"):
        found |= set(re.findall(r'"(1|d|deg|mm2?|\{px\}2?|Cel|\{[a-z]+\})"', path.read_text()))
    for units in words_reasons.UNITS.values():
        assert found - {"mm"} <= set(units)


def test_what_was_read_and_what_is_not_known_stay_as_they_are() -> None:
    assert said("zh", "lot reads `no code read`, must be `late by 3 ms`", {}) == (
        "批号读作 “no code read”，应为 “late by 3 ms”"
    )
    for own in ("salt and pepper", "part damaged", "Kappe fehlt; 3 Stück", "no cap"):
        assert said("zh", own, {}) == own
    assert label("zh", "cap_wrong", {}) == "cap wrong"
    assert said("en", "late by 3 ms", {}) == "late by 3 ms"


def test_a_recipe_brings_its_own_words(tmp_path: Path) -> None:
    path = tmp_path / "cap.yaml"
    plain = "name: cap\ntools:\n- {name: caps, kind: count, params: {size_px: 9, exactly: 1}}\n"
    path.write_text(plain)
    before = digest_of(load_yaml(path, RecipeFile))
    path.write_text(f"{plain}words: {{zh: {{cap missing: 缺瓶盖, caps: 瓶盖}}}}\n")

    assert load_yaml(path, RecipeFile).words == {"zh": {"cap missing": "缺瓶盖", "caps": "瓶盖"}}
    assert digest_of(load_yaml(path, RecipeFile)) != before
    path.write_text(plain)
    assert digest_of(load_yaml(path, RecipeFile)) == before, "who has none keeps their approval"
    path.write_text(f"{plain}words: {{zh: {{cap missing: 缺瓶盖}}}}\n")
    (tmp_path / "none.yaml").write_text("[")
    words = words_of([path, tmp_path / "none.yaml", tmp_path / "nowhere.yaml"])["zh"]
    assert label("zh", "cap_missing", words) == "缺瓶盖"
    assert said("zh", "cap_missing (0.83)", words) == "缺瓶盖（0.83）"


@pytest.mark.parametrize("name", ["bottle-line", "juice-line"])
def test_the_shipped_lines_speak_chinese_whole(name: str) -> None:
    file = load_yaml(RECIPES / f"{name}.yaml", RecipeFile)
    words = file.words["zh"]
    labels: set[str] = {step.name for step in file.tools}
    for step in file.tools:
        params: dict[str, Any] = step.params.model_dump() if hasattr(step, "params") else {}
        labels |= set(params.get("defects") or ())
        labels |= {rule["label"] for rule in params.get("counts") or ()}
        labels |= {rule["reason"] for rule in params.get("counts") or () if rule["reason"]}
        labels |= {one["name"] for one in (params.get("measures") or ())}
        labels |= {one["name"] for one in (params.get("lines") or ())}
    for one in labels:
        assert CHINESE.search(label("zh", one, words)), one


def test_a_browser_says_the_same(page: Any, web: Any) -> None:
    """Twins: ``said.py`` and ``said.js`` over the same rows."""
    samples = [
        *WHOLE,
        "salt and pepper",
        "lot reads `a: b`, must be `c`",
        "cap_missing",
        "x · late by 3 ms",
        "3 pieces where exactly 4 must be; lot `a; b` was never taught",
    ]
    given = said_room.given([]) | {"words": {"zh": OWN}}
    page.goto(f"{web.url}login")
    page.evaluate("""(text) => {
      document.documentElement.lang = "zh-Hans";
      const node = document.createElement("script");
      node.type = "application/json"; node.id = "said"; node.textContent = text;
      document.body.append(node);
    }""", json.dumps(given))  # fmt: skip
    # a module of its own frame, so that it reads the language and the rows anew
    spoken = page.evaluate("""async (samples) => {
      const { inWords } = await import("/static/said.js?twin");
      const frame = await import("/static/frame.js");
      if (frame.language !== "zh") document.getElementById("language").click();
      return samples.map(inWords);
    }""", samples)  # fmt: skip

    assert spoken == [said("zh", sample, OWN) for sample in samples]
