"""The rooms import only what the house allows: one street, one direction, no circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

NOUNS = {"part"}
GROUND = {*NOUNS, "config", "registers", "__init__"}
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "part": set(),
    "registers": set(),
    "beat": set(),
    "pace": set(),
    "logs": set(),
    "yamlfile": set(),
    "qualityplan": {"yamlfile"},
    "plantplan": {*NOUNS, "yamlfile"},
    "scadaplan": {"yamlfile"},
    "syncplan": {"yamlfile"},
    "releaseplan": {"yamlfile"},
    "config": {
        *NOUNS,
        "yamlfile",
        "releaseplan",
        "qualityplan",
        "plantplan",
        "scadaplan",
        "syncplan",
    },
    "identity": NOUNS,
    "bus": {*NOUNS, "identity"},
    "display": {*NOUNS, "bus"},
    "serving": {*GROUND, "beat", "bus"},
    "pictures": NOUNS,
    "cameras": {*GROUND, "beat", "logs", "pictures"},
    "tools": GROUND,
    "recipe": {*GROUND, "tools"},
    "approval": {*GROUND, "tools", "recipe"},
    "store": {*GROUND, "pace"},
    "release": {
        *GROUND,
        "sync",
        "releaseplan",
        "beat",
        "logs",
        "cameras",
        "recipe",
        "tools",
        "store",
        "bus",
        "display",
        "identity",
    },
    "line": {
        *GROUND,
        "release",
        "beat",
        "pace",
        "logs",
        "cameras",
        "recipe",
        "approval",
        "store",
        "bus",
        "display",
        "identity",
        "tools",
    },
    "quality": {*GROUND, "beat", "logs", "store", "bus", "display", "identity"},
    # tools, because what is new among pictures is told in a backbone's feature space
    "sync": {*GROUND, "beat", "logs", "store", "bus", "display", "identity", "tools"},
    "web": {*GROUND, "serving", "logs", "store", "bus", "display", "identity", "quality"},
    "plant": {*GROUND, "serving", "beat", "logs", "store", "bus", "display", "identity", "quality"},
    "virtual": {*GROUND, "logs", "pictures"},
}
"""By room. A room that is not listed here stands above the street and may import all of it."""

MODULES = sorted((ROOT / "inspector").rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in MODULES}
CENTRE = {name_of(path): path for path in sorted((ROOT / "training").rglob("*.py"))}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path, *, deferred: bool) -> Iterator[str]:
    """Modules that ``path`` names; those inside functions only if ``deferred``."""
    nodes: list[ast.AST] = [tree_of(path)]
    while nodes:
        node = nodes.pop()
        if not deferred and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.stmt | ast.Module | ast.excepthandler | ast.match_case):
            nodes.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in NAMES or whole in CENTRE else node.module


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@pytest.mark.parametrize("name", NAMES)
def test_a_room_imports_only_what_the_house_allows(name: str) -> None:
    room = room_of(name)
    allowed = MAY_IMPORT.get(room)
    for module in imports(NAMES[name], deferred=True):
        top = module.split(".")[0]
        assert top not in {"torch", "ultralytics", "training"}, f"{name} imports {module}"
        if top == "inspector" and allowed is not None:
            assert room_of(module) in {*allowed, room}, f"{name} must not import {module}"


@pytest.mark.parametrize("modules", [NAMES, CENTRE], ids=["inspector", "training"])
def test_no_circle_of_imports(modules: dict[str, Path]) -> None:
    graph = {
        name: {m for m in imports(path, deferred=False) if m in modules and m != name}
        for name, path in modules.items()
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("name", NAMES)
def test_a_module_begins_with_what_it_is_about(name: str) -> None:
    path = NAMES[name]
    assert ast.get_docstring(tree_of(path)), f"{path} has no docstring"


def test_no_room_collects_strangers() -> None:
    strangers = {"utils", "helpers", "common", "base", "misc", "manager", "service"}
    assert not [p for p in MODULES if p.stem in strangers]
