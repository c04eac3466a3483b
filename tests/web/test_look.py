"""The look that must not slip: contrast of every pair of colours, no motion, nothing foreign."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "inspector" / "web"
PAIRS = [
    *((ink, ground) for ink in ("ink", "ink-soft") for ground in ("ground", "surface", "raised")),
    *((ink, "surface") for ink in ("good", "bad", "warn", "accent")),
    ("idle-ink", "idle"),
    ("pass-ink", "pass"),
    ("reject-ink", "reject"),
    ("error-ink", "error"),
    ("uninspected-ink", "uninspected"),
    ("lost-ink", "lost"),
    ("mark-normal", "mark-key"),
    ("act-ink", "act"),
    *((ink, ground) for ink in ("plate-ink", "plate-soft") for ground in ("plate", "plate-raised")),
    ("plate-accent", "plate"),
]


def tokens(theme: str) -> dict[str, str]:
    """The colours of ``tokens.css`` in a theme: the common ones, then the theme's own."""
    text = (WEB / "static" / "tokens.css").read_text()
    colours: dict[str, str] = {}
    for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", text):
        if ":root" in selector and ("data-theme" not in selector or f'"{theme}"]' in selector):
            if ":not(" in selector:
                continue
            colours |= dict(re.findall(r"--([a-z-]+):\s*(#[0-9a-f]{6});", body))
    return colours


def luminance(colour: str) -> float:
    """Relative luminance after WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_text_has_a_contrast_of_seven_to_one(theme: str, ink: str, ground: str) -> None:
    colours = tokens(theme)
    assert contrast(colours[ink], colours[ground]) >= 7.0


def test_light_by_preference_is_light_by_choice() -> None:
    text = (WEB / "static" / "tokens.css").read_text()
    preferred, chosen = re.findall(r"(--ground: #d[^}]*)\}", text)
    assert preferred.split() == chosen.split()


def test_nothing_comes_from_elsewhere_and_nothing_moves() -> None:
    for file in (*WEB.rglob("*.html"), *WEB.rglob("*.css"), *WEB.rglob("*.js")):
        text = file.read_text()
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), file
        assert not re.search(r"@import|animation|transition|@keyframes", text), file
        assert not re.search(r"\sstyle=|\son[a-z]+=\"", text), file


def test_every_rule_of_every_sheet_is_one_that_a_browser_takes() -> None:
    """A selector that is broken takes its rule away without a word."""
    for file in (WEB / "static").glob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.DOTALL)
        assert text.count("{") == text.count("}"), file
        for selector in re.findall(r"([^{}]+)\{", text):
            assert not re.search(r"\.\.|\.\s|,\s*$|^\s*,|#\s", selector.strip()), (file, selector)
