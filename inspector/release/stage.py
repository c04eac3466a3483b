"""At which stage each release stands here: installed, shadow, waiting, champion, before, undone.

Enters: the line's and the desk's records. Leaves: one row per release, with what it did in shadow.
Nothing is kept here: the records are the truth. Imports store and this room; ``process`` and the
command line import this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from inspector.release.installed import BASE, Installed, installed
from inspector.store import Event, History, StoreError
from inspector.store.pages import events_of
from inspector.store.records import Kind
from inspector.store.related import desk_records, reading
from inspector.store.schema import LINE_FILE

KIND, PENDING = "release", "release_pending"
"""Kinds of the line's events: one took over, or gave way; one shall with the next batch."""
SHADOW, TALLY = "shadow", "shadow_tally"
"""Kinds of desk records: one part judged otherwise; how many were judged and how."""


class Stage(StrEnum):
    """What a release is doing here."""

    INSTALLED = "installed"
    """Proven on this machine, used for nothing yet."""
    SHADOW = "shadow"
    """Judges a share of the parts beside the champion, and decides nothing."""
    WAITING = "waiting"
    """Takes over with the next batch."""
    CHAMPION = "champion"
    BEFORE = "before"
    """Was champion until another one took over; the way back leads to it."""
    UNDONE = "undone"
    """Was champion and was taken back; it never comes again by itself."""


@dataclass(frozen=True, slots=True)
class Change:
    """A release that took over, or gave way."""

    recipe: str
    digest: str
    release: str
    chain: tuple[str, ...]
    back: bool
    why: str
    utc_ns: int
    stream: str
    first: int
    recipe_digest: str
    principal: str
    before: str = BASE
    """Digest of what it took the place of."""
    position: int = -1
    """Of its record."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One release, and how it stands."""

    release: Installed
    stage: Stage
    tally: Mapping[str, Any] = field(default_factory=dict)
    """``judged, disagreed, errors, p50_ms, p99_ms`` of its newest time in shadow."""


def changes(history: History, limit: int = 200) -> list[Change]:
    """Changes of champion, newest first."""
    return [_change(position, event) for position, event in events_of(history, KIND, limit=limit)]


def waits(history: History) -> dict[str, Event]:
    """By recipe, the order to put a release into service with the next batch, where it stands: it
    was not withdrawn, and none has taken over or given way since. By the order of the records: a
    clock may be set."""
    told = events_of(history, KIND, PENDING, limit=1000)
    newest = {str(event.body.get("recipe")): event for _, event in reversed(told)}
    return {n: e for n, e in newest.items() if e.kind == PENDING and e.body.get("digest")}


def standings(data: Path) -> list[Standing]:
    """Every installed release, by recipe and number."""
    there = installed(data)
    try:
        with History(data) as history:
            past = changes(history)
            pending = waits(history)
            tallies = history.desk(TALLY, 200)
    except StoreError:
        return [Standing(one, Stage.INSTALLED) for one in there]
    newest = newest_of(past)
    waiting = {name: event.body["digest"] for name, event in pending.items()}
    undone = {c.digest for c in undone_of(past)}
    counted = {str(record.body.get("digest")): record.body for record in reversed(tallies)}
    found = []
    for one in there:
        now = newest.get(one.release.manifest.name)
        chain = now.chain if now else (BASE,)
        tally = counted.get(one.digest, {})
        if chain[-1] == one.digest:
            stage = Stage.CHAMPION
        elif waiting.get(one.release.manifest.name) == one.digest:
            stage = Stage.WAITING
        elif one.digest in chain:
            stage = Stage.BEFORE
        elif one.digest in undone:
            stage = Stage.UNDONE
        else:
            stage = Stage.SHADOW if tally else Stage.INSTALLED
        found.append(Standing(one, stage, tally))
    return found


def judged_since(data: Path, position: int, parts: int) -> bool:
    """Whether so many parts have been judged since the record at ``position``, in whatever stream.
    Raises ``StoreError``."""
    with reading(data / LINE_FILE) as line:
        found = line.execute(
            "SELECT 1 FROM record WHERE position > ?"
            f" AND substr(body, 2, 1) = x'{Kind.VERDICT:02x}' LIMIT 1 OFFSET ?",
            (position, parts - 1),
        ).fetchone()
    return found is not None


def number_of(data: Path, digest: str, here: Sequence[Installed]) -> int:
    """The number of a release, though its files were damaged since; 0 of the station file's
    recipe. Where nobody knows it, it is higher than any: no older one must pass for newer."""
    if digest == BASE:
        return 0
    known = [one.release.manifest.number for one in here if one.digest == digest]
    if not known:
        told = (record.body for record in desk_records(data, KIND))
        known = [int(body["number"]) for body in told
                 if body.get("do") == "installed" and body.get("digest") == digest]  # fmt: skip
    return known[-1] if known else 1 << 62


def newest_of(past: list[Change]) -> dict[str, Change]:
    """The newest change of each recipe."""
    return {change.recipe: change for change in reversed(past)}


def undone_of(past: list[Change]) -> list[Change]:
    """The changes that put a release into service which was taken back later: of each recipe apart,
    and of several roll-backs in a row each undoes the one that it took back."""
    found, gone = [], set()
    for change in past:  # newest first
        if change.back:
            gone.add((change.recipe, change.before))
        elif (change.recipe, change.digest) in gone:
            gone.remove((change.recipe, change.digest))
            found.append(change)
    return found


def _change(position: int, event: Event) -> Change:
    body = event.body
    return Change(
        str(body.get("recipe")),
        str(body.get("digest")),
        str(body.get("release")),
        tuple(str(digest) for digest in body.get("chain", ())),
        bool(body.get("back")),
        str(body.get("why", "")),
        event.utc_ns,
        str(body.get("stream", "")),
        int(body.get("from", 0)),
        str(body.get("recipe_digest", "")),
        event.principal,
        str(body.get("before", BASE)),
        position,
    )
