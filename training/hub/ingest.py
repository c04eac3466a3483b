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
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, bindparam, case, insert, select, update
from sqlalchemy.engine import Engine

from inspector.store.errors import RecordError
from inspector.store.layout import decode_record
from inspector.store.merkle import Tree, leaf_hash
from inspector.store.records import Definition
from inspector.sync.segment import Head, unpack
from training.hub import tables
from training.hub.alarms import raise_alarm
from training.hub.blobs import Blobs
from training.hub.complaints import trace_arrived
from training.hub.countersigning import Countersigning, Refused, Sender
from training.hub.index import Rows
from training.hub.trees import Trees, tree_of
from training.hub.weeks import Weeks
from training.hub.write import write

__all__ = ["Ingest", "Refused", "Sender"]

# Made once: to put a statement together costs 0.4 ms, to send one 0.1 ms.
_LOCK = (
    select(tables.Ledger.size, tables.Ledger.edge)
    .where(tables.Ledger.station_id == bindparam("at"), tables.Ledger.name == bindparam("ledger"))
    .with_for_update()
)
_ADVANCE = (
    update(tables.Ledger)
    .where(tables.Ledger.station_id == bindparam("at"), tables.Ledger.name == bindparam("ledger"))
    .values(
        size=bindparam("n"),
        edge=bindparam("new_edge"),
        root=bindparam("new_root"),
        utc_ns=case((bindparam("newest") > 0, bindparam("newest")), else_=tables.Ledger.utc_ns),
    )
)
_SEGMENT = insert(tables.Segment)
_SEEN = (
    update(tables.Station)
    .where(tables.Station.id == bindparam("at"))
    .values(seen_utc_ns=bindparam("utc"))
)
_DEFINITION = select(tables.Definition.body).where(
    tables.Definition.station_id == bindparam("at"),
    tables.Definition.position == bindparam("position"),
)
_BEFORE = (
    select(tables.Verdict.utc_ns)
    .where(
        tables.Verdict.station_id == bindparam("at"),
        tables.Verdict.position < bindparam("position"),
    )
    .order_by(tables.Verdict.position.desc())
    .limit(1)
)


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
        self._countersigning = Countersigning(self._trees, key)
        self._key = key
        self._utc_ns = utc_ns
        self._weeks = Weeks(engine)
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
            receipt = self._countersigning.receipt(connection, sender, self._utc_ns())
        return {"receipt": receipt, "countersigned": []}

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
            self._is_same(connection, sender, head, records, here)
        else:
            rows, leaves = self._append(connection, sender, head, records, here)
            connection.execute(
                _SEGMENT,
                {
                    "station_id": sender.id,
                    "ledger": head.ledger,
                    "first": head.first,
                    "count": head.count,
                    "digest": digest,
                    "size": size,
                    "edge": b"".join(here.edge),
                    "received_utc_ns": self._utc_ns(),
                },
            )
        countersigned = self._countersigning.take(connection, sender, head, leaves)
        connection.execute(_SEEN, {"at": sender.id, "utc": self._utc_ns()})
        return rows, {
            "receipt": self._countersigning.receipt(connection, sender, self._utc_ns()),
            "countersigned": countersigned,
        }

    def _lock(self, connection: Connection, sender: Sender, ledger: str) -> Tree:
        found: Tree | None = None
        for name in ("line", "desk"):  # both, in one order: no two hubs wait for each other
            row = connection.execute(_LOCK, {"at": sender.id, "ledger": name}).first()
            if name == ledger and row is not None:
                found = tree_of(*row)
        if found is None:
            raise Refused("segment", f"station {sender.name} has no {ledger} ledger here")
        return found

    def _is_same(
        self,
        connection: Connection,
        sender: Sender,
        head: Head,
        records: list[bytes],
        here: Tree,
    ) -> None:
        """Sent again, in whole or in part, or checkpoints alone: as far as its records are here
        they must be those that are."""
        tree = self._trees.tree_at(connection, sender.id, head.ledger, head.first)
        size, root = head.first, b"" if tree is None else tree.root()
        if tree is not None and root == head.before:
            for record in records[: here.size - head.first]:
                tree.append(leaf_hash(record))
            size = tree.size
            root = self._trees.root_at(connection, sender.id, head.ledger, size)
            if tree.root() == root:
                return
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
        rows = Rows(
            sender.id,
            self._lookup(connection, sender.id),
            lambda: last_before(connection, sender.id, head.first),
        )
        try:
            rows.add_all(head.ledger, head.first, records)
        except RecordError as error:
            raise Refused("record", f"{head.ledger} {error}") from error
        self._weeks.ready(rows.hours)
        try:
            for name, values in rows.tables.items():
                write(connection, name, values)
        except Exception:
            self._weeks.forget()  # perhaps somebody let one go: the station will ask again
            raise
        serials = {row[-1] for row in rows.tables["verdict"] if row[-1] is not None}
        trace_arrived(connection, serials, self._utc_ns())
        connection.execute(
            _ADVANCE,
            {
                "at": sender.id,
                "ledger": head.ledger,
                "n": here.size,
                "new_edge": b"".join(here.edge),
                "new_root": here.root(),
                "newest": rows.newest_utc_ns,
            },
        )
        return rows, leaves

    def _lookup(
        self, connection: Connection, station_id: int
    ) -> Callable[[int], Definition | None]:
        known = self._definitions.setdefault(station_id, {})

        def lookup(position: int) -> Definition | None:
            found = known.get(position)
            if found is None:
                where = {"at": station_id, "position": position}
                body = connection.execute(_DEFINITION, where).scalar()
                if body is not None:
                    record = decode_record(body, _nothing)
                    if isinstance(record, Definition):
                        found = known[position] = record
            return found

        return lookup


def last_before(connection: Connection, station_id: int, position: int) -> int:
    """The instant of the last verdict before a position of a station's line; 0 where there is
    none."""
    return connection.execute(_BEFORE, {"at": station_id, "position": position}).scalar() or 0


def _nothing(position: int) -> Definition:
    raise RecordError(f"a definition refers to record {position}; none does")
