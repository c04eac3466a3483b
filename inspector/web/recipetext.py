"""A recipe's text and what a person changed enter; what can be tuned, or the new text, leaves.

Comments, order and the way numbers are written survive: they say why a limit is what it is. Whether
the text is a recipe is judged by ``inspector recipe check``; here only its numbers and ROIs are
known. The recipe page imports this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from inspector.web import yamltext
from inspector.web.access import Refused

Place = list[str | int]
"""Where in the document: keys and indexes from its root."""
ROI = "roi"


def document(text: str) -> CommentedMap:
    """The recipe's document. Raises ``Refused``."""
    found = yamltext.document(text)
    if not isinstance(found.get("tools"), CommentedSeq):
        raise Refused("the recipe has no list of `tools`; mend the file by hand")
    return found


def steps_of(text: str) -> list[dict[str, Any]]:
    """Its tools in order: ``name, kind, view, follow, roi, place, fields: [{name, place, value}]``.

    Fields are numbers and yes-or-no, by their dotted name; lists of four that are a ROI are fields
    of kind ``roi``.
    """
    found = document(text)
    views = views_of(text)
    return [
        {
            "name": str(step.get("name", index)),
            "kind": str(step.get("kind", "")),
            "view": str(step.get("view") or views[0]),
            "follow": str(step.get("follow") or ""),
            "place": ["tools", index, ROI],
            "roi": _roi(step.get(ROI)),
            "fields": list(_fields(step, ["tools", index], "")),
        }
        for index, step in enumerate(found["tools"])
        if isinstance(step, CommentedMap)
    ]


def golden_of(text: str, name: str) -> str:
    """The digest of the golden picture of the tool of this name; empty where it has none."""
    for step in document(text)["tools"]:
        if isinstance(step, CommentedMap) and step.get("name") == name:
            digest = str((step.get("params") or {}).get("golden") or "")
            return digest if re.fullmatch(r"[0-9a-f]{64}", digest) else ""
    return ""


def views_of(text: str) -> list[str]:
    """The cameras whose pictures it needs."""
    return [str(view) for view in document(text).get("views") or ["image"]]


def camera_of(text: str, view: str, cameras: Sequence[str]) -> str:
    """The camera that shows a view: of a recipe with one view the only one, whatever either is
    called; of others the one that is called so."""
    return cameras[0] if len(views_of(text)) == len(cameras) == 1 else view


def changed(
    text: str,
    changes: Sequence[tuple[Place, Any]],
    fresh: Sequence[tuple[Place, Any, Sequence[float]]] = (),
) -> str:
    """``text`` with values put in their places; ``fresh`` ones are in none yet, with the row of
    defaults that each stands in. Raises ``Refused`` for a place that is none."""
    found = document(text)
    for place, value in changes:
        _put(found, place, value)
    for place, value, whole in fresh:
        _say(found, place, value, whole)
    return yamltext.written(found, text)


def with_step(text: str, step: Mapping[str, Any], *, first: bool = False) -> str:
    """``text`` with one more tool, the last one or the first. One of the same name and kind gives
    its place, and keeps what the new one does not say; None takes a setting away. Raises
    ``Refused`` for a name that is taken.
    """
    found = document(text)
    tools = found["tools"]
    known = next((old for old in tools if old.get("name") == step["name"]), None)
    if known is None:
        said = {key: value for key, value in step.items() if value is not None}
        tools.insert(0 if first else len(tools), _written(said))
    elif known.get("kind") != step["kind"]:
        raise Refused(f"a tool is named `{step['name']}` already; take another name")
    else:
        for key, value in step.items():
            if value is None:
                known.pop(key, None)
            elif isinstance(value, Mapping) and isinstance(known.get(key), CommentedMap):
                known[key].update(value)
            elif key == ROI and _roi(known.get(ROI)) is not None:
                _put_roi(known, ROI, list(value))
            else:
                known[key] = _written(value)
    return yamltext.written(found, text)


def without_step(text: str, name: str) -> str:
    """``text`` without the tool of this name. Raises ``Refused`` where there is none."""
    found = document(text)
    index = next((i for i, old in enumerate(found["tools"]) if old.get("name") == name), None)
    if index is None:
        raise Refused(f"the recipe has no tool {name} any more; load it again")
    del found["tools"][index]
    return yamltext.written(found, text)


def with_revision(text: str, revision: int) -> str:
    """``text`` with its revision counted up to ``revision``."""
    found = document(text)
    if "revision" in found:
        found["revision"] = revision
    else:
        found.insert(1, "revision", revision)
    return yamltext.written(found, text)


