"""A batch as EPCIS 2.0 events in JSON-LD (GS1 EPCIS 2.0, ISO/IEC 19987; CBV 2.0, ISO/IEC 19988).

Enters: a batch's verdicts. Leaves: for each part made in production an `ObjectEvent` that
commissions it and one that says what its inspection found, with its measured values as sensor
elements; then what they were packed into and where that went (`epcis_units`). Only `export` imports
this; the file is written part by part, whatever its size.

What names a part: its GTIN and serial as a GS1 Digital Link URI where the batch's product is a GTIN
and the part carried a serial; else ``urn:uuid:`` with its part id. The disposition is `conformant`
for a pass, `non_conformant` for a reject and `unknown` for a part that could not be judged; a part
that was not inspected (by-pass) is commissioned and never said to be inspected.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid5

from inspector.part import Finding, Mode, Outcome, Verdict
from inspector.store import layout
from inspector.store.epcis_units import Packed
from inspector.store.export import PartOf, parts_of
from inspector.store.readable import iso_utc
from inspector.store.records import BatchChange
from inspector.store.related import BatchRange, body_at, lookup_in

CONTEXT = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"cbvmda": "urn:epcglobal:cbv:mda:", "inspector": "urn:x-inspector:"},
]
DISPOSITIONS = {
    Outcome.PASS: "conformant",
    Outcome.REJECT: "non_conformant",
    Outcome.ERROR: "unknown",
}
_EVENTS = UUID("6f0a2f0e-4d0c-5f0b-9a53-2b1c1ad7c0de")
"""Namespace of our event ids (RFC 9562, version 5): the same event has the same id each time."""

# UCUM unit → (GS1 Web Vocabulary measurement type, UN/ECE Recommendation 20 code)
UNITS: dict[str, tuple[str, str]] = {
    "m": ("Length", "MTR"),
    "cm": ("Length", "CMT"),
    "mm": ("Length", "MMT"),
    "um": ("Length", "4H"),
    "mm2": ("Area", "MMK"),
    "cm2": ("Area", "CMK"),
    "m2": ("Area", "MTK"),
    "mL": ("Volume", "MLT"),
    "L": ("Volume", "LTR"),
    "deg": ("Angle", "DD"),
    "rad": ("Angle", "C81"),
    "g": ("Mass", "GRM"),
    "kg": ("Mass", "KGM"),
    "Cel": ("Temperature", "CEL"),
    "s": ("Time", "SEC"),
    "ms": ("Time", "C26"),
    "d": ("Time", "DAY"),
    "%": ("Dimensionless", "P1"),
    "1": ("Dimensionless", "C62"),
    "lx": ("Illuminance", "LUX"),
}


def write_epcis(path: Path, line: sqlite3.Connection, where: BatchRange, packed: Packed) -> int:
    """Writes the EPCIS document of a batch; gives the number of parts in it."""
    change = _batch_of(line, where.batch)
    gtin = gtin_of(change.product if change else "")
    newest = ""
    count = 0
    known: set[str] = set()
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write('{"@context": ' + json.dumps(CONTEXT))
        file.write(', "type": "EPCISDocument", "schemaVersion": "2.0", "epcisBody": ')
        file.write('{"eventList": [\n')
        for part in parts_of(line, where):
            mode = part.verdict.mode
            if mode not in (Mode.AUTO, Mode.BYPASS, Mode.REINSPECT):
                continue  # set-up and challenge parts are no goods
            # Fed a second time, it is inspected again and commissioned once.
            again = mode is Mode.REINSPECT or epc_of(part.verdict, gtin) in known
            known.add(epc_of(part.verdict, gtin))
            packed.take(part.verdict.stream, part.verdict.sequence, epc_of(part.verdict, gtin))
            for event in events_of(part, gtin):
                if again and event["action"] == "ADD":
                    continue
                file.write(",\n" if newest else "")
                file.write(json.dumps(event, ensure_ascii=False))
                newest = event["eventTime"]
            count += 1
        for event in packed.events():
            file.write(",\n" if newest else "")
            file.write(json.dumps(event, ensure_ascii=False))
            newest = max(newest, event["eventTime"])
        created = newest or iso_utc(0)
        file.write("\n]}, " + f'"creationDate": {json.dumps(created)}' + "}\n")
    return count


def events_of(part: PartOf, gtin: str | None) -> Iterator[dict[str, Any]]:
    """The events of one part."""
    verdict = part.verdict
    times = verdict.times
    taken_ns = max(times.verdict_ns - times.trigger_ns, 0) if times.trigger_ns else 0
    epc = epc_of(verdict, gtin)
    where = {"id": f"urn:x-inspector:station:{quote(verdict.station, safe='')}"}
    ilmd = {"ilmd": {"cbvmda:lotNumber": verdict.batch}} if verdict.batch else {}
    yield {
        "type": "ObjectEvent",
        "eventID": _id(verdict, "commissioning"),
        "eventTime": iso_utc(times.utc_ns - taken_ns),
        "eventTimeZoneOffset": "+00:00",
        "epcList": [epc],
        "action": "ADD",
        "bizStep": "commissioning",
        "disposition": "active",
        "readPoint": where,
        **ilmd,
    }
    disposition = DISPOSITIONS.get(verdict.outcome)
    if disposition is None:
        return
    event = {
        "type": "ObjectEvent",
        "eventID": _id(verdict, "inspecting"),
        "eventTime": iso_utc(times.utc_ns),
        "eventTimeZoneOffset": "+00:00",
        "epcList": [epc],
        "action": "OBSERVE",
        "bizStep": "inspecting",
        "disposition": disposition,
        "readPoint": where,
        "inspector:part": str(verdict.part_id),
        "inspector:position": part.position,
        "inspector:recipe": verdict.recipe,
        "inspector:recipeDigest": verdict.recipe_digest,
    }
    if verdict.reasons:
        event["inspector:reasons"] = list(verdict.reasons)
    reports = [report for finding in verdict.findings if (report := _report(finding))]
    if reports:
        device = f"{where['id']}:{quote(verdict.stream, safe='')}"
        metadata = {"time": iso_utc(times.utc_ns), "deviceID": device}
        event["sensorElementList"] = [{"sensorMetadata": metadata, "sensorReport": reports}]
    yield event


def epc_of(verdict: Verdict, gtin: str | None) -> str:
    """The URI that names a part."""
    if gtin and verdict.serial:
        return f"https://id.gs1.org/01/{gtin}/21/{quote(verdict.serial, safe='')}"
    return f"urn:uuid:{verdict.part_id}"


def gtin_of(product: str) -> str | None:
    """The 14 digits of a product that is a GTIN (GS1 General Specifications, 7.9.1); else None."""
    if not (product.isascii() and product.isdigit() and len(product) in (8, 12, 13, 14)):
        return None
    return product.zfill(14) if check_digit_holds(product) else None


def check_digit_holds(number: str) -> bool:
    """Whether the last digit of a GTIN or SSCC, all digits, is its check digit (7.9.1)."""
    weighed = (int(d) * (3 if at % 2 else 1) for at, d in enumerate(reversed(number)))
    return sum(weighed) % 10 == 0


def _report(finding: Finding) -> dict[str, Any] | None:
    if finding.value is None or not math.isfinite(finding.value):
        return None
    tool = quote(f"{finding.tool}.{finding.label}" if finding.label else finding.tool, safe="")
    known = UNITS.get(finding.unit or "1")
    report: dict[str, Any] = {"dataProcessingMethod": f"urn:x-inspector:tool:{tool}"}
    if known is None:  # a unit of our own, such as pixels
        unit = quote(finding.unit or "", safe="")
        return {"type": f"urn:x-inspector:measure:{unit}", "value": finding.value, **report}
    kind, code = known
    return {"type": kind, "value": finding.value, "uom": code, **report}


def _id(verdict: Verdict, step: str) -> str:
    return f"urn:uuid:{uuid5(_EVENTS, f'{verdict.part_id}/{step}')}"


def _batch_of(line: sqlite3.Connection, batch: str) -> BatchChange | None:
    lookup = lookup_in(lambda at: body_at(line, at))
    for (position,) in line.execute(
        "SELECT position FROM batch WHERE id = ? ORDER BY position", (batch,)
    ).fetchall():
        record = layout.decode_record(body_at(line, position), lookup)
        if isinstance(record, BatchChange) and record.product:
            return record
    return None
