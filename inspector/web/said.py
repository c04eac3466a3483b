"""What the record says in English, in the page's language: a reason, a label, a refusal enters; the
same in Chinese leaves, and whatever is not known as it was written.

The record itself is never translated (I3). Two catalogues are asked: the recipe's own ``words`` for
what its author has named, and `words_reasons`, `words_refusals` and `words_raised` for the code's
sentences. A sentence may hold others: each part of it is looked up by itself. ``static/said.js``
does the same with the same rows in the browser; the page brings them along by `script`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from inspector.config import ConfigError, read_yaml
from inspector.display import AlarmCode
from inspector.web import words_raised, words_reasons, words_refusals
from inspector.web.templates_of import brought
from inspector.web.words import WORDS

DEPTH = 6
NUMBER = r"([-+]?[\d.,]+ ?%?)"
ROWS: Mapping[str, Sequence[tuple[str, str]]] = {
    "zh": (
        *words_reasons.TOOLS, *words_reasons.LABELS, *words_reasons.RECIPE, *words_reasons.LINE,
        *words_reasons.GATE, *words_refusals.COMMANDS, *words_refusals.BATCHES,
        *words_refusals.PEOPLE, *words_refusals.DESK, *words_refusals.SIGNED,
        *words_refusals.QUALITY, *words_raised.PAGES, *words_raised.ACCOUNTS, *words_raised.TAUGHT,
        *words_raised.RELEASES, *words_raised.CAMERAS, *words_raised.REVIEWS,
    )
}  # fmt: skip
"""By language; the code's own, English, needs none."""

_PLACE = re.compile(r"\{(\d)(#?)\}")
_LEADS = re.compile(r"[^{}]+(: \{0\}|\{0\}: \{1\})")
QUOTED = {"zh": "“\\1”"}
"""How a language puts a text between quotation marks; the others as English does."""
BETWEEN = {"zh": "；"}
"""What stands between sentences; in English ``; ``."""
SENTENCES = re.compile(r"; (?![^()]*\))(?=(?:[^`]*`[^`]*`)*[^`]*$)")
"""Between two of them: within brackets and backticks there is none."""
_CODE = re.compile(r"`([^`]*)`")
Words = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """A sentence with places."""

    pattern: str
    """A regular expression that means the same to Python and to JavaScript."""
    text: str
    kept: tuple[int, ...]
    """Places between backticks: what was read stays what it is."""
    weak: bool = False
    """Taken only where one of its places is known by itself."""


@cache
def rows(language: str) -> tuple[Row, ...]:
    """The sentences of a language: those of several first, then those that only lead to another
    one, then those that say most."""
    known = sorted(
        ROWS.get(language, ()),
        key=lambda row: (
            "; " in row[0],
            bool(_LEADS.fullmatch(row[0])),
            len(_PLACE.sub("", row[0])),
        ),
        reverse=True,
    )
    made = [_row(english, text) for english, text in known if _PLACE.search(english)]
    joints = words_reasons.JOINTS if language in ROWS else ()
    return (*made, *(_row(english, text, weak=True) for english, text in joints))


@cache
def exact(language: str) -> Mapping[str, str]:
    """The sentences without a place."""
    if language not in ROWS:
        return {}
    alarms = {code.replace("_", " "): WORDS[language][f"alarm.{code}"] for code in AlarmCode}
    plain = {en.replace("_", " "): text for en, text in ROWS[language]}
    return alarms | {en: text for en, text in plain.items() if not _PLACE.search(en)}


def said(language: str, text: str, words: Words) -> str:
    """``text`` in ``language``; ``words`` are the recipes' own. What the record puts between
    backticks stands between quotation marks, as people write it."""
    return _CODE.sub(QUOTED.get(language, '"\\1"'), _said(language, text, words, DEPTH))


def _said(language: str, text: str, words: Words, depth: int) -> str:
    plain = text.replace("_", " ")
    known = words.get(text) or words.get(plain) or exact(language).get(plain)
    if known or not depth:
        return known or text
    each = SENTENCES.split(text)
    for row in rows(language):
        if len(each) > 1 and "; " not in row.pattern:  # each by itself, if all of them are known
            told = [_said(language, one, words, depth - 1) for one in each]
            if all(one != other for one, other in zip(told, each, strict=True)):
                return BETWEEN[language].join(told)
            each = []
        found = re.fullmatch(row.pattern, text, re.DOTALL)
        if found is None:
            continue
        parts = [
            part if i in row.kept else _said(language, part, words, depth - 1)
            for i, part in enumerate(found.groups())
        ]
        if row.weak and parts == list(found.groups()):
            continue
        return _filled(row.text, parts)
    return text


def label(language: str, text: str, words: Words) -> str:
    """A label in ``language``: as `said`, and without underscores where it is not known."""
    found = said(language, text, words)
    return text.replace("_", " ") if found == text else found


def words_of(recipes: Iterable[Path]) -> dict[str, dict[str, str]]:
    """The recipes' own words by language; where two differ, the first one's. Files that are no
    recipe are left out: the line says what is wrong with them."""
    found: dict[str, dict[str, str]] = {}
    for path in recipes:
        try:
            given = _words(path, path.stat().st_mtime_ns)
        except OSError:
            continue
        for language, words in given.items():
            found[language] = dict(words) | found.get(language, {})
    return found


@cache
def _words(path: Path, changed_ns: int) -> Mapping[str, Words]:
    try:
        given = read_yaml(path).get("words") or {}
        return {
            str(language): {str(key): str(text) for key, text in words.items()}
            for language, words in given.items()
        }
    except (ConfigError, AttributeError):
        return {}


def given(recipes: Iterable[Path]) -> dict[str, Any]:
    """Everything that ``said.js`` needs, JSON-ready."""
    return {
        "words": words_of(recipes),
        "units": words_reasons.UNITS,
        "exact": {language: exact(language) for language in ROWS},
        "rows": {
            language: [[row.pattern, row.text, row.kept, row.weak] for row in rows(language)]
            for language in ROWS
        },
    }


def script(recipes: Iterable[Path]) -> str:
    """The element by which a page brings them along."""
    return brought("said", given(recipes))


def _filled(text: str, parts: Sequence[str]) -> str:
    return _PLACE.sub(lambda place: parts[int(place[1])], text)


def _row(english: str, text: str, weak: bool = False) -> Row:
    pattern, kept, at = "", [], 0
    for place in _PLACE.finditer(english):
        pattern += _literal(english[at : place.start()])
        pattern += NUMBER if place[2] else "(.+?)"
        if english[place.start() - 1 : place.start()] == "`":
            kept.append(int(place[1]))
        at = place.end()
    return Row(pattern + _literal(english[at:]), text, tuple(kept), weak)


def _literal(text: str) -> str:
    return re.sub(r"([.*+?^${}()|\[\]\\/])", r"\\\1", text)
