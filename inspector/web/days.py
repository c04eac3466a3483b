"""A field for a day, or for a day and a time, that speaks the page's language: the browser's own
speaks the browser's.

Enters: a name and what stands in it. Leaves: the field as HTML; ``static/day.js`` opens its
calendar and says what is no day. Pages that are filtered by time import this.
"""

from __future__ import annotations

import html
import json

from nicegui import ui

from inspector.web.controls import sign
from inspector.web.frame import Shown

_SCRIPT = '<script type="module" src="/static/day.js"></script>'


def words(shown: Shown) -> dict[str, str]:
    """What a field and its calendar say, for ``day.js``."""
    names = ("form", "form.clock", "wrong", "back", "on", "calendar")
    return {name: shown.word(f"day.{name}") for name in names}


def field(shown: Shown, label: str, name: str, value: str, *, clock: bool = False) -> str:
    """A labelled field; with ``clock`` it takes a time of that day too."""
    ui.add_body_html(_SCRIPT)
    says = html.escape(json.dumps(words(shown), ensure_ascii=False))
    form = shown.word("day.form.clock" if clock else "day.form")
    return (
        f'<label class="field day"><span>{html.escape(label)}</span>'
        f'<input type="text" name="{name}" value="{html.escape(value.replace("T", " "))}"'
        f' data-day="{"clock" if clock else "day"}" data-says="{says}" placeholder="{form}"'
        f' maxlength="16" autocomplete="off" spellcheck="false" aria-haspopup="dialog">'
        f"{sign('calendar')}</label>"
    )
