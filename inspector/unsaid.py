"""What a recipe leaves unsaid: its text enters, every number that stands at its default leaves.

A tool has more settings than a recipe writes down; whoever tunes one sees them with their meaning,
as the tool's own code tells it, and may write them down. Models and golden pictures are not looked
at. Stands above the street; the command line imports this.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
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


@cache
def meanings(model: type[BaseModel]) -> dict[str, str]:
    """What the code tells of each field of ``model``, below the field. Read when somebody asks:
    pydantic would read it for every model of every process, a fifth of the line's start."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if not issubclass(kind, BaseModel) or kind is BaseModel:
            continue
        (text,) = ast.parse(dedent(inspect.getsource(kind))).body
        assert isinstance(text, ast.ClassDef)
        for pair in pairwise(text.body):
            match pair:
                case (
                    ast.AnnAssign(target=ast.Name(id=field)),
                    ast.Expr(value=ast.Constant(value=str(said))),
                ):
                    found[field] = " ".join(said.replace("``", "").split())
    return found


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
            yield from _numbers(field, value, where, meanings(type(model)).get(key, ""))


def _numbers(field: FieldInfo, value: Any, where: Place, said: str) -> Iterator[dict[str, Any]]:
    """The setting, or each number of it; nothing for what is a text or a choice."""
    name = " ".join(str(part) for part in where if part != "params")
    if type(value) in NUMBERS or (value is None and {int, float} & set(get_args(field.annotation))):
        yield {"name": name, "place": where, "value": value, "help": said, "whole": []}
    elif isinstance(value, tuple) and len(value) <= LONGEST and {*map(type, value)} <= NUMBERS:
        for index, one in enumerate(value):
            yield {"name": f"{name} {index}", "place": [*where, index], "value": one,
                   "help": said, "whole": list(value)}  # fmt: skip
