"""Records that a station had written and lost, put back behind those that a back-up held.

Enters: the exact records, signed checkpoints and pictures that the centre kept. Leaves: ``<data>``
as far as they go, its indexes, and a word for what did not come back: tombstones for pictures,
``tags.lost`` for process values, ``line.lost`` where the desk came further. Nothing is believed:
the tree that grows must come to the root that the centre has signed, and `verify` walks all of it
afterwards. `inspector.sync.regain` asks the centre and calls this, between a restore and the first
start.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inspector.store import layout, schema
from inspector.store.checkpoint import MARK_BYTES, Signed, append_copy, read_body
from inspector.store.desk import DeskLedger
from inspector.store.errors import StoreDamaged, StoreError
from inspector.store.files import write_whole
from inspector.store.keys import PUBLIC_NAME, public_key
from inspector.store.maintenance import rebuild_index
from inspector.store.merkle import leaf_hash
from inspector.store.records import LINE_LOST, Kind
from inspector.store.related import desk_records, reading
from inspector.store.report import Told, untold
from inspector.store.resume import State, lock_line, resume
from inspector.store.rows import mark_of
from inspector.store.stretch import read_records
from inspector.store.tags import Tags
from inspector.store.tombstone import KIND as TOMBSTONE
from inspector.store.tombstone import PORTION, Graves, tombstone

RULE = "no back-up has it"
"""What a tombstone says of a picture whose file was lost with the disk."""


@dataclass(frozen=True, slots=True)
class Regained:
    """What came back beyond a back-up."""

    line: int
    """Records."""
    desk: int
    pictures: int
    """Recorded after the back-up, whose files came back too."""
    pictures_lost: int
    """Likewise, whose files are nowhere."""
    values_lost: int
    """Process values likewise."""

    def as_dict(self) -> dict[str, int]:
        """For ``--json``, and the desk's record."""
        return asdict(self)


class _Picture(NamedTuple):
    position: int
    digest: bytes
    path: Path
    size: int


class Elsewhere(Protocol):
    """A station's two ledgers, ``desk`` and ``line``, as somebody else keeps them."""

    def end(self, ledger: str) -> tuple[int, bytes]:
        """How many records, and the Merkle root of all of them."""

    def records(self, ledger: str, first: int) -> Iterator[bytes]:
        """The exact records from this position on."""

    def checkpoints(self, first: int) -> Iterator[Signed]:
        """The line's from this number on, none over more records than are there."""

    def pictures(self, wanted: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        """Those of these pictures that are there, by SHA-256 in hex; ``wanted`` has their bytes."""


def regain(
    data_dir: Path,
    key: Ed25519PrivateKey,
    elsewhere: Elsewhere,
    principal: str,
    *,
    told: Told = untold,
) -> Regained:
    """Puts back what both ledgers lost. Nobody else may have them open.

    Raises:
        StoreDamaged: these are not the records that followed those that are here.
        StoreError: a disk refuses.
    """
    try:
        with DeskLedger.open(data_dir) as desk:
            of_desk = desk.add_again(
                lambda here: elsewhere.records("desk", here), *elsewhere.end("desk")
            )
        lock = lock_line(data_dir)
        try:
            state = resume(data_dir, key.public_key())
            first = state.size
            _grow(data_dir, state, elsewhere)
        finally:
            os.close(lock)
        rebuild_index(data_dir, told=told)
        here, gone = _pictures(data_dir, first, elsewhere)
        _bury(data_dir, key, gone, principal)
        _own_up(data_dir, state.tree.size, principal)
        with Tags(data_dir) as tags:
            values = tags.give_up(principal)
    except sqlite3.Error as error:
        raise StoreError(f"{data_dir}: {error}") from error
    return Regained(state.tree.size - first, of_desk, here, len(gone), values)


def _grow(data_dir: Path, state: State, elsewhere: Elsewhere) -> None:
    size, root = elsewhere.end("line")
    if size < state.size:
        return
    signed = list(elsewhere.checkpoints(state.number))
    due = deque(signed)
    with closing(schema.open_writer(data_dir / schema.LINE_FILE, busy_s=5.0)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        _sign(connection, state, due)
        for body in elsewhere.records("line", state.size):
            leaf = leaf_hash(body)
            row = (state.tree.size, mark_of(leaf), body)
            connection.execute("INSERT INTO record VALUES (?, ?, ?)", row)
            state.tree.append(leaf)
            state.marks += leaf[:MARK_BYTES]
            _sign(connection, state, due)
        if due or state.tree.root() != root:
            raise StoreDamaged(
                f"{schema.LINE_FILE}: what is to be added does not follow its records; run:"
                f" inspector verify {data_dir}"
            )
        connection.execute("COMMIT")
    append_copy(data_dir, [*state.owed_copies, *signed])


def _sign(connection: sqlite3.Connection, state: State, due: deque[Signed]) -> None:
    """Each checkpoint stands where the line had signed it."""
    while due and (checkpoint := read_body(due[0].body)).line_size == state.tree.size:
        one = due.popleft()
        row = (checkpoint.number, one.body, one.signature, state.marks)
        connection.execute("INSERT INTO checkpoint VALUES (?, ?, ?, ?)", row)
        edge = (state.tree.size, b"".join(state.tree.edge))
        connection.execute("INSERT OR REPLACE INTO edge VALUES (1, ?, ?)", edge)
        state.marks = b""


def _pictures(data_dir: Path, first: int, elsewhere: Elsewhere) -> tuple[int, list[_Picture]]:
    """How many pictures of records from ``first`` on came back, and those that did not."""
    graves = Graves(data_dir, public_key(data_dir / "keys" / PUBLIC_NAME)).read()
    root = (data_dir / "images").resolve()
    lost: list[_Picture] = []
    with reading(data_dir / schema.LINE_FILE) as line:
        for position, _, body in read_records(line, first, 1 << 62):
            fields = layout.fields_of(body)
            if fields[0] == Kind.IMAGE and graves.get(position) != fields[4]:
                path = data_dir / fields[5]
                if path.resolve().is_relative_to(root):  # else `verify` says so
                    lost.append(_Picture(position, fields[4], path, fields[6]))
    paths: dict[str, list[Path]] = {}
    for one in lost:
        paths.setdefault(one.digest.hex(), []).append(one.path)
    wanted = {one.digest.hex(): one.size for one in lost}
    for digest, content in elsewhere.pictures(wanted):
        if sha256(content).hexdigest() == digest:
            for path in paths[digest]:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_whole(path, content)
    gone = [one for one in lost if not one.path.is_file()]
    return len(lost) - len(gone), gone


def _bury(data_dir: Path, key: Ed25519PrivateKey, gone: list[_Picture], principal: str) -> None:
    """A tombstone for each picture whose file is nowhere."""
    buried = [(one.position, one.digest) for one in gone]
    with DeskLedger.open(data_dir) as desk:
        desk.add_all(
            [
                (TOMBSTONE, tombstone(buried[at : at + PORTION], "lost", RULE, key), principal)
                for at in range(0, len(buried), PORTION)
            ]
        )


def _own_up(data_dir: Path, size: int, principal: str) -> None:
    """The desk is sent before the line: it may have seen records of the line that nobody has."""
    if any(record.line.newest >= size for record in desk_records(data_dir, None)):
        with DeskLedger.open(data_dir) as desk:
            desk.add(LINE_LOST, {"first": size}, principal)
