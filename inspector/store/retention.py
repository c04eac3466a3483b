"""Which images may go, and their going: tombstone first, then the file; never a record (I8).

Enters: ``<data>``, the rules of ``store.retention``, a principal. Leaves: fewer image files and
signed tombstones. The command line and sync's process import this; the line never does.

The class of an image is that of its part: on hold, reviewed, reject, error, pass. Images of several
parts that are the same file stay as long as the strictest of them asks. Age is counted to now or to
a day after the newest checkpoint, whichever is earlier, and only while the newest part's clock
was synchronised: a clock that runs away deletes nothing. A part whose clock was not synchronised
is taken for no older than the next one whose clock was: a station that starts in 1970 keeps what
it records then.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inspector.config import Retention
from inspector.part import Disposition, Outcome
from inspector.store import layout, schema
from inspector.store.checkpoint import read_body
from inspector.store.desk import DeskLedger
from inspector.store.errors import RecordError, StoreDamaged, StoreError
from inspector.store.files import refuse_stranger
from inspector.store.holds import Holds
from inspector.store.images import image_files
from inspector.store.keys import signing_key
from inspector.store.legal import legal_holds
from inspector.store.orphans import orphans
from inspector.store.records import OUTCOMES, Defined, Kind
from inspector.store.related import body_at, desk_records, lookup_in, reading, texts_in
from inspector.store.rows import part_prefix
from inspector.store.stretch import onwards
from inspector.store.tombstone import KIND, PORTION, Graves, tombstone

ACKNOWLEDGED = "sync.acknowledged"
"""Kind of the desk record by which sync says how far the centre has come: ``{"records": n}``, the
records of line.db at positions below n. An image waits too while ``<data>/outbox`` has a file whose
name begins with its digest."""
REVIEW = "review"
"""Kinds of desk records that begin so are reviews; their body names part, serial or number."""
DAY_NS = 86_400 * 1_000_000_000
_FIRST_AFTER = (
    f"SELECT position FROM record WHERE position > ? AND substr(body, 2, 1) = x'{Kind.VERDICT:02x}'"
    " ORDER BY position LIMIT 1"
)


class Kept(IntEnum):
    """Why an image is kept: the order in which a full disk lets them go, and never the last."""

    PASS = 0
    ERROR = 1
    REJECT = 2
    REVIEWED = 3
    ON_HOLD = 4


@dataclass(slots=True)
class ImageFile:
    """One file, of one part or of several whose pictures are the same bytes."""

    path: str
    digest: bytes
    size: int
    kept: Kept
    utc_ns: int
    """Of its newest part's verdict."""
    acknowledged: bool
    positions: list[int] = field(default_factory=list)
    """Of its image records."""


@dataclass(slots=True)
class Retained:
    """What went, or with a dry run what would go."""

    files: int = 0
    bytes: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    """``<class> <rule>`` → files."""
    kept_files: int = 0
    kept_bytes: int = 0
    waiting: int = 0
    """Files that a rule would let go if the centre had acknowledged them."""
    finished: int = 0
    """Files that had their tombstone already and were still there."""
    orphans: int = 0
    """Files of no record's, which its line was killed before it could write."""
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self) | {"by_rule": dict(sorted(self.by_rule.items()))}


def retain(
    data_dir: Path | str,
    rules: Retention,
    principal: str,
    *,
    dry_run: bool = False,
    key: Ed25519PrivateKey | None = None,
    utc_ns: int | None = None,
) -> Retained:
    """Deletes the images that the rules let go.

    Args:
        dry_run: only say what would go; nothing is written.
        key: signs the tombstones; the station's own if none is given.
        utc_ns: now; the machine's clock if None.

    Raises:
        RecordError: no principal.
        StoreError: the ledger cannot be read or written; what has no tombstone is still there.
    """
    data_dir = Path(data_dir)
    if not principal.strip():
        raise RecordError("every write names its principal (I9): it is empty here")
    done = Retained()
    with retention_lock(data_dir, shared=dry_run):
        lost: list[str] = []
        signer = key or signing_key(data_dir)
        graves = Graves(data_dir, signer.public_key()).read()
        with reading(data_dir / schema.LINE_FILE) as line:
            now = _now(line, time.time_ns() if utc_ns is None else utc_ns, done)
            live, buried = _images(data_dir, line, graves, now[1])
            known = {image.path for image in live} | buried
            left = sorted(buried.intersection(image_files(data_dir)))
            held = any(hold.scope == "everything" for hold in legal_holds(data_dir).standing)
            if now[1] and not held:
                lost = orphans(data_dir, line, known, now[0] - 2 * DAY_NS)
        chosen = _choose(live, rules, now, done)
        for image, why in chosen:
            done.files += 1
            done.bytes += image.size
            done.by_rule[f"{image.kept.name.lower()} {why}"] += 1
        done.kept_files = len(live) - len(chosen)
        done.kept_bytes = sum(image.size for image in live) - done.bytes
        done.finished, done.orphans = len(left), len(lost)
        if not dry_run:
            _bury(data_dir, chosen, signer, principal)
            for path in (*left, *lost):
                unlink_image(data_dir, path)
    return done


