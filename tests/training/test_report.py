"""An evaluation's report, on a page and on paper: figures, curves and the worst pictures (S9)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.assess import write
from training.cases import Case
from training.figures import compare, curve, figures, thresholds
from training.report import Contents


def case(name: str, truth: str, outcome: str, score: float) -> Case:
    defects = {"scratch": "major"} if truth == "reject" else {}
    return Case(
        name, truth, defects, {"station": "ST-01", "light": "usual"}, outcome, ("scratch <2 mm>",),
        {"scratch": score}, 7.0,
    )  # fmt: skip


def contents(pictures: int = 5) -> Contents:
    before = [
        *(
            case(f"bad-{i}", "reject", "pass" if i < 4 else "reject", 0.2 + i / 20)
            for i in range(12)
        ),
        *(case(f"good-{i}", "pass", "pass", i / 400) for i in range(30)),
    ]
    after = [case(c.name, c.truth, c.truth, c.found["scratch"]) for c in before]
    picture = np.random.default_rng(0).integers(0, 255, (120, 300, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    return Contents(
        "Evaluation of bottle@2",
        {"recipe": "bottle@2 (a1b2)", "measured on": "42 parts"},
        figures(after),
        compare(before, after),
        thresholds(after, {"scratch": "major"}),
        {"scratch": curve(after, "scratch")},
        [(f"bad-{i} — scratch — let through", jpeg) for i in range(pictures)],
    )


def test_the_page_and_the_paper_are_written_beside_each_other(tmp_path: Path) -> None:
    html, pdf = write(tmp_path / "evaluation", contents())
    assert html.name == "report.html" and "scratch &lt;2 mm&gt;" in html.read_text("utf-8")
    assert pdf.name == "report.pdf" and pdf.read_bytes().startswith(b"%PDF-")


def test_without_champion_curves_or_pictures_it_is_shorter(tmp_path: Path) -> None:
    whole = contents()
    bare = Contents(whole.title, whole.facts, figures([]))
    _, small = write(tmp_path / "bare", bare)
    _, large = write(tmp_path / "whole", whole)
    assert small.stat().st_size < large.stat().st_size


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) reads it")
def test_the_paper_says_what_the_page_says_and_shows_every_picture(tmp_path: Path) -> None:
    _, pdf = write(tmp_path, contents())
    said = subprocess.run(
        ["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True
    ).stdout
    for words in (
        "bottle@2", "42 parts", "Escapes by defect", "0.00 %", "0 of 12", "McNemar p",
        "4 parts are judged right that were judged wrong", "pass → reject", "Thresholds by cost",
        "Precision over recall", "AP 1.000", "scratch <2 mm>", "The worst", "let through",
    ):  # fmt: skip
        assert words in said, words
    listed = subprocess.run(
        ["pdfimages", "-list", str(pdf)], capture_output=True, text=True, check=True
    ).stdout
    assert listed.count(" jpeg ") == 5
