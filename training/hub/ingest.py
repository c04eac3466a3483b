"""Taking a station's records in: checked, whole, indexed, once; then acknowledged.

Enters: a segment's bytes from a station that has shown its key. Leaves: the segment in the blob
store, its rows in the index, countersigned checkpoints, and a signed receipt; or a refusal by name
and an alarm. `app` and the benches import this.

One transaction holds the station's ledger row (its lock where several hubs run), the segment's row,
the index and the new size: so a hub that is killed at any instant leaves all of it or none, and a
segment that is sent again changes nothing. The segment's bytes go to the blob store first; bytes
that no row names are harmless.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import Engine

from inspector.store.checkpoint import Checkpoint as SignedCheckpoint
from inspector.store.checkpoint import Signed, check
from inspector.store.errors import RecordError
from inspector.store.layout import decode_record
from inspector.store.merkle import EMPTY_ROOT, Tree, leaf_hash
from inspector.store.records import Definition
from inspector.sync.receipt import Receipt, countersign, sign_receipt
from inspector.sync.segment import Head, unpack
from training.hub import tables
from training.hub.alarms import raise_alarm
from training.hub.blobs import Blobs
from training.hub.index import Rows
from training.hub.trees import Trees, tree_of
from training.hub.write import write


class Refused(Exception):
    """What a station sent is not taken; ``code`` names why, ``str()`` tells it."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Sender:
    """A station that has shown who it is."""

    id: int
    name: str
    key: Ed25519PublicKey


