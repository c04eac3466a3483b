"""The pages' templates and icons: file names enter, HTML leaves. The web room imports it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastapi.templating import Jinja2Templates

from inspector import __version__

HERE = Path(__file__).parent
PAGES = Jinja2Templates(HERE / "templates")
TEMPLATES = PAGES.env
TEMPLATES.globals["version"] = __version__
ICONS = (HERE / "templates" / "icons.svg").read_text()
"""Every sign and icon of every page, as symbols of one hidden SVG: ``<use href="#i-NAME"/>``."""


def brought(id: str, value: Any) -> str:
    """The element by which a page brings ``value`` along for its scripts."""
    text = json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{id}">{text}</script>'
