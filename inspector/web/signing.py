"""Electronic signatures on the pages: a name and a secret, entered for this one, leave as a record.

Enters: what is signed, what the signature means, who may give it. Leaves: a `Signature` that is
durable (21 CFR Part 11: 11.50, 11.200). The operator's dialogs send a `Given` with their request;
a desk page awaits `ask`. The record itself is `inspector.store.signatures`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import anyio.to_thread
from fastapi import Request
from nicegui import ui
from pydantic import BaseModel, Field

from inspector.identity import Action, IdentityError, authorise
from inspector.store import StoreError
from inspector.store.signatures import Signature, Subject, sign
from inspector.web.controls import button
from inspector.web.desk import Desk
from inspector.web.frame import Shown
from inspector.web.login import at_touchscreen, take
from inspector.web.words import WORDS


class Given(BaseModel):
    """A signature as somebody has just entered it."""

    user: str = Field(max_length=64)
    secret: str = Field(max_length=1024)
    by: Literal["pin", "password"]
    remark: str = Field("", max_length=1000)


def put(
    desk: Desk, request: Request, given: Given, subject: Subject, meaning: str, action: Action
) -> Signature:
    """Have ``given``'s signer sign ``subject``; it takes 0.1 s of a thread.

    Raises ``IdentityError`` for who may not ``action`` or has the secret wrong, ``StoreError``.
    """
    take(desk.web, request, given.by)
    return sign(
        desk.data,
        desk.users,
        given.user,
        given.secret,
        by=given.by,
        meaning=meaning,
        subject=subject,
        may=lambda who: authorise(who, action),
        remark=given.remark,
    )


async def ask(
    shown: Shown, subject: Subject, meaning: str, action: Action, what: str
) -> Signature | None:
    """Ask the person at a desk page for a signature; None if they would rather not.

    Args:
        meaning: key of the catalogue; its English word is what the record says.
        what: what is signed, in the page's language, as the person reads it.
    """
    desk = shown.desk
    pins = desk.users.with_pin() if at_touchscreen(desk.web, shown.request) else []
    with (
        ui.dialog().props("transition-duration=0") as dialog,
        ui.element("form").classes("card sign"),
    ):
        ui.html(f"<h2>{shown.word('sign')}</h2>", sanitize=False)
        ui.label(shown.word("sign.more"))
        with ui.element("dl").classes("facts"):
            for name, value in (
                ("sign.what", what),
                ("sign.meaning", shown.word(meaning)),
                ("sign.time", f"{datetime.now().astimezone():%H:%M}"),
            ):
                with ui.element("div"):
                    with ui.element("dt"):
                        ui.label(shown.word(name))
                    with ui.element("dd"):
                        ui.label(value)
        user = ui.input(shown.word("sign_in.user"), value=shown.who(Action.VIEW).id)
        secret = ui.input(shown.word("sign.secret"), password=True)
        for field in (user, secret):
            field.props("outlined autocomplete=off")
        wrong = ui.label("").classes("note bad").props('role="alert"')
        with ui.element("div").classes("ways"):
            done = button(shown.word("sign.do"), "sign").classes("main")
            button(shown.word("cancel"), "close", lambda: dialog.submit(None))

    busy = False

    async def enter() -> None:
        nonlocal busy
        if busy:  # a glove touches twice, and the second touch would sign once more
            return
        busy, signature = True, None
        by: Literal["pin", "password"] = "pin" if user.value in pins else "password"
        english = WORDS["en"][meaning]
        try:
            given = Given(user=user.value or "", secret=secret.value or "", by=by)
            signature = await anyio.to_thread.run_sync(
                put, desk, shown.request, given, subject, english, action
            )
        except (IdentityError, StoreError) as error:
            wrong.text = shown.said(str(error))
        except ValueError:  # longer than a name or a secret is, or no text
            wrong.text = shown.said(f"user or {'PIN' if by == 'pin' else by} is wrong")
        finally:
            busy = signature is not None
        secret.value = ""
        if signature is not None:
            dialog.submit(signature)

    done.on("click", enter)
    secret.on("keydown.enter.prevent", enter)
    found: Signature | None = await dialog
    if not dialog.is_deleted:  # the page may have been closed meanwhile
        dialog.delete()
    return found
