"""Commands about the ledger: check it, prove from it, hand it on, keep it small, keep it safe."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from inspector.cli.words import Data, Json, Who, bars, console, os_user, say, show

if TYPE_CHECKING:
    from inspector.part import PartId

app = typer.Typer()

Out = Annotated[Path, typer.Option(help="The file to write.")]


@app.command("rebuild-index")
def rebuild_index(
    data: Annotated[Path, typer.Argument(help="The data folder of a stopped station.")],
    as_json: Json = False,
) -> None:
    """Make every index and count of the ledger again from its records; none of these is touched.

    Example: inspector rebuild-index data
    """
    from inspector import store
    from inspector.plant.requests import PROJECTION
    from inspector.processes import sole

    needs_ledger(data)
    alone = sole(data)  # a page or an interface that has an index open would go on with the old one
    try:
        with bars(as_json) as told:
            count = store.rebuild_index(data, [PROJECTION], told)
    finally:
        os.close(alone)
    print(json.dumps({"records": count}) if as_json else f"{count} records indexed")


@app.command()
def verify(
    data: Annotated[Path | None, typer.Argument(help="The station's data folder.")] = None,
    proof: Annotated[Path | None, typer.Option(help="Check this proof of one part.")] = None,
    package: Annotated[Path | None, typer.Option(help="Check this package of a batch.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="The station's public key, kept elsewhere (PEM).")
    ] = None,
    held: Annotated[
        Path | None,
        typer.Option(help="A proof or checkpoint.json kept elsewhere: nothing before it was cut."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Walk the ledger, its checkpoints, indexes and images; name the first that is bad.

    With --proof or --package no ledger is needed, only the station's public key.

    Example: inspector verify data
    """
    from inspector import store

    if sum(what is not None for what in (data, proof, package)) != 1:
        raise typer.BadParameter("give a data folder, or --proof FILE, or --package FILE")
    if proof is not None and key is None:
        raise typer.BadParameter("--proof needs --key, the station's public key as you know it")
    if held is not None and data is None:
        raise typer.BadParameter(
            "--held is compared with a data folder; name it, and no other file"
        )
    public = None if key is None else store.public_key(key)
    found: Any
    try:
        if proof is not None:
            assert public is not None
            found = store.check_proof(proof, public)
        elif package is not None:
            found = store.check_package(package, public)
        else:
            from inspector.plant.requests import PROJECTION

            assert data is not None
            _may_read(data)
            kept = None if held is None else store.held_checkpoint(held)
            with bars(as_json) as told:
                found = store.verify(
                    data, key=public, held=kept, projections=[PROJECTION], told=told
                )
    except store.ProofRefused as error:
        refused = {"ok": False, "first_bad": str(error)}
        print(json.dumps(refused) if as_json else f"REFUSED {error}")
        raise typer.Exit(1) from None
    print(json.dumps(found.as_dict()) if as_json else found)
    raise typer.Exit(0 if found.as_dict()["ok"] else 1)


@app.command()
def proof(
    data: Data,
    out: Out,
    part: Annotated[str, typer.Option(help="The part's id.")] = "",
    serial: Annotated[str, typer.Option(help="Or the serial that it carried.")] = "",
) -> None:
    """Write a proof of one part's record, for whoever has the station's public key alone.

    Example: inspector proof data --serial SN0042 --out part.proof.json
    """
    from inspector.store import prove_part
    from inspector.store.files import write_whole

    if bool(part) == bool(serial):
        raise typer.BadParameter("give either --part ID or --serial S")
    part_id = _part_id(part) if part else None
    with console.status("reading records"):  # the first time all of them
        document = prove_part(data, part=part_id, serial=serial or None)
    write_whole(out, json.dumps(document, ensure_ascii=False, indent=1).encode())
    say(f"{out}: {len(document['records'])} records of part {document['part']}")
    say("check it with: inspector verify --proof FILE --key station.pub")