class Ingest:
    """The centre's way in. Calls from any thread."""

    def __init__(
        self,
        engine: Engine,
        blobs: Blobs,
        key: Ed25519PrivateKey,
        utc_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._engine = engine
        self._blobs = blobs
        self._trees = Trees(blobs)
        self._key = key
        self._utc_ns = utc_ns
        self._definitions: dict[int, dict[int, Definition]] = {}

    def take(self, sender: Sender, content: bytes) -> dict[str, Any]:
        """Takes one segment in and gives the answer: ``{"receipt", "countersigned"}``.

        A segment that is here already is answered likewise and changes nothing.

        Raises:
            Refused: ``segment`` (no segment of this station), ``gap``, ``fork``, ``changed``,
                ``checkpoint``, ``record``; an alarm stands from now on.
        """
        try:
            head, records = unpack(content, sender.key)
            if head.station != sender.name:
                raise RecordError(f"it is of station {head.station!r:.40}, not of {sender.name}")
        except RecordError as error:
            raise self.refuse(sender, "segment", f"a segment is refused: {error}") from error
        digest = self._blobs.put(content) if records else ""
        try:
            with self._engine.begin() as connection:
                done = self._store(connection, sender, head, records, digest, len(content))
        except Refused as refused:
            raise self.refuse(sender, refused.code, str(refused)) from refused
        rows, answer = done
        if rows is not None:
            self._definitions.setdefault(sender.id, {}).update(rows.fresh)
        return answer

    def state(self, sender: Sender) -> dict[str, Any]:
        """How far this station's ledgers are here, signed."""
        with self._engine.begin() as connection:
            return {"receipt": self._receipt(connection, sender), "countersigned": []}

    def refuse(self, sender: Sender, code: str, detail: str) -> Refused:
        """The refusal, after its alarm has been raised in a transaction of its own."""
        with self._engine.begin() as connection:
            raise_alarm(connection, sender.id, code, detail, self._utc_ns())
        return Refused(code, detail)

    def _store(
        self,
        connection: Connection,
        sender: Sender,
        head: Head,
        records: list[bytes],
        digest: str,
        size: int,
    ) -> tuple[Rows | None, dict[str, Any]]:
        here = self._lock(connection, sender, head.ledger)
        if head.first > here.size:
            raise Refused(
                "gap",
                f"{head.ledger} records {here.size} to {head.first - 1} are missing: the next one"
                f" here is {here.size}, the segment begins at {head.first}",
            )
        rows: Rows | None = None
        leaves: list[bytes] = []
        if head.first < here.size or not records:
            self._is_same(connection, sender, head, here)
        else:
            rows, leaves = self._append(connection, sender, head, records, here)
            connection.execute(
                insert(tables.Segment).values(
                    station_id=sender.id,
                    ledger=head.ledger,
                    first=head.first,
                    count=head.count,
                    digest=digest,
                    size=size,
                    edge=b"".join(here.edge),
                    received_utc_ns=self._utc_ns(),
                )
            )
        countersigned = self._checkpoints(connection, sender, head, leaves)
        connection.execute(
            update(tables.Station)
            .where(tables.Station.id == sender.id)
            .values(seen_utc_ns=self._utc_ns())
        )
        return rows, {
            "receipt": self._receipt(connection, sender),
            "countersigned": countersigned,
        }

    def _lock(self, connection: Connection, sender: Sender, ledger: str) -> Tree:
        for name in ("line", "desk"):  # both, in one order: no two hubs wait for each other
            table = tables.Ledger
            query = select(table.size, table.edge).where(
                table.station_id == sender.id, table.name == name
            )
            row = connection.execute(query.with_for_update()).first()
            if name == ledger:
                if row is None:
                    raise Refused("segment", f"station {sender.name} has no {ledger} ledger here")
                return tree_of(*row)
        raise AssertionError(ledger)

    def _is_same(self, connection: Connection, sender: Sender, head: Head, here: Tree) -> None:
        """Sent again, or checkpoints alone: what is here must be what the segment says it is."""
        pairs = [(head.first, head.before)]
        if head.first + head.count <= here.size:
            pairs.append((head.first + head.count, head.root))
        for size, root in pairs:
            if self._trees.root_at(connection, sender.id, head.ledger, size) != root:
                raise Refused(
                    "fork",
                    f"{head.ledger} records before {size} are others than those that the centre"
                    " acknowledged: they were changed, or this is another ledger",
                )

    def _append(
        self, connection: Connection, sender: Sender, head: Head, records: list[bytes], here: Tree
    ) -> tuple[Rows, list[bytes]]:
        if here.root() != head.before:
            raise Refused(
                "fork",
                f"{head.ledger} records before {head.first} are others than those that the centre"
                " acknowledged: they were changed, or this is another ledger",
            )
        leaves = [leaf_hash(record) for record in records]
        for leaf in leaves:
            here.append(leaf)
        if here.root() != head.root:
            raise Refused(
                "changed",
                f"{head.ledger} records {head.first} to {here.size - 1} are not those of the root"
                " that the station signed",
            )
        rows = Rows(sender.id, self._lookup(connection, sender.id))
        try:
            rows.add_all(head.ledger, head.first, records)
        except RecordError as error:
            raise Refused("record", f"{head.ledger} {error}") from error
        for name, values in rows.tables.items():
            write(connection, name, values)
        ledger = tables.Ledger
        connection.execute(
            update(ledger)
            .where(ledger.station_id == sender.id, ledger.name == head.ledger)
            .values(
                size=here.size,
                edge=b"".join(here.edge),
                root=here.root(),
                **({"utc_ns": rows.newest_utc_ns} if rows.newest_utc_ns else {}),
            )
        )
        return rows, leaves

    def _checkpoints(
        self, connection: Connection, sender: Sender, head: Head, leaves: list[bytes]
    ) -> list[list[Any]]:
        """Checks and countersigns the checkpoints that came with a segment."""
        if not head.checkpoints:
            return []
        table = tables.Checkpoint
        known = connection.execute(
            select(table.number, table.line_size, table.body)
            .where(table.station_id == sender.id)
            .order_by(table.number.desc())
            .limit(1)
        ).first()
        highest = -1 if known is None else known.number
        countersigned: list[list[Any]] = []
        fresh: list[tuple[SignedCheckpoint, Signed]] = []
        for signed in head.checkpoints:
            try:
                checkpoint = check(signed, sender.key)
            except RecordError as error:
                raise Refused("checkpoint", f"a checkpoint is refused: {error}") from error
            if checkpoint.station != sender.name:
                raise Refused("checkpoint", f"checkpoint {checkpoint.number} is of another station")
            if checkpoint.number <= highest:
                countersigned.append(self._again(connection, sender, checkpoint, signed))
            else:
                fresh.append((checkpoint, signed))
        wanted = {checkpoint.line_size for checkpoint, _ in fresh}
        roots = _roots_within(
            self._trees.tree_at(connection, sender.id, "line", head.first), leaves, wanted
        )
        desk_roots: dict[int, bytes] = {}
        for checkpoint, signed in fresh:
            self._agrees(connection, sender, checkpoint, roots, desk_roots)
            countersignature = countersign(signed, self._key)
            connection.execute(
                insert(table).values(
                    station_id=sender.id,
                    number=checkpoint.number,
                    line_size=checkpoint.line_size,
                    desk_size=checkpoint.desk_size,
                    body=signed.body,
                    signature=signed.signature,
                    countersignature=countersignature,
                    utc_ns=checkpoint.utc_ns,
                )
            )
            countersigned.append([checkpoint.number, countersignature.hex()])
        return countersigned

    def _agrees(
        self,
        connection: Connection,
        sender: Sender,
        checkpoint: SignedCheckpoint,
        roots: dict[int, bytes],
        desk_roots: dict[int, bytes],
    ) -> None:
        root = roots.get(checkpoint.line_size)
        if root is None:
            root = self._trees.root_at(connection, sender.id, "line", checkpoint.line_size)
        if root != checkpoint.line_root:
            raise Refused(
                "changed",
                f"checkpoint {checkpoint.number}: the line's records up to"
                f" {checkpoint.line_size - 1} are not those that were signed",
            )
        at = checkpoint.desk_size
        if at not in desk_roots:
            desk_roots[at] = self._trees.root_at(connection, sender.id, "desk", at)
        if desk_roots[at] != checkpoint.desk_root:
            raise Refused(
                "changed",
                f"checkpoint {checkpoint.number}: the desk's records up to"
                f" {checkpoint.desk_size - 1} are not those that were signed",
            )

    def _again(
        self, connection: Connection, sender: Sender, checkpoint: SignedCheckpoint, signed: Signed
    ) -> list[Any]:
        table = tables.Checkpoint
        row = connection.execute(
            select(table.body, table.countersignature).where(
                table.station_id == sender.id, table.number == checkpoint.number
            )
        ).first()
        if row is None or row.body != signed.body:
            raise Refused(
                "fork",
                f"checkpoint {checkpoint.number} is another one than the centre countersigned",
            )
        return [checkpoint.number, row.countersignature.hex()]

    def _receipt(self, connection: Connection, sender: Sender) -> dict[str, str]:
        ledger, checkpoint = tables.Ledger, tables.Checkpoint
        rows = connection.execute(
            select(ledger.name, ledger.size, ledger.root).where(ledger.station_id == sender.id)
        )
        sizes = {row.name: (row.size, row.root or EMPTY_ROOT) for row in rows}
        highest = connection.execute(
            select(checkpoint.number)
            .where(checkpoint.station_id == sender.id)
            .order_by(checkpoint.number.desc())
            .limit(1)
        ).scalar()
        nothing = (0, EMPTY_ROOT)
        receipt = Receipt(
            sender.name,
            *sizes.get("line", nothing),
            *sizes.get("desk", nothing),
            self._utc_ns(),
            -1 if highest is None else highest,
        )
        return sign_receipt(receipt, self._key)

    def _lookup(
        self, connection: Connection, station_id: int
    ) -> Callable[[int], Definition | None]:
        known = self._definitions.setdefault(station_id, {})
        table = tables.Definition

        def lookup(position: int) -> Definition | None:
            found = known.get(position)
            if found is None:
                body = connection.execute(
                    select(table.body).where(
                        table.station_id == station_id, table.position == position
                    )
                ).scalar()
                if body is not None:
                    record = decode_record(body, _nothing)
                    if isinstance(record, Definition):
                        found = known[position] = record
            return found

        return lookup


def _roots_within(tree: Tree, leaves: list[bytes], sizes: set[int]) -> dict[int, bytes]:
    roots: dict[int, bytes] = {}
    if not any(size > tree.size for size in sizes):
        return roots
    for leaf in leaves:
        tree.append(leaf)
        if tree.size in sizes:
            roots[tree.size] = tree.root()
    return roots


def _roots_within(tree: Tree, leaves: list[bytes], sizes: set[int]) -> dict[int, bytes]:
    roots: dict[int, bytes] = {}
    if any(size > tree.size for size in sizes):
        for leaf in leaves:
            tree.append(leaf)
            if tree.size in sizes:
                roots[tree.size] = tree.root()
    return roots


def _nothing(position: int) -> Definition:
    raise RecordError(f"a definition refers to record {position}; none does")
