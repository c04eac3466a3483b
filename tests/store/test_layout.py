"""A record gives back the noun it was made from."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.part import (
    Finding,
    GateAction,
    GateDecision,
    Mode,
    Outcome,
    PartId,
    Severity,
    Times,
    Verdict,
)
from inspector.store import History, LineLedger
from inspector.store.bench import sample_gate, sample_verdict
from inspector.store.entries import Entries
from inspector.store.errors import RecordError
from inspector.store.layout import decode_record, encode_event, encode_image, fields_of
from inspector.store.readable import readable
from inspector.store.records import BatchChange, Definition, Event, ImageRecord
from inspector.store.resume import State
from inspector.store.skim import verdict_numbers

WORD = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NS = st.integers(0, 2**62)
FLOAT32 = st.floats(width=32, allow_nan=False)
FINDINGS = st.builds(
    Finding,
    tool=WORD,
    kind=WORD,
    label=WORD,
    ok=st.booleans(),
    score=FLOAT32,
    box=st.none() | st.tuples(FLOAT32, FLOAT32, FLOAT32, FLOAT32),
    view=WORD,
    severity=st.sampled_from(Severity),
    text=st.none() | WORD,
    value=st.none() | st.floats(allow_nan=False),
    unit=st.none() | WORD,
    reason=WORD,
    outline=st.lists(
        st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535)), max_size=5).map(tuple),
        max_size=2,
    ).map(tuple),
)
VERDICTS = st.builds(
    Verdict,
    part_id=st.builds(lambda raw: PartId(UUID(bytes=raw)), st.binary(min_size=16, max_size=16)),
    station=WORD,
    stream=WORD,
    sequence=st.integers(0, 2**53),
    outcome=st.sampled_from(Outcome),
    mode=st.sampled_from(Mode),
    batch=WORD,
    times=st.builds(
        Times,
        trigger_ns=NS,
        frame_ns=NS,
        verdict_ns=NS,
        utc_ns=NS,
        boot_id=WORD,
        clock_synced=st.booleans(),
    ),
    recipe=WORD,
    recipe_digest=WORD,
    model_digests=st.lists(WORD, max_size=3).map(tuple),
    software=WORD,
    reasons=st.lists(WORD, max_size=3).map(tuple),
    findings=st.lists(FINDINGS, max_size=4).map(tuple),
    serial=st.none() | WORD,
)


def _bodies(verdict: Verdict) -> list[bytes]:
    entries = Entries(State())
    entries.verdict(verdict)
    return [body for _, body in entries.take().records]


def _stored(add: str, noun: object) -> object:
    entries = Entries(State())
    getattr(entries, add)(noun)
    bodies = [body for _, body in entries.take().records]

    def lookup(position: int) -> Definition:
        found = decode_record(bodies[position], lookup)
        assert isinstance(found, Definition)
        return found

    return decode_record(bodies[-1], lookup)


@given(VERDICTS)
def test_a_verdict_comes_back_with_everything_that_made_it(verdict: Verdict) -> None:
    assert _stored("verdict", verdict) == verdict


def test_an_outline_costs_a_version_and_those_without_keep_their_bytes_and_words() -> None:
    plain = sample_verdict(1)
    ring = ((3, 4), (9, 4), (9, 65535))
    spot = Finding("film", "segment", "hole", box=(3, 4, 9, 8), outline=(ring, ring[:1]))

    outlined = replace(plain, findings=(*plain.findings, spot))
    old, new = _bodies(plain)[-1], _bodies(outlined)[-1]

    assert (old[:3], new[:3]) == (b"\x8d\x01\x01", b"\x8d\x01\x02")
    assert len(new) - len(old) < 60
    back = _stored("verdict", outlined)
    assert isinstance(back, Verdict) and back.findings[-1] == spot
    assert "outline" not in readable(plain)["findings"][0]
    assert readable(outlined)["findings"][-1]["outline"][0][2] == [9, 65535]


@pytest.mark.parametrize("corner", [(-1, 3), (65536, 3), (1.5, 2)])
def test_an_outline_that_no_picture_holds_is_refused(corner: tuple[int, int]) -> None:
    spot = Finding("film", "segment", "hole", outline=((corner,),))
    with pytest.raises(RecordError, match="outline"):
        _stored("verdict", replace(sample_verdict(1), findings=(spot,)))


@given(
    st.builds(
        GateDecision,
        part_id=st.just(sample_verdict(1).part_id),
        stream=WORD,
        sequence=st.integers(0, 2**53),
        action=st.sampled_from(GateAction),
        reason=WORD,
        decided_ns=NS,
        acknowledged_ns=NS,
    )
)
def test_a_gate_decision_comes_back(decision: GateDecision) -> None:
    assert _stored("gate", decision) == decision


def test_events_batches_and_images_come_back() -> None:
    event = Event("line.stopped", "user:7", 5, 6, {"why": "3 rejects", "parts": [1, 2]})
    change = BatchChange("L1", "begin", "user:7", "bottle", "bottle@3", {"lot": "L1"}, 5, 6)
    image = ImageRecord(sample_verdict(1).part_id, "side", "ab" * 32, "images/2026/x.jpg", 9)
    assert _stored("event", event) == event
    assert _stored("batch", change) == change
    assert _stored("image", image) == image


def test_scores_and_places_keep_the_precision_that_models_compute_in() -> None:
    finding = Finding("cap", "detect", "cap", score=0.1, box=(1 / 3, 2.0, 3.0, 4.0))
    back = _stored("verdict", replace(sample_verdict(1), findings=(finding,)))
    assert isinstance(back, Verdict)
    assert back.findings[0].score == struct.unpack("f", struct.pack("f", 0.1))[0]


def test_infinite_scores_and_odd_boxes_do_not_lose_the_verdict_silently() -> None:
    huge = Finding("cap", "detect", "cap", score=1e300)
    back = _stored("verdict", replace(sample_verdict(1), findings=(huge,)))
    assert isinstance(back, Verdict) and back.findings[0].score == float("inf")
    crooked = Finding("cap", "detect", "cap", box=(1.0, 2.0, 3.0))  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="four numbers"):
        _stored("verdict", replace(sample_verdict(1), findings=(crooked,)))


@pytest.mark.parametrize("principal", ["", "  "])
def test_a_write_without_its_principal_is_refused(principal: str) -> None:
    with pytest.raises(RecordError, match="principal"):
        encode_event(Event("x", principal, 1, 2, {}))


def test_an_image_without_a_digest_is_refused() -> None:
    for digest in ("", "abcd", "zz" * 32):
        with pytest.raises(RecordError, match="SHA-256"):
            encode_image(ImageRecord(sample_verdict(1).part_id, "side", digest, "x", 1))


@given(st.binary(max_size=80))
def test_hostile_bytes_are_refused_in_words(data: bytes) -> None:
    def nothing(position: int) -> Definition:
        raise RecordError(f"no record {position}")

    for head in (b"", *[bytes([0x80 + n, kind, 1]) for n in (7, 9, 13) for kind in range(8)]):
        try:
            decode_record(head + data, nothing)
        except RecordError as error:
            assert str(error)


def test_a_pass_with_three_findings_takes_at_most_250_bytes_on_disk(tmp_path: Path) -> None:
    count = 3000
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for sequence in range(1, count + 1):
            verdict = replace(sample_verdict(1), sequence=sequence, serial=None)
            ledger.add_verdict(verdict)
        ledger.commit()
    assert (tmp_path / "line.db").stat().st_size / count <= 250


def test_a_whole_store_reads_back_what_went_in(tmp_path: Path) -> None:
    verdicts = [sample_verdict(sequence) for sequence in range(1, 101)]
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for verdict in verdicts:
            ledger.add_verdict(verdict)
            ledger.add_gate(sample_gate(verdict))
    with History(tmp_path) as history:
        read = [part.verdict for part in history.last(1000)]
    for back, verdict in zip(reversed(read), verdicts, strict=True):
        assert back.part_id == verdict.part_id
        assert back.times == verdict.times
        assert [f.label for f in back.findings] == [f.label for f in verdict.findings]


@given(VERDICTS)
def test_figures_that_are_read_where_they_stand_are_those_of_the_verdict(verdict: Verdict) -> None:
    bodies = _bodies(verdict)
    context, sequence, outcome, part, trigger_ns, utc_ns, found = verdict_numbers(bodies[-1])
    fields = fields_of(bodies[-1])
    assert [context, sequence, outcome, part, trigger_ns] == fields[2:7] and utc_ns == fields[9]
    assert [shape for shape, _, _ in found] == [finding[0] for finding in fields[10]]
    assert [(score, value) for _, score, value in found] == [
        (finding.score, finding.value) for finding in verdict.findings
    ]
