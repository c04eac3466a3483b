"""Which parts are chosen, why, and that estimates from them are unbiased (S9)."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.config import Samples
from inspector.part import Finding, Outcome
from inspector.store import DeskLedger, LineLedger
from inspector.store.bench import sample_verdict
from inspector.store.records import ImageRecord
from inspector.sync.choose import LATE_NS, Candidate, Chooser, Window, choose_in
from inspector.sync.classes import asked_by, class_of, disagrees
from inspector.sync.memory import Memory
from inspector.sync.novelty import Novelties

HOUR_NS = 3_600_000_000_000
START = 500_000 * HOUR_NS


def part(number: int, *, hour: int = 0, score: float = 0.9, ok: bool = True) -> Any:
    """A part with one finding, at an hour."""
    verdict = sample_verdict(number)
    finding = Finding("cap", "detect", "dent", ok=ok, score=score, view="side")
    return replace(
        verdict,
        outcome=Outcome.PASS if ok else Outcome.REJECT,
        findings=(finding,),
        reasons=() if ok else ("dent",),
        times=replace(verdict.times, utc_ns=START + hour * HOUR_NS + number * 1_000_000),
    )


def chooser(data: Path, memory: Memory, **plan: Any) -> Chooser:
    return Chooser(
        data,
        "ST-01",
        Samples(**plan),
        memory,
        lambda tool, label: 0.4,
        utc_ns=lambda: START + 100 * HOUR_NS,
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[[list[Any]], int]:
    """Writes parts with a picture each; gives the ledger's size."""

    def write(verdicts: list[Any]) -> int:
        with LineLedger.open(tmp_path, station="ST-01") as ledger:
            for verdict in verdicts:
                ledger.add_verdict(verdict)
                digest = f"{verdict.sequence:064x}"
                ledger.add_image(ImageRecord(verdict.part_id, "side", digest, "images/x.jpg", 9))
            ledger.commit()
            return ledger.size

    return write


