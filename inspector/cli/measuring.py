"""Commands about measuring: a camera's calibration, and how far a gauge can be trusted."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from inspector.cli.words import (
    MODELS,
    Json,
    Models,
    Threads,
    bars,
    print_pairs,
    print_rows,
    say,
    show,
)

app = typer.Typer()


@app.command()
def calibrate(
    images: Annotated[
        list[Path] | None, typer.Argument(help="Pictures of the board, or folders of them.")
    ] = None,
    columns: Annotated[int, typer.Option(min=3, help="Squares from left to right.")] = 9,
    rows: Annotated[int, typer.Option(min=3, help="Squares from top to bottom.")] = 7,
    square_mm: Annotated[float, typer.Option(help="Side of a square, as printed.")] = 10.0,
    marker_mm: Annotated[
        float, typer.Option(help="A ChArUco board: side of its markers; 0 is a checkerboard.")
    ] = 0.0,
    dictionary: Annotated[str, typer.Option(help="ChArUco: OpenCV's marker set.")] = "DICT_5X5_100",
    tolerance_mm: Annotated[
        float, typer.Option(help="By how much the board's whole width may be off.")
    ] = 0.0,
    plane: Annotated[
        str, typer.Option(help="Picture in which the board lies in the plane; default: the first.")
    ] = "",
    out: Annotated[Path, typer.Option(help="The calibration, beside the recipe.")] = Path(
        "camera.json"
    ),
    residuals: Annotated[
        Path | None, typer.Option(help="PNG: how far each corner is off, 100 times enlarged.")
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(help="PNG of the board to print, 10 px per mm; no calibration.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Calibrate a camera: its lens, and how its pixels lie in millimetres on one plane.

    Example: inspector calibrate board/ --columns 9 --rows 7 --square-mm 10 --out camera.json
    """
    from inspector.measuring import (
        board_of,
        board_picture,
        calibrate_folder,
        draw_residuals,
        write_png,
    )
    from inspector.tools.calibration import save_calibration

    board = board_of(
        kind="charuco" if marker_mm else "checkerboard",
        columns=columns,
        rows=rows,
        square_mm=square_mm,
        marker_mm=marker_mm,
        dictionary=dictionary,
        tolerance_mm=tolerance_mm,
    )
    if draw is not None:
        write_png(draw, board_picture(board))
        say(f"{draw}: print it at 10 px per mm (254 dpi) and measure a square")
        return
    with bars(as_json) as told:
        looking = partial(told, "looking for the board")
        made = calibrate_folder(images or [], board, plane, looking)
    digest = save_calibration(made.calibration, out)
    if residuals is not None:
        write_png(residuals, draw_residuals(made))
    camera = made.calibration
    report: dict[str, Any] = {
        "file": str(out),
        "sha256": digest,
        "pictures": camera.pictures,
        "plane": made.plane,
        "without_board": list(made.without_board),
        "px_per_mm": round(camera.px_per_mm, 5),
        "px_per_mm_u": round(camera.px_per_mm_u, 5),
        "rms_px": round(camera.rms_px, 4),
        "distortion": [round(k, 6) for k in camera.distortion],
    }
    show("Calibration", report, as_json)


@app.command()
def gauge(
    values: Annotated[
        Path,
        typer.Argument(
            help="CSV with the columns part, value and perhaps appraiser; with --recipe, a folder"
            " that has one folder of pictures for each part."
        ),
    ],
    recipe: Annotated[
        Path | None, typer.Option(help="Measure the pictures by this recipe.")
    ] = None,
    measure: Annotated[
        str, typer.Option(help="Which value: the finding's label; default: the only one.")
    ] = "",
    tolerance: Annotated[
        float | None, typer.Option(help="Width between the limits, in the value's unit.")
    ] = None,
    models: Models = MODELS,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """A gauge study (R&R) after AIAG MSA: analysis of variance, %GRR, distinct categories.

    Example: inspector gauge parts/ --recipe bottle-sizes.yaml --measure "cap width" --tolerance 1.2
    """
    from inspector.measuring import MeasuringError, read_values, repeated
    from inspector.quality.gauge import gauge_study

    if recipe is None:
        named = read_values(values)
    else:
        with bars(as_json) as told:
            measuring = partial(told, "measuring")
            named = repeated(values, recipe, measure, models, threads, measuring)
    try:
        study = gauge_study(named.values, tolerance)
    except ValueError as error:
        raise MeasuringError(str(error)) from None
    sources = {
        "repeatability (EV)": study.ev,
        "reproducibility (AV)": study.av,
        "interaction": study.interaction,
        "GRR": study.grr,
        "part (PV)": study.pv,
        "total (TV)": study.tv,
    }
    report: dict[str, Any] = {
        "value": named.label,
        "unit": named.unit,
        "parts": len(named.parts),
        "appraisers": len(named.appraisers),
        "trials": len(named.values[0][0]),
        "sigma": {name: float(f"{value:.6g}") for name, value in sources.items()},
        "percent_of_variation": {n: round(study.percent(v), 2) for n, v in sources.items()},
        "percent_grr": round(study.percent_grr, 2),
        "percent_of_tolerance": (
            None if study.percent_tolerance is None else round(study.percent_tolerance, 2)
        ),
        "ndc": study.ndc,
        "interaction_pooled": study.pooled,
        "verdict": study.verdict,
        "anova": [
            {
                "source": row.source,
                "df": row.df,
                "ss": float(f"{row.ss:.6g}"),
                "ms": float(f"{row.ms:.6g}"),
                "f": None if row.f is None else round(row.f, 4),
                "p": None if row.p is None else round(row.p, 5),
            }
            for row in study.table
        ],
    }
    if as_json:
        print(json.dumps(report))
        return
    print_rows("Analysis of variance", report.pop("anova"))
    shares = report.pop("percent_of_variation")
    print_rows(
        "Variation",
        [
            {"source": name, "1 sigma": value, "% of variation": shares[name]}
            for name, value in report.pop("sigma").items()
        ],
    )
    print_pairs("Gauge", report)
