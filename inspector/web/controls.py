"""What every page is made of: signs, buttons, fields, a form to search by, cards, tables.

Words in the page's language enter; HTML leaves, or an element where somebody waits for its click.
``static/controls.css`` is their look. Every page of the desk imports this.
"""

from __future__ import annotations

import html
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from nicegui import ui


def sign(name: str) -> str:
    """A sign of ``icons.svg``; it says nothing to a screen reader, so a word stands beside it."""
    return f'<svg class="icon" aria-hidden="true"><use href="#i-{html.escape(name)}"/></svg>'


def way(word: str, name: str, to: str, more: str = "") -> str:
    """A button with a sign that leads to another page; ``more`` are attributes."""
    return (
        f'<a class="button" href="{html.escape(to)}" {more}>{sign(name)}'
        f"<span>{html.escape(word)}</span></a>"
    )


def field(word: str, control: str) -> str:
    """A control under its name."""
    return f'<label class="field"><span>{html.escape(word)}</span>{control}</label>'


def choice(
    word: str, name: str, value: str, options: Iterable[tuple[str, str]], more: str = ""
) -> str:
    """A field in which one of ``options``, each a key and what it is called, is chosen."""
    drawn = "".join(
        f'<option value="{html.escape(key)}"{" selected" if key == value else ""}>'
        f"{html.escape(said)}</option>"
        for key, said in options
    )
    return field(word, f'<select name="{name}" {more}>{drawn}</select>')


def typed(word: str, name: str, value: str, known: Iterable[str], every: str = "") -> str:
    """A field for one of ``known`` or any other: the newest batches are offered, and each that was
    ever made is found by its number."""
    offered = "".join(f'<option value="{html.escape(one)}"></option>' for one in known)
    return field(
        word,
        f'<input type="search" name="{name}" value="{html.escape(value)}" list="known-{name}"'
        f' placeholder="{html.escape(every)}" maxlength="64" autocomplete="off"'
        f' spellcheck="false"><datalist id="known-{name}">{offered}</datalist>',
    )


def search_form(
    to: str, fields: Iterable[str], word: str, ways: Iterable[str] = (), look: str = "main"
) -> str:
    """A plain form, so that what is looked for stands in the address and can be sent on; beside
    its button are ``ways`` to elsewhere."""
    return (
        f'<form class="search" method="get" action="{to}">{"".join(fields)}'
        f'<button class="button {look}" type="submit">{sign("search")}'
        f"<span>{html.escape(word)}</span></button>{''.join(ways)}</form>"
    )


def put(drawn: str) -> ui.html:
    """Put finished HTML on the page as if it stood there itself."""
    return ui.html(drawn, sanitize=False).classes("bare")


def follow(draw: Callable[[], str], every_s: float) -> None:
    """HTML on the page that is drawn anew, and sent where it has changed."""
    drawn = put(draw())
    ui.timer(every_s, lambda: drawn.set_content(draw()))


@contextmanager
def card(title: str, look: str = "group") -> Iterator[ui.element]:
    """A card with its heading, and what is put in it."""
    with ui.element("section").classes(f"card {look}") as made:
        ui.html(f"<h2>{html.escape(title)}</h2>", sanitize=False)
        yield made


def button(text: str, name: str = "", on_click: Callable[..., Any] | None = None) -> ui.element:
    """A button of ours: large enough for a glove, with a sign before its word."""
    made = ui.element("button").classes("button").props('type="button"')
    with made:
        if name:
            ui.html(sign(name), sanitize=False)
        ui.html(f"<span>{html.escape(text)}</span>", sanitize=False)
    if on_click is not None:
        pressed(made, on_click)
    return made


def pressed(made: ui.element, on_click: Callable[[], Any]) -> None:
    """Do it when ``made`` is clicked, and not once more for the second click of a double one, nor
    while it is done: a glove touches twice."""
    busy = False

    async def once() -> None:
        nonlocal busy
        if busy:
            return
        busy = True
        try:
            result = on_click()
            if inspect.isawaitable(result):
                await result
        finally:
            busy = False

    made.on("click", once, js_handler="(event) => event.detail > 1 || emit()")


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    caption: str,
    looks: Mapping[int, str] = MappingProxyType({}),
) -> ui.html:
    """A table of texts. ``looks`` is the class of a column by its index: ``number``, ``moment``,
    ``phrase``, ``strong``."""

    def cells(tag: str, texts: Sequence[str]) -> str:
        return "".join(
            f'<{tag} class="{looks.get(i, "")}">{html.escape(text)}</{tag}>'
            for i, text in enumerate(texts)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    made = ui.html(
        f'<table class="table"><caption class="away">{html.escape(caption)}</caption>'
        f"<thead><tr>{cells('th', columns)}</tr></thead><tbody>{body}</tbody></table>",
        sanitize=False,
    ).classes("scroll")
    made._props |= {"tabindex": "0", "role": "region", "aria-label": caption}
    return made
