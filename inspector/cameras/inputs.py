"""Signals that are wired to a camera's input lines: which line carries what, and what it says now.

Enters: a node map, and the station file's ``signals`` of this camera. Leaves: each signal, true or
false. Imports config; ``genicam.py`` uses it. Lines after SFNC 2.7, Digital I/O Control.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from inspector.cameras import features
from inspector.config import SignalName


class Inputs:
    """The input lines of one open camera that the station file names."""

    def __init__(self, node_map: Any, wired: Mapping[SignalName, str]) -> None:
        """``wired``: signal → line, such as ``Line2``, or ``!Line2`` where low means yes.

        Raises ``FeatureError`` for a line that the camera does not have or that is an output.
        """
        self._nodes = node_map
        self._lines: list[tuple[str, str, int, bool]] = []
        for signal, wire in wired.items():
            line, inverted = wire.removeprefix("!"), wire.startswith("!")
            self._lines.append((signal, line, _place(node_map, signal, line), inverted))
        self._whole = features.has(node_map, "LineStatusAll") and (
            self._counts_from_0() or not features.has(node_map, "LineStatus")
        )

    def _counts_from_0(self) -> bool:
        """Whether Line n can only be bit n of LineStatusAll: in SFNC the first line is bit 0, and
        of a camera that has no Line0 only its maker knows (Basler's differ by model)."""
        named = all(line == f"Line{bit}" for _, line, bit, _ in self._lines)
        return named and "Line0" in self._nodes.LineSelector.symbolics

    def read(self) -> dict[str, bool]:
        """Every signal as the camera itself says it, past GenApi's cache.

        ``genicam.genapi.GenericException`` when the camera does not answer.
        """
        nodes = self._nodes
        if self._whole:
            levels = int(nodes.LineStatusAll.get_value(False, True))
            return {signal: bool(levels >> bit & 1) != low for signal, _, bit, low in self._lines}
        answer = {}
        for signal, line, _, low in self._lines:
            nodes.LineSelector.value = line
            answer[signal] = bool(nodes.LineStatus.get_value(False, True)) != low
        return answer


def _place(node_map: Any, signal: str, line: str) -> int:
    """The bit of ``line`` in LineStatusAll, its entry's value in LineSelector."""
    if not features.has(node_map, "LineSelector", writable=True):
        raise features.FeatureError("LineSelector", f"{signal}: this camera has no lines to read")
    lines = list(node_map.LineSelector.symbolics)
    if line not in lines:
        near = difflib.get_close_matches(line, lines, 1, 0.0)
        hint = f"did you mean {near[0]}? " if near else ""
        raise features.FeatureError(
            "LineSelector", f"{signal}: has no {line}; {hint}it has {', '.join(lines)}"
        )
    node_map.LineSelector.value = line
    if features.has(node_map, "LineMode") and node_map.LineMode.value != "Input":
        raise features.FeatureError("LineMode", f"{signal}: {line} is an output, not an input")
    return int(node_map.LineSelector.get_int_value())
