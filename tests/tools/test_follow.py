"""A step that looks at `every` box that another found sees each in the size that it was taught."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest
from tools.model_shelf import answering

from inspector.config import ConfigError
from inspector.part import Batch, Finding, Outcome, Pixels
from inspector.recipe import Judgement, Recipe, load
from inspector.tools.follow import boxes_of, places_of
from inspector.tools.golden import keep_golden

RecipeOf = Callable[..., Recipe]

RED, BLUE = (40, 30, 160), (150, 40, 30)
DISCS = """
tools:
  - name: discs
    kind: blob
    params: {threshold: {tone: dark, method: fixed, level: 120}, at_least: 0, at_most: null}
  - name: ink
    kind: colour
    follow: discs/spot
    every: [40, 40]
    roi: [14, 14, 26, 26]
    params: {targets: [{name: red, lab: [34, 53, 34], at_most: 12}]}
"""


def tray(*discs: tuple[int, int, int, tuple[int, int, int]]) -> Pixels:
    """Discs of x, y, radius and colour on white."""
    picture = np.full((200, 300, 3), 235, np.uint8)
    for x, y, radius, colour in discs:
        cv2.circle(picture, (x, y), radius, colour, -1, cv2.LINE_AA)
    return picture


def judge(recipe: Recipe, pixels: Pixels) -> Judgement:
    return recipe.judge({"image": pixels}, Batch("b"), date(2026, 1, 1))


def test_each_box_is_judged_whatever_its_size(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(DISCS), tray((60, 60, 12, RED), (200, 100, 40, RED)))

    inks = [f for f in judged.findings if f.tool == "ink"]
    assert judged.outcome is Outcome.PASS and len(inks) == 2
    middles = sorted((f.box[0] + f.box[2]) / 2 for f in inks if f.box)
    assert middles == pytest.approx([60, 200], abs=1.5)
    widths = sorted(f.box[2] - f.box[0] for f in inks if f.box)
    assert widths == pytest.approx([24 * 12 / 40, 80 * 12 / 40], abs=1)


def test_one_that_is_wrong_among_many_rejects_the_part(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(DISCS), tray((60, 60, 12, RED), (200, 100, 40, BLUE)))

    assert judged.outcome is Outcome.REJECT
    (wrong,) = [f for f in judged.findings if not f.ok]
    assert wrong.box is not None and 180 < wrong.box[0] < 220


LABELS = """
tools:
  - name: labels
    kind: blob
    params: {threshold: {tone: dark, method: fixed, level: 120}, area: [5000, 20000], at_most: 1}
  - name: print
    kind: read
    follow: labels/spot
    every: [200, 60]
    roi: [0, 0, 12, 12]
    params: {lines: [{roi: [4, 4, 196, 56], expect: L2417A}]}
"""


def test_print_is_read_where_its_line_is_whatever_the_steps_roi(recipe_of: RecipeOf) -> None:
    """Only what a step looks at is brought to the size that it was taught in."""
    picture = np.full((200, 300, 3), 235, np.uint8)
    cv2.rectangle(picture, (40, 50), (239, 109), (30, 30, 30), -1)
    cv2.putText(picture, "L2417A", (52, 94), cv2.FONT_HERSHEY_SIMPLEX, 1.3, (240, 240, 240), 3)

    judged = judge(recipe_of(LABELS), picture)

    assert judged.outcome is Outcome.PASS, judged.reasons


COUNTED = DISCS.replace(
    "kind: blob\n    params: {",
    "kind: count\n    roi: [9, 9, 290, 190]\n    params: {size_px: 24, ",
).replace(", at_least: 0, at_most: null", ", at_least: 0")


@pytest.mark.parametrize("leader", ["discs", "discs/piece"])
@pytest.mark.parametrize("discs", [[], [(60, 60, 12, RED), (200, 100, 12, RED)]])
def test_who_follows_pieces_that_are_counted_looks_at_the_pieces(
    recipe_of: RecipeOf, leader: str, discs: list[tuple[int, int, int, tuple[int, int, int]]]
) -> None:
    """And at all that was searched as if it were one of them, which rejected every good part."""
    judged = judge(recipe_of(COUNTED.replace("discs/spot", leader)), tray(*discs))

    assert judged.outcome is Outcome.PASS, judged.reasons
    assert sum(f.tool == "ink" for f in judged.findings) == len(discs)


def test_a_box_that_several_findings_have_is_looked_at_once() -> None:
    """As a code's, its serial number's and each indicator's of its print."""
    box = (1.0, 2.0, 3.0, 4.0)
    code, serial = (Finding("c", "code", label, box=box) for label in ("QRCode", "serial"))
    assert boxes_of([code, serial]) == (box,)


