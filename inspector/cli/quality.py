"""Commands of quality: first article, clearance, challenge, charts, agreement, reports."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from inspector.cli.people import As, secret_of, signed_in
from inspector.cli.words import (
    MODELS,
    Data,
    Json,
    Models,
    StationFile,
    Threads,
    bars,
    day_of,
    pair,
    print_rows,
    show,
)

app = typer.Typer()
article = typer.Typer(no_args_is_help=True, help="The first article of a change-over.")
challenge = typer.Typer(no_args_is_help=True, help="Challenge tests with seeded defects.")
app.add_typer(article, name="first-article")
app.add_typer(challenge, name="challenge")

BatchId = Annotated[str, typer.Argument(help="The batch's id.", metavar="BATCH")]
Language = Annotated[str, typer.Option(help="en or zh.")]
Pin = Annotated[bool, typer.Option("--pin", help="Sign with the PIN instead of the password.")]
Remark = Annotated[str, typer.Option(help="What is to stand beside the signature.")]


@article.command("show")
def article_show(station: StationFile, as_json: Json = False) -> None:
    """Show the list as it stands, and what must be signed.

    Example: inspector first-article show station_configs/bottle-line.yaml
    """
    from inspector.bus import run_dir
    from inspector.config import load_station
    from inspector.quality.process import state

    found = state(run_dir(load_station(station).data)).get("first_article")
    if as_json:
        print(json.dumps(found))
    elif found is None:
        print("no first article is awaited")
    else:
        print_rows(f"First article of {found['batch']}, attempt {found['attempt']}", found["steps"])


@article.command("sign")
def article_sign(
    station: StationFile, who: As, pin: Pin = False, remark: Remark = "", as_json: Json = False
) -> None:
    """Sign the first article; the line is released when everything is signed.

    Example: inspector first-article sign station.yaml --as quinn --pin
    """
    from inspector.bus import run_dir
    from inspector.config import load_station
    from inspector.quality.signing import sign_article

    data = load_station(station).data
    by = "pin" if pin else "password"
    given = sign_article(data, run_dir(data), who, secret_of(who, by), by=by, remark=remark)
    _say_signed(given, as_json)


@article.command("print")
def article_print(
    station: StationFile,
    out: Annotated[Path, typer.Option(help="The PDF to write.")],
    id: Annotated[str, typer.Option(help="Which; the awaited one if none is given.")] = "",
    language: Language = "en",
) -> None:
    """Print the sheet of a first article as a PDF.

    Example: inspector first-article print station.yaml --out sheet.pdf --language zh
    """
    from inspector.bus import run_dir
    from inspector.config import load_station
    from inspector.printed import sayer
    from inspector.quality.errors import QualityError
    from inspector.quality.sheet import print_sheet
    from inspector.quality.signing import awaited

    loaded = load_station(station)
    id = id or awaited(run_dir(loaded.data)).id
    if not id:
        raise QualityError("no first article is awaited; name one that was: --id ID")
    print_sheet(loaded.data, id, out, language, sayer(language, loaded.recipes))
    print(out)


@app.command("clear-line")
def clear_line(
    station: StationFile,
    who: As,
    checked: Annotated[
        bool, typer.Option("--checked", help="You have looked at every line of the list.")
    ] = False,
    pin: Pin = False,
    remark: Remark = "",
    as_json: Json = False,
) -> None:
    """Sign that the line is clear for the new batch; without --checked, say what to look at.

    Example: inspector clear-line station.yaml --as otto --pin --checked
    """
    from inspector.bus import run_dir
    from inspector.config import load_station
    from inspector.quality.signing import CHECKS, sign_clearance

    if not checked:
        rows = [{"look whether": check} for check in CHECKS]
        show("Line clearance", rows, as_json)
        raise typer.Exit(1)
    data = load_station(station).data
    by = "pin" if pin else "password"
    secret = secret_of(who, by)
    _say_signed(
        sign_clearance(data, run_dir(data), who, secret, CHECKS, by=by, remark=remark), as_json
    )


@challenge.command("start")
def challenge_start(station: StationFile, who: As, as_json: Json = False) -> None:
    """Say that the next parts are the seeded ones; then feed them in their order.

    Example: inspector challenge start station.yaml --as otto
    """
    from inspector.bus import run_dir
    from inspector.config import load_station
    from inspector.quality.signing import ask_challenge

    loaded = load_station(station)
    plan = loaded.quality.challenge if loaded.quality else None
    answer = ask_challenge(run_dir(loaded.data), plan, signed_in(loaded.data, who))
    show("Challenge", answer, as_json)


@challenge.command("show")
def challenge_show(station: StationFile, as_json: Json = False) -> None:
    """Show whether a challenge is due, and what came of the last ones.

    Example: inspector challenge show station.yaml --json
    """
    from inspector.bus import run_dir
    from inspector.config import load_station
    from inspector.quality.challenge import KIND
    from inspector.quality.process import state
    from inspector.quality.report import moment
    from inspector.store import History

    data = load_station(station).data
    now = state(run_dir(data)).get("challenge") or {}
    with History(data) as history:
        last = [
            {"at": moment(r.body["at_utc_ns"]), "result": r.body["result"], "why": r.body["why"],
             "batch": r.body["batch"]} for r in history.desk(KIND, 10)
        ]  # fmt: skip
    if as_json:
        print(json.dumps({"now": now, "last": last}))
    else:
        print(f"due: {now.get('due') or 'no'}")
        print_rows("Challenge tests", last)


@app.command("spc")
def spc(
    data: Data,
    batch: BatchId,
    station: Annotated[Path | None, typer.Option(help="Its subgroups and tolerances.")] = None,
    as_json: Json = False,
) -> None:
    """Show the control charts of a batch: limits, signals, capability, false-alarm rates.

    Example: inspector spc data/bottle-line B-0001 --json
    """
    from inspector.config import Quality
    from inspector.quality.batch_facts import gather

    plan, limits = _plan(station)
    facts = gather(data, batch, plan or Quality(), limits, check=False)
    charts = facts.charts.state() if facts.charts else {}
    if as_json:
        print(json.dumps(charts))
        return
    print_rows(f"Control charts of {batch}", [
        {"chart": name, "points": len(c["points"]), "centre": c["centre"],
         "lower": c["lower"][-1], "upper": c["upper"][-1], "signals": len(c["signals"])}
        for name, c in charts.get("charts", {}).items()
    ])  # fmt: skip
    print_rows("Capability", [{"measure": m, **c} for m, c in charts.get("capability", {}).items()])


@app.command("report")
def report(
    data: Data,
    batch: BatchId,
    out: Annotated[Path, typer.Option(help="The PDF to write.")],
    language: Language = "en",
    station: Annotated[
        Path | None,
        typer.Option(help="Station file, for its subgroups, tolerances, site, line and words."),
    ] = None,
    check: Annotated[bool, typer.Option(help="Verify the ledger too.")] = True,
    as_json: Json = False,
) -> None:
    """Write the report of a batch as a PDF.

    Example: inspector report data/bottle-line B-0001 --language zh --out B-0001.pdf
    """
    from inspector.config import load_station
    from inspector.printed import sayer
    from inspector.quality.report import batch_report

    plan, limits = _plan(station)
    places, say = ("", ""), sayer(language)
    if station is not None:
        loaded = load_station(station)
        places, say = (loaded.site, loaded.line), sayer(language, loaded.recipes)
    facts = batch_report(data, batch, out, language, plan, limits, check, places, say)
    said = {
        "file": str(out), "batch": batch, "parts": facts.counts.total(),
        "passed": facts.counts["pass"], "rejected": facts.counts["reject"],  # type: ignore[index]
        "root": facts.root, "verified": None if facts.verified is None else not facts.verified,
    }  # fmt: skip
    show("Report", said, as_json)
    raise typer.Exit(1 if facts.verified else 0)


@app.command("agreement")
def agree(
    recipe: Annotated[Path, typer.Argument(help="The recipe's YAML file.", metavar="RECIPE")],
    folder: Annotated[
        Path,
        typer.Argument(help="One folder per part, or per truth (see below).", metavar="FOLDER"),
    ],
    text: Annotated[
        list[str] | None, typer.Option("--text", help="Expected print, NAME=VALUE; repeatable.")
    ] = None,
    today: Annotated[str, typer.Option(help="Judge dates as on this day, YYYY-MM-DD.")] = "",
    models: Models = MODELS,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """How far repeated judgements of the same parts agree: within a run, between runs, κ.

    FOLDER has `good`, `bad` and perhaps `borderline` in it, each with a folder per part, and each
    of these with one picture per run (for several views: `RUN-VIEW.png`). Borderline parts have no
    truth; they count between runs only.

    Example: inspector agreement station_configs/recipes/bottle-line.yaml study --text lot=L2417A
    """
    from inspector.agreement import study

    day = day_of(today) if today else None
    with bars(as_json) as told:
        result = study(
            recipe, folder, dict(map(pair, text or ())), models, threads, day,
            partial(told, "judging"),
        )  # fmt: skip
    show("Agreement", result, as_json)
    if not as_json:
        print_rows("Flipping parts", result["flipping"])
    raise typer.Exit(0 if result["verdict"] != "unacceptable" else 1)


def _plan(station: Path | None) -> tuple[Any, Any]:
    if station is None:
        return None, None
    from inspector.config import load_station
    from inspector.quality.tolerances import tolerances

    loaded = load_station(station)
    return loaded.quality, tolerances(loaded.recipes)


def _say_signed(given: Any, as_json: bool) -> None:
    names = ("name", "meaning", "kind", "subject", "sha256", "position")
    said = {name: getattr(given, name) for name in names}
    show("Signed", said, as_json)
