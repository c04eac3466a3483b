"""Commands that find what hangs together: a trace either way, a recall."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from inspector.cli.words import Data, Json, Who, os_user, print_pairs, print_rows, say, show

app = typer.Typer()

Lot = Annotated[str, typer.Option(help="A material lot …")]
Material = Annotated[str, typer.Option(help="… of this material alone.")]
Batch = Annotated[str, typer.Option(help="A batch.")]
Unit = Annotated[str, typer.Option(help="A case or pallet (SSCC).")]
Serial = Annotated[str, typer.Option(help="A part's serial.")]


@app.command()
def trace(
    data: Data,
    lot: Lot = "",
    material: Material = "",
    batch: Batch = "",
    unit: Unit = "",
    serial: Serial = "",
    as_json: Json = False,
) -> None:
    """From a material lot, batch or case to the parts and where they went; from a serial back to
    its batch and the material lots in it.

    Example: inspector trace data --serial SN0042 --json
    """
    from inspector.store import History
    from inspector.store.genealogy import Genealogy
    from inspector.store.recalls import affected, units_affected

    if sum(map(bool, (lot, batch, unit, serial))) != 1:
        raise typer.BadParameter("give one of --lot, --batch, --unit or --serial")
    _material_has(lot, material)
    with History(data, bound_s=60) as history, Genealogy(data) as genealogy:
        found: dict[str, Any] = {}
        if serial:
            parts = history.by_serial(serial)
            if not parts:
                raise typer.BadParameter(f"no part carried the serial {serial!r}")
            verdict = parts[0].verdict
            units = genealogy.holder(verdict.stream, verdict.sequence)
            materials = genealogy.materials_of(verdict.batch)
            found |= {
                "part": str(verdict.part_id),
                "outcome": str(verdict.outcome),
                "reasons": list(verdict.reasons),
                "batch": verdict.batch,
                "recipe": verdict.recipe,
                "inspections": len(parts),
                "images": [image.path for image in parts[0].images],
            }
        else:
            meant = affected(history, genealogy, _criteria(lot, material, batch, unit))
            units = units_affected(genealogy, meant)
            materials = meant.materials
            if batch:
                materials = genealogy.materials_of(batch)
            found |= {
                "batches": list(meant.batches),
                "runs": [[run.stream, run.first, run.last] for run in meant.runs],
                "parts": meant.parts,
            }
    found["materials"] = [asdict(use) for use in materials]
    found["units"] = [asdict(one) for one in units]
    if as_json:
        print(json.dumps(found))
        return
    print_pairs("Trace", {name: value for name, value in found.items() if name not in LISTS})
    print_rows("Material lots", found["materials"])
    print_rows("Units", found["units"])


LISTS = ("materials", "units")


@app.command()
def recall(
    data: Data,
    lot: Annotated[list[str] | None, typer.Option(help="A material lot; may be repeated.")] = None,
    material: Material = "",
    batch: Annotated[list[str] | None, typer.Option(help="A batch; may be repeated.")] = None,
    unit: Annotated[list[str] | None, typer.Option(help="A case or pallet; repeatable.")] = None,
    serial: Annotated[list[str] | None, typer.Option(help="A serial; may be repeated.")] = None,
    begin: Annotated[str, typer.Option("--from", help="Parts from this moment (ISO 8601) …")] = "",
    end: Annotated[str, typer.Option("--to", help="… to this one.")] = "",
    defect: Annotated[str, typer.Option(help="Parts on which this was found.")] = "",
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    drill: Annotated[bool, typer.Option("--drill", help="Find everything, hold nothing.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write what is affected as CSV.")] = None,
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Hold everything that is affected in one step, and say where it went. A line that runs is
    stopped by the MES interface or at its screen, not by this command.

    Example: inspector recall data --lot CL-77 --reason "caps leak" --out affected.csv
    """
    from inspector.quality.recalling import recall as made_of
    from inspector.store import DeskLedger, History
    from inspector.store.files import write_whole
    from inspector.store.genealogy import Genealogy
    from inspector.store.recalls import Criteria, MaterialLot, affected, as_csv, units_affected

    _material_has(lot, material)
    if bool(begin) != bool(end):
        raise typer.BadParameter("give both --from and --to")
    criteria = Criteria(
        lots=tuple([MaterialLot(name, material) for name in lot or ()]),
        batches=tuple(batch or ()),
        span=(_ns(begin), _ns(end)) if begin else None,
        serials=tuple(serial or ()),
        units=tuple(unit or ()),
        defect=defect,
    )
    if criteria == Criteria():
        raise typer.BadParameter("name what is recalled: --lot, --batch, --serial, --from/--to …")
    if not reason.strip():
        raise typer.BadParameter("a recall needs a --reason, for the record")
    with History(data, bound_s=60) as history, Genealogy(data) as genealogy:
        meant = affected(history, genealogy, criteria)
        units = units_affected(genealogy, meant)
        if not meant.batches and not meant.runs:
            raise typer.BadParameter("no part answers to these criteria")
        asked = {
            "lots": lot, "material": material, "batches": batch, "units": unit, "serials": serial,
            "from": begin, "to": end, "defect": defect,
        }  # fmt: skip
        given = {name: value for name, value in asked.items() if value}
        who = who or os_user()
        made = made_of(meant, units, given, reason, who, drill=drill)
        with DeskLedger.open(data) as desk:
            position = desk.add(made.kind, made.body, who)
        table = "" if out is None else "".join(as_csv(meant, units, history))
    said = {
        "id": made.answer["id"],
        "position": position,
        "held": not drill,
        "batches": made.record["batches"],
        "runs": made.record["runs"],
        "parts": made.record["parts"],
        "units": made.answer["units_total"],
        "destinations": made.answer["destinations"],
    }
    show("Drill" if drill else "Recalled", said, as_json)
    if out is not None:  # the recall stands and has been told, whatever this disk says
        write_whole(out, table.encode())
        say(f"{out}: batches, runs and units")


def _material_has(lot: object, material: str) -> None:
    if material and not lot:
        raise typer.BadParameter("--material says of what a --lot is: give the lot too")


def _criteria(lot: str, material: str, batch: str, unit: str) -> Any:
    from inspector.store.recalls import Criteria, MaterialLot

    return Criteria(
        lots=(MaterialLot(lot, material),) if lot else (),
        batches=(batch,) if batch else (),
        units=(unit,) if unit else (),
    )


def _ns(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no moment such as 2026-11-16T06:00:00Z") from None
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no time zone: add Z or +01:00")
    return int(moment.timestamp() * 1e6) * 1000
