"""Commands of the centre: ``training hub …``, a thin layer over `training.hub`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training.hub import cli_measure
from training.hub.options import HOME, As, Blobs, Database, Home, Json, console, opened

app = typer.Typer(no_args_is_help=True, help="The centre that stations report to.")

PASSWORD = "HUB_PASSWORD"


def _who(who: str) -> str:
    return who or f"os-user-{os.getuid()}"


def _new_password(name: str) -> str:
    known = os.environ.get(PASSWORD)
    if known is not None:
        return known
    return str(
        typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True)
    )


@app.command()
def init(
    admin: Annotated[str, typer.Option(help="The first person who may sign in.")],
    home: Home = HOME,
    database: Database = "",
    blobs: Blobs = "",
) -> None:
    """Begin a centre: its key, its database, a first person with every role but the system's.

    The password is asked for, or taken from $HUB_PASSWORD.

    Example: training hub init --home hub --admin anna
    """
    from inspector.identity import Role
    from training.hub.people import add_person

    password = _new_password(admin)
    roles = [Role.ADMIN, Role.ENGINEER, Role.QA]
    with opened(home, database, blobs) as hub, hub.engine.begin() as connection:
        add_person(connection, admin, roles, password, _who(""), hub.utc_ns())
    console.print(f"{home}: a centre; {admin} may sign in", markup=False)
    console.print(f"keep {home / 'keys' / 'hub.key'} safe: stations know the centre by it")


@app.command()
def serve(
    home: Home = HOME,
    database: Database = "",
    blobs: Blobs = "",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8443,
    certificate: Annotated[Path | None, typer.Option(help="PEM file of the certificate.")] = None,
    private_key: Annotated[Path | None, typer.Option(help="PEM file of its key.")] = None,
    client_ca: Annotated[
        Path | None, typer.Option(help="Let in only who shows a certificate under this (mTLS).")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="So many hubs on this port.")] = 1,
    address_file: Annotated[
        Path | None, typer.Option(help="Gets the address once it is known.")
    ] = None,
) -> None:
    """Serve stations and people, until Ctrl-C.

    Example: training hub serve --home hub --host 0.0.0.0 --certificate hub.pem --private-key
    hub.pem.key --workers 2
    """
    from inspector.logs import configure
    from training.hub.database import HubError
    from training.hub.serve import check, serve_many
    from training.hub.serve import serve as run

    configure("hub")
    if workers > 1:
        check(host, certificate, private_key, client_ca)
        if not port:
            raise HubError("--port 0 with --workers: each would have another one; name a port")
        given = [f"--home={home}", f"--host={host}", f"--port={port}"]
        given += [f"--database={database}"] if database else []
        given += [f"--blobs={blobs}"] if blobs else []
        given += [f"--certificate={certificate}"] if certificate else []
        given += [f"--private-key={private_key}"] if private_key else []
        given += [f"--client-ca={client_ca}"] if client_ca else []
        with opened(home, database, blobs):
            pass  # migrated once, and what is wrong is said once
        raise typer.Exit(serve_many(workers, given, address_file))
    with opened(home, database, blobs) as hub:
        run(
            hub,
            host,
            port,
            certificate=certificate,
            private_key=private_key,
            client_ca=client_ca,
            address_file=address_file,
        )


@app.command()
def token(
    home: Home = HOME,
    database: Database = "",
    station: Annotated[str, typer.Option(help="Only this station may use it.")] = "",
    days: Annotated[float, typer.Option(min=0.001, help="How long it may be used.")] = 7.0,
    who: As = "",
) -> None:
    """Make a token by which one station may enrol, once; it is shown this once.

    Example: training hub token --home hub --station ST-01
    """
    from training.hub.enrolment import make_token

    with opened(home, database, "") as hub, hub.engine.begin() as connection:
        print(make_token(connection, hub.key, _who(who), hub.utc_ns(), station=station, days=days))


@app.command()
def person(
    name: Annotated[str, typer.Argument(help="Who may sign in.")],
    role: Annotated[list[str], typer.Option(help="qa, engineer, admin, auditor …; repeatable.")],
    home: Home = HOME,
    database: Database = "",
    who: As = "",
) -> None:
    """Let a person in, or give one new roles and a new password.

    Example: training hub person ben --role qa --home hub
    """
    from inspector.identity import Role
    from training.hub.database import HubError
    from training.hub.people import add_person

    try:
        roles = [Role(one) for one in role]
    except ValueError as error:
        raise HubError(f"{error}; roles are {', '.join(sorted(set(Role)))}") from None
    password = _new_password(name)
    with opened(home, database, "") as hub, hub.engine.begin() as connection:
        add_person(connection, name, roles, password, _who(who), hub.utc_ns())
    console.print(f"{name}: {', '.join(roles)}", markup=False)


@app.command()
def revoke(
    station: Annotated[str, typer.Argument(help="The station's name.")],
    home: Home = HOME,
    database: Database = "",
) -> None:
    """Believe a station's key no longer. Its records stay.

    Example: training hub revoke ST-01 --home hub
    """
    from training.hub.enrolment import revoke as shut_out

    with opened(home, database, "") as hub, hub.engine.begin() as connection:
        shut_out(connection, station)
    console.print(f"{station}: shut out; a new token lets it in again", markup=False)


@app.command()
def fleet(home: Home = HOME, database: Database = "", as_json: Json = False) -> None:
    """Every station: parts, yield, models, how far behind, alarms.

    Example: training hub fleet --home hub --json
    """
    from training.hub.database import reading
    from training.hub.fleet import fleet as stations

    with opened(home, database, "") as hub, reading(hub.engine) as connection:
        rows = [row.as_dict() for row in stations(connection, hub.utc_ns())]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("site", "line", "station", "parts 24 h", "first pass", "behind", "alarms")
    for row in rows:
        share = "–" if row["first_pass"] is None else f"{100 * row['first_pass']:.2f} %"
        table.add_row(
            row["site"], row["line"], row["name"], f"{row['parts']:,}", share,
            f"{row['behind']:,}", str(row["alarms"]),
        )  # fmt: skip
    Console().print(table)


@app.command()
def complain(
    serial: Annotated[str, typer.Argument(help="The serial that after-sales heard of.")],
    label: Annotated[str, typer.Option(help="The defect that the customer found.")] = "",
    words: Annotated[str, typer.Option(help="What the customer says.")] = "",
    home: Home = HOME,
    database: Database = "",
    who: As = "",
    as_json: Json = False,
) -> None:
    """Trace a complaint to its part; an escape becomes a sample to learn from (S21).

    Example: training hub complain SN0042 --label scratch --home hub --as anna
    """
    from sqlalchemy import select

    from training.hub import tables
    from training.hub.complaints import file_complaint
    from training.hub.records import id_of

    with opened(home, database, "") as hub, hub.engine.begin() as connection:
        number = file_complaint(connection, serial, label, words, _who(who), hub.utc_ns())
        row = connection.execute(
            select(tables.Complaint, tables.Station.name.label("station"))
            .outerjoin(tables.Station, tables.Station.id == tables.Complaint.station_id)
            .where(tables.Complaint.id == number)
        ).one()
    found = {
        "complaint": number,
        "station": row.station,
        "part": None if row.part is None else id_of(row.part),
        "escape": bool(row.escape),
    }
    if as_json:
        print(json.dumps(found))
    elif row.part is None:
        print(f"complaint {number}: no record of {serial} is here yet; it is traced when one comes")
    else:
        what = "an escape" if row.escape else "not an escape"
        print(f"complaint {number}: part {found['part']} of {row.station}, {what}")


@app.command()
def checkpoint(
    station: Annotated[str, typer.Argument(help="The station's name.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    home: Home = HOME,
    database: Database = "",
) -> None:
    """Write the newest checkpoint held of a station, for `inspector verify --held`.

    Example: training hub checkpoint ST-01 --out held.json --home hub
    """
    from sqlalchemy import select

    from training.hub import tables
    from training.hub.database import HubError, reading

    with opened(home, database, "") as hub, reading(hub.engine) as connection:
        row = connection.execute(
            select(tables.Checkpoint)
            .join(tables.Station, tables.Station.id == tables.Checkpoint.station_id)
            .where(tables.Station.name == station)
            .order_by(tables.Checkpoint.number.desc())
            .limit(1)
        ).first()
    if row is None:
        raise HubError(f"no checkpoint of {station!r} is here")
    held = {"checkpoint": {"body": row.body.hex(), "signature": row.signature.hex()}}
    out.write_text(json.dumps(held | {"countersignature": row.countersignature.hex()}, indent=1))
    console.print(f"{out}: checkpoint {row.number} over {row.line_size} records", markup=False)


@app.command()
def reindex(
    home: Home = HOME,
    database: Database = "",
    blobs: Blobs = "",
    station: Annotated[str, typer.Option(help="Only this one; else every station.")] = "",
) -> None:
    """Make the index again from the segments, whose every signature is checked on the way.

    Example: training hub reindex --station ST-01 --home hub
    """
    from rich.progress import Progress
    from sqlalchemy import select

    from training.hub import tables
    from training.hub.reindex import reindex as make_again

    with opened(home, database, blobs) as hub, Progress(console=console) as progress:
        with hub.engine.begin() as connection:
            rows = connection.execute(select(tables.Station.id, tables.Station.name)).all()
        for row in rows:
            if station in ("", row.name):
                task = progress.add_task(row.name, total=None)
                with hub.engine.begin() as connection:
                    make_again(
                        connection,
                        hub.blobs,
                        row.id,
                        lambda done, task=task: progress.update(task, completed=done),
                    )


@app.command()
def weeks(
    home: Home = HOME,
    database: Database = "",
    drop_before: Annotated[
        str, typer.Option(help="Let go of weeks that had ended by this day, YYYY-MM-DD.")
    ] = "",
    as_json: Json = False,
) -> None:
    """The index by weeks, on PostgreSQL: how large each is; old ones let go in an instant.

    Records, tallies and samples stay; parts of a week let go are found by id or serial again after
    `training hub reindex`.

    Example: training hub weeks --drop-before 2026-06-01 --home hub
    """
    from datetime import date

    from training.hub.database import HubError
    from training.hub.weeks import let_go
    from training.hub.weeks import weeks as found

    try:
        day = date.fromisoformat(drop_before) if drop_before else None
    except ValueError:
        raise HubError(f"--drop-before {drop_before!r} is no day such as 2026-06-01") from None
    with opened(home, database, "") as hub, hub.engine.begin() as connection:
        gone = let_go(connection, day) if day else []
        rows = found(connection)
    if as_json:
        print(
            json.dumps(
                {
                    "gone": [str(monday) for monday in gone],
                    "weeks": [
                        {"monday": str(w.monday), "verdicts": w.rows, "bytes": w.bytes}
                        for w in rows
                    ],
                }
            )
        )
        return
    table = Table("week from", "verdicts, about", "MB")
    for week in rows:
        table.add_row(str(week.monday), f"{week.rows:,}", f"{week.bytes / 1e6:,.1f}")
    Console().print(table)
    if gone:
        print(f"let go: {', '.join(map(str, gone))}")


cli_measure.register(app)