def test_the_budget_is_per_hour_and_class(
    tmp_path: Path, write: Callable[[list[Any]], int]
) -> None:
    numbers = range(1, 401)
    size = write([part(n, hour=n // 200, ok=n % 10 != 0) for n in numbers])
    memory = Memory(tmp_path)
    chosen = list(chooser(tmp_path, memory, per_hour=6, rare_parts=1).choose(size))
    memory.close()
    hours = Counter(((s.chosen_utc_ns - START) // HOUR_NS, s.stratum) for s in chosen)
    assert hours == {
        (0, "pass"): 6, (1, "pass"): 6, (0, "cap: dent"): 6, (1, "cap: dent"): 6,
        (2, "cap: dent"): 1,
    }  # fmt: skip


def test_reasons_in_their_order(tmp_path: Path, write: Callable[[list[Any]], int]) -> None:
    both = part(3)
    other = replace(both.findings[0], view="code", ok=False)
    verdicts = [part(1), part(2, score=0.45), replace(both, findings=(*both.findings, other))]
    size = write([*verdicts, part(4, ok=False)])
    memory = Memory(tmp_path)
    chosen = chooser(tmp_path, memory, per_hour=3, random_share=0.34).choose(size)
    reasons = {sample.digest[-1]: sample.reason for sample in chosen}
    memory.close()
    assert reasons == {"1": "random", "2": "threshold", "3": "disagreement", "4": "rare"}


def test_a_restart_chooses_the_same(tmp_path: Path, write: Callable[[list[Any]], int]) -> None:
    """Killed between choosing and remembering, sync chooses again, and the same."""
    size = write([part(n, hour=n // 100) for n in range(1, 301)])
    memory = Memory(tmp_path)
    cut_short = chooser(tmp_path, memory, per_hour=10).choose(size)
    before = [next(cut_short) for _ in range(7)]
    again = list(chooser(tmp_path, memory, per_hour=10).choose(size))
    memory.close()
    assert again[:7] == before and len(again) == 31


def test_who_could_not_keep_a_sample_is_given_its_hour_again(
    tmp_path: Path, write: Callable[[list[Any]], int]
) -> None:
    """A disk that was full for a moment: the rest of the hour was never chosen, and let go."""
    size = write([part(n, hour=n // 100) for n in range(1, 301)])
    memory = Memory(tmp_path)
    whole = list(chooser(tmp_path, memory, per_hour=10).choose(size))
    memory.keep(chosen=0, classes={})
    going_on = chooser(tmp_path, memory, per_hour=10)
    cut_short = going_on.choose(size)
    before = [next(cut_short) for _ in range(7)]
    cut_short.close()
    assert going_on.done == 0
    again = list(going_on.choose(size))
    memory.close()
    assert again == whole and again[:7] == before


def test_nothing_before_an_open_hour_is_acknowledged(
    tmp_path: Path, write: Callable[[list[Any]], int]
) -> None:
    """I8: `done` is what retention may let go of."""
    size = write([part(n, hour=n // 100) for n in range(1, 251)])
    memory = Memory(tmp_path)
    one = Chooser(
        tmp_path, "ST-01", Samples(), memory, utc_ns=lambda: START + 2 * HOUR_NS + 60_000_000_000
    )
    list(one.choose(size))
    memory.close()
    assert 2 * 199 <= one.done < size  # the third hour's first part, with its picture's record


def test_a_clock_that_jumps_opens_no_hour_for_ever(
    tmp_path: Path, write: Callable[[list[Any]], int]
) -> None:
    size = write([part(n, hour=(n * 7919) % 40) for n in range(1, 200)])
    memory = Memory(tmp_path)
    one = chooser(tmp_path, memory, per_hour=5)
    assert len({sample.part for sample in one.choose(size)}) > 50
    memory.close()
    assert one.done == size


@pytest.mark.parametrize("every", [1, 10])
def test_estimates_are_unbiased(every: int) -> None:
    """Horvitz and Thompson over two phases: the archive keeps one pass in ``every``, the budget
    takes what is near its threshold (where the escapes are) and draws the rest. 1,000 hours."""
    draw = random.Random(5)
    numbers = np.random.default_rng(5)
    scores = numbers.beta(5, 2, 300)
    escapes = numbers.random(300) < np.clip(0.8 - scores, 0, 1)  # the nearer, the likelier
    verdicts = [part(n + 1, score=float(score)) for n, score in enumerate(scores)]
    plan = Samples(per_hour=12, random_share=0.25, near=0.15)
    truth = float(escapes.sum())

    def rank(candidate: Candidate, name: str) -> None:
        distance = abs(candidate.verdict.findings[0].score - 0.4)
        candidate.reason, candidate.weight = "", 0.0
        if distance <= plan.near:
            candidate.reason, candidate.weight = "threshold", 1 - distance

    estimates, naive = [], []
    for _ in range(1000):
        start = draw.randrange(every)
        kept = verdicts[start::every]
        window = Window(0, 0, Counter({"pass": 300}))
        window.candidates = {v.part_id.bytes: Candidate(v) for v in kept}
        choices = list(choose_in(window, plan, rank, draw))
        found = [(escapes[c.candidate.verdict.sequence - 1], c.probability) for c in choices]
        estimates.append(sum(y / p for y, p in found))
        naive.append(300 * sum(y for y, _ in found) / len(found))
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - truth) < 4 * error, (np.mean(estimates), truth, error)
    assert np.mean(naive) > 1.5 * truth  # what a plain mean of the samples would have said


def test_every_part_has_a_chance(tmp_path: Path, write: Callable[[list[Any]], int]) -> None:
    size = write([part(n) for n in range(1, 101)])
    memory = Memory(tmp_path)
    chosen = list(chooser(tmp_path, memory, per_hour=8, near=0.01).choose(size))
    memory.close()
    assert {(sample.reason, sample.probability) for sample in chosen} == {("random", 0.08)}


def test_a_review_waits_for_the_pictures_of_its_part(tmp_path: Path) -> None:
    """A shadow says what it thinks before the picture is archived, or the centre has heard of it:
    asked for at once, the centre would refuse it, and the sample would be lost."""
    verdict = part(1)
    with LineLedger.open(tmp_path, station="ST-01") as line, DeskLedger.open(tmp_path) as desk:
        line.add_verdict(verdict)
        line.commit()
        desk.add("shadow", {"part": str(verdict.part_id)}, "releases")
        one = Chooser(tmp_path, "ST-01", Samples(), Memory(tmp_path))
        judged = line.size
        assert not list(one.choose(judged))
        line.add_image(ImageRecord(verdict.part_id, "side", "1" * 64, "images/x.jpg", 9))
        line.commit()
        assert not list(one.choose(judged))
        assert "disagreement" in [sample.reason for sample in one.choose(line.size)]
        assert not list(one.choose(line.size))


def test_a_review_waits_for_no_picture_that_nobody_kept(tmp_path: Path) -> None:
    bare, other = part(1), part(2)
    with LineLedger.open(tmp_path, station="ST-01") as line, DeskLedger.open(tmp_path) as desk:
        for verdict in (bare, other):
            line.add_verdict(verdict)
            desk.add("shadow", {"part": str(verdict.part_id)}, "releases")
        line.add_image(ImageRecord(other.part_id, "side", "1" * 64, "images/x.jpg", 9))
        line.commit()
        later = time.time_ns() + LATE_NS
        one = Chooser(tmp_path, "ST-01", Samples(), Memory(tmp_path), utc_ns=lambda: later)
        parts = [s.part for s in one.choose(line.size) if s.reason == "disagreement"]
        assert parts == [str(other.part_id)]


def test_what_a_desk_record_asks_for() -> None:
    from inspector.store.records import DeskRecord, LineHead

    def record(kind: str, **body: Any) -> DeskRecord:
        return DeskRecord(kind, "anna", 1, body, LineHead(0, b"", -1, b""))

    assert asked_by(record("review", decision="override")) == "disagreement"
    assert asked_by(record("review", decision="confirm", was="pass", outcome="reject"))
    assert asked_by(record("review", decision="confirm", sample=True)) == "review"
    assert not asked_by(record("review", decision="confirm", was="pass", outcome="pass"))
    assert asked_by(record("shadow", outcome="pass", shadow_outcome="reject")) == "disagreement"
    assert not asked_by(record("shadow_tally", judged=9, disagreed=1))
    assert not asked_by(record("mes.reject", part="x"))


def test_classes_and_views() -> None:
    assert class_of(part(1)) == "pass" and class_of(part(1, ok=False)) == "cap: dent"
    assert class_of(replace(part(1), outcome=Outcome.ERROR)) == "error"
    assert not disagrees(part(1))


def test_what_was_never_seen_is_new() -> None:
    noise = np.random.default_rng(3)
    novelties = Novelties(Path("models"))

    def picture(stripes: bool) -> Any:
        pixels = np.full((120, 160, 3), 128, np.uint8)
        pixels[30:90, 40:120] = (60, 160, 200)
        if stripes:
            pixels[::6] = 0
        return np.clip(pixels + noise.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)

    usual = [novelties.of("side", picture(False)) for _ in range(45)]
    assert usual[:30] == [0.0] * 30 and np.median(usual[35:]) < 0.9
    assert novelties.of("side", picture(True)) == 1.0
    assert novelties.of("code", picture(True)) == 0.0  # another view has seen nothing yet
