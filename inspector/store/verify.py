"""Walks the whole store and names the first thing that is not what it was.

Enters: ``<data>``; better also a public key and a checkpoint that were kept elsewhere. Leaves: a
`Report`. The command line and tests import this. It trusts nothing it reads: whatever the files
hold, the answer is text, and it says as well what it cannot know.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from inspector.store.checkpoint import (
    COPY_FILE,
    HELD_FILE,
    Signed,
    check,
    copy_bytes,
    digest_of,
    read_copies,
    read_held,
)
from inspector.store.deskindex import Projection
from inspector.store.errors import RecordError, StoreDamaged, StoreError
from inspector.store.keys import PUBLIC_NAME, public_key
from inspector.store.report import Problem, Report, Told, untold
from inspector.store.tags import FILE as TAGS_FILE
from inspector.store.tags import walk_tags
from inspector.store.walk import LineWalk
from inspector.store.walk_desk import DeskWalk

__all__ = ["Problem", "Report", "verify"]


def verify(
    data_dir: Path | str,
    *,
    key: Ed25519PublicKey | None = None,
    held: Signed | None = None,
    images: bool = True,
    projections: Sequence[Projection] = (),
    told: Told = untold,
) -> Report:
    """Checks every record, checkpoint, index and image of a store, also of one being written.

    Args:
        key: the station's public key as kept elsewhere; else the one in ``<data>/keys``.
        held: a checkpoint as kept elsewhere: it proves that nothing before it was cut off.
        images: whether to read the image files too.
        projections: index files of the desk that other rooms keep, besides the store's own.
        told: hears how far the walk is.
    """
    from inspector.store.projections import PROJECTIONS  # a line that starts needs none of them

    data_dir = Path(data_dir)
    report = Report()
    # A copy is written after its checkpoint, so whatever is copied by now must be in line.db.
    copied_bytes = copy_bytes(data_dir)
    theirs = _theirs(data_dir, report)
    if key is None:
        report.unknown.append(
            "the public key stands on the same disk as the ledger: only a key kept elsewhere shows"
            " that the whole store was not made anew"
        )
        try:
            key = public_key(data_dir / "keys" / PUBLIC_NAME)
        except StoreDamaged as error:
            report.add(f"keys/{PUBLIC_NAME}", str(error))
    line = LineWalk(data_dir, report, key, images, told)
    copies = _CopyWalk(data_dir, report, line, key, (theirs, held), copied_bytes)
    desk = DeskWalk(data_dir, report, line, (*PROJECTIONS, *projections), told)
    for walk in (line, copies, desk):
        try:
            walk.run()
        except (sqlite3.Error, StoreError, OSError, UnicodeError, OverflowError) as error:
            report.add(walk.where, f"cannot be read any further: {error}")
    try:
        walk_tags(data_dir, report)
    except (sqlite3.Error, StoreError, OSError, ValueError, TypeError, LookupError) as error:
        report.add(TAGS_FILE, f"cannot be checked against what the desk has sealed: {error}")
    _conclude(report, held)
    return report


class _CopyWalk:
    """Compares the checkpoints in line.db with those kept beside it and elsewhere.

    The one that the centre countersigned last lies on this disk too: an older one in its place
    would be as true, so it proves less than one that is held elsewhere.
    """

    def __init__(
        self,
        data_dir: Path,
        report: Report,
        line: LineWalk,
        key: Ed25519PublicKey | None,
        held: tuple[Signed | None, Signed | None],
        copied_bytes: int,
    ) -> None:
        self.where = COPY_FILE
        self._data_dir = data_dir
        self._report = report
        self._line = line
        self._key = key
        self._held = held
        self._copied_bytes = copied_bytes

    def run(self) -> None:
        """Each copy is the checkpoint in line.db, and none is missing there or here."""
        copied: set[int] = set()
        for line, (start, signed) in enumerate(read_copies(self._data_dir), 1):
            number = self._copy(f"{COPY_FILE} line {line}", signed, start < self._copied_bytes)
            if number is not None:
                copied.add(number)
        for where, held in zip(
            (HELD_FILE, "the checkpoint held elsewhere"), self._held, strict=True
        ):
            if held is not None:
                self._copy(where, held, True)
        missing = sorted(self._line.digests.keys() - copied)
        if missing and missing != [max(self._line.digests)]:
            self._report.add(
                COPY_FILE, f"the copy of checkpoint {missing[0]} was removed or never made"
            )

    def _copy(self, where: str, signed: Signed | None, settled: bool) -> int | None:
        if signed is None:
            self._report.add(where, "was changed: it is no checkpoint")
            return None
        if self._key is None:
            return None
        try:
            checkpoint = check(signed, self._key)
        except RecordError as error:
            self._report.add(where, f"was changed: {error}")
            return None
        number = checkpoint.number
        found = self._line.digests.get(number)
        if found is None and settled:
            self._report.add(
                f"line.db record {self._line.end}",
                f"its tail was cut: {where} signed {checkpoint.line_size} records as checkpoint"
                f" {number}, which line.db has not",
            )
        elif found is not None and found != digest_of(signed.body):
            self._report.add(where, f"is another checkpoint {number} than the one in line.db")
        return number


def _theirs(data_dir: Path, report: Report) -> Signed | None:
    """What the centre countersigned last, as this disk has it."""
    if not (data_dir / HELD_FILE).exists():
        return None
    try:
        theirs = read_held(data_dir)
    except OSError as error:
        report.add(HELD_FILE, f"cannot be read: {error}")
        return None
    if theirs is None:
        report.add(HELD_FILE, "was changed: it holds no checkpoint")
    return theirs


def _conclude(report: Report, held: Signed | None) -> None:
    for tail, what in (
        (report.records - report.signed_records, "records"),
        (report.desk_records - report.signed_desk_records, "desk records"),
    ):
        if tail > 0:
            report.unknown.append(
                f"the last {tail} {what} are not signed yet: an accident in them is found, a"
                " forger who also mends the mark beside a record is not"
            )
    if held is None:
        report.unknown.append(
            "a tail that was cut together with its checkpoints and their copy is found only"
            " with a checkpoint that is held elsewhere, such as by the centre"
        )
