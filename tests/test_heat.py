"""Heat maps of kept parts: hot where a part is unlike good ones, by the recipe that judged it.
(S3, S10, I7)"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from kept_parts import keep_parts
from surfaces import scratched, surface
from typer.testing import CliRunner

from inspector.cli import app
from inspector.config import ConfigError
from inspector.heat import Heat, heats_of, over, plain, recipe_of
from inspector.part import Batch, Outcome
from inspector.recipe import load
from inspector.store import History
from inspector.store.query import PartHistory
from inspector.teach import teach_anomaly
from inspector.tools.bank import keep_bank
from inspector.tools.onnx import Shelf

MODELS = Path(__file__).parents[1] / "models"
SCRATCH = (90, 40), (120, 70)
ROI = (16, 16, 150, 120)
RECIPE = """\
name: plate
views: [side]
tools:
- name: surface
  kind: anomaly
  roi: [16, 16, 150, 120]
  params: {bank: %s}
"""
TRAY = """\
name: tray
tools:
- {name: plates, kind: blob, params: {area: [5000, 20000], threshold: {tone: bright}, at_most: 2}}
- {name: surface, kind: anomaly, follow: plates, every: [134, 104], params: {bank: %s}}
"""


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, and the data of a line that judged a good and a scratched plate."""
    folder = tmp_path_factory.mktemp("plates")
    left, top, right, bottom = ROI
    good = [surface(i)[top:bottom, left:right] for i in range(12)]
    digest = keep_bank(teach_anomaly(good, Shelf(MODELS)).bank, folder)
    (folder / "plate.yaml").write_text(RECIPE % digest)
    pictures = [surface(50), scratched(surface(60), *SCRATCH)]
    keep_parts(folder / "data", load(folder / "plate.yaml", MODELS), pictures, Batch("P1"))
    return folder


def newest(station: Path, back: int = 0) -> PartHistory:
    with History(station / "data") as history:
        return history.last(2)[back]


def heat_of(station: Path, part: PartHistory) -> Heat:
    recipe = recipe_of(station / "data", part, station / "plate.yaml", MODELS)
    (heat,) = heats_of(station / "data", part, recipe)
    return heat


def place(heat: Heat) -> tuple[float, float]:
    """The middle of the hottest cell, in the frame's pixels."""
    row, column = np.unravel_index(int(heat.scores.argmax()), heat.scores.shape)
    x, y = heat.matrix @ (column + 0.5, row + 0.5, 1.0)
    return float(x), float(y)


def test_a_part_is_hot_where_it_is_scratched(station: Path) -> None:
    bad = newest(station)
    heat = heat_of(station, bad)
    x, y = place(heat)

    assert bad.verdict.outcome is Outcome.REJECT and heat.view == "side"
    assert 85 <= x <= 125 and 35 <= y <= 75, (x, y)
    assert heat.scores.max() > heat.threshold
    box = bad.verdict.findings[0].box
    assert box is not None and box[0] - 8 <= x <= box[2] + 8, "it agrees with what was recorded"
    cold = heat_of(station, newest(station, back=1))
    assert cold.scores.max() < heat.scores.max()


def test_cells_cover_what_the_step_looks_at(station: Path) -> None:
    heat = heat_of(station, newest(station))
    rows, columns = heat.scores.shape
    corners = [heat.matrix @ (x, y, 1.0) for x, y in ((0, 0), (columns, rows))]

    assert np.allclose(corners, [ROI[:2], ROI[2:]])
    said = plain(heat)
    assert len(said["cells"]) == said["rows"] * said["columns"] == rows * columns
    json.dumps(said, allow_nan=False)


def test_the_picture_over_is_changed_in_the_roi_alone(station: Path) -> None:
    heat = heat_of(station, newest(station))
    grey = np.full((128, 160), 120, np.uint8)
    shown = over(grey, heat)

    assert shown.shape == (128, 160, 3)
    assert (shown[:10] == 120).all() and (shown[:, -8:] == 120).all()
    assert (shown[40:70, 40:140] != 120).any()


def test_another_revision_makes_no_map_of_what_it_did_not_judge(
    station: Path, tmp_path: Path
) -> None:
    """Unless the revision that did is kept (I7)."""
    part = newest(station)
    changed = tmp_path / "plate.yaml"
    text = (station / "plate.yaml").read_text()
    changed.write_text(text.replace("[16, 16, ", "[18, 16, "))
    (tmp_path / "anomaly").symlink_to(station / "anomaly")
    with pytest.raises(ConfigError, match="another revision than plate@1"):
        recipe_of(tmp_path, part, changed, MODELS)

    kept = tmp_path / "recipes" / "plate" / f"{part.verdict.recipe_digest}.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text(text)
    assert recipe_of(tmp_path, part, changed, MODELS).digest == part.verdict.recipe_digest


