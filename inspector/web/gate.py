"""The gate and the PLC: signals and counters as they are now, and a test pulse under interlock.

The line's heartbeat enters; a page that follows it leaves, and a pulse that the line refuses while
a part stands before the gate. Nothing here is a safety function. `app` makes the page.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import anyio.to_thread
from nicegui import ui

from inspector.bus import BusError
from inspector.identity import Action, IdentityError
from inspector.registers import Signal
from inspector.web.controls import button, card, follow, sign
from inspector.web.desk import Desk
from inspector.web.feed import Feed
from inspector.web.frame import Shown, page
from inspector.web.sessions import Sessions
from inspector.web.words import WORDS

PATH = "/gate"
LOOK_S = 0.5
GOOD = {
    "line_running": True, "estop_clear": True, "air_ok": True, "bin_full": False, "light_ok": True,
    "encoder_ok": True, "jam": False, "reverse": False, "confirmation_fault": False,
}  # fmt: skip
"""How each of the PLC's signals should be."""
COUNTERS = (
    "gate_infeed_total", "gate_triggers_total", "gate_rejects_commanded_total",
    "gate_rejects_confirmed_total", "zone_parts", "parts_in_progress",
)  # fmt: skip


def build(desk: Desk, sessions: Sessions, feed: Feed) -> None:
    """The page ``/desk/gate``."""

    @page(desk, sessions, PATH, word="nav.gate", icon="gate", action=Action.SET_OUTPUT)
    async def gate(shown: Shown) -> None:
        ui.add_head_html('<link rel="stylesheet" href="/static/engineer.css">')
        with card(shown.word("gate.pulse")):
            ui.label(shown.word("gate.pulse.more"))
            said = ui.label("").classes("note").props('role="status"')

            async def pulse() -> None:
                try:
                    who = shown.who(Action.TEST_PULSE)
                    answer = await anyio.to_thread.run_sync(
                        lambda: desk.ask(Action.TEST_PULSE, {}, who)
                    )
                except (BusError, IdentityError) as error:
                    said.text = shown.why(error)
                    return
                said.text = shown.word("gate.pulse.done") if answer.ok else shown.why(answer.error)

            button(shown.word("gate.pulse.do"), "gate", pulse)
        follow(lambda: drawing(shown, feed.now), LOOK_S)


def drawing(shown: Shown, status: Mapping[str, Any]) -> str:
    """Signals, counters and health of a heartbeat; of none, that there is none."""
    if not status:
        return f'<p class="empty">{shown.word("gate.lost")}</p>'
    figures = status.get("figures") or {}
    signals = "".join(
        _signal(shown, name, bool(figures[key]))
        for name in (str(signal.name).lower() for signal in Signal)
        if (key := f'plc_signal{{name="{name}"}}') in figures
    )
    counts = "".join(
        f'<div class="tile"><b>{shown.number(figures[key])}</b>'
        f"<span>{shown.word(f'gate.{key}')}</span></div>"
        for key in COUNTERS
        if key in figures
    )
    health = "".join(
        f'<li data-state="{h["state"]}">{sign(h["state"])}<b>{html.escape(called(shown, h))}</b>'
        f"<span>{shown.word('state.' + h['state'])}</span>"
        f"<span>{html.escape(shown.why(h['detail']))}</span></li>"
        for h in status.get("health") or ()
        if h["kind"] in ("plc", "gate")
    )
    none = f'<p class="soft">{shown.word("gate.no_plc")}</p>'
    return (
        f'<section class="card group"><h2>{shown.word("gate.signals")}</h2>'
        f"{f'<ul class=signals>{health}{signals}</ul>' if signals else none}</section>"
        f'<section class="card group"><h2>{shown.word("gate.counters")}</h2>'
        f'<div class="tiles">{counts}</div></section>'
    )


def called(shown: Shown, health: Mapping[str, Any]) -> str:
    """The name of what a heartbeat tells the health of."""
    if health["kind"] == "camera":
        return f"{shown.word('health.camera')} {health['name']}"
    key = f"health.{health['kind']}"
    return shown.word(key) if key in WORDS[shown.language] else str(health["name"])


def _signal(shown: Shown, name: str, on: bool) -> str:
    good = on == GOOD[name]
    state = "ok" if good else "warning"
    return (
        f'<li data-state="{state}" data-signal="{name}">{sign(state)}'
        f"<b>{shown.word(f'gate.signal.{name}')}</b>"
        f"<span>{shown.word('gate.on' if on else 'gate.off')}</span><span></span></li>"
    )
