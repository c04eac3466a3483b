"""Merkle trees of what the centre has: at any size, from the segments' edges.

Enters: a station's ledger and a size. Leaves: its tree or root there. At most one segment is read.
`ingest` and `records` import this.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, bindparam, select

from inspector.store.merkle import Tree, leaf_hash
from inspector.sync.segment import unpack
from training.hub import tables
from training.hub.blobs import Blobs

_HOLDING = (
    select(tables.Segment.first, tables.Segment.count, tables.Segment.digest, tables.Segment.edge)
    .where(
        tables.Segment.station_id == bindparam("at"),
        tables.Segment.ledger == bindparam("ledger"),
        tables.Segment.first < bindparam("before"),
    )
    .order_by(tables.Segment.first.desc())
    .limit(1)
)


class Trees:
    """The trees over what lies in these blobs."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def root_at(self, connection: Connection, station_id: int, ledger: str, size: int) -> bytes:
        """The root of the first ``size`` records; empty if not so many are here."""
        tree = self.tree_at(connection, station_id, ledger, size)
        return b"" if tree is None else tree.root()

    def tree_at(
        self, connection: Connection, station_id: int, ledger: str, size: int
    ) -> Tree | None:
        """The tree of the first ``size`` records; None if not so many are here."""
        if size == 0:
            return Tree()
        where = {"at": station_id, "ledger": ledger}
        holding = connection.execute(_HOLDING, where | {"before": size}).first()
        if holding is None or holding.first + holding.count < size:
            return None
        if holding.first + holding.count == size:
            return tree_of(size, holding.edge)
        tree = Tree()
        if holding.first:
            before = connection.execute(_HOLDING, where | {"before": holding.first}).one()
            tree = tree_of(holding.first, before.edge)
        for record in records_of(connection, self._blobs, station_id, holding.digest)[
            : size - holding.first
        ]:
            tree.append(leaf_hash(record))
        return tree


def records_of(connection: Connection, blobs: Blobs, station_id: int, digest: str) -> list[bytes]:
    """The exact records of one segment, its signature checked again.

    Raises:
        BlobError: it is not here, or was changed.
        RecordError: it is not what the station signed.
    """
    key = connection.execute(
        select(tables.Station.public_key).where(tables.Station.id == station_id)
    ).scalar_one()
    return unpack(blobs.get(digest), Ed25519PublicKey.from_public_bytes(key))[1]


def tree_of(size: int, edge: bytes) -> Tree:
    """A tree from what a row says of it."""
    return Tree(size, [edge[at : at + 32] for at in range(0, len(edge), 32)])
