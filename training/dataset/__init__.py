"""Data sets: immutable snapshots of labelled pictures, each with its way back to a record.

Enters: station folders, the centre's database, or other tools' formats. Leaves: a snapshot that the
trainings, evaluations and exports read. Knows nothing of torch.
"""

from training.dataset.row import Label, Row
from training.dataset.snapshot import Snapshot, SnapshotError, difference, open_snapshot, write

__all__ = ["Label", "Row", "Snapshot", "SnapshotError", "difference", "open_snapshot", "write"]