def test_the_command_writes_pictures_or_cells(station: Path, tmp_path: Path) -> None:
    part = newest(station)
    command = ["recipe", "heat", str(part.verdict.part_id), "--recipe", str(station / "plate.yaml"),
               "--data", str(station / "data"), "--models", str(MODELS)]  # fmt: skip
    done = CliRunner().invoke(app, [*command, "--json"])
    drawn = CliRunner().invoke(app, [*command, "--out", str(tmp_path)])

    assert [h["step"] for h in json.loads(done.stdout)["heats"]] == ["surface"]
    assert drawn.exit_code == 0, drawn.output
    picture = cv2.imread(str(tmp_path / "heat-2-surface.png"))
    assert picture is not None and picture.shape == (128, 160, 3)


def test_a_map_is_written_into_a_new_folder_or_the_command_fails(
    station: Path, tmp_path: Path
) -> None:
    part = newest(station)
    command = ["recipe", "heat", str(part.verdict.part_id), "--recipe", str(station / "plate.yaml"),
               "--data", str(station / "data"), "--models", str(MODELS), "--out"]  # fmt: skip
    assert CliRunner().invoke(app, [*command, str(tmp_path / "new" / "maps")]).exit_code == 0
    assert (tmp_path / "new" / "maps" / "heat-2-surface.png").is_file()
    (tmp_path / "file").touch()
    refused = CliRunner().invoke(app, [*command, str(tmp_path / "file")])
    assert isinstance(refused.exception, OSError)


def test_each_place_that_a_step_looks_at_has_its_map_where_it_lies(station: Path) -> None:
    """Of a tray's parts only the last had one, and it was drawn over the first. The recipe calls
    its one view otherwise than the camera is called."""
    bank = (station / "plate.yaml").read_text().partition("bank: ")[2].partition("}")[0]
    (station / "tray.yaml").write_text(TRAY % bank)
    tray = np.zeros((128, 330), np.uint8)
    left, top, right, bottom = ROI
    tray[10:114, 20:154] = surface(70)[top:bottom, left:right]
    tray[10:114, 174:308] = scratched(surface(71), *SCRATCH)[top:bottom, left:right]
    keep_parts(station / "tray", load(station / "tray.yaml", MODELS), [tray], Batch("T1"))
    with History(station / "tray") as history:
        part = history.last()[0]

    found = heats_of(station / "tray", part, load(station / "tray.yaml", MODELS))
    good, bad = sorted(found, key=lambda heat: float(heat.matrix[0, 2]))

    corner = (174 - left + SCRATCH[0][0], 10 - top + SCRATCH[0][1])
    x, y = place(bad)
    assert corner[0] - 8 <= x <= corner[0] + 38 and corner[1] - 8 <= y <= corner[1] + 38, (x, y)
    assert np.allclose(good.matrix @ (0, 0, 1), (20, 10), atol=2) and bad.view == "side"
    assert bad.scores.max() > bad.threshold > good.scores.max()


@pytest.mark.slow
def test_a_part_that_stands_anyhow_is_hot_where_it_stands(tmp_path: Path) -> None:
    """A step that follows another sees the part turned back; its map lies on the part again."""
    from inspector.teach import teach
    from inspector.virtual.bottle import PartSpec, render_part

    recipes = Path(__file__).parents[1] / "station_configs" / "recipes"
    bottles = [render_part(20_000 + n, PartSpec(split="train")).side for n in range(8)]
    out = tmp_path / "neck.yaml"
    teach(bottles, [], out, models=MODELS, follow=recipes / "bottle-sizes.yaml",
          roi=(255, 10, 385, 110))  # fmt: skip
    bad = render_part(30_000, PartSpec(split="test")).side.copy()
    cv2.line(bad, (300, 60), (330, 95), (255, 255, 255), 3, cv2.LINE_AA)
    turned = cv2.warpAffine(bad, cv2.getRotationMatrix2D((320, 240), 2.0, 1.0),
                            (640, 480), borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    where = cv2.getRotationMatrix2D((320, 240), 2.0, 1.0) @ (315, 78, 1)
    keep_parts(tmp_path / "data", load(out, MODELS), [turned], Batch("B"))
    with History(tmp_path / "data") as history:
        part = history.last(1)[0]
    (heat,) = heats_of(tmp_path / "data", part, load(out, MODELS))

    assert np.allclose(place(heat), where, atol=25), (place(heat), where)