@contextmanager
def retention_lock(data_dir: Path, *, shared: bool) -> Iterator[None]:
    """Held alone while images go, shared while somebody copies them.

    Raises:
        StoreError: there is no ledger here, or the disk does not let us.
    """
    if not (data_dir / schema.LINE_FILE).is_file():
        raise StoreError(f"{data_dir / schema.LINE_FILE}: there is no ledger here")
    refuse_stranger(data_dir)
    try:
        descriptor = os.open(data_dir / "retain.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{data_dir}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _images(
    data_dir: Path, line: sqlite3.Connection, graves: dict[int, bytes], synced: bool
) -> tuple[list[ImageFile], set[str]]:
    """Files that some record still claims, and files that none does."""
    class_of = _Classes(data_dir, line, synced)
    acknowledged, owed = _acknowledged(data_dir), _owed(data_dir)
    live: dict[str, ImageFile] = {}
    buried: set[str] = set()
    after = (-1 << 63, -1)
    while rows := line.execute(
        "SELECT prefix, position, body FROM image JOIN record USING (position)"
        " WHERE (prefix, position) > (?, ?) ORDER BY prefix, position LIMIT 1000",
        after,
    ).fetchall():
        for _, position, body in rows:
            _, _, part_id, _, digest, path, size = layout.fields_of(body)
            if graves.get(position) == digest:
                buried.add(path)
                continue
            kept, utc_ns = class_of.part(part_id)
            file = live.setdefault(path, ImageFile(path, digest, size, kept, utc_ns, True))
            file.kept, file.utc_ns = max(file.kept, kept), max(file.utc_ns, utc_ns)
            file.acknowledged &= position < acknowledged and digest.hex() not in owed
            file.positions.append(position)
        after = onwards(after, rows[-1][:2])
    return list(live.values()), buried - live.keys()


class _Classes:
    """The class of a part's images, and when it was made."""

    def __init__(self, data_dir: Path, line: sqlite3.Connection, synced: bool) -> None:
        """``synced``: whether the newest part's clock was."""
        self._line, self._synced = line, synced
        self._lookup = lookup_in(lambda at: body_at(line, at))
        self._legal = legal_holds(data_dir)
        self._reviewed: set[str] = set()
        self._reviewed_numbers: set[tuple[str, int]] = set()
        for record in desk_records(data_dir, None):
            if record.kind.startswith(REVIEW):
                self._reviewed.update(texts_in(record.body))
                stream, sequence = record.body.get("stream"), record.body.get("sequence")
                if isinstance(stream, str) and isinstance(sequence, int):
                    self._reviewed_numbers.add((stream, sequence))
        with Holds(data_dir) as holds:
            self._held = holds.standing(Disposition.HOLD, limit=1 << 30)
        self._held_batches = {standing.batch for standing in self._held if standing.run is None}

    def part(self, part_id: bytes) -> tuple[Kept, int]:
        """The class, and the verdict's UTC in ns, at the latest."""
        for (position,) in self._line.execute(
            "SELECT position FROM part WHERE prefix = ?", (part_prefix(part_id),)
        ).fetchall():
            fields = layout.fields_of(body_at(self._line, position))
            if fields[5] == part_id:
                right = not self._synced or self._lookup(fields[2]).value[9]
                return self._kept(fields), fields[9] if right else self._right_after(position)
        return Kept.ON_HOLD, 0  # an image of no part that we know: not ours to delete

    @cached_property
    def _contexts(self) -> list[int]:
        """Where contexts stand whose clock was synchronised: each before a part of its own."""
        rows = self._line.execute(
            "SELECT position FROM definition WHERE what = ? ORDER BY position",
            (int(Defined.CONTEXT),),
        ).fetchall()
        return [position for (position,) in rows if self._lookup(position).value[9]]

    def _right_after(self, position: int) -> int:
        """UTC of a later verdict whose clock was synchronised."""
        later = bisect_right(self._contexts, position)
        context = self._contexts[later : later + 1]
        query = _FIRST_AFTER if context else "SELECT max(last) FROM tally"
        (at,) = self._line.execute(query, context).fetchone()
        return int(layout.fields_of(body_at(self._line, at))[9])

    def _kept(self, fields: list[Any]) -> Kept:
        context = self._lookup(fields[2]).value
        stream, batch = self._lookup(context[0]).value[0], context[3]
        sequence, serial, part = fields[3], fields[12], _uuid(fields[5])
        held = batch in self._held_batches or any(
            run.stream == stream and run.first <= sequence <= run.last
            for run in (standing.run for standing in self._held)
            if run is not None
        )
        if held or self._legal.covers(batch, part, serial):
            return Kept.ON_HOLD
        if part in self._reviewed or serial in self._reviewed:
            return Kept.REVIEWED
        if (stream, sequence) in self._reviewed_numbers:
            return Kept.REVIEWED
        outcome = OUTCOMES[fields[4]]
        if outcome is Outcome.PASS:
            return Kept.PASS
        return Kept.REJECT if outcome is Outcome.REJECT else Kept.ERROR


