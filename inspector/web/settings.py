"""What a tool's setting is called and means, in the page's language.

A setting's place in a recipe's text enters; a title for people leaves, and the translation of what
the tool's code says of it. Keys are the recipe's own words in English; what a recipe's author has
named is looked up in the recipe's own words. The recipe editor's routes import this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inspector.web import words_settings as words

HELP_ZH = dict(words.HELP)


def title(
    step: Mapping[str, Any], place: Sequence[str | int], language: str, named: Callable[[str], str]
) -> str:
    """The setting at ``place`` of ``step``, counted from the step on. ``named`` says what an author
    has named in the page's language."""
    said: list[str] = []
    node: Any = step
    row = ""
    for depth, part in enumerate(place):
        node = _within(node, part)
        last = depth == len(place) - 1
        if part == "params" and not depth:
            continue
        if isinstance(part, str):
            row = part
            said.append(_key(part, language, named))
        elif last:
            parts = words.PARTS[language].get(row, ())
            said.append(parts[part] if part < len(parts) else str(part + 1))
        else:
            name = node.get("name", node.get("label")) if isinstance(node, Mapping) else None
            said.append(named(str(name)) if name else str(part + 1))
    return " · ".join(said)


def help_of(text: str, language: str) -> str:
    """What the tool's code says of a setting, in the page's language."""
    return HELP_ZH.get(text, text) if language == "zh" else text


def _key(key: str, language: str, named: Callable[[str], str]) -> str:
    if key not in words.KEYS_ZH:  # a label that has a limit of its own
        return named(key)
    return words.KEYS_ZH[key] if language == "zh" else key.replace("_", " ")


def _within(node: Any, part: str | int) -> Any:
    try:
        return node[part]
    except (KeyError, IndexError, TypeError):
        return None
