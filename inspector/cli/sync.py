"""Commands of sync: enrol with a centre, see how far it is, send what is owed now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from inspector.cli.words import Json, StationFile, console, say, show

app = typer.Typer()
sync = typer.Typer(no_args_is_help=True, help="What the station owes its centre.")
app.add_typer(sync, name="sync")

Ca = Annotated[
    Path | None, typer.Option(help="PEM file that vouches for the centre; else `sync.ca`.")
]


@app.command()
def enrol(
    station: StationFile,
    token: Annotated[str, typer.Option(help="From `training hub token`; it works once.")],
    hub: Annotated[str, typer.Option(help="The centre's address; else `sync.hub`.")] = "",
    ca: Ca = None,
) -> None:
    """Make this station one of a centre's: it learns the centre's key, the centre learns its.

    Example: inspector enrol station.yaml --hub https://centre.example:8443 --token T
    """
    from pydantic import ValidationError

    from inspector.config import Sync, load_station
    from inspector.sync.enrol import SyncError, shown_by
    from inspector.sync.enrol import enrol as ask

    loaded = load_station(station)
    plan = loaded.sync
    address = hub.rstrip("/") or (plan.hub if plan else "")
    if not address:
        raise SyncError("give --hub, or `sync: {hub: https://…}` in the station file")
    try:
        address = Sync(hub=address).hub  # the token that it is sent is a secret
    except ValidationError as error:
        what = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise SyncError(f"{address}: {what}") from None
    shown = shown_by(plan) if plan else None
    centre = ask(loaded, address, token, ca or (plan.ca if plan else None), shown)
    say(f"{loaded.station} has enrolled with {centre.hub}")
    if plan is None:
        say(f"add to {station}:  sync: {{hub: {centre.hub}}}")


@sync.command()
def status(station: StationFile, as_json: Json = False) -> None:
    """How far the centre is, what waits, what is wrong. Asks nobody: the sync process wrote it.

    Example: inspector sync status station.yaml --json
    """
    from inspector.config import load_station
    from inspector.sync.status import status_of

    found = status_of(load_station(station))
    show("Sync", found, as_json)
    raise typer.Exit(0 if found["ok"] else 1)


@sync.command()
def now(station: StationFile, as_json: Json = False) -> None:
    """Send all that is owed, without waiting for the sync process (which must not run).

    Example: inspector sync now station.yaml
    """
    from inspector.bus import run_dir
    from inspector.config import load_station
    from inspector.sync.enrol import SyncError
    from inspector.sync.pace import Pace
    from inspector.sync.process import open_rounds, sole

    loaded = load_station(station)
    if loaded.sync is None:
        raise SyncError(f"{station}: no centre is named; add  sync: {{hub: https://…}}")
    with sole(run_dir(loaded.data)):
        rounds, link = open_rounds(loaded, loaded.sync, Pace(), lambda detail: None)
        total: dict[str, Any] = {"line": 0, "desk": 0, "pictures": 0}
        try:
            with console.status("sending what is owed"):
                while True:
                    done = rounds.round()
                    for name in ("line", "desk"):
                        total[name] += done.sent[name]
                    total["pictures"] += done.pictures
                    if done.troubles or not done.owes:
                        break
        finally:
            rounds.close()
            link.close()
    total |= {"ok": not done.troubles, "troubles": done.troubles}
    show("Sent", total, as_json)
    raise typer.Exit(0 if total["ok"] else 1)
