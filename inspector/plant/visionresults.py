"""Results of the vision system, asked for by clients: one by its id, or the newest that fit.

Enters: ids and filters as OPC 40100-1 has them. Leaves: answers from the ledger.
``visionmethods.py`` links them; the words that every answer is made of stand here too.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any, TypeAlias
from uuid import UUID

import anyio.to_thread
from asyncua import ua

from inspector.part import PartId, Verdict
from inspector.plant.desk import Line
from inspector.plant.opcua import RESULT_STATE, VisionServer, content_of
from inspector.plant.problems import Problem
from inspector.plant.visionspace import Space, text_of

DONE, REFUSED, NO_ANSWER, UNKNOWN, NOT_RECORDED = 0, -1, -2, -3, -4
"""What ``Error`` says: done; the line refuses; it does not answer; no such thing; disk trouble."""
PAGE_MAX = 100
SCAN_MAX = 2000
"""Parts that one filtered list looks at."""

Variants: TypeAlias = "list[ua.Variant]"
Answered: TypeAlias = "Variants | ua.StatusCode"


class VisionResults:
    """Answers about results."""

    def __init__(self, server: VisionServer, line: Line) -> None:
        self._server, self._line = server, line

    async def by_id(self, parent: ua.NodeId, id: ua.Variant, timeout: ua.Variant) -> Answered:
        """The result with this id, which is its part's id; from the ledger, however old."""
        verdict = await anyio.to_thread.run_sync(self._verdict, text_of(id.Value))
        space = self._server.space
        if verdict is None:
            empty = space.structure("ResultDataType") if space.official else ""
            return [handle(), space.variant(empty, ua.VariantType.String), error_of(UNKNOWN)]
        made = space.variant(self._result(verdict), ua.VariantType.String)
        return [handle(), made, error_of(DONE)]

    async def filtered(self, parent: ua.NodeId, *given: ua.Variant) -> Answered:
        """The newest results that fit, newest first."""
        texts = [text_of(v.Value) for v in given[1:9]]
        state, most, start = int(given[0].Value or 0), *(int(v.Value or 0) for v in given[9:11])
        found = await anyio.to_thread.run_sync(self._fitting, state, texts)
        made = [self._result(verdict) for verdict in cut(found, start, most)]
        return listed(self._server.space, len(found), start, made, made)

    def _fitting(self, state: int, texts: list[str]) -> list[Verdict]:
        _, part, external, internal, *_, job = texts
        found: list[Verdict] = []
        with contextlib.suppress(Problem), self._line.history() as history:  # no ledger, no parts
            for each in history.last(SCAN_MAX):
                verdict = each.verdict
                recipe = verdict.recipe.partition("@")[0]
                if (
                    state in (0, RESULT_STATE[verdict.outcome])
                    and part in ("", str(verdict.part_id), verdict.serial)
                    and external in ("", recipe)
                    and internal in ("", recipe)
                    and job in ("", verdict.batch)
                ):
                    found.append(verdict)
        return found

    def _verdict(self, id: str) -> Verdict | None:
        try:
            part = PartId(UUID(id))
        except ValueError:
            return None
        with contextlib.suppress(Problem), self._line.history() as history:
            if (found := history.part(part)) is not None:
                return found.verdict
        return None

    def _result(self, verdict: Verdict) -> Any:
        space = self._server.space
        fields = self._server.result(verdict)
        if space.official:
            return space.structure("ResultDataType", **fields)
        return json.dumps(fields | {"ResultContent": content_of(verdict)}, ensure_ascii=False)


def listed(space: Space, count: int, start: int, made: list[Any], plain: list[Any]) -> Variants:
    """A list's answer: ``made`` as structures, ``plain`` the same as texts, of ``count`` in all."""
    return [
        ua.Variant(start + len(made) >= count, ua.VariantType.Boolean),
        ua.Variant(len(made), ua.VariantType.UInt32),
        handle(),
        space.variant(made if space.official else json.dumps(plain), ua.VariantType.String),
        error_of(DONE),
    ]


def cut(items: list[Any], start: int, most: int) -> list[Any]:
    """One page of a list; 0 is as many as there may be."""
    return items[start : start + min(most or PAGE_MAX, PAGE_MAX)]


def handle() -> ua.Variant:
    """A handle that holds nothing: every answer is whole."""
    return ua.Variant(0, ua.VariantType.UInt32)


def error_of(code: int) -> ua.Variant:
    """An answer's last element."""
    return ua.Variant(code, ua.VariantType.Int32)
