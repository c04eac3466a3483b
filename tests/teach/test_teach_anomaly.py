"""A recipe is taught from pictures of good parts, and a mistake is answered in words (S8, S10)."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from surfaces import scratched, surface

from inspector.cli import main
from inspector.recipe import load
from inspector.teach import TeachError, picture_files, read_pictures, teach, teach_anomaly
from inspector.teach.anomaly import auroc, standing_out, student_t
from inspector.tools.onnx import Shelf
from inspector.tools.selfmade import KINDS, spoilt
from inspector.virtual.bottle import PartSpec, render_part

MODELS = Path(__file__).parents[2] / "models"
RECIPES = Path(__file__).parents[2] / "station_configs" / "recipes"
SIZE = (96, 64)


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def inspector(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process: status, output, errors."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["inspector", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def fill(folder: Path, count: int, make: Callable[[int], np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number:02}.png"), make(number))
    return folder


def scratch(number: int) -> np.ndarray:
    return scratched(surface(number + 50, SIZE), (20 + number, 20), (50, 40 + number))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return fill(tmp_path / "good", 8, lambda n: surface(n, SIZE))


def test_the_command_teaches_and_inspect_gives_each_images_score(
    tmp_path: Path, good: Path, inspector: Command
) -> None:
    fresh = fill(tmp_path / "fresh", 2, lambda n: surface(n + 90, SIZE))
    bad = fill(tmp_path / "bad", 3, scratch)
    out = tmp_path / "recipes" / "my plate.yaml"
    status, said, bar = inspector(
        "teach", "anomaly", "--good", str(good), "--out", str(out), "--json"
    )
    assert (status, bar) == (0, ""), "no bar where no person looks"
    report = json.loads(said)
    low, high = report["false_reject"]["interval95"]
    assert report["good"] == 8 and 0 <= low <= report["false_reject"]["value"] <= high <= 1
    assert (out.parent / "anomaly" / f"{report['bank']}.bank").stat().st_size < 1_000_000

    _, judged, _ = inspector("inspect", str(out), str(fresh), str(bad), "--json")
    scores = [json.loads(line)["score"] for line in judged.splitlines()]
    outcomes = [json.loads(line)["outcome"] for line in judged.splitlines()]
    assert max(scores[:2]) < min(scores[2:])
    assert outcomes == ["pass"] * 2 + ["reject"] * 3


def test_teaching_again_counts_the_revision_up_and_keeps_other_recipes(
    tmp_path: Path, good: Path
) -> None:
    out, pictures = tmp_path / "plate.yaml", read_pictures(good)
    said: list[tuple[str, int, int]] = []
    for revision in (1, 2):
        teach(pictures, [], out, models=MODELS, progress=lambda *what: said.append(what))
        assert load(out, MODELS).revision == revision
    assert {done for what, done, total in said if what == "looking at good parts"} == set(range(9))

    mine = tmp_path / "mine.yaml"
    mine.write_text("name: mine\ntools: [{name: spots, kind: blob}]\n")
    with pytest.raises(TeachError, match="other steps, which are kept"):
        teach(pictures, [], mine, models=MODELS)
    assert "blob" in mine.read_text()


def test_defects_that_are_given_are_reported_with_their_interval(good: Path) -> None:
    bad = [scratch(n) for n in range(4)]
    taught = teach_anomaly(read_pictures(good), Shelf(MODELS), bad)
    assert taught.report["defects"]["of"] == 4
    assert taught.report["defects"]["auroc"] == 1.0


def test_a_good_picture_that_is_none_is_named_by_its_file(
    inspector: Command, tmp_path: Path
) -> None:
    """It sets the limit, so that faint defects pass: whoever teaches is told to look at it."""
    folder = fill(tmp_path / "sorted", 16, lambda n: scratch(n) if n == 11 else surface(n, SIZE))
    status, out, err = inspector(
        "teach", "anomaly", "--good", str(folder), "--out", str(tmp_path / "s.yaml"),
        "--models", str(MODELS), "--json",
    )  # fmt: skip
    stands = json.loads(out)["stands_out"]

    assert status == 0 and stands["pictures"] == [str(folder / "11.png")]
    assert stands["limit_without"] < 0.7 * stands["limit"]
    assert "11.png" in err and "far from all other good pictures" in " ".join(err.split())


def test_good_pictures_that_differ_as_good_ones_do_stand_out_nowhere() -> None:
    rng = np.random.default_rng(6)
    alike = [standing_out(rng.normal(0, 1, 40)) for _ in range(200)]
    assert sum(map(bool, alike)) < 20
    assert standing_out(np.array([*rng.normal(0, 1, 40), 9.0, 7.0])) == [40, 41]
    assert standing_out(np.array([*rng.normal(0, 1, 7), 9.0])) == [], "too few to say"


def test_another_backbone_looks_where_it_is_named(good: Path) -> None:
    taught = teach_anomaly(read_pictures(good), Shelf(MODELS), backbones=("print-features/1",))
    assert "print-features/1[0:144] nearest" in taught.report["compared"]
    with pytest.raises(Exception, match="did you mean `texture-features`"):
        teach_anomaly(read_pictures(good), Shelf(MODELS), backbones=("texture-feature/1",))


def test_sizes_and_kinds_of_pictures_may_differ() -> None:
    sizes = [(96, 64), (130, 70), (96, 100), (64, 64)]
    pictures = [surface(n, sizes[n % 4], colour=n % 3 == 0) for n in range(8)]
    bank = teach_anomaly(pictures, Shelf(MODELS)).bank
    assert bank.colour and not bank.fixed


def test_what_cannot_be_taught_from_is_named(
    tmp_path: Path, good: Path, inspector: Command
) -> None:
    def said(folder: Path) -> str:
        words = ("--good", str(folder), "--out", str(tmp_path / "out.yaml"))
        status, _, text = inspector("teach", "anomaly", *words)
        assert status == 2 and "Traceback" not in text
        return " ".join(text.split())

    assert "is not there" in said(tmp_path / "nowhere")
    (good / "03.png").write_bytes((good / "03.png").read_bytes()[:200])
    (good / "04.png").write_bytes(b"no picture")
    text = said(good)
    assert "2 of 8 pictures cannot be used" in text
    assert "03.png is truncated" in text and "04.png is no image" in text


def test_a_copy_teaches_nothing(good: Path) -> None:
    """Of eight copies of one picture a recipe was taught that rejected that very picture."""
    once = picture_files(good)
    shutil.copy(once[0], good / "copy.png")
    assert picture_files(good) == once


def test_small_mistakes_are_sentences_too(tmp_path: Path, good: Path) -> None:
    pictures = read_pictures(good)
    with pytest.raises(TeachError, match="3 good pictures are too few, copies left out; take 8"):
        teach_anomaly(pictures[:3], Shelf(MODELS))
    with pytest.raises(TeachError, match="share of false rejects of 2"):
        teach_anomaly(pictures, Shelf(MODELS), false_reject=2)
    with pytest.raises(TeachError, match=r"ends in \.yaml"):
        teach(pictures, [], tmp_path / "out.json", models=MODELS)
    with pytest.raises(TeachError, match=r"ROI \[0, 0, 900, 900\] reaches outside the 96x64"):
        teach(pictures, [], tmp_path / "out.yaml", models=MODELS, roi=(0, 0, 900, 900))
    leaderless = tmp_path / "leaderless.yaml"
    leaderless.write_text("name: leaderless\ntools: [{name: spots, kind: blob}]\n")
    with pytest.raises(TeachError, match="has no `align` step to follow"):
        teach(pictures, [], tmp_path / "out.yaml", models=MODELS, follow=leaderless)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TeachError, match="holds no pictures"):
        read_pictures(tmp_path / "empty")


@pytest.mark.parametrize("colour", [False, True])
def test_a_self_made_defect_changes_the_picture_where_its_mask_says(colour: bool) -> None:
    rng = np.random.default_rng(5)
    for number in range(10 * len(KINDS)):
        picture = surface(number, SIZE, colour)
        made, mask = spoilt(picture, surface(number + 1, (80, 90), not colour), rng)
        assert made.shape == picture.shape and made.dtype == np.uint8
        assert mask.shape == picture.shape[:2] and mask.min() >= 0 and mask.max() <= 1
        change = np.abs(made.astype(int) - picture).reshape(*mask.shape, -1).max(2)
        assert change[mask < 0.004].max(initial=0) <= 3


def test_figures_are_those_of_the_books() -> None:
    assert auroc(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == 0.875
    assert student_t(0.99, 10) == pytest.approx(2.764, rel=0.01)
    assert student_t(0.99, 200) == pytest.approx(2.345, rel=0.001)


@pytest.mark.slow
def test_parts_that_stand_anyhow_are_taught_as_an_align_step_finds_them(tmp_path: Path) -> None:
    leader = RECIPES / "bottle-sizes.yaml"
    bottles = [render_part(20_000 + n, PartSpec(split="train")).side for n in range(8)]
    out = tmp_path / "neck.yaml"
    teach(bottles, [], out, models=MODELS, follow=leader, roi=(255, 10, 385, 110))
    recipe = load(out, MODELS)
    assert [(s.name, s.follow) for s in recipe.file.tools] == [
        ("bottle", ""),
        ("surface", "bottle"),
    ]
    assert recipe.views == ("side",)

    bottles[5] = np.full_like(bottles[5], 128)
    with pytest.raises(TeachError, match=r"picture 6 of 8.*part not found.*mend step `bottle`"):
        teach(bottles, [], out, models=MODELS, follow=leader, roi=(255, 10, 385, 110))
