"""Commands of people: who may use a station, and what they tell its line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from inspector.cli.words import Json, StationFile, os_user, pair, say, show

app = typer.Typer()
user = typer.Typer(no_args_is_help=True, help="The people and machines of a station.")
app.add_typer(user, name="user")

PASSWORD = "INSPECTOR_PASSWORD"
PIN = "INSPECTOR_PIN"
TEXTS = {"id", "product", "recipe", "reason", "code", "stream"}
"""Arguments of commands that are texts, whatever they look like."""
As = Annotated[str, typer.Option("--as", help=f"Who; asked for the password, or ${PASSWORD}.")]


@user.command("add")
def user_add(
    station: StationFile,
    name: Annotated[str, typer.Argument(help="The new user's name.")],
    role: Annotated[
        list[str], typer.Option(help="operator, qa, engineer, admin, auditor, machine; repeatable.")
    ],
    pin: Annotated[bool, typer.Option(help=f"A PIN too, asked for, or ${PIN}.")] = False,
    key: Annotated[bool, typer.Option(help="Make an API key instead, for a machine.")] = False,
) -> None:
    """Make a user; whoever may write the station's data folder may do this.

    Example: inspector user add station_configs/bottle-line.yaml anna --role engineer
    """
    from inspector.config import load_station
    from inspector.identity import IdentityError, Role, Users

    try:
        roles = [Role(r) for r in role]
    except ValueError as error:
        raise IdentityError(f"{error}; roles are {', '.join(sorted(set(Role)))}") from None
    users = Users(load_station(station).data)
    owner = _owner()
    secret = None if key else secret_of(name, confirm=True)
    code = secret_of(name, "pin", confirm=True) if pin else None
    users.add_user(name, roles, pin=code, password=secret, principal=owner)
    if key:
        print(users.add_key(name, principal=owner))
    else:
        say(f"{name}: {', '.join(roles)}")


@user.command("list")
def user_list(station: StationFile, as_json: Json = False) -> None:
    """List the users of a station and their roles.

    Example: inspector user list station_configs/bottle-line.yaml
    """
    from inspector.config import load_station
    from inspector.identity import Users

    users = Users(load_station(station).data).all()
    rows = [{"user": u.id, "roles": sorted(u.roles)} for u in users]
    show("Users", rows, as_json)


@user.command("password")
def user_password(
    station: StationFile, name: Annotated[str, typer.Argument(help="The user's name.")]
) -> None:
    """Give a user a new password; whoever is signed in in that name is signed out.

    Example: inspector user password station_configs/bottle-line.yaml anna
    """
    from inspector.config import Web, load_station
    from inspector.identity import Users
    from inspector.web.sessions import Sessions

    plan = load_station(station)
    users = Users(plan.data)
    users.set_password(name, secret_of(name, confirm=True), principal=_owner())
    Sessions(plan.data, users, plan.web or Web()).end_all(name)
    say(f"{name}: a new password")


@user.command("key")
def user_key(
    station: StationFile,
    name: Annotated[str, typer.Argument(help="The user's name.")],
    revoke: Annotated[bool, typer.Option("--revoke", help="Make no new one.")] = False,
) -> None:
    """Make a new API key for a machine; the keys that it had open nothing from now on.

    Example: inspector user key station_configs/bottle-line.yaml mes
    """
    from inspector.config import load_station
    from inspector.identity import IdentityError, Users

    users = Users(load_station(station).data)
    if not users.known(name):
        raise IdentityError(f"there is no user {name!r}")
    revoked = users.revoke_keys(name, principal=_owner())
    if not revoke:
        print(users.add_key(name, principal=_owner()))
    say(f"{name}: {revoked} keys revoked")


@app.command()
def tell(
    station: StationFile,
    command: Annotated[str, typer.Argument(help="change_over, start_batch, set_mode, pause …")],
    who: As,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="A value may be JSON.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Give the running line a command, in somebody's name; it is recorded, then answered.

    Example: inspector tell station.yaml change_over recipe=juice-line --as anna
    """
    from inspector.bus import BusError
    from inspector.identity import Action

    if command not in set(Action):
        raise BusError(f"no command {command!r}; there are {', '.join(sorted(set(Action)))}")
    given = {name: _value(name, text) for name, text in map(pair, arguments or ())}
    order(command, station, who, Action(command), given, as_json)


def order(
    title: str, station: Path, who: str, action: Any, args: Mapping[str, Any], as_json: bool,
    timeout_s: float = 2.0,
) -> None:  # fmt: skip
    """Give the running line a command in the name of ``who``, and show its answer."""
    from inspector.bus import give, run_dir
    from inspector.config import load_station

    data = load_station(station).data
    answer = give(run_dir(data), action, args, signed_in(data, who), timeout_s)
    if as_json or answer.ok:
        show(title, ({"ok": answer.ok} if as_json else {}) | dict(answer.body), as_json)
    else:
        say(answer.error, style="red")
    raise typer.Exit(0 if answer.ok else 1)


def _owner() -> Any:
    """Whoever may write the station's data folder."""
    from inspector.identity import Principal, Role

    return Principal(os_user(), frozenset({Role.ADMIN}))


def secret_of(name: str, by: str = "password", confirm: bool = False) -> str:
    """The ``pin`` or ``password`` of ``name``: from the environment, else asked for."""
    variable, called = (PIN, "PIN") if by == "pin" else (PASSWORD, "Password")
    known = os.environ.get(variable)
    if known is not None:
        return known
    prompt = f"{called} of {name}"
    return str(typer.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True))


def _value(name: str, text: str) -> Any:
    """What ``NAME=VALUE`` means: JSON, or the text as it stands. A lot 241700 is no number."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if name in TEXTS and not isinstance(value, str) else value


def signed_in(data: Path, name: str) -> Any:
    """The principal ``name``; asks for the password."""
    from inspector.identity import Users

    return Users(data).verify_password(name, secret_of(name))


def approver(data: Path, name: str) -> Any:
    """The principal ``name``, who may approve recipes; asks for the password."""
    from inspector.identity import Action, authorise

    principal = signed_in(data, name)
    authorise(principal, Action.APPROVE_RECIPE)
    return principal
