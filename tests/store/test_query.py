"""Questions to the ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inspector.part import Batch, Finding, Mode, Outcome
from inspector.quality.batch_facts import outline
from inspector.store import History, LineLedger, QueryTimeout, StoreError
from inspector.store.bench import sample_gate, sample_verdict


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with LineLedger.open(tmp_path, station="s1") as ledger:
        ledger.add_batch(Batch("A", "bottle", "bottle", {"lot": "A"}), "begin", "user:7")
        for sequence in range(1, 101):
            batch = "A" if sequence <= 60 else "B"
            verdict = replace(sample_verdict(sequence, batch=batch), serial=f"SN{sequence % 90}")
            if sequence == 70:
                verdict = replace(verdict, mode=Mode.CHALLENGE)
            ledger.add_verdict(verdict)
            ledger.add_gate(sample_gate(verdict))
        ledger.add_event("operator.note", "user:7", text="hello")
    return tmp_path


def test_counts_by_batch_and_mode(store: Path) -> None:
    with History(store) as history:
        assert history.counts() == {
            Outcome.PASS: 97,
            Outcome.REJECT: 2,
            Outcome.ERROR: 0,
            Outcome.NOT_INSPECTED: 0,
        }
        assert history.counts("A")[Outcome.PASS] == 59
        assert history.counts(mode=Mode.CHALLENGE)[Outcome.PASS] == 1
        newest, oldest = history.batches()
        assert (newest.id, newest.others) == ("B", 1)
        assert (oldest.id, oldest.counts[Outcome.REJECT]) == ("A", 1)
        assert oldest.first_utc_ns <= oldest.last_utc_ns <= newest.last_utc_ns
        assert history.batch_changes()[0].texts == {"lot": "A"}


def test_by_passed_parts_of_a_batch_are_those_that_were_not_inspected(tmp_path: Path) -> None:
    modes = [Mode.AUTO, Mode.BYPASS, Mode.BYPASS, Mode.SETUP]
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for sequence, mode in enumerate(modes, 1):
            outcome = Outcome.NOT_INSPECTED if mode is Mode.BYPASS else Outcome.PASS
            ledger.add_verdict(replace(sample_verdict(sequence), mode=mode, outcome=outcome))
        ledger.commit()
    with History(tmp_path) as history:
        counts, others = history.batch("L2417A").counts, history.batch("L2417A").others
        facts = outline(history, "L2417A")
    assert (counts[Outcome.PASS], counts[Outcome.NOT_INSPECTED], others) == (1, 2, 1)
    assert (facts.counts[Outcome.NOT_INSPECTED], facts.counts.total(), facts.others) == (2, 3, 1)


def test_a_part_by_id_by_number_and_by_serial(store: Path) -> None:
    with History(store) as history:
        part = history.by_sequence("plc-1", 50)
        assert part is not None and part.verdict.outcome is Outcome.REJECT
        assert history.part(part.verdict.part_id) == part
        assert [gate.sequence for gate in part.gates] == [50]
        assert [p.verdict.sequence for p in history.by_serial("SN5")] == [95, 5]
        assert history.by_sequence("plc-1", 1000) is None
        assert history.by_sequence("plc-9", 50) is None
        assert history.part(sample_verdict(1).part_id) is None


def test_the_last_parts_page_by_page(store: Path) -> None:
    with History(store) as history:
        first = history.last(7)
        assert [p.verdict.sequence for p in first] == list(range(100, 93, -1))
        second = history.last(7, before=first[-1].position)
        assert [p.verdict.sequence for p in second] == list(range(93, 86, -1))
        assert [p.verdict.sequence for p in history.last(9, faulty=True)] == [100, 50]


def test_what_was_wrong_and_what_happened(store: Path) -> None:
    with History(store) as history:
        assert history.defects() == {"cap": 2}
        assert history.defects("A") == {"cap": 1}
        assert history.defects("Z") == {}
        assert history.events("operator.note")[0].body == {"text": "hello"}
        assert history.events("nothing") == ()
        assert history.desk() == ()


def test_the_parts_with_a_defect_page_by_page(tmp_path: Path) -> None:
    cap = Finding("cap", "detect", "cap", ok=False)
    low = replace(cap, view="code")
    dent = replace(cap, label="dent")
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for sequence in range(1, 121):
            found = [(), (cap,), (low, cap), (low,), (dent,)][sequence % 5]
            outcome = Outcome.REJECT if found else Outcome.PASS
            verdict = sample_verdict(sequence, batch="A" if sequence % 2 else "B")
            verdict = replace(verdict, outcome=outcome, findings=found, reasons=("bad",))
            ledger.add_verdict(verdict)
    caps = [n for n in range(120, 0, -1) if n % 5 in (1, 2, 3)]
    with History(tmp_path) as history:
        assert history.defects() == {"cap": 96, "dent": 24}  # by shape: view and label
        seen: list[int] = []
        before = None
        while page := history.with_defect("cap", before=before, limit=7):
            seen += [part.verdict.sequence for part in page]
            before = page[-1].position
        assert seen == caps
        odd = history.with_defect("cap", "A", limit=1000)
        assert [part.verdict.sequence for part in odd] == [n for n in caps if n % 2]
        few = history.with_defect("cap", "A", limit=5)
        assert [part.verdict.sequence for part in few] == [n for n in caps if n % 2][:5]
        assert history.with_defect("scratch") == history.with_defect("cap", "Z") == ()


def test_a_reader_sees_what_the_line_commits(store: Path) -> None:
    with History(store) as history, LineLedger.open(store, station="s1", idle_s=60) as ledger:
        ledger.add_verdict(sample_verdict(500))
        assert history.last()[0].verdict.sequence == 100
        ledger.commit()
        assert history.last()[0].verdict.sequence == 500


def test_a_question_is_bounded_in_time(store: Path) -> None:
    with History(store, bound_s=0.05) as history:
        with (
            pytest.raises(QueryTimeout, match="ask for less"),
            history.line() as c,
        ):
            c.execute(
                "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
                " SELECT max(x) FROM n"
            ).fetchall()  # it would count for ever
        assert history.counts()[Outcome.PASS] == 97


def test_a_folder_without_a_ledger_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no ledger here"):
        History(tmp_path)


def test_a_batchs_defects_are_those_of_its_production(tmp_path: Path) -> None:
    """Nor are they those of another batch that was made before it went on."""
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for sequence in range(50, 301, 50):  # each is a reject
            mode = Mode.AUTO if sequence in (50, 150, 200) else Mode.CHALLENGE
            batch = "L2417B" if sequence == 150 else "L2417A"
            ledger.add_verdict(replace(sample_verdict(sequence, batch=batch), mode=mode))
        ledger.commit()
    with History(tmp_path) as history:
        assert history.defects("L2417A") == {"cap": 2}
        assert history.defects() == {"cap": 6}
        assert len(history.with_defect("cap", "L2417A")) == 5  # a recall means them all


def test_a_ledger_that_cannot_be_opened_is_told_in_words(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The station's own account writes it; whoever else asks may lack the right to read it."""
    far = tmp_path.joinpath(*["far" * 60] * 4)  # more than SQLite takes for a path
    far.mkdir(parents=True)
    (store / "line.db").rename(far / "line.db")
    with pytest.raises(StoreError, match=r"line\.db: cannot be read: unable to open"):
        History(far)
    monkeypatch.setattr("inspector.store.schema.os.access", lambda *_: False)
    with pytest.raises(StoreError, match=r"line\.db: this account may not read it"):
        History(far)
