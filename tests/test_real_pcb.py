"""Real boards that the shipped classifier of differences never learned from, judged by a recipe of
one ``compare`` step (S3, S7)."""

from __future__ import annotations

import importlib.util
import json
import sys
from datetime import date
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from real_pictures import there

from inspector.part import Batch, Outcome, Pixels
from inspector.recipe import Judgement, load
from inspector.tools.golden import keep_golden
from training.evaluate import iou

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def pcb() -> ModuleType:
    """The script that measures on all of them."""
    spec = importlib.util.spec_from_file_location("pcb", ROOT / "scripts" / "real" / "pcb.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["pcb"] = module
    spec.loader.exec_module(module)
    return module


def boards_of(pcb: ModuleType, real_data: Path) -> list[Path]:
    folder = real_data / "pcb"
    return there(pcb.pairs(folder), folder)


def judge(pcb: ModuleType, board: Pixels, template: Pixels, folder: Path) -> Judgement:
    asked = {"model": pcb.MODEL, "good_from": pcb.GOOD_FROM, **pcb.SENSITIVE}
    given = {"golden": [keep_golden(template, folder)], **asked}
    file = folder / "pcb.yaml"
    file.write_text(
        f"name: pcb\ntools: [{{name: board, kind: compare, params: {json.dumps(given)}}}]\n"
    )
    recipe = load(file, ROOT / "models")
    return recipe.judge({"image": board}, Batch("b"), date(2026, 11, 25))


def test_what_is_reported_was_never_learned_from(pcb: ModuleType, real_data: Path) -> None:
    boards = boards_of(pcb, real_data)

    learned = pcb.learned_from(boards)

    assert set(boards[: pcb.CHOSEN_ON]) <= set(learned)
    assert len(set(boards) - set(learned)) >= 80


def test_a_recipe_finds_and_names_the_faults_of_unseen_boards(
    pcb: ModuleType, real_data: Path, tmp_path: Path
) -> None:
    boards = boards_of(pcb, real_data)
    unseen = sorted(set(boards) - set(pcb.learned_from(boards)))[::22]
    faults = named = found = 0
    for board in unseen:
        template = board.with_name(board.name.replace("_test", "_template"))

        judged = judge(pcb, pcb.pixels_of(board), pcb.pixels_of(template), tmp_path)

        assert judged.outcome is Outcome.REJECT
        truth = pcb.truth_of(board)
        boxes = np.array([f.box for f in judged.findings], np.float32).reshape(-1, 4)
        overlaps = iou(boxes, truth.boxes)
        faults, found = faults + len(truth.boxes), found + len(boxes)
        for column, label in zip(overlaps.T, truth.labels, strict=True):
            best = int(column.argmax())
            right = judged.findings[best].label == pcb.CLASSES[label]
            named += bool(column[best] >= pcb.OVERLAP and right)
    assert faults >= 20
    assert named >= 0.9 * faults and found <= 1.1 * faults


def test_a_board_like_its_template_passes(pcb: ModuleType, real_data: Path, tmp_path: Path) -> None:
    board = boards_of(pcb, real_data)[-1]
    template = pcb.pixels_of(board.with_name(board.name.replace("_test", "_template")))

    judged = judge(pcb, np.roll(template, (1, -2), (0, 1)), template, tmp_path)

    assert judged.outcome is Outcome.PASS