def test_where_there_is_none_there_is_nothing_to_judge(recipe_of: RecipeOf) -> None:
    assert judge(recipe_of(DISCS), tray()).outcome is Outcome.PASS


def test_a_box_that_the_edge_cuts_is_left_out(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(DISCS), tray((2, 60, 30, BLUE), (200, 100, 40, RED)))

    assert judged.outcome is Outcome.PASS
    assert list(places_of([(0, 10, 20, 40), (5, 5, 5.5, 9)], (40, 40), (200, 300))) == []
    assert boxes_of([]) == ()


def test_who_would_see_the_last_of_several_parts_alone_is_refused(recipe_of: RecipeOf) -> None:
    """A blue cap passed, on any part of a tray but the last."""
    aligned = """
tools:
  - name: discs
    kind: blob
    params: {threshold: {tone: dark, method: fixed, level: 120}, at_most: null}
  - {name: part, kind: align, follow: discs/spot, every: [40, 40], params: {golden: "{good}"}}
  - name: ink
    kind: colour
    follow: part%s
    roi: [14, 14, 26, 26]
    params: {targets: [{name: red, lab: [34, 53, 34], at_most: 12}]}
"""
    good = tray((60, 60, 20, RED))[40:80, 40:80]
    with pytest.raises(ConfigError, match="would see the last alone; follow `discs/spot`"):
        recipe_of(aligned % "", good=good)
    assert recipe_of(aligned % "\n    every: [40, 40]", good=good)


