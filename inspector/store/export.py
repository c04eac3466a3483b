"""A batch's parts as a table: CSV, XLSX, Parquet.

Enters: ``<data>`` and a batch. Leaves: one row per part, in the order of the ledger, whatever its
size; measured values are columns of their own, with their unit. EPCIS events are `epcis`. The
command line, the plant and the web may import this.

XLSX and Parquet need the extra ``reports``; CSV does not.
"""

from __future__ import annotations

import csv
import json
import math
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector.part import GateDecision, Verdict
from inspector.store import layout, schema
from inspector.store.errors import StoreError
from inspector.store.files import fresh_file
from inspector.store.readable import iso_utc, readable
from inspector.store.records import Lookup
from inspector.store.related import (
    BatchRange,
    batch_range,
    batch_verdicts,
    body_at,
    lookup_in,
    reading,
)

COLUMNS: dict[str, str] = {
    "utc": "text",
    "station": "text",
    "stream": "text",
    "sequence": "integer",
    "part_id": "text",
    "serial": "text",
    "batch": "text",
    "mode": "text",
    "outcome": "text",
    "reasons": "text",
    "defects": "text",
    "gate": "text",
    "gate_acknowledged": "boolean",
    "trigger_to_verdict_ms": "number",
    "recipe": "text",
    "recipe_digest": "text",
    "software": "text",
    "clock_synced": "boolean",
    "position": "integer",
}
"""Every export's first columns. After them comes one number per measure, named
``<tool>.<label> [<UCUM unit>]``."""
XLSX_ROWS = 1_048_575
"""Of a sheet, less its header: what Excel can open."""
_PORTION = 5000

Row = list[Any]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    batch: str
    parts: int
    format: str
    file: str


@dataclass(frozen=True, slots=True)
class PartOf:
    """One part as an export sees it."""

    position: int
    verdict: Verdict
    gate: GateDecision | None
    """The last thing the gate was told."""


def export_batch(data_dir: Path | str, batch: str, how: str, out: Path) -> Exported:
    """Writes a batch's parts as ``csv``, ``xlsx``, ``parquet`` or ``epcis``.

    Raises:
        StoreError: no such batch, no such format, a library that is not installed, more rows than
            the format holds, or the disk refuses. What was at ``out`` before is then untouched.
        StoreDamaged: a record cannot be read.
    """
    from inspector.store.epcis import write_epcis
    from inspector.store.epcis_units import Packed

    writers: dict[str, Callable[[Path, sqlite3.Connection, BatchRange], int]] = {
        "csv": _write_csv,
        "xlsx": _write_xlsx,
        "parquet": _write_parquet,
        "epcis": lambda file, line, where: write_epcis(
            file, line, where, Packed(Path(data_dir), batch)
        ),
    }
    if how not in writers:
        raise StoreError(f"no format {how!r}; there are {', '.join(writers)}")
    with reading(Path(data_dir) / schema.LINE_FILE) as line:
        where = batch_range(line, batch)
        if where is None:
            raise StoreError(f"{data_dir}: no part of a batch {batch!r}")
        try:
            with fresh_file(out) as fresh:
                parts = writers[how](fresh, line, where)
        except ModuleNotFoundError as error:
            raise StoreError(
                f"{how} needs {error.name}; run: pip install 'inspector[reports]'"
            ) from error
    return Exported(batch, parts, how, str(out))


def parts_of(line: sqlite3.Connection, where: BatchRange) -> Iterator[PartOf]:
    """The parts of a batch, in the order of the ledger."""
    lookup = _lookup(line)
    for position, fields, body in batch_verdicts(line, where):
        verdict = layout.decode_record(body, lookup)
        assert isinstance(verdict, Verdict)
        stream = lookup(fields[2]).value[0]
        row = line.execute(_LAST_GATE, (stream, verdict.sequence)).fetchone()
        gate = None if row is None else layout.decode_record(row[0], lookup)
        yield PartOf(position, verdict, gate if isinstance(gate, GateDecision) else None)


_LAST_GATE = (
    "SELECT body FROM record WHERE position ="
    " (SELECT max(position) FROM gate WHERE stream = ? AND sequence = ?)"
)


def measures_of(line: sqlite3.Connection, where: BatchRange) -> list[str]:
    """The columns of what was measured in this batch, by name."""
    lookup = _lookup(line)
    shapes = {
        finding[0]
        for _, fields, _ in batch_verdicts(line, where)
        for finding in fields[10]
        if len(finding) >= 5 and finding[4] is not None
    }
    return sorted({_measure(*lookup(shape).value) for shape in shapes})


