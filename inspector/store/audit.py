"""The audit trail: who did what, from both ledgers, newest first.

Enters: ``<data>`` and what is asked for. Leaves: one `Deed` for each record that names who acted:
the desk's records, the line's commands and events, beginnings and ends of batches. Every room may
import this. What is asked for is looked for from the newest record back, and a page says how far it
has looked, so that each answer is bounded however long the ledger is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector.store import schema
from inspector.store.errors import RecordError
from inspector.store.layout import desk_record
from inspector.store.query import History
from inspector.store.readable import readable
from inspector.store.records import BatchChange, Event

LOOKED_MAX = 20_000
"""Records that one page looks at."""
STRAY = 2000
"""So many deeds in a row that are older than asked for end the search in their ledger: those of a
clock that was behind for a while are fewer."""
PORTION = 400
PROCESSES = frozenset({"line", "web", "plant", "sync", "quality", "system", "unknown"})
"""Principals that are the station's own processes, or nobody."""
LINE, DESK = "line", "desk"
_FIRST = frozenset({"command", "do", "meaning", "reason"})
"""Details that say what was done; the others say to what."""
_UPTO = 1 << 62


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that somebody did."""

    ledger: str
    """``line`` or ``desk`` …"""
    position: int
    """… and where in it the record stands."""
    utc_ns: int
    principal: str
    what: str
    """The record's kind: ``command``, ``signature``, ``disposition`` …"""
    details: dict[str, Any]

    @property
    def text(self) -> str:
        """The details in one line, as people read them."""
        return ", ".join(f"{name} {text}" for name, text in self.told)

    @property
    def told(self) -> list[tuple[str, str]]:
        """The details that say something, by name: first what was done, then to what."""
        named = sorted(self.details.items(), key=lambda detail: detail[0] not in _FIRST)
        return [(name, text) for name, value in named if (text := _short(value)).strip()]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked for. Empty is everything."""

    who: str = ""
    """A user id, or a part of one, whatever its case."""
    what: str = ""
    """A kind."""
    text: str = ""
    """Words that stand in it anywhere, whatever their case."""
    from_ns: int = 0
    to_ns: int = _UPTO
    people: bool = False
    """Leave out what the station's own processes did."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the trail."""

    deeds: tuple[Deed, ...]
    before: tuple[int, int] | None
    """Where the next page begins, in the line's and the desk's ledger; None at the end."""


def trail(
    data_dir: Path | str,
    asked: Asked = Asked(),
    *,
    before: tuple[int, int] | None = None,
    limit: int = 100,
) -> Page:
    """The newest deeds before ``before`` that ``asked`` asks for.

    Raises:
        StoreError: a ledger cannot be read.
    """
    line_at, desk_at = before or (_UPTO, _UPTO)
    found: list[Deed] = []
    data = Path(data_dir)
    with ExitStack() as opened:
        sources = [_of_line(data, opened, line_at), _of_desk(data, opened, desk_at)]
        heads = [next(source, None) for source in sources]
        older = [0, 0]
        for _ in range(LOOKED_MAX):
            index = _next(heads, asked.from_ns)
            deed = None if index is None else heads[index]
            if index is None or deed is None:
                return Page(tuple(found), None)
            old = deed.utc_ns < asked.from_ns
            if len(found) == limit and not old:
                break
            older[index] = older[index] + 1 if old else 0
            heads[index] = next(sources[index], None) if older[index] < STRAY else None
            line_at, desk_at = (deed.position, desk_at) if index == 0 else (line_at, deed.position)
            if _fits(deed, asked):
                found.append(deed)
    return Page(tuple(found), (line_at, desk_at))


def _next(heads: list[Deed | None], from_ns: int) -> int | None:
    """Which ledger's deed is next: the newest, and before it one that is older than asked for, lest
    it hide what was done before a clock was set back."""
    there = [(h.utc_ns < from_ns, h.utc_ns, i) for i, h in enumerate(heads) if h is not None]
    return max(there)[2] if there else None


def kinds(data_dir: Path | str) -> tuple[str, ...]:
    """Every kind of deed that has happened here."""
    found = {"batch"}
    for name in (schema.LINE_FILE, schema.DESK_FILE):
        path = Path(data_dir) / name
        if path.is_file():
            with closing(schema.open_reader(path)) as connection:
                rows = connection.execute("SELECT DISTINCT kind FROM event").fetchall()
            found |= {kind for (kind,) in rows}
    return tuple(sorted(found))


def _of_line(data: Path, opened: ExitStack, before: int) -> Iterator[Deed]:
    """The line's deeds, newest first; none where no line ever ran."""
    if not (data / schema.LINE_FILE).is_file():
        return
    history = opened.enter_context(History(data))
    more = True
    while more:
        with history.line() as line:
            rows = line.execute(
                "SELECT position FROM event WHERE position < ?1 UNION ALL"
                " SELECT position FROM batch WHERE position < ?1"
                " ORDER BY position DESC LIMIT ?2",
                (before, PORTION),
            ).fetchall()
            records = [(at, history.record(at)) for (at,) in rows]
        for before, record in records:
            if isinstance(record, Event):
                what, body = record.kind, record.body
            elif isinstance(record, BatchChange):
                what = "batch"
                body = {"action": record.action, "batch": record.id, "product": record.product,
                        "recipe": record.recipe}  # fmt: skip
            else:
                continue
            yield Deed(LINE, before, record.utc_ns, record.principal, what, body)
        more = len(rows) == PORTION


def _of_desk(data: Path, opened: ExitStack, before: int) -> Iterator[Deed]:
    """The desk's deeds, newest first."""
    if not (data / schema.DESK_FILE).is_file():
        return
    desk = opened.enter_context(closing(schema.open_reader(data / schema.DESK_FILE)))
    more = True
    while more:
        rows = desk.execute(
            "SELECT position, body FROM record WHERE position < ? ORDER BY position DESC LIMIT ?",
            (before, PORTION),
        ).fetchall()
        for before, body in rows:
            with suppress(RecordError):  # `inspector verify` names it
                record = desk_record(body)
                plain = readable(record)["body"]
                yield Deed(DESK, before, record.utc_ns, record.principal, record.kind, plain)
        more = len(rows) == PORTION


def _fits(deed: Deed, asked: Asked) -> bool:
    if asked.people and deed.principal in PROCESSES:
        return False
    if asked.what and deed.what != asked.what:
        return False
    if not asked.from_ns <= deed.utc_ns < asked.to_ns:
        return False
    if asked.who.lower() not in deed.principal.lower():
        return False
    if not asked.text:
        return True
    hay = f"{deed.principal} {deed.what} {deed.text}".lower()
    return all(word in hay for word in asked.text.lower().split())


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value
    return re.sub(r'["{}\[\]]', "", json.dumps(value, ensure_ascii=False, default=str))
