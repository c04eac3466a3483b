"""A round of sync: what both ledgers owe, what retention may know of it, then the pictures.

Enters: ``<data>``, a `centre.Link`. Leaves: the centre as far as the station, or why not. It can be
killed at any instant: the centre's receipt says where to go on, and what was sent twice counts
once. Only `process` and the command line import this.

The desk goes before the line, so that a checkpoint, which signs both, finds both there. What does
not agree (a gap, a fork, a changed or removed record, a cut tail) stops that ledger, is recorded at
the desk, announced to the line's screen and told to the centre; nothing is mended by itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inspector.config import Sync
from inspector.store.checkpoint import HELD_FILE, Signed, read_body
from inspector.store.desk import DeskLedger
from inspector.store.errors import StoreDamaged, StoreError
from inspector.store.files import write_whole
from inspector.store.merkle import Tree
from inspector.store.retention import ACKNOWLEDGED
from inspector.sync import segment
from inspector.sync.centre import Link
from inspector.sync.choose import Chooser
from inspector.sync.enrol import Centre, RefusedByCentre, SyncError, raw_key
from inspector.sync.memory import Memory
from inspector.sync.outbox import Outbox
from inspector.sync.pace import Pace
from inspector.sync.pictures import send_portion
from inspector.sync.receipt import Receipt, is_countersigned
from inspector.sync.tags import seals, send_sealed
from inspector.sync.tail import Spoilt, Tail

PRINCIPAL = "sync"
ALARM = "sync.alarm"
RECORDS = 8192
RAW = 1 << 20
"""A segment holds at most so many records and about so many bytes of them."""
SEND_S = 20.0
"""Over a narrow line a segment is made small enough to go in this time."""
PICTURES_S = 30.0
"""After so long of pictures the records are looked at again: they are small, and never wait."""
BEAT_RECORDS = 4096
"""A long ledger is read for minutes; the process gives a sign of life so often."""
LEDGERS = ("desk", "line")


@dataclass(slots=True)
class Progress:
    """What a round did, and what is left."""

    sent: dict[str, int] = field(default_factory=lambda: {"line": 0, "desk": 0})
    """Records."""
    behind: dict[str, int] = field(default_factory=lambda: {"line": 0, "desk": 0})
    pictures: int = 0
    pictures_waiting: int = 0
    pictures_next: bool = False
    """Whether some of these may go at once: only the records were to be looked at again."""
    troubles: list[str] = field(default_factory=list)

    @property
    def owes(self) -> bool:
        """Whether another round has something to do at once."""
        return self.pictures_next or any(self.behind.values())


class Rounds:
    """One station's sync. Calls from one thread."""

    def __init__(
        self,
        data_dir: Path,
        station: str,
        plan: Sync,
        centre: Centre,
        link: Link,
        key: Ed25519PrivateKey,
        *,
        memory: Memory | None = None,
        pace: Pace | None = None,
        chooser: Chooser | None = None,
        announce: Callable[[str], None] = lambda detail: None,
        report: Callable[[], dict[str, Any]] = dict,
        utc_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        zone: tzinfo | None = None,
    ) -> None:
        """``zone``: of the clock that the plan's hours are read from; the machine's by default."""
        self._data_dir = data_dir
        self._station = station
        self._plan = plan
        self._centre = centre
        self._link = link
        self._key = key
        self._pace = pace or Pace()
        self._announce = announce
        self._report = report
        self._utc_ns = utc_ns
        self._monotonic = monotonic
        self._zone = zone
        self._memory = memory or Memory(data_dir)
        self._tails = {name: Tail(data_dir, name) for name in LEDGERS}
        self.outbox = Outbox(data_dir)
        self._chooser = chooser
        self._countersigned = -1
        self._held: tuple[Signed, bytes] | None = None
        self._acknowledged_at = float("-inf")

    def round(self, until: Callable[[], bool] = lambda: False) -> Progress:
        """Sends what is owed now, or until ``until()``.

        Raises:
            SyncError: the centre is away, or is not the one that the station enrolled with.
        """
        done = Progress()
        receipt = self._link.state()
        self._countersigned = receipt.checkpoint
        for name in LEDGERS:
            try:
                receipt = self._drain(name, receipt, done, until)
            except Spoilt as spoilt:
                self._trouble(spoilt, done)
            except RefusedByCentre as refused:
                self._trouble(Spoilt(refused.code, str(refused)), done, theirs=True)
        self._keep_held()
        self._send_tags(receipt, done, until)
        self._choose(receipt, done)
        self._acknowledge(receipt)
        self._send_pictures(done, until)
        self._tell(done)
        return done

    def close(self) -> None:
        """Lets go of every file."""
        self._memory.close()
        for tail in self._tails.values():
            tail.close()

    # The ledgers.

    def _drain(
        self, name: str, receipt: Receipt, done: Progress, until: Callable[[], bool]
    ) -> Receipt:
        tail = self._tails[name]
        end = tail.end()
        if (known := self._memory.tree(name).size) > receipt.of(name)[0]:
            lost = f"the centre has {receipt.of(name)[0]} records of {tail.file} and had {known}"
            self._trouble(Spoilt("lost", f"{lost}: a back-up was restored there; sent again"), done)
            self._go_back(name, receipt.of(name)[0])
        tree = self._agree(name, receipt, end)
        alone = name == "line"
        while (tree.size < end or alone) and not until():
            records, after = self._next(tail, tree, end)
            signs = self._checkpoints(name, after.size, receipt)
            if not records and not signs:
                break
            self._check(tail, tree, records, signs)
            content = segment.pack(
                self._station,
                name,
                tree.size,
                [body for body, _ in records],
                (tree.root(), after.root()),
                signs,
                self._key,
            )
            receipt, countersigned = self._link.segment(content)
            self._countersign(signs, countersigned)
            done.sent[name] += len(records)
            alone = bool(records)
            tree = after if receipt.of(name)[0] == after.size else tree
            tree = self._agree(name, receipt, end, tree)
            done.behind[name] = end - tree.size
            self._pace.rest()
            end = tail.end()
        done.behind[name] = end - tree.size
        return receipt

    def _go_back(self, ledger: str, position: int) -> None:
        """What followed the ledger's records from here on was lost with them, and follows again."""
        if ledger == "desk":
            sealed = self._memory.word("tags_sealed", -1)
            self._memory.keep(tags_sealed=min(sealed, position - 1))
        if self._chooser is not None:
            self._chooser.go_back(ledger, position)

    def _next(self, tail: Tail, tree: Tree, end: int) -> tuple[list[tuple[bytes, bytes]], Tree]:
        after, raw, records = tree.copy(), 0, []
        room = RAW
        if self._plan.kbit_s:
            room = min(RAW, max(4096, int(self._plan.kbit_s * 125 * SEND_S * 2)))
        if tree.size < end:
            for _, body, leaf in tail.read(tree.size, min(end, tree.size + RECORDS)):
                records.append((body, leaf))
                after.append(leaf)
                raw += len(body)
                if raw > room:
                    break
        return records, after

    def _checkpoints(self, name: str, size: int, receipt: Receipt) -> list[Signed]:
        if name != "line" or not size:
            return []
        return self._tails["line"].checkpoints(self._countersigned, size, receipt.desk)

    def _check(
        self, tail: Tail, tree: Tree, records: list[tuple[bytes, bytes]], signs: list[Signed]
    ) -> None:
        """Nothing is sent that this station's own checkpoints contradict."""
        wanted = {read_body(sign.body).line_size: read_body(sign.body) for sign in signs}
        if not any(size > tree.size for size in wanted):
            return
        growing = tree.copy()
        for _, leaf in records:
            growing.append(leaf)
            checkpoint = wanted.get(growing.size)
            if checkpoint is not None and growing.root() != checkpoint.line_root:
                raise Spoilt("changed", tail.culprit(checkpoint.number))

    def _agree(self, name: str, receipt: Receipt, end: int, tree: Tree | None = None) -> Tree:
        """The tree of what the centre has, which must be the beginning of what is here."""
        size, root = receipt.of(name)
        tail = self._tails[name]
        if size > end:
            end = tail.end()
        if size > end:
            raise Spoilt(
                "cut",
                f"{tail.file}: its tail was cut: the centre has {size} records, {end} are here",
            )
        tree = tree or self._memory.tree(name)
        if tree.size > size:
            tree = Tree()  # the centre knows less than it said: a back-up was restored there
        tree = self._grown(tree.copy(), tail, size)
        if tree.root() != root:
            fresh = self._grown(Tree(), tail, size)
            if fresh.root() != root:
                raise Spoilt(
                    "fork",
                    f"{tail.file}: its first {size} records are others than those that the centre"
                    " acknowledged; run: inspector verify",
                )
            tree = fresh
        self._memory.keep_tree(name, tree)
        return tree

    def _grown(self, tree: Tree, tail: Tail, size: int) -> Tree:
        for _, _, leaf in tail.read(tree.size, size) if tree.size < size else ():
            tree.append(leaf)
            if tree.size % BEAT_RECORDS == 0:
                self._pace.wait(0)
        return tree

    def _countersign(self, signs: list[Signed], countersigned: dict[int, bytes]) -> None:
        for sign in signs:
            number = read_body(sign.body).number
            theirs = countersigned.get(number)
            if theirs is None or not is_countersigned(sign, theirs, self._centre.key):
                raise SyncError(
                    f"{self._centre.hub}: checkpoint {number} is not countersigned by the centre"
                    " that this station enrolled with"
                )
            self._countersigned = max(self._countersigned, number)
            self._held = (sign, theirs)

    def _keep_held(self) -> None:
        if self._held is None:
            return
        sign, theirs = self._held
        document = {
            "checkpoint": {"body": sign.body.hex(), "signature": sign.signature.hex()},
            "countersignature": theirs.hex(),
            "centre": {"hub": self._centre.hub, "key": raw_key(self._centre.key).hex()},
        }
        path = self._data_dir / HELD_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(document, indent=1).encode())
        self._held = None

    # What is wrong.

    def _trouble(self, spoilt: Spoilt, done: Progress, *, theirs: bool = False) -> None:
        detail = str(spoilt)
        done.troubles.append(detail)
        known = self._memory.word("troubles", [])
        self._announce(detail)
        if not theirs:
            with suppress(SyncError):
                self._link.ask(
                    "POST",
                    "/api/v1/trouble",
                    json={"code": spoilt.code, "detail": detail[:2000]},
                )
        if [spoilt.code, detail] in known:
            return
        with suppress(StoreDamaged), DeskLedger.open(self._data_dir) as desk:
            desk.add(ALARM, {"code": spoilt.code, "detail": detail}, PRINCIPAL)
        self._memory.keep(troubles=[*known, [spoilt.code, detail]][-100:])

    def _send_tags(self, receipt: Receipt, done: Progress, until: Callable[[], bool]) -> None:
        for position, seal in seals(
            self._data_dir, self._memory.word("tags_sealed", -1), receipt.desk
        ):
            if until():
                return
            try:
                send_sealed(self._link, self._data_dir, position, seal)
            except Spoilt as spoilt:
                self._trouble(spoilt, done)
            self._memory.keep(tags_sealed=position)
            self._pace.rest()

    # Samples and pictures.

    def _choose(self, receipt: Receipt, done: Progress) -> None:
        if self._chooser is None:
            return
        try:
            for sample in self._chooser.choose(receipt.line, self._pace):
                self.outbox.add(sample)
        except Spoilt as spoilt:
            self._trouble(spoilt, done)

    def _send_pictures(self, done: Progress, until: Callable[[], bool]) -> None:
        end = self._monotonic() + PICTURES_S
        while self.outbox and self._pictures_may_travel() and not until():
            if self._monotonic() >= end:
                done.pictures_next = True
                break
            before = len(self.outbox)
            for spoilt in send_portion(self._link, self.outbox, self._data_dir):
                self._trouble(spoilt, done)
            done.pictures += before - len(self.outbox)
            if len(self.outbox) >= before:
                break
            self._pace.rest()
        done.pictures_waiting = len(self.outbox)

    def _pictures_may_travel(self) -> bool:
        now = datetime.fromtimestamp(self._utc_ns() / 1e9, self._zone).time()
        return self._plan.pictures_may_travel(now)

    # What others may know.

    def _acknowledge(self, receipt: Receipt) -> None:
        """Tells retention how far the centre has come; what may still be chosen from is kept."""
        records = receipt.line
        if self._chooser is not None:
            records = min(records, self._chooser.done)
        now = self._monotonic()
        if now - self._acknowledged_at < self._plan.acknowledge_s:
            return
        if records > self._memory.word("acknowledged", 0):
            with DeskLedger.open(self._data_dir) as desk:
                desk.add(
                    ACKNOWLEDGED,
                    {"records": records, "checkpoint": receipt.checkpoint, "hub": self._centre.hub},
                    PRINCIPAL,
                )
            self._memory.keep(acknowledged=records)
        self._acknowledged_at = now

    def _tell(self, done: Progress) -> None:
        said = {
            "utc_ns": self._utc_ns(),
            "behind": done.behind,
            "pictures_waiting": done.pictures_waiting,
            "troubles": done.troubles[-5:],
            "gone": self._chooser.gone if self._chooser is not None else [],
            **self._report(),
        }
        wishes = self._link.ask("POST", "/api/v1/report", json=said)
        if self._chooser is not None and isinstance(wishes, dict):
            for sample in self._chooser.wished(wishes.get("wishes") or []):
                self.outbox.add(sample)
        self._memory.keep(
            last={
                "utc_ns": self._utc_ns(),
                "behind": done.behind,
                "pictures_waiting": len(self.outbox),
                "troubles": done.troubles,
                "checkpoint": self._countersigned,
            },
            away="",
        )

    def away(self, why: str) -> None:
        """Notes why the centre cannot be reached, for `sync status`, if there is room for it."""
        with suppress(StoreError):
            self._memory.keep(away=why)
