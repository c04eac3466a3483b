"""Commands that measure what runs: a thin layer over ``assess``, ``backtest`` and ``drift``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

if TYPE_CHECKING:
    from training.dataset.snapshot import Snapshot
    from training.learned import Learned

console = Console(stderr=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]
Home = Annotated[Path, typer.Option(help="Folder of the data sets.", envvar="TRAINING_DATASETS")]
HOME = Path("datasets")


def evaluate_recipe(
    recipe: Path,
    data: str,
    models: Path,
    champion: Path | None,
    champion_models: Path | None,
    out: Path | None,
    home: Path,
    threads: int,
    as_json: bool,
) -> dict[str, Any]:
    """Judge held-out parts with a recipe, write the page and tell the figures."""
    from inspector.recipe import read
    from training.assess import assess, write
    from training.cases import of_films, of_snapshot
    from training.dataset.snapshot import open_snapshot

    views = read(recipe).views
    remarks: list[str] = []
    if (Path(data) / "film.json").is_file():
        parts = list(of_films(Path(data), date.today()))
        chooses = []
    else:
        snapshot = open_snapshot(home, data)
        judges = [(recipe, models), *([(champion, champion_models or models)] if champion else [])]
        known = _learned(judges, home)
        parts = list(of_snapshot(snapshot, views, "test", without=known))
        chooses = list(of_snapshot(snapshot, views, "val", without=known))
        remarks = _remarks(snapshot, known, home)
    if not parts:
        why = "".join(f"; {remark}" for remark in remarks)
        raise ValueError(f"{data}: no held-out part shows the views {', '.join(views)}{why}")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("judging", total=len(parts))
        report, shown = assess(
            recipe, models, parts, chooses=chooses, threads=threads,
            champion=(champion, champion_models or models) if champion else None, remarks=remarks,
            told=lambda done: progress.update(task, completed=done),
        )  # fmt: skip
    if out is not None:
        written = write(out, shown)
        (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False))
        console.print(f"wrote {' and '.join(map(str, written))}")
    if as_json:
        print(json.dumps(report, ensure_ascii=False))
    else:
        _print(report)
    return report


def _learned(judges: Sequence[tuple[Path, Path]], home: Path) -> Learned:
    """What has taught the models of these recipes, each with its folder of models."""
    from inspector.recipe import load
    from inspector.tools.card import find_model
    from training.learned import datasets_of, learned_from
    from training.release import Noted

    datasets: dict[str, str] = {}
    for recipe, models in judges:
        shelf = Noted(models, 1)
        load(recipe, shelf)
        for ref in shelf.refs:
            card = json.loads((find_model(models, ref) / "card.json").read_text())
            datasets |= datasets_of(card.get("lineage"))
    return learned_from(home, datasets)


def _remarks(snapshot: Snapshot, known: Learned, home: Path) -> list[str]:
    left = sum(any(known.has(row) for row in rows) for rows in snapshot.parts("test"))
    told = [f"{left} more have taught a model and are left out"] if left else []
    if known.unknown:
        told.append(
            f"whether any of them has taught a model is not known: {', '.join(known.unknown)} is "
            f"not in {home}"
        )
    return told


def register(app: typer.Typer) -> None:
    """Adds this file's commands."""

    @app.command()
    def backtest(
        recipe: Annotated[Path, typer.Argument(help="The candidate.")],
        station: Annotated[list[Path], typer.Option(help="A station's data folder; repeatable.")],
        since: Annotated[str, typer.Option(help="Since this day, YYYY-MM-DD.")] = "",
        models: Annotated[Path, typer.Option(help="Folder of the models.")] = Path("models"),
        ray: Annotated[
            str, typer.Option(help="Ray: auto, local:2, or ray://HOST:PORT.", envvar="RAY_ADDRESS")
        ] = "",
        out: Annotated[Path | None, typer.Option(help="File for the JSON report.")] = None,
        home: Home = HOME,
        threads: Annotated[int, typer.Option(min=1)] = 2,
        as_json: Json = False,
    ) -> None:
        """Judge every archived part again with a candidate; list the verdicts that change.

        Example: training backtest bottle-line.yaml --station data/bottle-line --since 2026-11-01
        """
        from training.backtest import backtest as run
        from training.cli_dataset import since as begun

        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("judging", total=None)
            report = run(
                recipe, models, station, home, begun(since), ray, threads,
                lambda done, all_of: progress.update(task, completed=done, total=all_of),
            )  # fmt: skip
        if out is not None:
            out.write_text(json.dumps(report, indent=1, ensure_ascii=False))
        if as_json:
            print(json.dumps(report, ensure_ascii=False))
            return
        table = Table("part", "then", "now", "truly", "why", title=f"{len(report['flips'])} flips")
        for flip in report["flips"][:50]:
            truly = ", ".join(flip["defects"]) or flip["truth"]
            table.add_row(
                flip["part"][:18], flip["from"], flip["to"], truly, "; ".join(flip["reasons"])
            )
        Console().print(table)
        print(f"{report['parts']} parts: then {report['then']}, now {report['now']}")

    @app.command()
    def drift(
        dataset: Annotated[str, typer.Argument(help="What the model was trained on.")],
        station: Annotated[list[Path], typer.Option(help="A station's data folder; repeatable.")],
        view: Annotated[str, typer.Option(help="Which view.")] = "",
        last: Annotated[int, typer.Option(help="The newest so many archived parts.")] = 500,
        home: Home = HOME,
        as_json: Json = False,
    ) -> None:
        """Compare what stations see now with what the model was trained on, and say what to do.

        Example: training drift bottles --station data/bottle-line --view side
        """
        from training.drift import drift as look

        report = look(home, dataset, station, view, last)
        if as_json:
            print(json.dumps(report, ensure_ascii=False))
            return
        for name, found in report["stations"].items():
            table = Table("what", "PSI", "MMD p", "judgement", title=name)
            for what, row in found["signals"].items():
                table.add_row(what, _cell(row.get("psi")), _cell(row.get("p")), row["judgement"])
            Console().print(table)
        print(report["proposal"]["why"])
        for sample in report["proposal"]["samples"][:10]:
            print(f"  {sample['part'][:18]}  {sample['station']}  {sample['why']}")

    @app.command()
    def trials(
        dataset: Annotated[str, typer.Argument(help="A data set.")],
        run: Annotated[Path, typer.Option(help="Folder of the runs.")],
        view: Annotated[str, typer.Option(help="Which view.")],
        rate: Annotated[list[float] | None, typer.Option(help="Rates to try; repeatable.")] = None,
        seeds: Annotated[int, typer.Option(min=1, help="Seeds per rate.")] = 1,
        folds: Annotated[int, typer.Option(min=2, help="Folds, by batch.")] = 3,
        epochs: Annotated[int, typer.Option(min=1)] = 20,
        start: Annotated[Path | None, typer.Option(help="A model to begin from.")] = None,
        ray: Annotated[
            str, typer.Option(help="Ray: auto, local:2, or ray://HOST:PORT.", envvar="RAY_ADDRESS")
        ] = "",
        home: Home = HOME,
        threads: Annotated[int, typer.Option(min=1)] = 2,
        as_json: Json = False,
    ) -> None:
        """Train a detector on every fold, for each rate and seed; on a Ray cluster if named.

        Example: training trials bottles --view side --rate 0.001 --rate 0.002 --run runs/trials
        """
        from training.trials import trials as run_all

        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("trials", total=None)
            report = run_all(
                home, dataset, run, view=view, start=start, folds=folds, epochs=epochs, ray=ray,
                rates=tuple(rate or (2e-3,)), seeds=tuple(range(seeds)), threads=threads,
                told=lambda done, all_of: progress.update(task, completed=done, total=all_of),
            )  # fmt: skip
        if as_json:
            print(json.dumps(report))
            return
        table = Table("rate", "mAP50", "spread", title=report["dataset"])
        for name, row in report["by_rate"].items():
            table.add_row(name, _cell(row["mean"]), _cell(row["spread"]))
        Console().print(table)


def _print(report: dict[str, Any]) -> None:
    f, against = report["figures"], report["comparison"]
    head = ["defect", "escapes", "95 %"] + (["champion's", "McNemar p"] if against else [])
    table = Table(*head, title=report["recipe"])
    for name, share in f["escapes_by_defect"].items():
        row = [name, *_share(share)]
        if against:
            other = against["by_defect"][name]
            row += [_share(other["before"])[0], f"{other['p']:.3g}"]
        table.add_row(*row)
    table.add_section()
    for name in ("escapes", "false_rejects"):
        row = [name, *_share(f[name])]
        table.add_row(*row, *([""] * (len(head) - len(row))))
    Console().print(table)
    print(f"{f['parts']} parts, p50 {f['latency_ms']['p50']} ms, p99 {f['latency_ms']['p99']} ms")
    for remark in report["remarks"]:
        print(f"  · {remark}")


def _share(share: dict[str, Any]) -> list[str]:
    if not share["n"]:
        return ["–", "–"]
    low, high = share["interval95"]
    return [f"{share['value'] * 100:.2f} % of {share['n']}", f"{low * 100:.2f}–{high * 100:.2f}"]


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