def test_where_there_is_none_no_other_step_is_excused(recipe_of: RecipeOf) -> None:
    code = "  - {name: code, kind: code}\nrules: [{name: marked, any: [ink, code]}]\n"
    judged = judge(recipe_of(DISCS + code), tray())

    assert judged.outcome is Outcome.REJECT
    assert judge(recipe_of(DISCS + code), tray((60, 60, 12, RED))).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("    follow: discs/spot\n", "", "`every` needs `follow`"),
        ("every: [40, 40]", "every: [2, 40]", "4 to 2000 px"),
        ("discs/spot", "discs/spt", "`discs` finds no `spt`; did you mean `spot`"),
        ("discs/spot", "discs/count", "`discs` finds no `count`"),
    ],
)
def test_mistakes_are_named(recipe_of: RecipeOf, old: str, new: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        recipe_of(DISCS.replace(old, new))


@pytest.mark.parametrize(
    ("leader", "wrong"),
    [
        ("code, params: {}", "QRCod"),
        ("read, params: {lines: [{name: lot}]}", "lots"),
        ("count, params: {size_px: 9, at_least: 0}", "count"),
        ("colour, params: {targets: [{name: red, lab: [1, 2, 3]}]}", "read"),
        ("detect, params: {model: m/1}", "dint"),
        ("detect, params: {model: m/1, labels: [good]}", "dent"),
    ],
)
def test_what_a_leader_never_finds_cannot_be_followed(
    tmp_path: Path, leader: str, wrong: str
) -> None:
    """With `every` there was nothing to judge, ever, and whatever lay there passed."""
    shelf = answering(tmp_path, "detect", "end-to-end", [np.zeros((1, 4, 6))], ("good", "dent"))
    (tmp_path / "r.yaml").write_text(
        f"name: r\ntools:\n  - {{name: lead, kind: {leader}}}\n"
        f"  - {{name: spots, kind: blob, follow: lead/{wrong}, every: [40, 40]}}\n"
    )
    with pytest.raises(ConfigError, match=f"`lead` finds no `{wrong}`"):
        load(tmp_path / "r.yaml", shelf)


def test_what_finds_no_place_in_order_leads_nowhere(recipe_of: RecipeOf) -> None:
    light = "kind: illumination\n    roi: [0, 0, 9, 9]\n    params: {low: 1}\n  - name: ink"
    with pytest.raises(ConfigError, match="illumination finds no place in order"):
        recipe_of(
            re.sub(r"kind: blob.*?- name: ink", light, DISCS, flags=re.DOTALL).replace("/spot", "")
        )


def test_a_recipe_without_it_keeps_its_digest(recipe_of: RecipeOf) -> None:
    step = recipe_of(DISCS).file.tools[0]
    assert "every" not in step.model_dump(mode="json")


SEEN_WHOLE = {
    "segment": ("masks", np.zeros((1, 2, 64, 64)), "defects: {dent: minor}"),
    "detect": ("end-to-end", np.zeros((1, 4, 6)), "defects: {dent: minor}"),
    "classify": ("softmax", np.array([[1.0, 0.0]]), "expect: [good]"),
}


@pytest.mark.parametrize("kind", SEEN_WHOLE)
@pytest.mark.parametrize(("shift", "outcome"), [(0, Outcome.PASS), (60, Outcome.ERROR)])
def test_a_place_that_the_part_takes_out_of_the_frame_is_no_judgement(
    tmp_path: Path, kind: str, shift: int, outcome: Outcome
) -> None:
    """On black beside the frame a model finds no fault."""
    good = tray((60, 60, 20, RED), (200, 60, 20, RED), (100, 120, 25, BLUE))
    form, answer, rule = SEEN_WHOLE[kind]
    shelf = answering(tmp_path, kind, form, [answer], ("good", "dent"))
    (tmp_path / "r.yaml").write_text(
        "name: r\ntools:\n"
        "  - name: part\n    kind: align\n"
        f"    params: {{golden: {keep_golden(good, tmp_path)}, part: [30, 30, 240, 150]}}\n"
        f"  - name: faults\n    kind: {kind}\n    follow: part\n"
        f"    params: {{model: m/1, {rule}, rois: [[30, 30, 130, 150], [200, 30, 270, 150]]}}\n"
    )
    seen = np.full_like(good, 235)
    seen[:, shift:] = good[:, : good.shape[1] - shift]

    judged = judge(load(tmp_path / "r.yaml", shelf), seen)

    assert judged.outcome is outcome, judged.reasons
    assert not shift or "partly out of the frame" in judged.reasons[0]


@pytest.mark.parametrize(
    ("part", "shift", "outcome"),
    [
        ("[30, 30, 240, 150]", 40, Outcome.PASS),
        ("[30, 30, 240, 150]", 75, Outcome.ERROR),
        ("[30, 30, 300, 150]", 75, Outcome.PASS),  # it went on beyond the golden picture too
    ],
)
def test_a_part_that_the_frame_cuts_is_not_judged_whole(
    tmp_path: Path, part: str, shift: int, outcome: Outcome
) -> None:
    """A step without a ROI looks at all of the part; what was cut off was black, and no fault."""
    good = tray((60, 60, 20, RED), (200, 60, 20, RED), (100, 120, 25, BLUE))
    shelf = answering(tmp_path, "segment", "masks", [np.zeros((1, 1, 64, 64))], ("dent",))
    (tmp_path / "r.yaml").write_text(
        "name: r\ntools:\n"
        f"  - name: part\n    kind: align\n"
        f"    params: {{golden: {keep_golden(good, tmp_path)}, part: {part}, score: 0.4}}\n"
        "  - name: faults\n    kind: segment\n    follow: part\n"
        "    params: {model: m/1, defects: {dent: minor}}\n"
    )
    seen = np.full_like(good, 235)
    seen[:, shift:] = good[:, : good.shape[1] - shift]

    judged = judge(load(tmp_path / "r.yaml", shelf), seen)

    assert judged.outcome is outcome, judged.reasons


def test_what_lies_between_two_places_may_leave_the_frame(tmp_path: Path) -> None:
    good = tray((60, 60, 20, RED), (200, 60, 20, RED), (100, 120, 25, BLUE))
    shelf = answering(tmp_path, "classify", "softmax", [np.array([[1.0]])], ("good",))
    (tmp_path / "r.yaml").write_text(
        "name: r\ntools:\n"
        "  - name: part\n    kind: align\n"
        f"    params: {{golden: {keep_golden(good, tmp_path)}, part: [30, 30, 240, 150]}}\n"
        "  - name: faults\n    kind: classify\n    follow: part\n"
        "    params: {model: m/1, rois: [[3, 120, 20, 180], [200, 20, 280, 100]]}\n"
    )
    turn = cv2.getRotationMatrix2D((150, 100), 4, 1.0)
    seen = cv2.warpAffine(good, turn, (300, 200), borderValue=(235, 235, 235))

    judged = judge(load(tmp_path / "r.yaml", shelf), np.asarray(seen, np.uint8))

    assert judged.outcome is Outcome.PASS, judged.reasons
