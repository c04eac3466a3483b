"""Sending pictures: asked for first, in pieces, taken up again where they were cut off.

Enters: samples in the outbox. Leaves: the same at the centre, and the outbox shorter. A picture
that is no longer what its record says is named and never sent. Only `inspector.sync` imports this.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path

from inspector.sync.centre import Link
from inspector.sync.enrol import Away, RefusedByCentre
from inspector.sync.outbox import Outbox, Sample
from inspector.sync.tail import Spoilt

PIECE = 256 << 10
"""Bytes of a picture in one request: what a cut costs at the most."""
PORTION = 32
"""Samples that are asked about at once."""


def send_portion(link: Link, outbox: Outbox, data_dir: Path) -> Iterator[Spoilt]:
    """Sends the next samples; yields what was found to be spoilt on the way.

    Raises:
        Away, RefusedByCentre: the centre does not answer, or not this station; what has gone
            stays there, and what has not stays here.
    """
    portion = list(islice(outbox, PORTION))
    if not portion:
        return
    asked = {sample.digest: sample.size for sample in portion}
    received = link.ask(
        "POST",
        "/api/v1/blobs",
        json=[{"digest": digest, "size": size} for digest, size in asked.items()],
    )
    arrived: list[Sample] = []
    for sample in portion:
        try:
            _send(link, sample, data_dir, received)
        except Spoilt as spoilt:
            outbox.done(sample)
            yield spoilt
        except RefusedByCentre as refused:
            if refused.of_the_station:
                raise
            outbox.done(sample)
            yield Spoilt("image", f"the centre refuses {sample.path}: {refused}")
        else:
            arrived.append(sample)
    if arrived:
        try:
            link.ask("POST", "/api/v1/samples", json=[one.as_sent() for one in arrived])
        except RefusedByCentre as refused:
            if refused.of_the_station:
                raise
            yield Spoilt("sample", f"the centre refuses samples: {refused}")
        for sample in arrived:
            outbox.done(sample)


def _send(link: Link, sample: Sample, data_dir: Path, received: dict[str, int]) -> None:
    have = received.get(sample.digest, 0)
    if have >= sample.size and sample.size:
        return
    path = data_dir / sample.path
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Spoilt("image", f"{sample.path} cannot be read: {error.strerror}") from error
    if len(content) != sample.size or sha256(content).hexdigest() != sample.digest:
        raise Spoilt("image", f"{sample.path} was changed since its record named it")
    while have < sample.size:
        piece = content[have : have + PIECE]
        answer = link.ask(
            "PUT",
            f"/api/v1/blobs/{sample.digest}",
            content=piece,
            offset=have,
            size=sample.size,
        )
        try:
            now = int(answer["received"])
        except (KeyError, TypeError, ValueError) as error:
            raise Away("half an answer to a picture") from error
        if now <= have:
            raise Away(f"the centre does not get on with {sample.path}")
        have = now
    received[sample.digest] = sample.size
