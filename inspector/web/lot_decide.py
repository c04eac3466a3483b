"""Decisions over a batch: held, released, rejected, each under an electronic signature.

Enters: a batch as it stands, somebody who may `DISPOSE`, a reason. Leaves: a signature, and the
desk's record of the decision that names it (I9). What may follow what is `inspector.store.batches`,
as for the MES. Only ``lot`` imports this.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio.to_thread
from nicegui import ui

from inspector.bus import NoAnswer
from inspector.identity import Action, IdentityError
from inspector.part import Outcome
from inspector.quality.batch_facts import Facts
from inspector.quality.challenge import GOOD
from inspector.quality.stopping import Heard, stop
from inspector.store import StoreError
from inspector.store.batches import Batches, Life, Refused, State, Step, after, decision
from inspector.store.signatures import Signature, Subject
from inspector.web import signing
from inspector.web.controls import button, pressed, put, sign
from inspector.web.frame import Shown
from inspector.web.lot_recall import reason_field

STEPS = {
    Step.RELEASE: ("ok", "meaning.released"),
    Step.HOLD: ("hold", "meaning.held"),
    Step.REJECT: ("reject", "meaning.rejected"),
}
"""Icon, and what a signature under it means."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something to know before deciding."""

    look: str
    """``good``, ``bad``, or ``open``: there is nothing to say."""
    said: str


def show(
    shown: Shown, id: str, life: Life, facts: Facts, checks: Sequence[Check], beat: Heard
) -> None:
    """The card: what speaks for and against it, and the three decisions."""
    with ui.element("section").classes("card lot-decide").props('id="decide"'):
        with ui.element("div"):
            ui.html(f"<h2>{shown.word('lot.before')}</h2>", sanitize=False)
            signs = {"good": "ok", "bad": "warning", "open": "absent"}
            rows = "".join(
                f'<li class="{check.look}">{sign(signs[check.look])}'
                f"<span>{html.escape(check.said)}</span></li>"
                for check in checks
            )
            put(f'<ul class="lot-checks">{rows}</ul>')
        with ui.element("div"):
            ui.html(f"<h2>{shown.word('lot.decide')}</h2>", sanitize=False)
            may = shown.may(Action.DISPOSE)
            reason: Callable[[], str] = lambda: ""  # noqa: E731
            if may:
                reason = reason_field(shown, "reason")
            note = ui.label("" if may else shown.word("lot.only_quality")).classes("note")
            note.props('role="alert"')
            with ui.element("div").classes("lot-ways"):
                for step in STEPS:
                    _way(shown, id, life, facts, step, reason, note, beat, may)


def checks_of(shown: Shown, facts: Facts, second: int, held: bool) -> list[Check]:
    """What speaks for and against a release, from the ledger."""

    def check(name: str, good: bool | None, *values: object) -> Check:
        key = f"lot.check.{name}"
        if good is None:
            return Check("open", shown.word(f"{key}.open"))
        return Check("good", shown.word(key)) if good else Check(
            "bad", shown.word(f"{key}.bad", *values))  # fmt: skip

    missing = sum(last - first + 1 - n for first, last, n in facts.streams.values())
    differs = [shown.said(text) for text in facts.differences or ()]
    if missing:
        differs.append(shown.word("lot.differs", f"{missing:,}"))
    counted = not differs if differs or facts.differences is not None else None
    articles = [bool(sheet["passed"] and signed) for sheet, signed in facts.articles]
    result = facts.challenges[-1].body["result"] if facts.challenges else ""
    bypassed = facts.counts[Outcome.NOT_INSPECTED]
    return [
        check("counts", counted, "; ".join(differs)),
        check("article", articles[-1] if articles else None),
        check("challenge", result == GOOD if result else None,
              shown.word(f"lot.result.{result}") if result else ""),
        check("bypass", not bypassed, f"{bypassed:,}"),
        check("second", not second, second),
        check("held", not held),
    ]  # fmt: skip


def _way(
    shown: Shown, id: str, life: Life, facts: Facts, step: Step, reason: Callable[[], str],
    note: ui.label, beat: Heard, may: bool,
) -> None:  # fmt: skip
    refused = _refused(shown, id, life, step)
    resumes = step is Step.RELEASE and life.state is State.ON_HOLD and not life.ended
    then = shown.word("lot.then.resume" if resumes else f"lot.then.{step}")
    with ui.element("div").classes("lot-way"):
        made = button(shown.word(f"lot.{step}"), STEPS[step][0])
        made._props["name"] = f"step-{step}"
        if step is Step.RELEASE and not refused:
            made.classes("main")
        if step is Step.REJECT:
            made.classes("danger")
        if refused or not may:
            made.props("disabled")
        ui.html(f"<p>{refused or then}</p>", sanitize=False)

    async def decide() -> None:
        shown.who(Action.DISPOSE)
        text = reason()
        note.classes(replace="note bad")
        if not text:
            note.text = shown.word("lot.reason.needed")
            return
        note.text = ""
        content = {
            "step": str(step), "from": str(life.state), "reason": text,
            "counts": {str(outcome): n for outcome, n in facts.counts.items()},
            "others": facts.others, "ended_ns": facts.ended_ns,
        }  # fmt: skip
        subject = Subject.of(f"batch_{step}", id, content, id)
        what = shown.word(f"lot.signs.{step}", id, text)
        signature = await signing.ask(shown, subject, STEPS[step][1], Action.DISPOSE, what)
        if signature is None:
            return
        try:
            detail = await anyio.to_thread.run_sync(decided, shown, id, step, text, signature, beat)
        except Refused:
            note.text = await anyio.to_thread.run_sync(_now_refused, shown, id, step)
            return
        except (IdentityError, StoreError, NoAnswer) as error:
            note.text = shown.said(str(error))
            return
        if detail:
            note.text = shown.word("lot.partly", shown.said(detail))
        else:
            ui.navigate.reload()

    if may and not refused:
        pressed(made, decide)


def decided(
    shown: Shown, id: str, step: Step, reason: str, signature: Signature, beat: Heard
) -> str:
    """Take the decision that was signed; what did not go well with it.

    Raises:
        Refused: it cannot follow any more.
        IdentityError, StoreError: nothing is recorded.
    """
    desk, who = shown.desk, shown.who(Action.DISPOSE)
    with desk.history() as history, Batches(desk.data) as batches:
        life = batches.life(history, desk.holds, id)
    kind, body = decision(id, life, step, reason, signature.name)
    body["signature"] = signature.position
    detail = ""
    if step is Step.HOLD:
        stopped = stop(desk, beat, who, id, reason)
        body["paused"] = stopped.paused
        detail = stopped.detail if stopped.running else ""
    desk.record(kind, body, who)
    return detail


def _refused(shown: Shown, id: str, life: Life, step: Step) -> str:
    """Why the step cannot follow, in the page's language; empty where it can."""
    try:
        after(id, life, step)
    except Refused:
        return shown.word(f"lot.cannot.{life.state or State.PLANNED}")
    return ""


def _now_refused(shown: Shown, id: str, step: Step) -> str:
    with shown.desk.history() as history, Batches(shown.desk.data) as batches:
        return _refused(shown, id, batches.life(history, shown.desk.holds, id), step)
