"""``python -m training.loop``: what ``scripts/loop`` runs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from rich.console import Console

from training.loop.acts import run, table
from training.loop.story import SHORT, LoopFailed, Size, console


def main(argv: list[str] | None = None) -> int:
    """``python -m training.loop [--folder F] [--seed N] [--short] [--json]``."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="scripts/loop", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/loop"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="the tests' form")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(argv)
    try:
        figures = run(asked.folder, SHORT if asked.short else Size(), asked.seed)
    except LoopFailed as error:
        console.print(f"loop: {error}", style="red", markup=False)
        return 1
    if asked.json:
        print(json.dumps(figures, ensure_ascii=False))
    else:
        Console().print(table(figures))
        line = figures["line"]
        print(
            f"{figures['improvement']} times fewer escapes; {line['triggers']} parts, "
            f"{line['verdicts']} verdicts, {line['unjudged_passed']} passed unjudged; "
            f"{figures['seconds'] / 60:.1f} minutes; plot: {asked.folder / 'loop.svg'}"
        )
    good = figures["improvement"] >= 10 and figures["line"]["unjudged_passed"] == 0
    return 0 if good and figures["line"]["triggers"] == figures["line"]["verdicts"] else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main())
