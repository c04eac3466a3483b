"""The catalogue is complete in every language, and the pages use no word outside it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.display import AlarmCode, State
from inspector.part import Mode, Outcome
from inspector.quality.report_words import WORDS as PAPER
from inspector.store.batches import State as Life
from inspector.store.reviews import Decision
from inspector.web.said import ROWS
from inspector.web.words import LANGUAGES, WORDS, preferred
from inspector.web.words_settings import HELP
from training.hub.words import WORDS as CENTRE

WEB = Path(__file__).parents[2] / "inspector" / "web"


def test_every_language_has_every_word() -> None:
    assert set(WORDS) == set(LANGUAGES)
    for words in WORDS.values():
        assert set(words) == set(WORDS["en"])
        assert all(text.strip() for text in words.values())


def test_places_for_values_are_the_same_in_every_language() -> None:
    for key, text in WORDS["en"].items():
        places = sorted(re.findall(r"\{\d\}", text))
        for words in WORDS.values():
            assert sorted(re.findall(r"\{\d\}", words[key])) == places, key


def test_chinese_is_chinese() -> None:
    same_everywhere = {"health.plc"}
    for key, text in WORDS["zh"].items():
        assert key in same_everywhere or re.search(r"[\u4e00-\u9fff]", text), key


def test_a_count_of_one_is_no_plural() -> None:
    """`1 second opinions are waiting`, `1 units`, `1 days left` stood there."""
    often_one = [key for key in WORDS["en"] if key.startswith((
        "lot.check", "trace.", "recall.", "review.count", "system.certificate", "recipes.judged",
    ))]  # fmt: skip
    assert not [key for key in often_one if re.search(r"\{\d\} [a-z ]*s\b", WORDS["en"][key])]


TERMS = {
    "line clearance": "清场", "on hold": "扣留", "second opinion": "二次确认", "ledger": "台账",
    "seeded (part|defect)": "缺陷样件", "golden part": "合格样件", "yield": "合格率", "plc": "PLC",
    "golden picture|golden one": "标准图像", "sign-off": "签核", r"\bjam": "卡堵",
    r"\bsigned (by|$)": "签名", "gate decisions": "剔除装置指令", "symbol contrast": "符号反差",
    "modulation": "调制比", "unused correction": "未使用的纠错", r"\bms\b": "ms",
    "review": "复判",
}  # fmt: skip
"""Of codes as in GB/T 14258 and GB/T 23704, of line clearance as in GMP."""


def test_a_term_is_one_word_on_pages_on_paper_and_at_the_centre() -> None:
    said = [*ROWS["zh"], *HELP]
    for words in (WORDS, PAPER, CENTRE):
        said += [(words["en"][key], text) for key, text in words["zh"].items()]
    for english, chinese in TERMS.items():
        found = [(en, zh) for en, zh in said if re.search(english, en.lower())]
        assert found and [row for row in found if chinese not in row[1]] == []


def test_everything_the_line_can_say_has_words() -> None:
    keys = set(WORDS["en"])
    assert {f"alarm.{code}" for code in AlarmCode} | {f"mend.{code}" for code in AlarmCode} <= keys
    assert {f"mode.{mode}" for mode in Mode} | {f"state.{state}" for state in State} <= keys
    assert {str(outcome) for outcome in Outcome} | {f"life.{life}" for life in Life} <= keys
    # a second opinion that was asked for stood on the batch's page as `lot.second_opinion`
    for said in ("lot", "review.said"):
        assert {f"{said}.{decision}" for decision in Decision} <= keys


def test_the_pages_use_only_words_of_the_catalogue() -> None:
    used: set[str] = set()
    for file in WEB.rglob("*.html"):
        text = file.read_text()
        used |= set(re.findall(r"""words\[["']([^"']+)["']\]""", text))
        used |= set(re.findall(r'data-(?:word|label)="([^"{]+)"', text))
        used |= set(re.findall(r'(?:fact|figure)\("([a-z_.]+)"\)', text))
    for file in WEB.rglob("*.js"):
        used |= set(re.findall(r'\bword\("([^"]+)"', file.read_text()))
    assert len(used) > 20
    assert used <= set(WORDS["en"])


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("de-DE,de;q=0.9", "en"),
        ("en;q=0.5, zh-Hans;q=0.7", "zh"),
        ("", "en"),
        (";;q=x,,", "en"),
    ],
)
def test_the_browsers_language_is_taken_where_there_is_one(header: str, language: str) -> None:
    assert preferred(header) == language


def test_whatever_is_recorded_has_a_name_in_the_audit_trail() -> None:
    """Every kind of record that the code writes, as far as it says so where it writes it, and
    every kind that a room's ``KIND`` names."""
    kinds = written(WEB.parent)
    assert {"command", "setting", "release_key", "legal_hold", "drift"} <= kinds
    assert {f"did.{kind}" for kind in kinds} <= set(WORDS["en"])


WRITES = ("add_event", "add", "record")


def written(root: Path) -> set[str]:
    """The kinds of both ledgers' records."""
    trees = {
        ".".join(path.relative_to(root.parent).with_suffix("").parts): ast.parse(path.read_text())
        for path in root.rglob("*.py")
    }
    texts = {
        (module, name): text for module, tree in trees.items() for name, text in constants(tree)
    }
    stores = ("inspector.store", "inspector.quality", "inspector.line")
    found = {
        text for (module, name), text in texts.items()
        if name == "KIND" and module.startswith(stores)
    }  # fmt: skip
    for module, tree in trees.items():
        names = {name: text for (where, name), text in texts.items() if where == module}
        nodes = list(ast.walk(tree))
        for node in nodes:
            if isinstance(node, ast.ImportFrom):
                names |= {
                    alias.asname or alias.name: texts[str(node.module), alias.name]
                    for alias in node.names
                    if (str(node.module), alias.name) in texts
                }
        for node in nodes:
            if isinstance(node, ast.Call) and writes(node) and node.args:
                kind = node.args[0]
                said = kind.value if isinstance(kind, ast.Constant) else names.get(
                    ast.unparse(kind), ""
                )  # fmt: skip
                found |= {str(said)} - {""}
    return found


def constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """A module's names for texts."""
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        targets, values = [node.targets[0]], [node.value]
        if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
            targets, values = list(node.targets[0].elts), list(node.value.elts)
        for target, value in zip(targets, values, strict=True):
            if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
                yield target.id, str(value.value)


def writes(call: ast.Call) -> bool:
    """Whether this puts a record into a ledger."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in WRITES:
        return False
    whose = ast.unparse(call.func.value).rpartition(".")[2].strip("_")
    return call.func.attr == "add_event" or whose in ("desk", "ledger")
