"""Pictures of the live page while the virtual line runs: `scripts/screenshots`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from inspector.trial import Plan, running, wait_for
from inspector.virtual.film import render_set

DOCS = Path(__file__).parent.parent / "docs"
SIZES = {"": (1280, 800), "-1920": (1920, 1080)}


def main() -> None:
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        sys.exit("screenshots: no Chromium here; install it (apt install chromium)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        films = render_set("bottle-line", 7, 120, folder / "films")
        plan = Plan(
            films,
            folder / "trial",
            rate=4.0,
            order="shuffled",
            page=0,
            station={"clock": "trusted"},
        )
        with running(plan) as trial, sync_playwright() as play:
            if not wait_for(trial.page, 60.0) or not wait_for(
                lambda: trial.report().get("gate_rejects", 0) >= 6, 120.0
            ):
                sys.exit((trial.plan.folder / "station.log").read_text())
            browser = play.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
            for suffix, (width, height) in SIZES.items():
                page = browser.new_page(viewport={"width": width, "height": height})
                take(page, trial.page(), DOCS / f"live{suffix}.png")
                page.close()
            page = browser.new_page(viewport={"width": 1280, "height": 800}, locale="zh-CN")
            take(page, trial.page(), DOCS / "live-zh.png")
            browser.close()


def take(page: Page, url: str, path: Path) -> None:
    """A picture of the page once it has shown parts for a while."""
    page.goto(url)
    page.wait_for_timeout(6000)
    page.screenshot(path=path)
    print(path)


if __name__ == "__main__":
    main()
