"""The whole evaluation of a recipe: recipe, parts and a champion enter, figures and a report leave.

Thresholds are chosen on the ``val`` split and everything is measured on ``test``, or the parts that
chose would praise their own choice. Imported by the command line and ``loop``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inspector.recipe import load
from inspector.tools.onnx import Shelf
from training.cases import Case, Known, judge, lowered
from training.figures import compare, curve, figures, thresholds
from training.report import Contents, page, worst
from training.report_pdf import print_report

Told = Callable[[int], None]


def assess(
    recipe_file: Path,
    models: Path,
    parts: Sequence[Known],
    *,
    chooses: Sequence[Known] = (),
    champion: tuple[Path, Path] | None = None,
    threads: int = 2,
    told: Told = lambda done: None,
    remarks: Sequence[str] = (),
) -> tuple[dict[str, Any], Contents]:
    """Figures of what ``recipe_file`` with ``models`` does on ``parts``, and a report's contents.

    ``chooses`` are parts to choose thresholds on; ``champion`` is another recipe and its models,
    judged on the same ``parts``; ``remarks`` on the parts are told with the figures.
    """
    shelf = Shelf(models, threads)
    recipe = load(recipe_file, shelf)
    cases = judge(recipe, parts, told)
    found = figures(cases)
    labels = {
        label: severity.value
        for step in recipe.file.tools if step.kind == "detect"
        for label, severity in step.params.defects.items()
    }  # fmt: skip
    loose = lowered(recipe, shelf) if labels else None
    curves = {}
    chosen: dict[str, Any] = {}
    if loose is not None:
        all_scores = judge(loose, parts)
        curves = {label: curve(all_scores, label) for label in labels}
        if chooses:
            chosen = thresholds(judge(loose, chooses), labels, measured=all_scores)
    against, before = None, ""
    if champion is not None:
        other = load(champion[0], Shelf(champion[1], threads))
        before = f"{other.name}@{other.revision} {other.digest[:12]}"
        against = compare(judge(other, parts), cases)
    report = {
        "recipe": f"{recipe.name}@{recipe.revision}",
        "recipe_digest": recipe.digest,
        "models": list(recipe.model_digests),
        "champion": before,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "figures": found,
        "thresholds": chosen,
        "average_precision": {label: c["ap"] for label, c in curves.items()},
        "comparison": against,
        "remarks": list(remarks),
    }
    facts = {
        "recipe": f"{report['recipe']} ({recipe.digest[:16]})",
        "models": ", ".join(digest[:12] for digest in recipe.model_digests),
        "champion": before or "none",
        "measured on": "; ".join(
            [f"{found['parts']} parts, {found['defective']} of them defective", *remarks]
        ),
        "made": report["created"],
    }
    title = f"Evaluation of {report['recipe']}"
    return report, Contents(title, facts, found, against, chosen, curves, worst(cases, parts))


def write(folder: Path, shown: Contents) -> list[Path]:
    """``report.html`` and ``report.pdf`` in ``folder``; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    html, pdf = folder / "report.html", folder / "report.pdf"
    html.write_text(page(shown), "utf-8")
    print_report(pdf, shown)
    return [html, pdf]


def summary(cases: Sequence[Case]) -> dict[str, Any]:
    """``figures`` of cases, for callers who have judged already."""
    return figures(cases)
