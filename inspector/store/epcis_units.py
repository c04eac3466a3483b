"""What a batch's parts were packed into and where that went, as EPCIS 2.0 events.

Enters: the links of a batch (`genealogy`), its parts as they are written. Leaves: an
`AggregationEvent` for each unit that holds parts of it and for each unit around those, and an
`ObjectEvent` of shipping for each that was sent. Only `export` and `epcis` import this.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid5

from inspector.store.genealogy import Genealogy, Unit
from inspector.store.readable import iso_utc

_EVENTS = UUID("0c1d3c8e-3a53-5c0a-8a53-9d5f0f6b7a11")
"""Namespace of these event ids: the same event has the same id each time."""


class Packed:
    """The units of one batch; `take` each part, then read the `events`."""

    def __init__(self, data_dir: Path, batch: str) -> None:
        """Raises ``StoreError`` if the desk cannot be read."""
        with Genealogy(data_dir) as genealogy:
            contents = genealogy.contents(batch)
            self._units = genealogy.units_of_batch(batch)
            self._at = {unit.id: genealogy.packed_ns(unit.id) for unit in self._units}
        self._batch = batch
        self._starts = [(run.stream, run.first) for run, _ in contents]
        self._runs = contents
        self._children: dict[str, list[str]] = {}

    def take(self, stream: str, sequence: int, epc: str) -> None:
        """A part of the batch, by the name that its other events have."""
        at = bisect_right(self._starts, (stream, sequence)) - 1
        if at >= 0:
            run, unit = self._runs[at]
            if run.stream == stream and run.first <= sequence <= run.last:
                self._children.setdefault(unit, []).append(epc)

    def events(self) -> Iterator[dict[str, Any]]:
        """Packing from the inside out, then shipping."""
        for unit in self._units:
            if unit.parent:
                self._children.setdefault(unit.parent, []).append(epc_of_unit(unit.id))
        for unit in self._units:
            children = list(dict.fromkeys(self._children.get(unit.id, ())))
            if children:
                yield {
                    "type": "AggregationEvent",
                    # another batch adds children of its own to the same unit
                    **_when(f"packing {self._batch}", unit, self._at[unit.id]),
                    "parentID": epc_of_unit(unit.id),
                    "childEPCs": children,
                    "action": "ADD",
                    "bizStep": "packing",
                    "disposition": "in_progress",
                }
        for unit in self._units:
            if unit.shipped is not None:
                yield {
                    "type": "ObjectEvent",
                    **_when("shipping", unit, unit.shipped.at_ns),
                    "epcList": [epc_of_unit(unit.id)],
                    "action": "OBSERVE",
                    "bizStep": "shipping",
                    "disposition": "in_transit",
                    "destinationList": [
                        {"type": "owning_party", "destination": _party(unit.shipped.destination)}
                    ],
                }


def epc_of_unit(name: str) -> str:
    """A unit's URI: its SSCC as a GS1 Digital Link, or the plant's own name."""
    if len(name) == 18 and name.isascii() and name.isdigit():
        return f"https://id.gs1.org/00/{name}"
    return f"urn:x-inspector:unit:{quote(name, safe='')}"


def _party(name: str) -> str:
    if len(name) == 13 and name.isascii() and name.isdigit():
        return f"https://id.gs1.org/417/{name}"
    return f"urn:x-inspector:party:{quote(name, safe='')}"


def _when(step: str, unit: Unit, utc_ns: int) -> dict[str, str]:
    return {
        "eventID": f"urn:uuid:{uuid5(_EVENTS, f'{step} {unit.id} {utc_ns}')}",
        "eventTime": iso_utc(utc_ns),
        "eventTimeZoneOffset": "+00:00",
    }
