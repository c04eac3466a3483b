"""The station as a machine: health, disk, processes, log, certificates, people, a back-up.

The heartbeat, the run directory and the data folder enter; a page leaves on which an engineer backs
up and lets OPC UA clients in, and an administrator makes, changes and disables users. Each of these
is a record of the desk (I9). `app` makes the page.
"""

from __future__ import annotations

import html
import shutil
import struct
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.to_thread
from cryptography import x509
from nicegui import ui

from inspector.config import Station
from inspector.identity import Action, IdentityError, Principal, Role
from inspector.store import StoreError
from inspector.web import logtail
from inspector.web.access import Refused
from inspector.web.controls import button, card, follow, sign, table
from inspector.web.desk import Desk
from inspector.web.errand import Errand
from inspector.web.feed import Feed
from inspector.web.frame import Shown, page, roles_of
from inspector.web.gate import called
from inspector.web.sessions import Sessions

PATH = "/system"
LOOK_S = 1.0
STALE_S = 5.0
"""A process whose beat is older than this hangs or is gone."""
SOON_DAYS = 30
"""A certificate that ends within this is pointed out."""
BACKUP_S = 6 * 3600.0
GIVEN = tuple(role for role in Role if role is not Role.SYSTEM)


def build(desk: Desk, sessions: Sessions, feed: Feed) -> None:
    """The page ``/desk/system``."""

    @page(desk, sessions, PATH, word="nav.system", icon="system", action=Action.CONFIGURE)
    async def system(shown: Shown, process: str = "", level: str = "info") -> None:
        ui.add_head_html('<link rel="stylesheet" href="/static/engineer.css">')
        follow(lambda: _state(shown, feed.now), LOOK_S)
        logtail.panel(shown, f"/desk{PATH}", process, level)
        if shown.may(Action.MANAGE_USERS):
            _people(shown)
        _certificates(shown)
        _backup(shown)


def _state(shown: Shown, status: Mapping[str, Any]) -> str:
    health = "".join(
        _row(
            shown,
            h["state"],
            called(shown, h),
            shown.word(f"state.{h['state']}"),
            shown.why(h["detail"]),
        )
        for h in status.get("health") or ()
    )
    disk = shutil.disk_usage(shown.desk.data)
    low = disk.free < 0.1 * disk.total
    health += _row(
        shown, "warning" if low else "ok", shown.word("system.disk"),
        shown.word("system.free", f"{disk.free / 1e9:,.1f}", f"{disk.total / 1e9:,.1f}"), "",
    )  # fmt: skip
    processes = "".join(
        _row(
            shown, "ok" if age is not None and age < STALE_S else "fault", name,
            "–" if age is None else shown.word("system.beat", f"{age:.1f}"), "",
        )
        for name, age in beats(shown.desk.run)
    )  # fmt: skip
    lost = "" if status else f'<p class="note bad">{shown.word("gate.lost")}</p>'
    return (
        f'<section class="card group"><h2>{shown.word("system.health")}</h2>{lost}'
        f'<ul class="signals">{health}</ul></section>'
        f'<section class="card group"><h2>{shown.word("system.processes")}</h2>'
        f'<ul class="signals">{processes}</ul></section>'
    )


def _row(shown: Shown, state: str, name: str, said: str, more: str) -> str:
    return (
        f'<li data-state="{html.escape(state)}">{sign(state)}<b>{html.escape(name)}</b>'
        f"<span>{html.escape(said)}</span><span>{html.escape(more)}</span></li>"
    )


def beats(run: Path) -> Iterator[tuple[str, float | None]]:
    """Each process of the station and how long ago it gave a sign of life; None: never yet."""
    for path in sorted(run.glob("*.beat")):
        try:
            (instant,) = struct.unpack("=q", path.read_bytes())
        except (OSError, struct.error):
            continue
        yield path.stem, (time.monotonic_ns() - instant) / 1e9 if instant else None


# --- people ---


