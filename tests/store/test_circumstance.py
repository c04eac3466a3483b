"""A part that is judged again is judged as it was."""

from __future__ import annotations

from inspector.part import Batch
from inspector.store import History, LineLedger
from inspector.store.bench import sample_verdict
from inspector.store.circumstance import batch_of


def test_each_part_is_of_its_batch_as_it_had_begun_by_then(ledger: LineLedger) -> None:
    """After a lot that was typed wrong the batch was ended and begun anew: all its parts were
    judged again by the wrong one, and every good part was told to flip."""
    batch = sample_verdict(1).batch
    for sequence, lot in ((1, "L2417B"), (2, "L2417A")):
        begun = Batch(batch, "cap-28", "caps", {"lot": lot})
        ledger.add_batch(begun, "begin", "otto")
        ledger.add_verdict(sample_verdict(sequence))
        ledger.add_batch(begun, "end", "otto")
    ledger.commit()

    with History(ledger.data_dir) as history:
        newest, first = history.last(2)
        assert batch_of(history, first).texts == {"lot": "L2417B"}
        assert batch_of(history, newest) == Batch(batch, "cap-28", "caps", {"lot": "L2417A"})
