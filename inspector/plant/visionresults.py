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
from inspector.store import History
from inspector.store.pages import beginnings_of

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
        found = await anyio.to_thread.run_sync(self._found, text_of(id.Value))
        space = self._server.space
        if found is None:
            empty = space.structure("ResultDataType") if space.official else ""
            return [handle(), space.variant(empty), error_of(UNKNOWN)]
        made = space.variant(self._result(*found))
        return [handle(), made, error_of(DONE)]

    async def filtered(self, parent: ua.NodeId, *given: ua.Variant) -> Answered:
        """The newest results that fit, newest first."""
        texts = [text_of(v.Value) for v in given[1:9]]
        state, most, start = int(given[0].Value or 0), *(int(v.Value or 0) for v in given[9:11])
        found = await anyio.to_thread.run_sync(self._fitting, state, texts)
        made = [self._result(*each) for each in cut(found, start, most)]
        return listed(self._server.space, len(found), start, made, made)

    def _fitting(self, state: int, texts: list[str]) -> list[tuple[Verdict, str]]:
        """Parts that show what was asked for, with their products; empty texts ask for nothing."""
        measurement, part, external, internal, elsewhere, configuration, product, job = texts
        station = self._server.station.station
        if elsewhere or configuration not in ("", station):
            return []  # no result names another configuration than the station's
        found: list[tuple[Verdict, str]] = []
        products: dict[str, str] = {}
        with contextlib.suppress(Problem), self._line.history() as history:  # no ledger, no parts
            for each in history.last(SCAN_MAX):
                verdict = each.verdict
                recipe = verdict.recipe.partition("@")[0]
                if verdict.batch not in products:
                    products[verdict.batch] = _product(history, verdict.batch)
                made = products[verdict.batch] or recipe
                its_job, its_measurement = self._server.jobs.of(verdict)
                if (
                    state in (0, RESULT_STATE[verdict.outcome])
                    and part in ("", str(verdict.part_id), verdict.serial)
                    and external in ("", recipe)
                    and internal in ("", recipe)
                    and measurement in ("", its_measurement)
                    and product in ("", made)
                    and job in ("", its_job)
                ):
                    found.append((verdict, made))
        return found

    def _found(self, id: str) -> tuple[Verdict, str] | None:
        try:
            part = PartId(UUID(id))
        except ValueError:
            return None
        with contextlib.suppress(Problem), self._line.history() as history:
            if (found := history.part(part)) is not None:
                return found.verdict, _product(history, found.verdict.batch)
        return None

    def _result(self, verdict: Verdict, product: str) -> Any:
        space = self._server.space
        fields = self._server.result(verdict, product)
        if space.official:
            return space.structure("ResultDataType", **fields)
        return json.dumps(fields | {"ResultContent": content_of(verdict)}, ensure_ascii=False)


def _product(history: History, batch: str) -> str:
    """What a batch made, as it began last; empty where nobody said."""
    begun = beginnings_of(history, batch)
    return begun[-1].product if begun else ""


def listed(space: Space, count: int, start: int, made: list[Any], plain: list[Any]) -> Variants:
    """A list's answer: ``made`` as structures, ``plain`` the same as texts, of ``count`` in all."""
    return [
        ua.Variant(start + len(made) >= count, ua.VariantType.Boolean),
        ua.Variant(len(made), ua.VariantType.UInt32),
        handle(),
        space.variant(made if space.official else json.dumps(plain)),
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
