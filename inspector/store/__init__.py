"""The store: what the station decided and did, durable and tamper-evident.

Enters: verdicts, gate decisions, batches, events and pictures from the line; reviews and requests
from the desk. Leaves: a ledger that can be proven, an image archive, queries. Imports `part` (and
`config`) alone; never the line, the web or the plant. ``docs/ledger.md`` describes every byte.
"""

from inspector.store.backup import Backup, back_up, restore
from inspector.store.desk import DeskLedger
from inspector.store.errors import (
    DuplicateVerdict,
    NoLedger,
    ProofRefused,
    QueryTimeout,
    RecordError,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreInUse,
    StoreStalled,
)
from inspector.store.export import Exported, export_batch
from inspector.store.images import ArchiveCounts, ImageArchive, free_bytes
from inspector.store.keys import public_key, signing_key
from inspector.store.ledger import LineLedger
from inspector.store.legal import LegalHold, hold_evidence, legal_holds
from inspector.store.maintenance import rebuild_index, shorten_wal
from inspector.store.package import Packed, pack_batch
from inspector.store.package_check import PackageReport, check_package
from inspector.store.proof import Proven, check_proof, held_checkpoint, prove_part
from inspector.store.query import History
from inspector.store.records import BatchChange, DeskRecord, Event, ImageRecord
from inspector.store.retention import Kept, Retained, retain
from inspector.store.verify import Report, verify

__all__ = [
    "ArchiveCounts",
    "Backup",
    "BatchChange",
    "DeskLedger",
    "DeskRecord",
    "DuplicateVerdict",
    "Event",
    "Exported",
    "History",
    "ImageArchive",
    "ImageRecord",
    "Kept",
    "LegalHold",
    "LineLedger",
    "NoLedger",
    "PackageReport",
    "Packed",
    "ProofRefused",
    "Proven",
    "QueryTimeout",
    "RecordError",
    "Report",
    "Retained",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreInUse",
    "StoreStalled",
    "back_up",
    "check_package",
    "check_proof",
    "export_batch",
    "free_bytes",
    "held_checkpoint",
    "hold_evidence",
    "legal_holds",
    "pack_batch",
    "prove_part",
    "public_key",
    "rebuild_index",
    "restore",
    "retain",
    "shorten_wal",
    "signing_key",
    "verify",
]