def row_of(part: PartOf, measures: list[str]) -> Row:
    """The values of `COLUMNS` and of the measures."""
    verdict, times, gate = part.verdict, part.verdict.times, part.gate
    wrong = {f.label: None for f in verdict.findings if not f.ok}
    seen = times.verdict_ns and times.trigger_ns  # a part may have gone by unseen
    taken = (times.verdict_ns - times.trigger_ns) / 1e6 if seen else None
    measured = [f for f in verdict.findings if f.value is not None and math.isfinite(f.value)]
    values = {  # of several scratches the largest that is wrong, else the largest
        _measure(f.tool, f.kind, f.label, f.ok, f.view, f.severity, f.unit): f.value
        for f in sorted(measured, key=lambda f: (not f.ok, f.value))
    }
    return [
        iso_utc(times.utc_ns),
        verdict.station,
        verdict.stream,
        verdict.sequence,
        str(verdict.part_id),
        verdict.serial,
        verdict.batch,
        verdict.mode.value,
        verdict.outcome.value,
        "; ".join(verdict.reasons),
        ", ".join(wrong),
        None if gate is None else gate.action.value,
        None if gate is None else gate.acknowledged_ns != 0,
        taken,
        verdict.recipe,
        verdict.recipe_digest,
        verdict.software,
        times.clock_synced,
        part.position,
        *[values.get(name) for name in measures],
    ]


def _lookup(line: sqlite3.Connection) -> Lookup:
    return lookup_in(lambda at: body_at(line, at))


def _measure(
    tool: str, kind: str, label: str, ok: bool, view: str, severity: str, unit: Any
) -> str:
    name = tool if label in {"", tool} else f"{tool}.{label}"
    return f"{name} [{unit}]" if unit else name


def _write_csv(path: Path, line: sqlite3.Connection, where: BatchRange) -> int:
    # RFC 4180, UTF-8 without a mark: what machines read. For Excel there is XLSX.
    measures = measures_of(line, where)
    count = 0
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *map(harmless, measures)])
        for part in parts_of(line, where):
            writer.writerow([_cell(value) for value in row_of(part, measures)])
            count += 1
    return count


def harmless(text: str) -> str:
    """What a spreadsheet does not run as a formula: a serial is whatever somebody printed."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return harmless(value) if isinstance(value, str) else value


def _write_xlsx(path: Path, line: sqlite3.Connection, where: BatchRange) -> int:
    import xlsxwriter
    from xlsxwriter.exceptions import FileCreateError

    with tempfile.TemporaryDirectory(prefix="inspector-") as rows:
        try:
            # constant_memory: a row is on the disk before the next one begins
            book = xlsxwriter.Workbook(path, {"constant_memory": True, "tmpdir": rows})
            return _fill_workbook(book, line, where)
        except FileCreateError as error:  # what the disk refuses, in its own wrapping
            raise error.args[0] from None


def _fill_workbook(book: Any, line: sqlite3.Connection, where: BatchRange) -> int:
    measures = measures_of(line, where)
    count = 0
    with book:
        sheet = book.add_worksheet("parts")
        bold = book.add_format({"bold": True})
        for column, name in enumerate([*COLUMNS, *measures]):
            sheet.write_string(0, column, name, bold)
        sheet.freeze_panes(1, 0)
        for count, part in enumerate(parts_of(line, where), 1):
            if count > XLSX_ROWS:
                raise StoreError(
                    f"batch {where.batch!r} has more than {XLSX_ROWS} parts, which is all that a"
                    " sheet holds; export it as parquet or csv"
                )
            for column, value in enumerate(row_of(part, measures)):
                if isinstance(value, bool):
                    sheet.write_boolean(count, column, value)
                elif isinstance(value, str):
                    sheet.write_string(count, column, value[:32_767])  # a cell's limit
                elif value is not None:
                    sheet.write_number(count, column, value)
        sheet.autofilter(0, 0, max(count, 1), len(COLUMNS) + len(measures) - 1)
    return count


def _write_parquet(path: Path, line: sqlite3.Connection, where: BatchRange) -> int:
    import pyarrow as arrow
    from pyarrow import parquet

    measures = measures_of(line, where)
    kinds = {
        "text": arrow.string(),
        "integer": arrow.int64(),
        "number": arrow.float64(),
        "boolean": arrow.bool_(),
    }
    fields = [(name, kinds[kind]) for name, kind in COLUMNS.items()]
    fields[0] = ("utc", arrow.timestamp("ns", tz="UTC"))
    fields += [(name, arrow.float64()) for name in measures]
    table = arrow.schema([*fields, ("findings", arrow.string())])
    count = 0
    with parquet.ParquetWriter(path, table, compression="zstd") as writer:
        rows: list[Row] = []

        def flush() -> None:
            columns = zip(*rows, strict=True)
            arrays = [
                arrow.array(list(values), field.type)
                for values, field in zip(columns, table, strict=True)
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=table))
            rows.clear()

        for part in parts_of(line, where):
            row = row_of(part, measures)
            count += 1
            row[0] = part.verdict.times.utc_ns
            found = readable(part.verdict)["findings"]
            rows.append([*row, json.dumps(found, ensure_ascii=False)])
            if len(rows) == _PORTION:
                flush()
        if rows:
            flush()
    return count
