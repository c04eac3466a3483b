"""A recipe's versions on its page: compared, taken back as a draft, discarded, approved.

Enters: a recipe's name and file. Leaves: a card with the draft, what is in service and every
revision before; a draft that somebody signs goes into service by ``inspector recipe adopt`` (I7,
I9). The recipe editor's page makes it.
"""

from __future__ import annotations

import difflib
import html
from pathlib import Path

import anyio.to_thread
from nicegui import ui

from inspector.identity import Action
from inspector.store import StoreError
from inspector.store import recipes as kept
from inspector.store.signatures import Signature
from inspector.web import drafts, recipetext, signing
from inspector.web.access import Refused
from inspector.web.controls import button, card, put
from inspector.web.desk import Desk
from inspector.web.errand import answer_of
from inspector.web.frame import Shown


async def panel(shown: Shown, path: str, name: str, origin: Path, against: str) -> None:
    """What is in service, the draft, and every revision before; what differs; who may sign.

    ``path`` is the page's, ``against`` the digest of an older revision to compare with.
    """
    desk = shown.desk
    draft = kept.draft_path(desk.data, name)
    text, is_draft = await anyio.to_thread.run_sync(drafts.text_of, desk, name)
    current = await anyio.to_thread.run_sync(drafts.read, origin)
    revisions = await anyio.to_thread.run_sync(kept.revisions, desk.data, name)

    def leave() -> None:
        ui.navigate.to(f"{path}?recipe={name}")

    def as_shown() -> bool:
        """Whether the draft is the one on this page; the page says so where it is not."""
        now = drafts.read(draft) if draft.is_file() else None
        if now == (text if is_draft else None):
            return True
        wrong.text = shown.why(drafts.CHANGED)
        return False

    async def discard() -> None:
        who = shown.who(Action.EDIT_RECIPE)
        if not as_shown():
            return
        desk.record(drafts.KIND, {"action": "discard", "name": name}, who)
        draft.unlink(missing_ok=True)
        leave()

    async def approve() -> None:
        if not as_shown():
            return
        signed = draft.read_bytes()
        what = shown.word("recipes.signs", name, recipetext.revision_of(signed.decode()))
        signature = await signing.ask(
            shown, kept.subject(name, signed), "meaning.approved", Action.APPROVE_RECIPE, what
        )
        if signature is None:
            return
        wrong.text = shown.word("recipes.working")
        try:
            await anyio.to_thread.run_sync(_adopt, desk, name, origin, signature)
        except (Refused, StoreError) as error:
            wrong.text = shown.why(error)
            return
        leave()

    def take(revision: kept.Revision) -> None:
        who = shown.who(Action.EDIT_RECIPE)
        if not as_shown():
            return
        older = revision.path.read_text()
        body = {"action": "take", "name": name, "digest": revision.digest}
        desk.record(drafts.KIND, body, who)
        drafts.write(draft, older)
        leave()

    with card(shown.word("recipes.versions"), "versions"):
        wrong = ui.label("").classes("note bad").props('role="alert"')
        with ui.element("ul").classes("revisions"):
            if is_draft:
                with ui.element("li").classes("draft"):
                    by = shown.word("recipes.draft.more", drafts.author_of(desk, name))
                    _said(shown.word("recipes.draft", recipetext.revision_of(text)), by)
                    if shown.may(Action.APPROVE_RECIPE):
                        button(shown.word("recipes.approve"), "sign", approve).classes("main")
                    if shown.may(Action.EDIT_RECIPE):
                        button(shown.word("recipes.discard"), "delete", discard)
            for one in revisions:
                now = one.path.read_text() == current
                with ui.element("li"):
                    _said(
                        shown.word("recipes.revision", one.revision or "–", one.digest[:12])
                        + (f" · {shown.word('recipes.in_service')}" if now else ""),
                        shown.word("recipes.approved", one.who, shown.moment(one.utc_ns))
                        if one.who
                        else shown.word("recipes.never_approved"),
                    )
                    if not now:
                        to = f"{path}?recipe={name}&against={one.digest}"
                        put(
                            f'<a class="button" href="/desk{html.escape(to)}">'
                            f"{shown.word('recipes.compare')}</a>"
                        )
                    if not now and shown.may(Action.EDIT_RECIPE):
                        button(shown.word("recipes.take"), "back",
                               lambda one=one: take(one))  # fmt: skip
        older = next((r for r in revisions if r.digest == against), None)
        if older is not None:
            _diff(shown, "recipes.differs.older", older.path.read_text(), current)
        elif is_draft:
            _diff(shown, "recipes.differs.draft", current, text)
        ui.label(shown.word("recipes.from_start")).classes("soft")


def _said(first: str, second: str) -> None:
    ui.html(
        f"<span><b>{html.escape(first)}</b><span>{html.escape(second)}</span></span>",
        sanitize=False,
    )


def _diff(shown: Shown, word: str, before: str, after: str) -> None:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2))[
        2:
    ]
    drawn = "".join(
        f'<span class="{ {"+": "plus", "-": "minus", "@": "at"}.get(line[:1], "") }">'
        f"{html.escape(line)}</span>\n"
        for line in lines
    )
    said = drawn or html.escape(shown.word("recipes.same"))
    ui.html(
        f'<h3>{shown.word(word)}</h3><pre class="diff" tabindex="0">{said}</pre>', sanitize=False
    )


def _adopt(desk: Desk, name: str, origin: Path, signature: Signature) -> None:
    draft = kept.draft_path(desk.data, name)
    answer_of(
        ["recipe", "adopt", str(draft), str(origin), "--data", str(desk.data), "--models",
         str(desk.station.models), "--signed", str(signature.position), "--json"]
    )  # fmt: skip
    drafts.drop(desk, name, signature)