def _people(shown: Shown) -> None:
    users = shown.desk.users
    with card(shown.word("system.people"), "group people-block"):
        known = ui.element("div").classes("rows")
        wrong = ui.label("").classes("note bad").props('role="alert"')
        with ui.element("div").classes("search"):
            name = ui.input(shown.word("sign_in.user")).props("outlined autocomplete=off")
            pin = ui.input(shown.word("sign_in.pin"), password=True)
            pin.props("outlined autocomplete=new-password inputmode=numeric")
            chosen = ui.select(
                {str(role): shown.word(f"role.{role}") for role in GIVEN}, multiple=True,
                label=shown.word("system.roles"),
            ).props("outlined")  # fmt: skip
            button(shown.word("system.add"), "person", lambda: add()).classes("main")

    async def do(what: str, user: str, change: Any, **more: Any) -> None:
        wrong.text = ""
        try:
            who = shown.who(Action.MANAGE_USERS)
            await anyio.to_thread.run_sync(change, who)
        except IdentityError as error:
            wrong.text = shown.why(error)
            return
        body = {"action": what, "user": user, **more}
        try:
            await anyio.to_thread.run_sync(lambda: shown.desk.record("user", body, who))
        except StoreError as error:
            wrong.text = shown.why(f"done, but not recorded: {error}")
        show()

    async def add() -> None:
        user, secret, roles = str(name.value or ""), str(pin.value or ""), list(chosen.value or ())
        name.value, pin.value, chosen.value = "", "", []
        what = {"roles": sorted(roles), "new_pin": bool(secret)}
        if users.known(user):
            await do("changed", user, lambda who: _change(user, secret, roles, who), **what)
            return
        await do(
            "added", user,
            lambda who: users.add_user(
                user, [Role(role) for role in roles], pin=secret or None, principal=who
            ),
            **what,
        )  # fmt: skip

    def _change(user: str, secret: str, roles: list[str], who: Principal) -> None:
        if secret:  # first: a PIN that is refused changes nothing else
            users.set_pin(user, secret, principal=who)
            shown.sessions.end_all(user, but=shown.token)
        if roles:
            users.set_roles(user, [Role(role) for role in roles], principal=who)
        users.enable(user, principal=who)

    def _disable(user: str, who: Principal) -> None:
        users.disable(user, principal=who)
        shown.sessions.end_all(user)

    def show() -> None:
        me = shown.who(Action.MANAGE_USERS)
        known.clear()
        with known:
            for user in users.all():
                with ui.element("div").classes("release"):
                    ui.html(
                        f"<span><b>{html.escape(user.id)}</b>"
                        f"<span>{html.escape(roles_of(user, shown.word))}</span></span>",
                        sanitize=False,
                    )
                    if user.id != me.id:
                        button(
                            shown.word("system.disable"), "close",
                            lambda id=user.id: do("disabled", id, lambda who: _disable(id, who)),
                        )  # fmt: skip

    show()


# --- certificates ---


def certificates(station: Station) -> Iterator[tuple[str, Path]]:
    """Every certificate that this station shows or trusts, by what it is for."""
    for name in ("web", "plant", "sync"):
        path = getattr(getattr(station, name), "certificate", None)
        if path is not None:
            yield name, path
    own = station.data / "opcua" / "certificate.der"
    if own.is_file():
        yield "opcua", own
    for path in sorted((station.data / "opcua" / "trusted").glob("*.der")):
        yield path.stem, path


def ends(path: Path) -> datetime | None:
    """When a certificate ends, UTC; None for what is none."""
    try:
        raw = path.read_bytes()
        load = x509.load_pem_x509_certificate if b"BEGIN" in raw else x509.load_der_x509_certificate
        return load(raw).not_valid_after_utc
    except (OSError, ValueError):
        return None


def _certificates(shown: Shown) -> None:
    desk = shown.desk
    with card(shown.word("system.certificates")):
        rows = ui.element("div").classes("rows")

    def let_in(path: Path) -> None:
        who = shown.who(Action.CONFIGURE)
        desk.record("opcua_client", {"action": "trusted", "certificate": path.stem}, who)
        path.replace(path.parent.parent / "trusted" / path.name)
        show()

    def show() -> None:
        rows.clear()
        with rows:
            found = [_certificate(shown, name, path) for name, path in certificates(desk.station)]
            if found:
                table(
                    [shown.word(f"system.certificate.{key}") for key in ("name", "ends", "state")],
                    found, caption=shown.word("system.certificates"), looks={0: "strong"},
                )  # fmt: skip
            else:
                ui.label(shown.word("system.certificates.none")).classes("soft")
            for path in sorted((desk.data / "opcua" / "rejected").glob("*.der")):
                with ui.element("div").classes("release"):
                    ui.html(
                        f"<span><b>{html.escape(path.stem)}</b>"
                        f"<span>{shown.word('system.rejected')}</span></span>",
                        sanitize=False,
                    )
                    button(shown.word("system.trust"), "ok", lambda path=path: let_in(path))

    show()


def _certificate(shown: Shown, name: str, path: Path) -> list[str]:
    end = ends(path)
    if end is None:
        return [name, "–", shown.word("system.certificate.unreadable")]
    days = (end - datetime.now(UTC)).days
    key = "over" if days < 0 else "soon" if days < SOON_DAYS else "good"
    when = shown.moment(int(end.timestamp() * 1e9), seconds=False)
    return [name, when, shown.word(f"system.certificate.{key}", abs(days))]


# --- back-up ---


def _backup(shown: Shown) -> None:
    with card(shown.word("system.backup")):
        ui.label(shown.word("system.backup.more")).classes("soft")
        folder = ui.input(shown.word("system.backup.folder")).props("outlined")
        said = ui.label("").classes("note").props('role="status"')

        async def back_up() -> None:
            who = shown.who(Action.CONFIGURE)
            target = Path(str(folder.value or ""))
            if not target.is_absolute():
                said.text = shown.word("system.backup.absolute")
                return
            said.text = shown.word("system.backup.running")
            rows: list[dict[str, Any]] = []
            data = str(shown.desk.data)
            errand = Errand(["backup", data, str(target), "--json"], rows.append)
            try:
                await anyio.to_thread.run_sync(errand.wait, BACKUP_S)
            except Refused as error:
                said.text = shown.why(error)
                return
            body = {"action": "backup", "folder": str(target), "done": rows[-1] if rows else {}}
            await anyio.to_thread.run_sync(lambda: shown.desk.record("backup", body, who))
            said.text = shown.word("system.backup.done", str(target))

        button(shown.word("system.backup.do"), "export", back_up)