def _choose(
    live: list[ImageFile], rules: Retention, now: tuple[int, bool], done: Retained
) -> list[tuple[ImageFile, str]]:
    days = {
        Kept.PASS: rules.pass_days,
        Kept.ERROR: rules.error_days,
        Kept.REJECT: rules.reject_days,
        Kept.REVIEWED: rules.reviewed_days,
    }
    utc_ns, trusted = now
    chosen: list[tuple[ImageFile, str]] = []
    rest: list[ImageFile] = []
    room = sum(image.size for image in live)
    for image in sorted(live, key=lambda image: (image.kept, image.utc_ns, image.path)):
        if image.kept is Kept.ON_HOLD or utc_ns - image.utc_ns < DAY_NS:
            continue
        over = trusted and utc_ns - image.utc_ns >= days[image.kept] * DAY_NS
        if not image.acknowledged and rules.unacknowledged == "keep":
            done.waiting += over
        elif over:
            chosen.append((image, f"older than {days[image.kept]:g} days"))
            room -= image.size
        else:
            rest.append(image)
    if rules.budget_gb is None:
        return chosen
    budget = rules.budget_gb * 1e9
    for image in rest:
        if room <= budget:
            break
        chosen.append((image, f"over the budget of {rules.budget_gb:g} GB"))
        room -= image.size
    if room > budget:
        done.notes.append(
            f"images take {room / 1e9:.3g} GB, more than the budget of {rules.budget_gb:g} GB: what"
            " is left is on hold, younger than a day, or not acknowledged by the centre"
        )
    return chosen


def _bury(
    data_dir: Path,
    chosen: list[tuple[ImageFile, str]],
    key: Ed25519PrivateKey,
    principal: str,
) -> None:
    groups: dict[tuple[Kept, str], list[ImageFile]] = {}
    for image, why in chosen:
        groups.setdefault((image.kept, why), []).append(image)
    if not groups:
        return
    with DeskLedger.open(data_dir) as desk:
        for (kept, why), images in groups.items():
            for first in range(0, len(images), PORTION):
                portion = images[first : first + PORTION]
                named = [(at, image.digest) for image in portion for at in image.positions]
                desk.add(KIND, tombstone(named, kept.name.lower(), why, key), principal)
                for image in portion:
                    unlink_image(data_dir, image.path)


def unlink_image(data_dir: Path, relative: str) -> None:
    """Lets an image go, if it is still there, and the folders that are empty then."""
    root = (data_dir / "images").resolve()
    path = (data_dir / relative).resolve()
    if not path.is_relative_to(root):
        return
    try:
        path.unlink()
        for folder in path.parents:
            if folder == root or any(folder.iterdir()):
                break
            folder.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:  # it has its tombstone; the next run tries again
        raise StoreError(f"{path}: {error.strerror}; run it again") from error


def _now(line: sqlite3.Connection, utc_ns: int, done: Retained) -> tuple[int, bool]:
    row = line.execute("SELECT body FROM checkpoint ORDER BY number DESC LIMIT 1").fetchone()
    newest = line.execute("SELECT max(last) FROM tally").fetchone()[0]
    if row is None or newest is None:
        return utc_ns, False
    try:
        signed = read_body(row[0]).utc_ns
    except (RecordError, TypeError) as error:
        raise StoreDamaged(f"the newest checkpoint: {error}; run: inspector verify") from error
    lookup = lookup_in(lambda at: body_at(line, at))
    synced = bool(lookup(layout.fields_of(body_at(line, newest))[2]).value[9])
    if not synced:
        done.notes.append("the newest part's clock was not synchronised: no image goes by its age")
    return min(utc_ns, signed + DAY_NS), synced


def _acknowledged(data_dir: Path) -> int:
    said = [record.body.get("records") for record in desk_records(data_dir, ACKNOWLEDGED)]
    return max([number for number in said if isinstance(number, int)], default=0)


def _owed(data_dir: Path) -> set[str]:
    return {path.name[:64] for path in (data_dir / "outbox").rglob("*") if path.is_file()}


def _uuid(raw: bytes) -> str:
    digits = raw.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
