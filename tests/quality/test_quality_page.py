"""The commands of docs/quality.md run as they are written; agreement of a recipe (S7, S12)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp

from inspector.agreement import study
from inspector.quality.errors import QualityError

ROOT = Path(__file__).parent.parent.parent
RECIPE = """
name: coded
tools:
  - name: code
    kind: code
    params: {formats: [DataMatrix], expect: {pattern: 'G\\d{3}'}, try_harder: false}
"""


@pytest.fixture(scope="module")
def place(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, a recipe and a study: 4 good, 2 borderline and 4 bad parts, 3 runs."""
    place = tmp_path_factory.mktemp("page")
    (place / "data").symlink_to(made.data)
    (place / "recipe.yaml").write_text(RECIPE)
    rng = np.random.default_rng(5)
    for truth, letter, count in (("good", "G", 4), ("borderline", "G", 2), ("bad", "B", 4)):
        for number in range(count):
            part = place / "study" / truth / f"part-{number:02}"
            part.mkdir(parents=True)
            text = f"{letter}{number:03}"
            code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.DataMatrix)
            dots = np.pad(np.array(code.to_image(scale=4)), 16, constant_values=255)
            for run in range(1, 4):
                noise = rng.normal(30, 3, dots.shape)
                picture = np.clip(dots.astype(float) * 0.8 + noise, 0, 255)
                if truth == "borderline" and run == 2:  # a smear that not every feeding shows
                    picture[18:40, 18:40] = 230
                cv2.imwrite(str(part / f"{run}.png"), picture.astype(np.uint8))
    return place


@pytest.fixture(scope="module")
def executed(place: Path) -> Path:
    """The folder, after the page's commands."""
    page = (ROOT / "docs" / "quality.md").read_text()
    script = "\n".join(re.findall(r"```bash\n(.*?)```", page, re.DOTALL))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", script], cwd=place, env=os.environ | {"PATH": path}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return place


def test_the_pages_commands_run_as_they_are_written(executed: Path) -> None:
    charts = json.loads((executed / "charts.json").read_text())
    assert charts["charts"]["p: scratch"]["signals"]
    for name in ("B-1.pdf", "B-1-zh.pdf"):
        assert (executed / name).read_bytes()[:4] == b"%PDF"
    found = json.loads((executed / "agreement.json").read_text())
    assert found["parts"] == 10 and found["runs"] == 3


def test_agreement_of_a_recipe_with_the_truth_and_with_itself(place: Path) -> None:
    found = study(place / "recipe.yaml", place / "study", {}, ROOT / "models")
    assert found["always_right"]["value"] == 1 and found["escapes"] == found["false_rejects"] == 0
    assert [kappa["value"] for kappa in found["cohen_kappa"]] == [1, 1, 1]
    assert {p["part"] for p in found["flipping"]} == {"borderline/part-00", "borderline/part-01"}
    assert found["between_runs"]["value"] == pytest.approx(0.8)
    assert 0.5 < found["fleiss_kappa"]["value"] < 1
    assert found["verdict"] == "acceptable"


def test_a_folder_that_is_no_study_is_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(QualityError, match="none of the folders good, borderline, bad"):
        study(place / "recipe.yaml", tmp_path, {}, ROOT / "models")
    (tmp_path / "good" / "p1").mkdir(parents=True)
    with pytest.raises(QualityError, match="0 runs; a part is fed at least twice"):
        study(place / "recipe.yaml", tmp_path, {}, ROOT / "models")
