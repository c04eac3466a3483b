"""Where the line's ledger stands when it is opened, and what its history answers.

Enters: ``<data>`` and the station's public key. Leaves: a `State` to go on from, `Past` to look
back. Only `ledger` and `writer` import this.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from inspector.part import GateDecision
from inspector.store import layout, schema
from inspector.store.checkpoint import (
    FIRST,
    MARK_BYTES,
    Checkpoint,
    Signed,
    check,
    digest_of,
    last_copy,
)
from inspector.store.errors import RecordError, StoreDamaged, StoreInUse
from inspector.store.merkle import EMPTY_ROOT, Tree, leaf_hash, tree_of
from inspector.store.records import Defined
from inspector.store.related import body_at, lookup_in
from inspector.store.rows import mark_of

REMEMBERED = 2048
"""Definitions read at the start; an older one that is met again is defined again."""
LISTED = 64
"""Numbers that are rather listed than halved any further."""
_VERDICTS = "FROM verdict WHERE stream = ? AND sequence BETWEEN ? AND ?"


@dataclass(slots=True)
class State:
    """The ledger's end."""

    size: int = 0
    tree: Tree = field(default_factory=Tree)
    marks: bytes = b""
    """The marks of the records that no checkpoint covers yet."""
    number: int = 0
    """The next checkpoint's."""
    previous: bytes = FIRST
    signed_size: int = 0
    desk_size: int = 0
    desk_root: bytes = EMPTY_ROOT
    owed_copies: list[Signed] = field(default_factory=list)
    streams: dict[str, int] = field(default_factory=dict)
    contexts: dict[tuple[Any, ...], int] = field(default_factory=dict)
    shapes: dict[tuple[Any, ...], int] = field(default_factory=dict)


def resume(data_dir: Path, key: Ed25519PublicKey) -> State:
    """Reads the last checkpoint and what came after it; older records are left to `verify`.

    Raises:
        StoreDamaged: the last checkpoint, its copy and the records do not fit together. A line
            that went on would sign two histories.
    """
    path = data_dir / schema.LINE_FILE
    try:
        connection = schema.open_reader(path, busy_s=5.0)
        try:
            connection.execute("BEGIN")
            state = _read(connection, path, data_dir, key)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreDamaged(f"{path}: {error}; run: inspector verify {data_dir}") from error
    return state


def _read(
    connection: sqlite3.Connection, path: Path, data_dir: Path, key: Ed25519PublicKey
) -> State:
    state = State()
    advice = f"run: inspector verify {data_dir}"
    checkpoint = _last_checkpoint(connection, path, key, state)
    copied = last_copy(data_dir, key)
    if copied is not None and copied.number >= state.number:
        raise StoreDamaged(
            f"{path}: was cut: checkpoint {copied.number} over {copied.line_size} records was"
            f" signed, the file ends with checkpoint {state.number - 1}; {advice}"
        )
    if checkpoint is not None:
        state.tree = _edge(connection, path, checkpoint)
        if copied is None or copied.number < checkpoint.number:
            _owe_copies(connection, state, -1 if copied is None else copied.number)
    marks = []
    rows = connection.execute(
        "SELECT position, mark, body FROM record WHERE position >= ? ORDER BY position",
        (state.tree.size,),
    )
    for position, mark, body in rows:
        leaf = leaf_hash(body) if isinstance(body, bytes) else b""
        if position != state.tree.size or mark != mark_of(leaf) or not leaf:
            raise StoreDamaged(f"{path}: record {state.tree.size} is not what was stored; {advice}")
        state.tree.append(leaf)
        marks.append(leaf[:MARK_BYTES])
    newest = connection.execute("SELECT max(position) FROM main.record").fetchone()[0]
    state.size = 0 if newest is None else newest + 1
    if state.size != state.tree.size:
        raise StoreDamaged(
            f"{path}: was cut: {state.tree.size} records were signed, {state.size} are here;"
            f" {advice}"
        )
    state.marks = b"".join(marks)
    _definitions(connection, state)
    return state


