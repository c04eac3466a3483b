"""The centre's name under a station's checkpoints, and its receipts.

Enters: checkpoints that came with a segment, in the segment's transaction. Leaves: rows and
countersignatures, or a refusal by name; and the receipt that says how far the centre has come.
Only `ingest` imports this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection, bindparam, insert, select

from inspector.store.checkpoint import FIRST, Checkpoint, Signed, check, digest_of
from inspector.store.errors import RecordError
from inspector.store.merkle import EMPTY_ROOT, Tree
from inspector.sync.receipt import Receipt, countersign, sign_receipt
from inspector.sync.segment import Head
from training.hub import tables
from training.hub.trees import Trees

_NEWEST = (
    select(tables.Checkpoint.number, tables.Checkpoint.body)
    .where(tables.Checkpoint.station_id == bindparam("at"))
    .order_by(tables.Checkpoint.number.desc())
    .limit(1)
)
_ONE = select(tables.Checkpoint.body, tables.Checkpoint.countersignature).where(
    tables.Checkpoint.station_id == bindparam("at"),
    tables.Checkpoint.number == bindparam("number"),
)
_ADD = insert(tables.Checkpoint)
_SIZES = select(tables.Ledger.name, tables.Ledger.size, tables.Ledger.root).where(
    tables.Ledger.station_id == bindparam("at")
)


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


class Countersigning:
    """The centre's key at work."""

    def __init__(self, trees: Trees, key: Ed25519PrivateKey) -> None:
        self._trees = trees
        self._key = key

    def take(
        self, connection: Connection, sender: Sender, head: Head, leaves: list[bytes]
    ) -> list[list[Any]]:
        """Checks and countersigns what came with a segment whose records have these leaf hashes.

        Gives ``[number, countersignature in hex]`` of each.

        Raises:
            Refused: ``checkpoint`` (not the station's), ``fork`` (another one than before, or not
                the next), ``changed`` (it signed other records than are here).
        """
        if not head.checkpoints:
            return []
        newest = connection.execute(_NEWEST, {"at": sender.id}).first()
        number, previous = (-1, FIRST) if newest is None else (newest[0], digest_of(newest[1]))
        done: list[list[Any]] = []
        fresh: list[tuple[Checkpoint, Signed]] = []
        for signed in head.checkpoints:
            checkpoint = self._checked(sender, signed)
            if checkpoint.number <= number and not fresh:
                done.append(self._again(connection, sender, checkpoint, signed))
                continue
            if checkpoint.number != number + 1 or checkpoint.previous != previous:
                raise Refused(
                    "fork",
                    f"checkpoint {checkpoint.number} does not follow checkpoint {number}, the last"
                    " that the centre countersigned",
                )
            number, previous = checkpoint.number, digest_of(signed.body)
            fresh.append((checkpoint, signed))
        if fresh:
            self._agree(connection, sender, head, leaves, [checkpoint for checkpoint, _ in fresh])
        for checkpoint, signed in fresh:
            countersignature = countersign(signed, self._key)
            connection.execute(
                _ADD,
                {
                    "station_id": sender.id,
                    "number": checkpoint.number,
                    "line_size": checkpoint.line_size,
                    "desk_size": checkpoint.desk_size,
                    "body": signed.body,
                    "signature": signed.signature,
                    "countersignature": countersignature,
                    "utc_ns": checkpoint.utc_ns,
                },
            )
            done.append([checkpoint.number, countersignature.hex()])
        return done

    def receipt(self, connection: Connection, sender: Sender, utc_ns: int) -> dict[str, str]:
        """How far the centre has this station's ledgers, signed."""
        sizes = {
            name: (size, root or EMPTY_ROOT)
            for name, size, root in connection.execute(_SIZES, {"at": sender.id})
        }
        newest = connection.execute(_NEWEST, {"at": sender.id}).first()
        nothing = (0, EMPTY_ROOT)
        receipt = Receipt(
            sender.name,
            *sizes.get("line", nothing),
            *sizes.get("desk", nothing),
            utc_ns,
            -1 if newest is None else newest[0],
        )
        return sign_receipt(receipt, self._key)

    def _checked(self, sender: Sender, signed: Signed) -> Checkpoint:
        try:
            checkpoint = check(signed, sender.key)
        except RecordError as error:
            raise Refused("checkpoint", f"a checkpoint is refused: {error}") from error
        if checkpoint.station != sender.name:
            raise Refused("checkpoint", f"checkpoint {checkpoint.number} is of another station")
        return checkpoint

    def _again(
        self, connection: Connection, sender: Sender, checkpoint: Checkpoint, signed: Signed
    ) -> list[Any]:
        row = connection.execute(_ONE, {"at": sender.id, "number": checkpoint.number}).first()
        if row is None or row[0] != signed.body:
            raise Refused(
                "fork",
                f"checkpoint {checkpoint.number} is another one than the centre countersigned",
            )
        return [checkpoint.number, row[1].hex()]

    def _agree(
        self,
        connection: Connection,
        sender: Sender,
        head: Head,
        leaves: list[bytes],
        checkpoints: list[Checkpoint],
    ) -> None:
        """Each signed exactly the records that are here."""
        before = self._trees.tree_at(connection, sender.id, "line", head.first)
        sizes = {checkpoint.line_size for checkpoint in checkpoints}
        roots = {} if before is None else _roots_within(before, leaves, sizes)
        desk_roots: dict[int, bytes] = {}
        for checkpoint in checkpoints:
            at = checkpoint.line_size
            root = roots.get(at) or self._trees.root_at(connection, sender.id, "line", at)
            if root != checkpoint.line_root:
                raise _changed(checkpoint.number, "line", at)
            at = checkpoint.desk_size
            if at not in desk_roots:
                desk_roots[at] = self._trees.root_at(connection, sender.id, "desk", at)
            if desk_roots[at] != checkpoint.desk_root:
                raise _changed(checkpoint.number, "desk", at)


def _changed(number: int, ledger: str, size: int) -> Refused:
    return Refused(
        "changed",
        f"checkpoint {number}: the {ledger}'s records up to {size - 1} are not those that were"
        " signed",
    )


def _roots_within(tree: Tree, leaves: list[bytes], sizes: set[int]) -> dict[int, bytes]:
    roots: dict[int, bytes] = {}
    if any(size > tree.size for size in sizes):
        for leaf in leaves:
            tree.append(leaf)
            if tree.size in sizes:
                roots[tree.size] = tree.root()
    return roots
