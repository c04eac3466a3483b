"""What a recipe leaves unsaid: its text enters, every number that stands at its default leaves.

A tool has more settings than a recipe writes down; whoever tunes one sees them with their meaning,
as the tool's own code tells it, and may write them down. Models and golden pictures are not looked
at. Stands above the street; the command line imports this.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from inspector.config import load_yaml
from inspector.recipe import RecipeFile

Place = list[str | int]
"""Where it would stand, from its tool's step on: keys and indexes."""
NUMBERS = frozenset({bool, int, float})
LONGEST = 4
"""Numbers of a setting that is a row of them, such as a range."""


def unsaid(recipe: Path) -> list[dict[str, Any]]:
    """Each step's settings that its text does not write: ``{name, settings: [{name, place, value,
    help, whole}]}``.

    ``value`` is None where there is no limit unless one is written; ``whole`` is the row that a
    number stands in, empty where it stands by itself. Raises ``ConfigError``.
    """
    file = load_yaml(recipe, RecipeFile)
    return [
        {"name": step.name, "settings": list(_settings(getattr(step, "params", None), ["params"]))}
        for step in file.tools
    ]


def _settings(model: Any, place: Place) -> Iterator[dict[str, Any]]:
    if not isinstance(model, BaseModel):
        return
    for key, field in type(model).model_fields.items():
        value, where = getattr(model, key), [*place, key]
        written = key in model.model_fields_set
        if isinstance(value, BaseModel):
            yield from _settings(value, where)
        elif written and isinstance(value, list | tuple):
            for index, item in enumerate(value):
                yield from _settings(item, [*where, index])
        elif not written:
            yield from _numbers(field, value, where)


def _numbers(field: FieldInfo, value: Any, where: Place) -> Iterator[dict[str, Any]]:
    """The setting, or each number of it; nothing for what is a text or a choice."""
    said = " ".join((field.description or "").replace("``", "").split())
    name = " ".join(str(part) for part in where if part != "params")
    if type(value) in NUMBERS or (value is None and {int, float} & set(get_args(field.annotation))):
        yield {"name": name, "place": where, "value": value, "help": said, "whole": []}
    elif isinstance(value, tuple) and len(value) <= LONGEST and {*map(type, value)} <= NUMBERS:
        for index, one in enumerate(value):
            yield {"name": f"{name} {index}", "place": [*where, index], "value": one,
                   "help": said, "whole": list(value)}  # fmt: skip
