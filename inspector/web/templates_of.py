"""The pages' templates and icons: file names enter, HTML leaves. The web room imports it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.templating import Jinja2Templates

from inspector import __version__
from inspector.web.words import LANGUAGES, WORDS, language_of

HERE = Path(__file__).parent


def theme_of(request: Request) -> str:
    """``light``, ``dark``, or empty: as the device prefers."""
    theme = request.cookies.get("theme", "")
    return theme if theme in ("light", "dark") else ""


def _of(request: Request) -> dict[str, Any]:
    """What every page of ours is told of whose it is."""
    language = language_of(request)
    return {"language": language, "words": WORDS[language], "theme": theme_of(request)}


PAGES = Jinja2Templates(HERE / "templates", context_processors=[_of])
TEMPLATES = PAGES.env
TEMPLATES.globals |= {"version": __version__, "catalogue": WORDS, "languages": LANGUAGES}
ICONS = (HERE / "templates" / "icons.svg").read_text()
"""Every sign and icon of every page, as symbols of one hidden SVG: ``<use href="#i-NAME"/>``."""


def brought(id: str, value: Any) -> str:
    """The element by which a page brings ``value`` along for its scripts."""
    text = json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{id}">{text}</script>'
