"""A camera's features: set from the station file in the order given, checked, read back, listed.

Enters: a GenApi node map and ``Features``. Leaves: what was set and what the camera made of it,
or a ``FeatureError`` that says what is wrong and what would be right. Imports config; the room's
cameras use it.
"""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from genicam import gentl
from genicam.genapi import EAccessMode, EInterfaceType, EVisibility, GenericException

from inspector.config import Features

Value = bool | int | float | str
Limits = tuple[float | None, float | None, float | None]
"""Minimum, maximum, increment."""

GENTL_ERRORS = (gentl.GenericException, GenericException)
"""What the binding raises: two trees. What GenApi refuses by itself is of the second, what the
camera or its producer refuses is of the first."""

_LOST_PACKETS = re.compile(r"(Lost|Missed|Failed)_?Packet|Packets?_?(Lost|Missed|Failed)")
_READABLE = (EAccessMode.RO, EAccessMode.RW)
_WRITABLE = (EAccessMode.WO, EAccessMode.RW)
_NUMBERS: Mapping[str, Callable[[Any], Value]] = {"integer": int, "float": float}
"""A station file may say 640.0 where the binding takes a whole number only, and 20 for a float."""
_KINDS = {
    EInterfaceType.intfIInteger: "integer",
    EInterfaceType.intfIBoolean: "boolean",
    EInterfaceType.intfICommand: "command",
    EInterfaceType.intfIFloat: "float",
    EInterfaceType.intfIString: "string",
    EInterfaceType.intfIEnumeration: "enumeration",
}


COMMAND_S = 5.0
"""A command that is not done by then is one whose register does not tell."""


class FeatureError(Exception):
    """A feature that cannot be set as asked; ``str()`` names it and what the camera would take."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(f"{name}: {message}")


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of a camera, as ``inspector cameras --features`` prints it."""

    name: str
    kind: str
    access: str
    """``RO``, ``RW``, ``WO``; ``NA`` when it is there but not now."""
    value: Value | None = None
    minimum: float | None = None
    maximum: float | None = None
    increment: float | None = None
    unit: str = ""
    entries: tuple[str, ...] = ()
    tooltip: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """One feature that was set."""

    name: str
    wanted: Value
    value: Value | None
    """Read back from the camera; a float may differ by its rounding. None: it cannot be read."""


def apply(node_map: Any, features: Features | Mapping[str, Value]) -> tuple[Setting, ...]:
    """Set ``features`` in their order, each one checked before and read back after.

    ``FeatureError`` at the first that is unknown, not writable, out of range, off its increment,
    no entry of its enumeration, of another type, or not what the camera then says.
    """
    return tuple(_set(node_map, name, wanted) for name, wanted in features.items())


def has(node_map: Any, name: str, writable: bool = False) -> bool:
    """Whether feature ``name`` is there and can be read, or written, now."""
    if not node_map.has_node(name):
        return False
    mode = _access(node_map.get_node(name))
    return mode in (_WRITABLE if writable else _READABLE)


def read(node_map: Any, name: str) -> Value | None:
    """Feature ``name`` from the camera itself, past every cache; None if it has none such.

    ``genicam.genapi.GenericException`` when the camera does not answer.
    """
    if not has(node_map, name):
        return None
    return _value(node_map.get_node(name))


def lost_packets(node_maps: Iterable[Any]) -> Any:
    """The first node of ``node_maps`` that counts lost packets; None where there is none.

    No standard names it: ``StreamLostPacketCount``, ``StreamMissedPacketCount``,
    ``Statistic_Failed_Packet_Count``, ``StatPacketMissed`` are the makers' words.
    """
    for node_map in node_maps:
        for node in _features(node_map) if node_map is not None else ():
            counts = node.node.principal_interface_type == EInterfaceType.intfIInteger
            if counts and _LOST_PACKETS.search(node.node.name):
                return node
    return None


def snapshot(described: Iterable[Mapping[str, Any]]) -> dict[str, Value]:
    """Of ``rows`` every feature that could be read, and its value: what the line is told."""
    return {row["name"]: row["value"] for row in described if row["value"] is not None}


def describe(node_map: Any) -> tuple[Feature, ...]:
    """Every feature that a person may see, in the order of its categories."""
    return tuple(_describe(node) for node in _features(node_map))


def rows(node_map: Any) -> list[dict[str, Any]]:
    """``describe`` as JSON-able rows."""
    return [asdict(feature) for feature in describe(node_map)]


def _features(node_map: Any) -> Iterator[Any]:
    seen = set()

    def below(category: Any) -> Iterator[Any]:
        for node in category.features:
            name = node.node.name
            if name in seen:
                continue
            seen.add(name)
            if node.node.principal_interface_type == EInterfaceType.intfICategory:
                yield from below(node)
            elif node.node.visibility != EVisibility.Invisible and _access(node) != EAccessMode.NI:
                yield node

    if node_map.has_node("Root"):
        yield from below(node_map.get_node("Root"))


def _access(node: Any) -> Any:
    """How ``node`` may be used now; not at all where the camera will not say, as it should."""
    try:
        return node.node.get_access_mode()
    except gentl.TimeoutException:  # it does not answer at all
        raise
    except GENTL_ERRORS:
        return EAccessMode.NA


