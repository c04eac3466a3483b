"""`inspector calibrate` and `inspector gauge`, from pictures and tables to figures (S4)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from inspector import cli
from inspector.measuring import MeasuringError, read_values, repeated
from inspector.tools.calibration import read_calibration
from inspector.virtual.bottle import PartSpec, render_part

ROOT = Path(__file__).parent.parent
MODELS = ROOT / "models"
RECIPE = ROOT / "station_configs" / "recipes" / "bottle-sizes.yaml"


def sibling(name: str) -> ModuleType:
    """Another test's pictures: a board as a camera sees it, AIAG's table."""
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), ROOT / f"tests/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BOARDS = sibling("tools/test_calibration")


def run(*words: object) -> Any:
    done = CliRunner().invoke(cli.app, [str(w) for w in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["CHECKER", "CHARUCO"])
def test_a_folder_of_pictures_becomes_the_file_that_measure_uses(tmp_path: Path, kind: str) -> None:
    board = getattr(BOARDS, kind)
    folder = tmp_path / "board"
    folder.mkdir()
    for i, pose in enumerate(BOARDS.POSES[:3]):
        cv2.imwrite(str(folder / f"{i}.png"), BOARDS.picture_of(board, *pose))
    cv2.imwrite(str(folder / "hand.png"), np.full((480, 640), 90, np.uint8))
    options = ["--columns", 10, "--rows", 7, "--square-mm", 8, "--marker-mm", board.marker_mm]
    out, png = tmp_path / "camera.json", tmp_path / "residuals.png"

    report = run("calibrate", folder, *options, "--out", out, "--residuals", png, "--json")

    camera, digest = read_calibration(out)
    assert report["sha256"] == digest
    assert report["pictures"] == 3 and report["without_board"] == ["hand.png"]
    assert camera.px_per_mm == pytest.approx(900 / 140, rel=0.01)
    assert 0 < report["px_per_mm_u"] < 0.05 and report["rms_px"] < 0.2
    drawn = cv2.imread(str(png))
    assert drawn is not None and drawn.shape[:2] == (480, 640)
    assert (drawn[..., 2].astype(int) - drawn[..., 0] > 80).any(), "a residual is drawn in red"


def test_a_board_is_drawn_to_be_printed(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli.app, ["calibrate", "--draw", str(tmp_path / "b.png"), "--columns", "6", "--rows", "5"]
    )
    assert done.exit_code == 0
    assert cv2.imread(str(tmp_path / "b.png"), 0).shape == (700, 800)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["calibrate"], "no pictures of a board"),
        (["calibrate", "--marker-mm", "20", "x.png"], "marker_mm"),
        (
            ["calibrate", "--columns", "20", "--rows", "14", "--marker-mm", "5", "--draw", "b.png"],
            "`DICT_5X5_100` has 100 markers, this board needs 140",
        ),
        (["calibrate", "{blank}"], "no 9x7 checkerboard in blank.png"),
        (["calibrate", "{blank}", "--plane", "no.png"], "no 9x7 checkerboard in no.png"),
        (["calibrate", "missing.png"], "cannot be read"),
        (["gauge", "{table}"], "columns `part` and `value`"),
        (["gauge", "missing.csv"], "No such file"),
        (["gauge", "missing", "--recipe", str(RECIPE)], "one folder of pictures for each part"),
    ],
)
def test_a_mistake_is_answered_in_words(tmp_path: Path, words: list[str], says: str) -> None:
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((64, 64), 128, np.uint8))
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    names = {"blank": tmp_path / "blank.png", "table": tmp_path / "table.csv"}

    with pytest.raises((MeasuringError, OSError), match=says):
        run(*[word.format(**names) for word in words])


def test_the_manuals_example_from_a_table_gives_the_manuals_figures(tmp_path: Path) -> None:
    values = sibling("quality/test_gauge").aiag()
    rows = ["part,appraiser,trial,value"]
    for part, of in enumerate(values):
        for who, trials in enumerate(of):
            rows += [f"p{part},{'ABC'[who]},{t},{v}" for t, v in enumerate(trials)]
    (tmp_path / "study.csv").write_text("\n".join(rows))

    report = run("gauge", tmp_path / "study.csv", "--tolerance", 8, "--json")

    assert (report["parts"], report["appraisers"], report["trials"]) == (10, 3, 3)
    assert report["percent_grr"] == pytest.approx(27.9, abs=0.1)
    assert report["ndc"] == 4
    assert report["interaction_pooled"] is True
    assert {row["source"] for row in report["anova"]} >= {"part", "appraiser", "repeatability"}


def test_values_that_do_not_cross_are_refused_by_part(tmp_path: Path) -> None:
    path = tmp_path / "study.csv"
    path.write_text("part,value\na,1\na,2\nb,1\n")
    with pytest.raises(MeasuringError, match="part b was measured 1 times, another 2 times"):
        read_values(path)
    path.write_text("part,value\na,1\na,x\n")
    with pytest.raises(MeasuringError, match="line 3: `x` is no number"):
        read_values(path)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (
            "part,value,appraiser\na,1,Pr\u00fcfer\n".encode("cp1252"),
            "is not UTF-8; save it as CSV",
        ),
        ("part,value\na,1\n".encode("utf-16"), "is not UTF-8"),
        (b"part,value\na,1\na,nan\n", "line 3: `nan` is no number"),
        (b"part,value\na\n", "line 2: `` is no number"),
        (b"value,part\n1\n", "2 parts and 2 trials"),
        (b'part,value\n"' + b"x" * 200_000, "is no CSV table"),
    ],
)
def test_a_table_as_a_spreadsheet_saves_it_is_read_or_refused_in_words(
    tmp_path: Path, table: bytes, says: str
) -> None:
    path = tmp_path / "study.csv"
    path.write_bytes(table)
    with pytest.raises(MeasuringError, match=says):
        read_values(path)


def test_a_tolerance_without_width_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "study.csv"
    path.write_text("part,value\na,1\na,2\nb,1\nb,3\n")
    with pytest.raises(MeasuringError, match="width between its limits, above 0"):
        run("gauge", path, "--tolerance", 0)


def bottles(folder: Path, parts: int, trials: int) -> Path:
    """Bottles of the virtual line, each photographed again elsewhere, in other light."""
    for part in range(parts):
        place = folder / f"bottle-{part}"
        place.mkdir(parents=True)
        for trial in range(trials):
            shot = render_part(900 + part, PartSpec(split="held_out"), take=trial + 1).side
            cv2.imwrite(str(place / f"{trial}.png"), shot)
    return folder


@pytest.fixture(scope="module")
def gauged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bottles(tmp_path_factory.mktemp("gauged"), parts=2, trials=3)


@pytest.mark.parametrize(("label", "tolerance"), [("cap width", 1.2), ("headspace", 23)])
def test_the_virtual_line_repeats_to_a_tenth_of_a_pixel(
    gauged: Path, label: str, tolerance: float
) -> None:
    """Each length, though bottle, light and noise are others at each trial (S4)."""
    words = ["--recipe", RECIPE, "--measure", label, "--tolerance", tolerance, "--json"]

    report = run("gauge", gauged, *words)

    assert (report["value"], report["unit"], report["trials"]) == (label, "{px}", 3)
    assert report["sigma"]["repeatability (EV)"] <= 0.1
    assert report["verdict"] == "acceptable"


def test_a_value_that_the_recipe_does_not_give_is_named_with_those_it_gives(tmp_path: Path) -> None:
    folder = bottles(tmp_path / "parts", parts=1, trials=1)
    with pytest.raises(MeasuringError, match=r"no value `cap widht`; it has .*`cap width`"):
        repeated(folder, RECIPE, "cap widht", MODELS)


def test_of_several_values_of_one_name_none_is_taken_silently(tmp_path: Path) -> None:
    """It was the last one, of spots the smallest: a study of a speck beside the part."""
    recipe = tmp_path / "spots.yaml"
    recipe.write_text(
        "name: spots\ntools:\n"
        "  - {name: spots, kind: blob, params: {threshold: {method: fixed}, at_most: null}}\n"
    )
    for part in ("a", "b"):
        (tmp_path / "parts" / part).mkdir(parents=True)
        for trial in "12":
            picture = np.full((80, 120), 220, np.uint8)
            picture[20:60, 20:60] = 20
            picture[30:36, 90:96] = 20
            cv2.imwrite(str(tmp_path / "parts" / part / f"{trial}.png"), picture)

    with pytest.raises(MeasuringError, match="2 values `spot`"):
        repeated(tmp_path / "parts", recipe, "spot", MODELS)