def revision_of(text: str) -> int:
    """The revision that the text says it is; 1 where it says nothing."""
    said = document(text).get("revision", 1)
    return said if isinstance(said, int) else 1


def _put(found: CommentedMap, place: Place, value: Any) -> None:
    if len(place) < 3 or place[0] != "tools":
        raise Refused("only what stands under `tools` is changed here")
    node: Any = found
    try:
        for part in place[:-1]:
            node = node[part]
        last = place[-1]
        if isinstance(value, list):
            _put_roi(node, last, value)
        else:
            node[last] = _as(node[last], value)
    except (KeyError, IndexError, TypeError):
        name = ".".join(map(str, place))
        raise Refused(f"the recipe has no {name} any more; load it again") from None


def _say(found: CommentedMap, place: Place, value: Any, whole: Sequence[float]) -> None:
    """Write down what was left at its default."""
    name = ".".join(map(str, place))
    gone = Refused(f"the recipe has no {name} any more; load it again")
    if len(place) < 4 or place[0] != "tools" or place[2] != "params" or isinstance(value, list):
        raise Refused("only what stands under `tools` is changed here")
    *path, last = place
    row = isinstance(last, int)
    if row:
        path, key = path[:-1], path[-1]
    else:
        key = last
    node: Any = found
    try:
        for part in path:
            if isinstance(node, CommentedMap) and isinstance(part, str):
                node = node.setdefault(part, CommentedMap())
            else:
                node = node[part]
        if not isinstance(node, CommentedMap) or not isinstance(key, str):
            raise TypeError("no settings")
        if not row:
            node[key] = _plain(value)
            return
        if key not in node:
            numbers = CommentedSeq(_plain(one) for one in whole)
            numbers.fa.set_flow_style()
            node[key] = numbers
        node[key][last] = _plain(value)
    except (KeyError, IndexError, TypeError):
        raise gone from None


def _plain(value: bool | float) -> bool | int | float:
    """A number as people write it."""
    if isinstance(value, bool):
        return value
    return int(value) if float(value).is_integer() else value


def _put_roi(node: Any, key: str | int, value: list[int]) -> None:
    if isinstance(node, CommentedMap) and key not in node and key == ROI:
        fresh = CommentedSeq(value)
        fresh.fa.set_flow_style()
        # before `params`, where people look for it
        keys = list(node)
        node.insert(keys.index("params") if "params" in keys else len(keys), ROI, fresh)
        return
    old = node[key]
    if _roi(old) is None:
        raise TypeError("no ROI")
    for index, number in enumerate(value):
        old[index] = number


def _as(old: Any, value: bool | float) -> bool | int | float:
    """``value`` as the file writes it: a number of pixels stays whole."""
    if isinstance(old, bool) or isinstance(value, bool):
        if not (isinstance(old, bool) and isinstance(value, bool)):
            raise TypeError("yes or no is no number")
        return value
    if not isinstance(old, int | float):
        raise TypeError("no number")
    return int(value) if float(value).is_integer() and isinstance(old, int) else float(value)


def _fields(node: Any, place: Place, name: str) -> Iterator[dict[str, Any]]:
    items: list[tuple[str | int, Any]] = (
        list(node.items()) if isinstance(node, CommentedMap) else list(enumerate(node))
    )
    for key, value in items:
        named = isinstance(value, CommentedMap)
        said = value.get("name", value.get("label", key)) if named else key
        where, title = [*place, key], f"{name} {said}".strip()
        title = title.removeprefix("params ")
        if key == ROI and not name:
            continue
        if isinstance(value, bool | int | float):
            yield {"name": title, "place": where, "value": value}
        elif key == ROI and _roi(value):
            yield {"name": title, "place": where, "roi": _roi(value)}
        elif isinstance(value, CommentedMap | CommentedSeq):
            yield from _fields(value, where, title if title != "params" else "")


def _written(value: Any, depth: int = 0) -> Any:
    """A value as people write it: a tool's settings one a line, small things in one."""
    if isinstance(value, Mapping):
        made = CommentedMap((key, _written(item, depth + 1)) for key, item in value.items())
        plain = all(not isinstance(item, Mapping | list) for item in value.values())
        if depth > 1 and len(made) < 6 and plain:
            made.fa.set_flow_style()
        return made
    if isinstance(value, list):
        listed = CommentedSeq(_written(item, depth + 1) for item in value)
        if all(not isinstance(item, Mapping | list) for item in value):
            listed.fa.set_flow_style()
        return listed
    return value


def _roi(value: Any) -> list[int] | None:
    whole = isinstance(value, CommentedSeq) and all(isinstance(v, int) for v in value)
    return [int(v) for v in value] if whole and len(value) == 4 else None
