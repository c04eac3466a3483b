"""What the centre still has of a station whose disk is gone, beyond its last back-up.

Enters: a data folder that was just restored, the station's place at its centre. Leaves: the same
folder as far as the centre's receipt. Only the command line's `restore` calls this, before the
station's first start: once it has recorded anything of its own, there are two histories.

The segments are under this station's own signature and the receipt is under the centre's; the
checkpoints are this station's too. So the centre can keep records back, and can make none up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from inspector.config import Sync
from inspector.store import signing_key
from inspector.store.checkpoint import Signed, check
from inspector.store.errors import RecordError
from inspector.store.regain import Regained, regain
from inspector.store.report import Told, untold
from inspector.sync.centre import Link
from inspector.sync.enrol import RefusedByCentre, SyncError, enrolled, shown_by
from inspector.sync.segment import unpack

RECORDS = "records from the centre"
PICTURES = "pictures from the centre"
"""What `Told` hears that these are."""
ASKED = 1000
"""Pictures in one question."""


def take_back(
    data_dir: Path, station: str, plan: Sync | None, principal: str, *, told: Told = untold
) -> Regained:
    """Fetches every record that the centre has and ``data_dir`` has not.

    Raises:
        SyncError: the station file names no centre, the station never enrolled, or the centre does
            not answer.
        StoreError: what came does not follow what is here, or a disk refuses.
    """
    centre = enrolled(data_dir)
    if plan is None or centre is None:
        raise SyncError(
            f"station {station} has no centre to take records back from: restore it"
            " without --station"
        )
    centre = type(centre)(plan.hub, centre.key)
    key = signing_key(data_dir)
    link = Link(centre, station, key, plan.ca, shown=shown_by(plan))
    try:
        theirs = _AtCentre(link, key.public_key(), told)
        return regain(data_dir, key, theirs, principal, told=told)
    except RecordError as error:
        raise SyncError(f"{centre.hub}: {error}") from error
    finally:
        link.close()


class _AtCentre:
    """The station's ledgers as the centre has them: `inspector.store.regain.Elsewhere`."""

    def __init__(self, link: Link, key: Ed25519PublicKey, told: Told) -> None:
        self._link = link
        self._key = key
        self._told = told
        self._receipt = link.state()

    def end(self, ledger: str) -> tuple[int, bytes]:
        return self._receipt.of(ledger)

    def records(self, ledger: str, first: int) -> Iterator[bytes]:
        size, _ = self.end(ledger)
        while first < size:
            self._told(RECORDS, first, size)
            content = b"".join(self._link.stream(f"/api/v1/segments/{ledger}/{first}"))
            head, records = unpack(content, self._key)
            end = head.first + head.count
            if head.ledger != ledger or not head.first <= first < end:
                raise RecordError(f"its segment does not hold {ledger} record {first}")
            yield from records[first - head.first :]
            first = end

    def checkpoints(self, first: int) -> Iterator[Signed]:
        while first <= self._receipt.checkpoint:
            some = self._link.ask("GET", "/api/v1/checkpoints", first=first)
            for one in some:
                signed = Signed(bytes.fromhex(one["body"]), bytes.fromhex(one["signature"]))
                if check(signed, self._key).number != first:
                    raise RecordError(f"it does not have checkpoint {first}")
                yield signed
                first += 1
            if not some:
                raise RecordError(f"it does not have checkpoint {first}")

    def pictures(self, wanted: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        digests = list(wanted)
        for at in range(0, len(digests), ASKED):
            self._told(PICTURES, at, len(digests))
            some = [{"digest": one, "size": wanted[one]} for one in digests[at : at + ASKED]]
            received = self._link.ask("POST", "/api/v1/blobs", json=some)
            for digest in digests[at : at + ASKED]:
                if received.get(digest) == wanted[digest]:
                    with suppress(RefusedByCentre):  # its pieces are there and not the whole
                        yield digest, b"".join(self._link.stream(f"/api/v1/blobs/{digest}"))
