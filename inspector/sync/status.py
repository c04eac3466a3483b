"""How far the centre is, as the sync process last knew.

Enters: a station. Leaves: plain figures. The command line and pages import this; nobody is asked
over the network.
"""

from __future__ import annotations

import time
from typing import Any

from inspector.config import Station
from inspector.store.readable import iso_utc
from inspector.sync.enrol import enrolled
from inspector.sync.memory import FILE, Memory
from inspector.sync.outbox import Outbox
from inspector.sync.tail import Tail


def status_of(station: Station) -> dict[str, Any]:
    """For ``inspector sync status``.

    Raises:
        SyncError: what is known of the centre is damaged.
        StoreError: a ledger cannot be read.
    """
    centre = enrolled(station.data)
    found: dict[str, Any] = {
        "ok": centre is not None,
        "station": station.station,
        "hub": station.sync.hub if station.sync else None,
        "enrolled": centre is not None,
    }
    if not (station.data / FILE).is_file():
        return found | {"ok": False, "troubles": ["nothing was ever sent"]}
    memory = Memory(station.data)
    try:
        last = memory.word("last") or {}
        away = memory.word("away", "")
        sizes = {name: memory.tree(name).size for name in ("line", "desk")}
        acknowledged = memory.word("acknowledged", 0)
    finally:
        memory.close()
    behind = {}
    for name, size in sizes.items():
        tail = Tail(station.data, name)
        behind[name] = max(0, tail.end() - size)
        tail.close()
    troubles = [*last.get("troubles", []), *([away] if away else [])]
    heard = last.get("utc_ns", 0)
    return found | {
        "ok": centre is not None and not troubles,
        "acknowledged": sizes,
        "behind": behind,
        "retention_may_pass": acknowledged,
        "checkpoint": last.get("checkpoint", -1),
        "pictures_waiting": len(Outbox(station.data)),
        "last_round": iso_utc(heard) if heard else None,
        "seconds_ago": round((time.time_ns() - heard) / 1e9, 1) if heard else None,
        "troubles": troubles,
    }
