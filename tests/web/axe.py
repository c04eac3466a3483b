"""What axe-core has against a page, as a test tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "wcag2aaa")
"""WCAG 2.2 A and AA, and of AAA the contrast of 7:1."""


def violations(page: Any) -> list[str]:
    """Each with its place. The page's context was made with ``bypass_csp``."""
    axe = pytest.importorskip("axe_playwright_python.base", reason="NO AXE: not checked")
    page.evaluate(Path(axe.AXE_FILE_PATH).read_text())
    found = page.evaluate(
        "(tags) => axe.run(document, { runOnly: { type: 'tag', values: tags } })", list(TAGS)
    )
    return [
        f"{v['id']}: {node['target']} {node['failureSummary'][:200]}"
        for v in found["violations"]
        for node in v["nodes"]
    ]
