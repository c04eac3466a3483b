"""Commands about releases: what the centre signed, put into service here and taken back."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from inspector.cli.people import As, signed_in
from inspector.cli.people import order as line_order
from inspector.cli.words import Json, StationFile, console, print_rows, say, show

app = typer.Typer(no_args_is_help=True, help="Releases: signed models and recipes.")
Why = Annotated[str, typer.Option(help="Why, for the record.")]
Which = Annotated[str, typer.Argument(help="An installed release: name/version or digest.")]


@app.command("list")
def list_(station: StationFile, as_json: Json = False) -> None:
    """List the releases on this machine, the stage of each, and what it did in shadow.

    Example: inspector release list station_configs/bottle-line.yaml --json
    """
    from inspector.config import load_station
    from inspector.release.stage import standings

    rows = []
    for one in standings(load_station(station).data):
        tally = one.tally
        rows.append(
            {
                "release": one.release.title,
                "number": one.release.release.manifest.number,
                "stage": str(one.stage),
                "digest": one.release.digest if as_json else one.release.digest[:16],
                "shadow": f"{tally['disagreed']} of {tally['judged']} otherwise" if tally else "",
                **({"tally": dict(tally)} if as_json else {}),
            }
        )
    show("Releases", rows, as_json)


@app.command()
def offered(station: StationFile, as_json: Json = False) -> None:
    """Show what the station's channel had when it was last asked, and what became of it here.

    Example: inspector release offered station_configs/bottle-line.yaml --json
    """
    from inspector.config import load_station
    from inspector.release.offered import told

    found = told(load_station(station).data)
    if as_json:
        print(json.dumps(asdict(found) if found else None))
    elif found is None:
        say("no channel has been asked yet: name one under `releases`, and run")
    else:
        rows = [
            {"release": o.release, "number": o.number, "state": str(o.state), "why": o.why}
            for o in found.offers
        ]
        when = datetime.fromtimestamp(found.utc_ns / 1e9).astimezone()
        print_rows(f"{found.channel} at {found.source}, {when:%Y-%m-%d %H:%M:%S}", rows)
        if found.why:
            say(found.why, style="red")


@app.command()
def trust(
    station: StationFile,
    key: Annotated[Path, typer.Argument(help="A public key (PEM), from `training release key`.")],
    role: Annotated[str, typer.Option(help="builder or approver.")],
    name: Annotated[str, typer.Option(help="Whose key it is, as the signatures name them.")],
    who: As,
) -> None:
    """Let a builder's or an approver's key in: releases that both have signed may run here.

    Example: inspector release trust station.yaml anna.pub --role approver --name anna --as root
    """
    from inspector.config import load_station
    from inspector.release.trust import trust as let_in

    data = load_station(station).data
    say(f"trusted: {let_in(data, key, role, name, signed_in(data, who))}")


@app.command("install")
def install_(
    station: StationFile,
    file: Annotated[Path, typer.Argument(help="The release file.")],
    who: As,
    as_json: Json = False,
) -> None:
    """Check a release, from its signatures to its parity set on this machine, and keep it.

    Nothing judges by it yet: `inspector release activate` does that, or the shadow first.

    Example: inspector release install station.yaml bottle-line-2.release --as erika
    """
    from inspector.config import load_station
    from inspector.identity import Action, authorise
    from inspector.release.installed import install

    loaded = load_station(station)
    principal = signed_in(loaded.data, who)
    authorise(principal, Action.INSTALL_RELEASE)
    with console.status("proving the release on this machine"):
        done = install(file, loaded.data, principal.id, loaded.threads, loaded.providers)
    facts = {
        "release": done.installed.title,
        "digest": done.installed.digest,
        "parity_parts": done.parity.parts,
        "p50_ms": done.parity.p50_ms,
        "p99_ms": done.parity.p99_ms,
    }
    show("Installed", facts, as_json)


@app.command()
def activate(
    station: StationFile,
    release: Which,
    who: As,
    at: Annotated[str, typer.Option(help="batch: with the next one; part: now, as a sub-lot.")] = (
        "batch"
    ),
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Make an installed release the champion of the running line.

    Example: inspector release activate station.yaml bottle-line/2 --at part --as erika
    """
    _order(station, who, {"do": "activate", "release": release, "at": at, "why": why}, as_json)


@app.command()
def rollback(
    station: StationFile,
    who: As,
    recipe: Annotated[str, typer.Option(help="Which recipe; the running one by default.")] = "",
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Put the champion before this one back, at once and as a sub-lot.

    Example: inspector release rollback station.yaml --as erika --why "false rejects"
    """
    order = {"do": "rollback", "why": why}
    _order(station, who, order | ({"recipe": recipe} if recipe else {}), as_json)


@app.command("remove")
def remove_(station: StationFile, who: As) -> None:
    """Delete the releases that are neither in service, nor the way back, nor newer than those.

    Example: inspector release remove station.yaml --as erika
    """
    from inspector.config import load_station
    from inspector.identity import Action, authorise
    from inspector.release.installed import remove
    from inspector.release.stage import Stage, standings

    data = load_station(station).data
    principal = signed_in(data, who)
    authorise(principal, Action.INSTALL_RELEASE)
    keep = {s.release.digest for s in standings(data) if s.stage is not Stage.UNDONE}
    gone = remove(data, keep, principal.id)
    say(f"removed: {', '.join(gone) or 'nothing'}")


def _order(station: Path, who: str, order: dict[str, Any], as_json: bool) -> None:
    from inspector.identity import Action

    line_order("Release", station, who, Action.INSTALL_RELEASE, order, as_json, 30.0)