def _last_checkpoint(
    connection: sqlite3.Connection, path: Path, key: Ed25519PublicKey, state: State
) -> Checkpoint | None:
    row = connection.execute(
        "SELECT number, body, signature FROM checkpoint ORDER BY number DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    number, body, signature = row
    try:
        checkpoint = check(Signed(body, signature), key)
        if checkpoint.number != number:
            raise RecordError(f"stands at number {number}")
    except (RecordError, TypeError) as error:
        raise StoreDamaged(f"{path}: checkpoint {number}: {error}") from error
    state.number = number + 1
    state.previous = digest_of(body)
    state.signed_size = checkpoint.line_size
    state.desk_size, state.desk_root = checkpoint.desk_size, checkpoint.desk_root
    return checkpoint


def _edge(connection: sqlite3.Connection, path: Path, checkpoint: Checkpoint) -> Tree:
    row = connection.execute("SELECT size, edge FROM edge").fetchone()
    size = checkpoint.line_size
    if row is not None and row[0] == size:
        known = tree_of(size, row[1], checkpoint.line_root)
        if known is not None:
            return known
    tree = Tree()  # the shortcut is spoiled; the long way reads everything
    rows = connection.execute(
        "SELECT body FROM record WHERE position < ? ORDER BY position", (size,)
    )
    for (body,) in rows:
        tree.append(leaf_hash(body if isinstance(body, bytes) else b""))
    if tree.size != size or tree.root() != checkpoint.line_root:
        raise StoreDamaged(
            f"{path}: the records are not those that checkpoint {checkpoint.number} signed;"
            " run: inspector verify"
        )
    return tree


def _owe_copies(connection: sqlite3.Connection, state: State, after: int) -> None:
    rows = connection.execute(
        "SELECT body, signature FROM checkpoint WHERE number > ? ORDER BY number", (after,)
    )
    state.owed_copies = [Signed(body, signature) for body, signature in rows]


def _definitions(connection: sqlite3.Connection, state: State) -> None:
    known = {Defined.CONTEXT: state.contexts, Defined.SHAPE: state.shapes}
    rows = connection.execute(
        "SELECT position, body FROM definition JOIN record USING (position) WHERE what = 0"
        " UNION SELECT * FROM (SELECT position, body FROM definition JOIN record USING (position)"
        " WHERE what > 0 ORDER BY position DESC LIMIT ?) ORDER BY position",
        (REMEMBERED,),
    )
    for position, body in rows:
        definition = layout.definition(body)
        if definition.what is Defined.STREAM:
            state.streams.setdefault(definition.value[0], position)
        else:
            known[definition.what][definition.value] = position


class Past:
    """Questions to the past that the line asks rarely; its own read-only connection."""

    def __init__(self, path: Path) -> None:
        self._connection = schema.open_reader(path, busy_s=5.0)

    def close(self) -> None:
        """Lets go of the file."""
        self._connection.close()

    def last_sequence(self, stream: int) -> int | None:
        """The highest sequence number of a stream; None if it has none."""
        found: int | None = self._connection.execute(
            "SELECT max(sequence) FROM verdict WHERE stream = ?", (stream,)
        ).fetchone()[0]
        return found

    def has_verdict(self, stream: int, sequence: int) -> bool:
        """Whether this number has its verdict."""
        row = self._connection.execute(
            "SELECT 1 FROM verdict WHERE stream = ? AND sequence = ?", (stream, sequence)
        ).fetchone()
        return row is not None

    def missing(self, stream: int, up_to: int, first: int | None = None) -> list[range]:
        """The numbers without a verdict from ``first``, or else the stream's lowest, to ``up_to``.

        Counting halves finds a gap among ten million numbers in half a second, however wide it is,
        where looking at each would take the start of a line several; the last few are listed, so
        that half a million gaps in a million numbers take a second and not many.
        """
        gaps: list[range] = []
        if first is None:
            first = self._connection.execute(
                "SELECT min(sequence) FROM verdict WHERE stream = ?", (stream,)
            ).fetchone()[0]
        halves = [] if first is None or first > up_to else [(first, up_to)]
        while halves:
            low, high = halves.pop()
            span = (stream, low, high)
            (there,) = self._connection.execute(f"SELECT count(*) {_VERDICTS}", span).fetchone()
            if there == 0:
                _append(gaps, range(low, high + 1))
            elif there <= high - low < LISTED:
                known = self._connection.execute(f"SELECT sequence {_VERDICTS}", span).fetchall()
                numbers = sorted({low - 1, high + 1, *(number for (number,) in known)})
                for before, after in pairwise(numbers):
                    _append(gaps, range(before + 1, after))
            elif there <= high - low:
                middle = (low + high) // 2
                halves += [(middle + 1, high), (low, middle)]
        return gaps

    def unacknowledged(self, limit: int) -> tuple[GateDecision, ...]:
        """The newest gate decisions that no gate has acknowledged, oldest first."""
        rows = self._connection.execute(
            "SELECT body FROM"
            " (SELECT position FROM unacknowledged ORDER BY position DESC LIMIT ?)"
            " JOIN record USING (position) ORDER BY position",
            (limit,),
        ).fetchall()
        lookup = lookup_in(lambda at: body_at(self._connection, at))
        decisions = [layout.decode_record(body, lookup) for (body,) in rows]
        return tuple([d for d in decisions if isinstance(d, GateDecision)])


def _append(gaps: list[range], gap: range) -> None:
    if gaps and gaps[-1].stop == gap.start:
        gaps[-1] = range(gaps[-1].start, gap.stop)
    elif gap:
        gaps.append(gap)


def lock_line(data_dir: Path) -> int:
    """Takes the one writer's place; gives the descriptor that holds it.

    Raises:
        StoreInUse: another process has it.
    """
    path = data_dir / "line.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "another process"
        os.close(descriptor)
        raise StoreInUse(
            f"{path.parent}: process {holder} has this ledger open; it has one writer"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