@app.command()
def package(
    data: Data,
    batch: Annotated[str, typer.Option(help="The batch's id.")],
    out: Out,
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Write all that the ledger holds of a batch as one signed file that proves itself.

    Example: inspector package data --batch L2417A --out L2417A.zip
    """
    from inspector.store import pack_batch

    with console.status("packing and proving records"):
        packed = pack_batch(data, batch, out, who or os_user())
    show(str(out), asdict(packed), as_json)


@app.command()
def export(
    data: Data,
    batch: Annotated[str, typer.Option(help="The batch's id.")],
    out: Out,
    how: Annotated[str, typer.Option("--format", help="csv, xlsx, parquet or epcis.")] = "csv",
    as_json: Json = False,
) -> None:
    """Write a batch's parts as a table, or as EPCIS 2.0 events.

    Example: inspector export data --batch L2417A --format epcis --out L2417A.json
    """
    from inspector.store import export_batch

    with console.status("writing parts"):
        done = export_batch(data, batch, how, out)
    if as_json:
        print(json.dumps(asdict(done)))
    else:
        say(f"{done.file}: {done.parts} parts of batch {done.batch}")


@app.command()
def retain(
    data: Data,
    station: Annotated[
        Path | None, typer.Option(help="The station file whose store.retention are the rules.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Delete the images that the rules let go, signed tombstone first; never a record.

    Example: inspector retain data --station station.yaml --dry-run
    """
    from inspector.config import Retention, load_station
    from inspector.store import retain as let_go

    if station is None and not dry_run:
        raise typer.BadParameter("--station FILE states the rules; without it nothing is deleted")
    rules = Retention() if station is None else load_station(station).store.retention
    with console.status("looking through pictures"):
        done = let_go(data, rules, who or os_user(), dry_run=dry_run).as_dict()
    title = "Would delete" if dry_run else "Deleted"
    show(title, done, as_json)


@app.command()
def archive(
    data: Data,
    keep: Annotated[int, typer.Option(min=1000, help="Records that stay in line.db.")] = 1_000_000,
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Move old records of a stopped station into a file of their own, where they go on answering.

    Nothing is deleted. The file never changes again; commands and pages find what is in it.

    Example: inspector archive data --keep 1000000
    """
    from inspector.processes import sole
    from inspector.store.segments import archive as put_away

    needs_ledger(data)
    alone = sole(data)  # a page or an interface that has the ledger open would miss what is moved
    try:
        with console.status("copying and checking records"):
            done = put_away(data, who or os_user(), keep).as_dict()
    finally:
        os.close(alone)
    show("Archived", done, as_json)


@app.command("legal-hold")
def legal_hold(
    data: Data,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    batch: Annotated[str, typer.Option(help="Hold this batch's images …")] = "",
    part: Annotated[str, typer.Option(help="… or this part's …")] = "",
    serial: Annotated[str, typer.Option(help="… or this serial's …")] = "",
    everything: Annotated[bool, typer.Option("--everything", help="… or all of them.")] = False,
    lift: Annotated[bool, typer.Option("--lift", help="Lift the hold instead.")] = False,
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Keep evidence whatever the rules say, until it is lifted; with no option, list what is held.

    Example: inspector legal-hold data --batch L2417A --reason "complaint 4711"
    """
    from inspector.store import hold_evidence, legal_holds

    needs_ledger(data)
    named = {"batch": batch, "part": part, "serial": serial, "everything": everything}
    chosen = [scope for scope, name in named.items() if name]
    if len(chosen) > 1:
        raise typer.BadParameter("one hold at a time: a batch, a part, a serial or --everything")
    if not chosen and (lift or reason):
        raise typer.BadParameter("name what: --batch, --part, --serial or --everything")
    if chosen:
        scope = chosen[0]
        name = str(named[scope]) if scope != "everything" else ""
        hold_evidence(data, scope, name, reason, who or os_user(), lift=lift)
        if not lift and not _has_parts(data, scope, name):
            told = f"no part of {scope} {name!r} is in this ledger: the hold stands for what comes"
            say(f"{told}; look whether the name is right", style="yellow")
    rows = [asdict(hold) for hold in legal_holds(data).standing]
    if not as_json:
        for row in rows:
            row["since"] = f"{datetime.fromtimestamp(row.pop('utc_ns') // 10**9, UTC):%F %T} UTC"
    show("Legal holds", rows, as_json)


EvenDamaged = Annotated[
    bool, typer.Option("--even-damaged", help="Go on though the ledger does not verify.")
]


@app.command()
def backup(
    data: Data,
    directory: Annotated[Path, typer.Argument(help="A folder on another disk.", metavar="DIR")],
    even_damaged: EvenDamaged = False,
    as_json: Json = False,
) -> None:
    """Copy a station's data while it runs, and verify the copy; DIR then holds its private key.

    Example: inspector backup data /mnt/backup/station-1
    """
    from inspector.store import back_up

    with bars(as_json) as told:
        done = back_up(data, directory, even_damaged=even_damaged, told=told).as_dict()
    show("Backed up", done, as_json)


@app.command()
def restore(
    directory: Annotated[Path, typer.Argument(help="The back-up's folder.", metavar="DIR")],
    data: Annotated[Path, typer.Argument(help="The data folder to make.", metavar="DATA")],
    station: Annotated[
        Path | None,
        typer.Option(help="The station's file: take back from its centre what came later."),
    ] = None,
    even_damaged: EvenDamaged = False,
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Make a station's data folder from its back-up, verify it, and record that it was restored.

    A station that has a centre is restored with its file, before it runs again: the records since
    the back-up come from there. Without them the centre takes no more of it.

    Example: inspector restore /mnt/backup/station-1 data --station station.yaml
    """
    from inspector.store import restore as bring_back

    who = who or os_user()
    with bars(as_json) as told:
        regained = None
        if station is not None:
            from inspector.config import load_station
            from inspector.sync.regain import take_back

            loaded = load_station(station)
            regained = partial(take_back, data, loaded.station, loaded.sync, who, told=told)
        done = bring_back(
            directory, data, who, even_damaged=even_damaged, regained=regained, told=told
        ).as_dict()
    if station is None and (data / "keys" / "centre.json").is_file():
        done["notes"].append(
            "the station has a centre, which may have later records: if so, restore once more with"
            " --station, before the station runs"
        )
    show("Restored", done, as_json)


def needs_ledger(data: Path) -> None:
    """Raises ``StoreError`` where no station has kept its data: a mistyped folder must neither be
    made nor be told that it holds evidence."""
    from inspector.store import StoreError

    if not (data / "line.db").is_file():
        raise StoreError(f"{data / 'line.db'}: there is no ledger here")


def _may_read(data: Path) -> None:
    """Raises ``StoreError`` where there is nothing to verify, or this account may not read it: that
    is no sign of a cut tail."""
    from inspector.store import StoreError

    if not data.is_dir():
        raise StoreError(f"{data}: no such folder; nothing was verified")
    for file in (data / "line.db", data / "desk.db"):
        if file.is_file() and not os.access(file, os.R_OK):
            raise StoreError(f"{file}: this account may not read it; nothing was verified")


def _part_id(text: str) -> PartId:
    from inspector.part import PartId

    try:
        return PartId(UUID(text))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no part id (a UUID)") from None


def _has_parts(data: Path, scope: str, name: str) -> bool:
    """Whether the ledger has a part that is meant; yes too where it cannot be asked."""
    from inspector.store import History, StoreError

    try:
        with History(data, bound_s=60) as history:
            if scope == "part":
                return history.part(_part_id(name)) is not None
            if scope == "serial":
                return bool(history.by_serial(name, 1))
            batch = history.batch(name)
            return scope != "batch" or bool(sum(batch.counts.values()) + batch.others)
    except StoreError:
        return True
