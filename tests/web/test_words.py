"""The catalogue is complete in every language, and the pages use no word outside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from inspector.display import AlarmCode, State
from inspector.part import Mode, Outcome
from inspector.web.words import LANGUAGES, WORDS, preferred

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


def test_everything_the_line_can_say_has_words() -> None:
    keys = set(WORDS["en"])
    assert {f"alarm.{code}" for code in AlarmCode} | {f"mend.{code}" for code in AlarmCode} <= keys
    assert {f"mode.{mode}" for mode in Mode} | {f"state.{state}" for state in State} <= keys
    assert {str(outcome) for outcome in Outcome} <= keys


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
