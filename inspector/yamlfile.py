"""YAML in, a validated model out, or every mistake in the file with its line and its mend.

Imports nothing of ours; ``config.py`` and through it every room uses it.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError


class Settings(BaseModel):
    """A frozen model that refuses names it does not know: a typo is an error, not a default. A
    limit that is no number would hold whatever is compared with it, so it is refused too."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file."""

    line: int | None
    """From 1; None when the file as a whole is meant."""
    field: str
    """Dotted path, list items by index: ``cameras.0.serial``."""
    message: str


class ConfigError(Exception):
    """A file that cannot be used; ``str()`` names every mistake with its line and its mend."""

    def __init__(self, file: Path, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        lines = (
            ": ".join(
                filter(None, (f"{file}:{p.line}" if p.line else str(file), p.field, p.message))
            )
            for p in self.problems
        )
        super().__init__("\n".join(lines))


M = TypeVar("M", bound=BaseModel)

_TAG = "kind"
"""The field by which the members of a union, such as a recipe's tools, are told apart."""

MAX_BYTES = 1 << 20
"""A configuration file larger than this is not one."""


def read_yaml(path: Path) -> Any:
    """The YAML document in ``path`` with its line marks (ruamel). Raises ``ConfigError``."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)  # a film named by mistake would not fit in memory
        if len(raw) > MAX_BYTES:
            what = f"has more than {MAX_BYTES} bytes: not a YAML file of ours"
            raise ConfigError(path, [Problem(None, "", what)])
        document = YAML(typ="rt").load(io.StringIO(raw.decode("utf-8")))
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, _siblings(path), 1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise ConfigError(path, [Problem(None, "", f"no such file{hint}")]) from None
    except OSError as error:
        raise ConfigError(path, [Problem(None, "", error.strerror or str(error))]) from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(path, [Problem(line, "", "is not UTF-8; save it as UTF-8")]) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, (error.context, error.problem)))
        where = mark.line + 1 if mark else None
        raise ConfigError(path, [Problem(where, "", f"is not YAML here: {what}")]) from None
    except (YAMLError, ValueError, LookupError, RecursionError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(path, [Problem(None, "", f"is not YAML: {text}")]) from None
    return document


def line_of(path: Path, place: Sequence[Any]) -> int | None:
    """The line in ``path`` of the field at ``place``: names, and numbers from 0 in a list."""
    return _line(read_yaml(path), place)


def load_yaml(path: Path, model: type[M], **context: Any) -> M:
    """``model`` from the YAML in ``path``, ``context`` handed to its validators.

    Raises ``ConfigError`` with every mistake: file, line, field, what was expected, and for an
    unknown name the nearest known one.
    """
    document = read_yaml(path)
    if not isinstance(document, CommentedMap):
        alone = "a list" if isinstance(document, list) else "a single value"
        found = "empty" if document is None else alone
        wants = ", ".join(list(model.model_fields)[:4])
        raise ConfigError(path, [Problem(1, "", f"is {found}; expected fields: {wants} …")])
    try:
        return model.model_validate(document, context=context)
    except ValidationError as error:
        raise ConfigError(path, list(_problems(error, document, model))) from None


def nearest(name: str, known: Iterable[str]) -> str:
    """The tail of an error message about an unknown name: the nearest valid one, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    if not near:
        by_case = {k.lower(): k for k in known}
        near = difflib.get_close_matches(name.lower(), by_case, 1, cutoff=0.4)
        near = [by_case[n] for n in near]
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known) or 'none'}"


def first_problem(error: ValidationError) -> str:
    """The first mistake that a model found in what is no YAML file: ``field: what is wrong``."""
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"]))
    return ": ".join(filter(None, (field, str(first["msg"]).removeprefix("Value error, "))))


def _siblings(path: Path) -> list[str]:
    try:
        return [p.name for p in path.parent.iterdir()]
    except OSError:
        return []


def _problems(error: ValidationError, document: Any, model: type[BaseModel]) -> Iterator[Problem]:
    for item in error.errors(include_url=False):
        place = _place_in(document, item["loc"])
        field = ".".join(str(part) for part in place)
        yield Problem(_line(document, place), field, _message(item, model, place, document))


def _place_in(document: Any, loc: Sequence[Any]) -> list[Any]:
    """``loc`` without what pydantic adds and the file has not: a union's tags and types' names."""
    place: list[Any] = []
    node = document
    for part in loc:
        if isinstance(part, str) and ("[" in part or part in {"bool", "int", "float", "str"}):
            continue
        mapping = isinstance(node, CommentedMap)
        if mapping and part not in node and node.get(_TAG) == part:
            continue
        place.append(part)
        inside = part in node if mapping else isinstance(node, CommentedSeq)
        node = node[part] if inside and part != len(node) else None
    return place


def _message(item: Any, model: type[BaseModel], place: list[Any], document: Any) -> str:
    if item["type"] == "extra_forbidden":
        known = _fields_at(model, place[:-1], document)
        return f"unknown field; {nearest(str(place[-1]), known)}"
    if item["type"] == "missing":
        return "is missing"
    if item["type"] == "union_tag_not_found":
        return f"`{_TAG}` is missing"
    if item["type"] == "union_tag_invalid":
        return f"`{_TAG}`: " + _one_of(item["ctx"]["tag"], item["ctx"]["expected_tags"])
    message = str(item["msg"]).removeprefix("Value error, ")
    value = item.get("input")
    if item["type"] in {"literal_error", "enum"} and isinstance(value, str):
        message = _one_of(value, str(item["ctx"]["expected"]))
    if item["type"] == "string_type" and isinstance(value, bool | int | float | date):
        message += "; put it in quotes"
    if isinstance(value, bool | int | float | str):
        return f"{message} (is {value!r})"
    return message


def _one_of(value: str, expected: str) -> str:
    known = expected.replace("'", "").replace(" or ", ", ").split(", ")
    near = difflib.get_close_matches(value, known, 1, cutoff=0.4)
    return f"expected one of {', '.join(known)}" + (f"; did you mean `{near[0]}`?" if near else "")


def _fields_at(model: type[BaseModel], place: Sequence[object], document: Any) -> list[str]:
    """Names known at ``place``; follows models inside lists, optionals and tagged unions."""
    models, node = [model], document
    for part in place:
        node = node[part] if isinstance(node, CommentedMap | CommentedSeq) else None
        if not isinstance(part, int):
            field = models[0].model_fields.get(str(part))
            models = _models_in(field.annotation) if field else []
        tag = node.get(_TAG) if isinstance(node, CommentedMap) else None
        models = [m for m in models if _tag_of(m) == tag] or models if tag else models
        if not models:
            return []
    return list(models[0].model_fields)


def _tag_of(model: type[BaseModel]) -> object:
    field = model.model_fields.get(_TAG)
    return next(iter(getattr(field.annotation, "__args__", ())), None) if field else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]


def _line(document: Any, place: Sequence[Any]) -> int | None:
    """Line of ``place``, or of the nearest parent that the file has."""
    line: int | None = 1
    node = document
    for part in place:
        if isinstance(node, CommentedMap) and part in node:
            line = _written(node, part) or line
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line = node.lc.item(part)[0] + 1
        else:
            break
        node = node[part]
    return line


def _written(node: CommentedMap, key: Any) -> int | None:
    """Line of ``key``, which stands at the anchor when ``<<`` has merged it into ``node``."""
    if key in (node.lc.data or {}):
        return int(node.lc.key(key)[0]) + 1
    return next((_written(merged, key) for merged in node.merge if key in merged), None)
