"""What the centre takes of a station that lies or repeats itself, without a network (I4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from inspector.store.bench import sample_gate, sample_verdict
from inspector.store.checkpoint import FIRST, Checkpoint, Signed, digest_of, sign
from inspector.store.entries import Entries
from inspector.store.errors import RecordError
from inspector.store.keys import key_id
from inspector.store.layout import fields_of
from inspector.store.merkle import EMPTY_ROOT, leaf_hash, root_of
from inspector.store.resume import State
from inspector.store.skim import gate_keys, verdict_keys
from inspector.sync import segment
from inspector.sync.enrol import raw_key
from training.hub import tables
from training.hub.enrolment import _add_station
from training.hub.hub import Hub, open_hub
from training.hub.ingest import Refused, Sender

KEY = Ed25519PrivateKey.generate()


def ledger(parts: int, **what: Any) -> list[bytes]:
    """The records of so many parts, each with its gate decision."""
    entries = Entries(State())
    for number in range(1, parts + 1):
        verdict = sample_verdict(number, **what)
        entries.verdict(verdict)
        entries.gate(sample_gate(verdict))
    return [body for _, body in entries.take().records]


def root(records: list[bytes], size: int | None = None) -> bytes:
    return root_of([leaf_hash(record) for record in records[:size]])


def packed(
    records: list[bytes], first: int, end: int, signs: tuple[Signed, ...] = (), **other: Any
) -> bytes:
    """Records ``first`` to ``end - 1`` of a ledger as a segment."""
    roots = other.pop("roots", (root(records, first), root(records, end)))
    return segment.pack("ST-01", "line", first, records[first:end], roots, signs, KEY)


def checkpoint(number: int, records: list[bytes], size: int, previous: bytes) -> Signed:
    return sign(
        Checkpoint(
            number, "ST-01", size, root(records, size), 0, EMPTY_ROOT, 1, previous, bytes(32),
            key_id(KEY.public_key()),
        ),
        KEY,
    )  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    opened = open_hub(tmp_path / "hub")
    yield opened
    opened.close()


@pytest.fixture
def sender(hub: Hub) -> Sender:
    with hub.engine.begin() as connection:
        number = _add_station(connection, "ST-01", "", "", raw_key(KEY.public_key()), 1)
    return Sender(number, "ST-01", KEY.public_key())


def verdicts(hub: Hub) -> int:
    with hub.engine.begin() as connection:
        return len(connection.execute(select(tables.Verdict.position)).all())


def test_a_segment_that_laps_over_what_is_here_is_answered_and_changes_nothing(
    hub: Hub, sender: Sender
) -> None:
    records = ledger(20)
    hub.ingest.take(sender, packed(records, 0, 30))
    before = verdicts(hub)
    for first, end in ((0, 30), (10, 20), (10, len(records))):
        hub.ingest.take(sender, packed(records, first, end))
    assert verdicts(hub) == before
    hub.ingest.take(sender, packed(records, 30, len(records)))
    assert verdicts(hub) == 20


@pytest.mark.parametrize(("first", "end"), [(0, 30), (10, 20), (10, 40)])
def test_another_history_that_laps_over_is_a_fork(
    hub: Hub, sender: Sender, first: int, end: int
) -> None:
    records = ledger(20)
    hub.ingest.take(sender, packed(records, 0, 30))
    forged = records[:15] + ledger(20)[15:]  # the same parts under other ids
    with pytest.raises(Refused, match="are others than those") as refused:
        hub.ingest.take(sender, packed(forged, first, end))
    assert refused.value.code == "fork"
    with hub.engine.begin() as connection:
        assert connection.execute(select(tables.Alarm.code)).scalars().all() == ["fork"]


def test_a_checkpoint_that_is_left_out_is_missed(hub: Hub, sender: Sender) -> None:
    records = ledger(20)
    zero = checkpoint(0, records, 10, FIRST)
    one = checkpoint(1, records, 20, digest_of(zero.body))
    two = checkpoint(2, records, 30, digest_of(one.body))
    hub.ingest.take(sender, packed(records, 0, 15, (zero,)))
    with pytest.raises(Refused, match="checkpoint 2 does not follow checkpoint 0"):
        hub.ingest.take(sender, packed(records, 15, 30, (two,)))
    answer = hub.ingest.take(sender, packed(records, 15, 30, (one, two)))
    assert [number for number, _ in answer["countersigned"]] == [1, 2]
    again = hub.ingest.take(sender, packed(records, 30, 30, (one, two)))
    assert again["countersigned"] == answer["countersigned"]


def test_another_checkpoint_under_a_number_is_a_fork(hub: Hub, sender: Sender) -> None:
    records = ledger(20)
    hub.ingest.take(sender, packed(records, 0, 15, (checkpoint(0, records, 10, FIRST),)))
    with pytest.raises(Refused, match="checkpoint 0 is another one"):
        hub.ingest.take(sender, packed(records, 15, 15, (checkpoint(0, records, 15, FIRST),)))


def test_a_tampered_segment_is_refused_by_name(hub: Hub, sender: Sender) -> None:
    content = packed(ledger(5), 0, 10)
    for at in (0, 20, 200, len(content) - 20):
        spoilt = bytearray(content)
        spoilt[at] ^= 1
        with pytest.raises(Refused, match="a segment is refused") as refused:
            hub.ingest.take(sender, bytes(spoilt))
        assert refused.value.code == "segment"
    assert verdicts(hub) == 0


def test_a_record_that_is_none_is_named_and_leaves_nothing(hub: Hub, sender: Sender) -> None:
    records = ledger(5)
    records[7] = b"\x8d\x01\x01\x00"
    with pytest.raises(Refused, match="line record 7") as refused:
        hub.ingest.take(sender, packed(records, 0, len(records)))
    assert refused.value.code == "record" and verdicts(hub) == 0


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_bytes_break_the_reading_of_a_segment(content: bytes) -> None:
    for candidate in (content, segment.MAGIC + content):
        with pytest.raises(RecordError):
            segment.unpack(candidate, KEY.public_key())


@given(st.integers(1, 1 << 40), st.none() | st.text(max_size=40), st.booleans())
@settings(max_examples=60, deadline=None)
def test_skimming_reads_what_decoding_reads(sequence: int, serial: str | None, heard: bool) -> None:
    from dataclasses import replace

    entries = Entries(State())
    verdict = sample_verdict(sequence, serial=serial)
    entries.verdict(verdict)
    gate = sample_gate(verdict)
    entries.gate(gate if heard else replace(gate, acknowledged_ns=0))
    bodies = [body for _, body in entries.take().records]
    fields = fields_of(bodies[-2])
    assert verdict_keys(bodies[-2]) == (*fields[2:6], fields[9], fields[12])
    fields = fields_of(bodies[-1])
    assert gate_keys(bodies[-1]) == (fields[2], fields[3], fields[4], fields[7] is not None)
