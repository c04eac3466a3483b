"""What is printed, in the reader's language: reports and sheets are quality's, the words for what
the record says in English are the pages'.

Stands above the street, because neither room may import the other. ``python -m inspector.printed``
prints in a process of its own, niced: ``quality.printing`` and ``quality.sheets`` start that, the
command line imports this.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from inspector.config import Quality
from inspector.quality.report import batch_report
from inspector.quality.report_words import Say
from inspector.quality.sheet import print_sheet
from inspector.quality.tolerances import tolerances
from inspector.web.said import said, words_of
from inspector.web.words_reasons import UNITS


def sayer(language: str, recipes: Iterable[Path] = ()) -> Say:
    """How a reason, a label or a unit is printed in ``language``; the recipes bring their own
    words along."""
    own, units = words_of(recipes).get(language, {}), UNITS.get(language, {})
    return lambda text: units.get(text) or said(language, text, own)


def report(
    data: str, batch: str, out: str, language: str, check: str = "-", site: str = "",
    line: str = "", plan: str = "", *recipes: str,
) -> None:  # fmt: skip
    """``plan`` is JSON, the recipes are files with their tolerances and words, ``check`` is
    ``verify`` or ``-``."""
    paths = [Path(recipe) for recipe in recipes]
    quality = Quality.model_validate_json(plan) if plan else None
    batch_report(
        Path(data), batch, Path(out), language, quality, tolerances(paths), check == "verify",
        (site, line), sayer(language, paths),
    )  # fmt: skip


def sheet(data: str, id: str, out: str, language: str, *recipes: str) -> None:
    """The sheet of first article ``id``; the recipes are files with their words."""
    print_sheet(Path(data), id, Path(out), language, sayer(language, map(Path, recipes)))


def main() -> None:
    """``python -m inspector.printed report|sheet …``, and what `report` and `sheet` take."""
    os.nice(10)
    kind, *words = sys.argv[1:]
    try:
        report(*words) if kind == "report" else sheet(*words)
    except Exception as error:
        if not type(error).__module__.startswith("inspector."):
            raise
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