def _describe(node: Any) -> Feature:
    kind = _KINDS.get(node.node.principal_interface_type, "register")
    access = _access(node)
    value: Value | None = None
    limits: Limits = (None, None, None)
    entries: tuple[str, ...] = ()
    if access in _READABLE and kind not in ("command", "register"):
        try:
            value = _value(node)
            limits = _limits(node, kind)
            entries = tuple(node.symbolics) if kind == "enumeration" else ()
        except gentl.TimeoutException:  # it does not answer at all
            raise
        except GENTL_ERRORS:  # announced as readable and then refused: a camera's own affair
            value = None
    unit = node.unit if kind in ("integer", "float") else ""
    return Feature(
        node.node.name,
        kind,
        EAccessMode(access).name,
        value,
        *limits,
        unit,
        entries,
        node.node.tooltip,
    )


def _limits(node: Any, kind: str) -> Limits:
    if kind == "integer":
        return node.min, node.max, node.inc
    if kind == "float":
        return node.min, node.max, node.inc if node.has_inc() else None
    return None, None, None


def _value(node: Any) -> Value:
    kind = _KINDS.get(node.node.principal_interface_type)
    if kind in ("integer", "float", "boolean"):
        value: Value = node.get_value(False, True)
        return value
    text: str = node.value
    return text


def _set(node_map: Any, name: str, wanted: Value) -> Setting:
    if not node_map.has_node(name):
        known = [node.node.name for node in _features(node_map)]
        near = difflib.get_close_matches(name, known, 1)
        raise FeatureError(name, "no such feature" + (f"; did you mean {near[0]}?" if near else ""))
    node = node_map.get_node(name)
    kind = _KINDS.get(node.node.principal_interface_type)
    if kind is None:
        raise FeatureError(name, "is no feature that can be set")
    access = _access(node)
    if access not in _WRITABLE:
        if name == "TriggerSource" and read(node_map, "TriggerMode") == "On":
            return _set_while_off(node_map, wanted)
        raise FeatureError(name, _why_not(access))
    try:
        _check(name, node, kind, wanted)
        if kind == "command":
            _execute(node)
            return Setting(name, wanted, None)
        node.value = _NUMBERS[kind](wanted) if kind in _NUMBERS else wanted
        if access != EAccessMode.RW:
            return Setting(name, wanted, None)
        value = _value(node)
    except gentl.TimeoutException:  # it does not answer at all
        raise
    except GENTL_ERRORS as error:
        raise FeatureError(name, f"the camera refuses {wanted!r}: {first_line(error)}") from error
    if not _same(node, kind, wanted, value):
        raise FeatureError(name, f"was set to {wanted!r}, but the camera says {value!r}")
    return Setting(name, wanted, value)


def _set_while_off(node_map: Any, source: Value) -> Setting:
    """Some makers lock a trigger's source while it is on (FLIR's Spinnaker, example Trigger)."""
    node_map.TriggerMode.value = "Off"
    setting = _set(node_map, "TriggerSource", source)
    node_map.TriggerMode.value = "On"
    return setting


def _execute(node: Any) -> None:
    """And wait until it is done: what is set while a user set is being loaded is lost."""
    node.execute()
    until = time.monotonic() + COMMAND_S
    while not node.is_done() and time.monotonic() < until:
        time.sleep(0.01)


def _why_not(access: Any) -> str:
    if access == EAccessMode.RO:
        return "is read only"
    if access == EAccessMode.NI:
        return "is not implemented in this camera"
    return "is not available now: another feature, set before it, must allow it"


def _check(name: str, node: Any, kind: str, wanted: Value) -> None:
    number = isinstance(wanted, int | float) and not isinstance(wanted, bool)
    expected = {"boolean": "true or false", "string": "a text", "command": "true"}
    fits = {
        "integer": number and (isinstance(wanted, int) or float(wanted).is_integer()),
        "float": number,
        "boolean": isinstance(wanted, bool),
        "command": wanted is True,
        "string": isinstance(wanted, str),
        "enumeration": isinstance(wanted, str),
    }[kind]
    if kind == "enumeration" and (not fits or wanted not in node.symbolics):
        entries = tuple(node.symbolics)
        near = difflib.get_close_matches(str(wanted), entries, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise FeatureError(name, f"{wanted!r} is none of {', '.join(entries)}{hint}")
    if not fits:
        what = expected.get(kind, "a whole number" if kind == "integer" else "a number")
        raise FeatureError(name, f"{wanted!r} is not {what}")
    if kind not in ("integer", "float"):
        return
    low, high, step = _limits(node, kind)
    assert isinstance(wanted, int | float) and low is not None and high is not None
    if not low <= wanted <= high:
        unit = f" {node.unit}" if node.unit else ""
        raise FeatureError(name, f"{wanted} is outside {low:.12g} … {high:.12g}{unit}")
    if step and kind == "integer" and (int(wanted) - int(low)) % int(step):
        below = int(low) + (int(wanted) - int(low)) // int(step) * int(step)
        above = min(below + int(step), int(high))
        raise FeatureError(
            name, f"{wanted} is not {low:.12g} + n·{step:.12g}; try {below} or {above}"
        )


def _same(node: Any, kind: str, wanted: Value, value: Value) -> bool:
    """Cameras round a float to their own step; more than 1 % (or a step) is another value."""
    if kind != "float":
        return value == wanted
    step = node.inc if node.has_inc() else 0.0
    assert isinstance(wanted, int | float) and isinstance(value, int | float)
    return abs(value - wanted) <= max(step, abs(wanted) * 0.01, 1e-9)


def first_line(error: Exception) -> str:
    """The first line of a binding's error message, or its type's name."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
