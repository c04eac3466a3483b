"""The tools that need no large net, on real pictures, judged by what others know of them: boxes
that the data's authors drew, how a test itself turned a picture, one board seen twice (S3, S4, S7).

``anomaly``, ``code``, ``compare``, ``detect`` and ``read`` have theirs in ``test_real_*.py`` and
``tools/``. Nothing that is judged here was learned from or chosen on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from real_pictures import pixels_of, there
from tools.model_shelf import weighing

from inspector.part import Batch, Box, Finding, Outcome, Pixels
from inspector.recipe import Judgement, Recipe
from inspector.tools.classify import Classify, ClassifyStep
from inspector.tools.segment import Segment, SegmentStep
from inspector.tools.step import Context

RecipeOf = Callable[..., Recipe]
Frame = tuple[Pixels, list[Box], list[Box]]
"""A picture, its bottles, its caps."""
CONTEXT = Context(Batch("real"), date(2026, 11, 26))
COPPER = 5
"""A spurious piece of copper in the boards' labels."""


def judge(recipe: Recipe, pixels: Pixels) -> Judgement:
    return recipe.judge({"image": pixels}, CONTEXT.batch, CONTEXT.today)


def frames(data: Path, film: str, every: int) -> Iterator[Frame]:
    folder = data / "bottles"
    for path in there(sorted((folder / "images").glob(f"{film}*"))[::every], folder):
        boxes: tuple[list[Box], list[Box]] = ([], [])
        for row in filter(None, (folder / "labels" / f"{path.stem}.txt").read_text().split("\n")):
            kind, x, y, w, h = (float(v) for v in row.split())
            left, top = 640 * (x - w / 2), 640 * (y - h / 2)
            boxes[int(kind)].append((left, top, left + 640 * w, top + 640 * h))
        yield pixels_of(path), *boxes


def boards(data: Path, every: int) -> Iterator[tuple[Path, Pixels, Pixels]]:
    """Each board's file, its picture and its template's."""
    folder = data / "pcb"
    for path in there(sorted(folder.glob("*_test.jpg"))[::every], folder):
        template = path.with_name(path.name.replace("_test", "_template"))
        yield path, pixels_of(path), pixels_of(template)


def cut(pixels: Pixels, box: Box) -> Pixels:
    x1, y1, x2, y2 = (round(v) for v in box)
    return np.ascontiguousarray(pixels[max(y1, 0) : y2, max(x1, 0) : x2])


def moved(pixels: Pixels, degrees: float, size: float) -> Pixels:
    matrix = cv2.getRotationMatrix2D((320, 250), degrees, size)
    return np.asarray(cv2.warpAffine(pixels, matrix, (640, 640), borderValue=(255,) * 3), np.uint8)


def values(judged: Judgement, tool: str) -> dict[str, float]:
    return {f.label: f.value for f in judged.findings if f.tool == tool and f.value is not None}


def share_of(a: Box, b: Box) -> float:
    """Intersection over union."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@pytest.mark.parametrize("film", ["IMG_4824", "IMG_4825"])
def test_a_bottle_taught_on_one_frame_of_a_film_is_found_where_the_labels_say(
    recipe_of: RecipeOf, real_data: Path, film: str
) -> None:
    (first, bottles, _), *others = list(frames(real_data, film, every=2))[:9]
    x1, y1, x2, y2 = (round(v) for v in max(bottles, key=lambda box: box[2] * (box[2] < 630)))
    part = f"part: [{x1}, {y1}, {x2}, {y2}], turn_deg: 5, scale: 0.05"
    tools = f'tools: [{{name: bottle, kind: align, params: {{golden: "{{good}}", {part}}}}}]'
    recipe = recipe_of(tools, good=first)
    for picture, labelled, _ in others:
        (found,) = judge(recipe, picture).findings
        assert found.ok and found.box, found.reason
        off = [np.abs(np.subtract(found.box, box)).max() for box in labelled]
        assert min(off) < 5, "the labels themselves are drawn to some 2 px"


HOLES = """
tools:
  - {name: board, kind: align, params: {golden: "{template}", turn_deg: 12, scale: 0.1}}
  - name: sizes
    kind: measure
    follow: board
    params:
      features:
        - {name: a, kind: circle, centre: [434, 103], radius: 11, reach: 6}
        - {name: b, kind: circle, centre: [434, 187], radius: 11, reach: 6}
        - {name: c, kind: circle, centre: [434, 271], radius: 11, reach: 6}
        - {name: left, kind: line, start: [175, 270], end: [175, 200], reach: 8}
        - {name: right, kind: line, start: [207, 270], end: [207, 200], reach: 8}
      measures:
        - {name: near, distance: [a, b]}
        - {name: far, distance: [a, c]}
        - {name: hole, diameter: b}
        - {name: trace, distance: [left, right]}
"""


def test_holes_and_traces_of_a_board_have_the_size_that_they_have(
    recipe_of: RecipeOf, real_data: Path
) -> None:
    """Counted in the template's pixels: the holes lie in rows 91 to 113, 175 to 198 and 260 to 283,
    the trace in columns 176 to 207."""
    _, board, template = next(boards(real_data, every=1))
    recipe = recipe_of(HOLES, template=template)

    assert values(judge(recipe, template), "sizes") == pytest.approx(
        {"near": 84.5, "far": 169.5, "hole": 23.7, "trace": 32}, abs=0.7
    )
    seen = values(judge(recipe, board), "sizes")
    assert seen == pytest.approx(values(judge(recipe, template), "sizes"), abs=2.5)
    for turn, size in ((0, 0.93), (8, 1.0), (-6, 1.07)):
        turned = values(judge(recipe, moved(board, turn, size)), "sizes")
        assert turned == pytest.approx({name: size * v for name, v in seen.items()}, rel=0.01)


SPECKS = """
tools:
  - name: specks
    kind: blob
    params: {threshold: {tone: dark, method: fixed}, area: [60, 1200], at_most: %s}
"""


def test_every_loose_piece_of_copper_that_is_labelled_is_a_spot(
    recipe_of: RecipeOf, real_data: Path
) -> None:
    recipe, pieces = recipe_of(SPECKS % "null"), 0
    for path, board, _ in boards(real_data, every=10):
        spots = [f.box for f in judge(recipe, board).findings if f.box]
        middles = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in spots]
        labels = path.with_name(path.name.replace("_test.jpg", ".txt")).read_text()
        for row in labels.replace(",", " ").splitlines():
            x1, y1, x2, y2, kind = (int(v) for v in row.split())
            if kind == COPPER:
                pieces += 1
                assert any(x1 <= x <= x2 and y1 <= y <= y2 for x, y in middles), (path.name, row)
    assert pieces >= 20


def test_a_bare_board_passes_and_loose_copper_on_it_rejects(
    recipe_of: RecipeOf, real_data: Path
) -> None:
    recipe, folder = recipe_of(SPECKS % "0"), real_data / "pcb"
    names = ("00041033", "00041077", "00041130", "13000165", "50600029", "77000084")
    for name in there([n for n in names if (folder / f"{n}_test.jpg").is_file()], folder):
        template = judge(recipe, pixels_of(folder / f"{name}_template.jpg"))
        board = judge(recipe, pixels_of(folder / f"{name}_test.jpg"))
        assert (template.outcome, board.outcome) == (Outcome.PASS, Outcome.REJECT), name


def test_caps_on_a_conveyor_are_as_many_as_are_labelled(
    recipe_of: RecipeOf, real_data: Path
) -> None:
    """Taught from one cap of the first frame; a bottle that the edge cuts has no label."""
    (first, _, caps), *others = frames(real_data, "IMG_4825", every=6)
    x1, y1, x2, y2 = caps[0]
    cap = cut(first, (x1 - 2, y1 - 2, x2 + 2, y2 + 2))
    like = 'size_px: 30, golden: "{cap}", at_least: 0'
    recipe = recipe_of(f"tools: [{{name: caps, kind: count, params: {{{like}}}}}]", cap=cap)

    counted = [values(judge(recipe, picture), "caps")["count"] for picture, _, _ in others]

    assert counted == [len(labelled) for _, _, labelled in others]
    assert {0, 1, 2, 3} == set(counted)


def fitted(colours: NDArray[Any], true: NDArray[Any]) -> NDArray[Any]:
    """Weights of blue, green, red (0 to 1) and 1 by logistic regression, both classes alike."""
    seen, weights = np.c_[colours, np.ones(len(colours))], np.zeros(4)
    share = np.where(true, 0.5 / true.mean(), 0.5 / (1 - true.mean()))
    for _ in range(30):
        said = 1 / (1 + np.exp(-seen @ weights))
        slope = seen.T @ (share * (said - true)) / len(true) + 1e-4 * weights
        bend = (seen * (share * said * (1 - said))[:, None]).T @ seen / len(true)
        weights -= np.linalg.solve(bend + 1e-4 * np.eye(4), slope)
    return weights


def cap_weights(data: Path) -> NDArray[Any]:
    """What tells a blue pump from all else, of one film's colours in the labels and outside."""
    rng, colours, true = np.random.default_rng(0), [], []
    for picture, _, caps in frames(data, "IMG_4821", every=8):
        where = np.zeros(picture.shape[:2], np.uint8)
        for x1, y1, x2, y2 in caps:
            where[int(y1) : int(y2), int(x1) : int(x2)] = 1
            w, h = x2 - x1, y2 - y1  # of the box, its lower middle is all cap
            rows = slice(int(y1 + 0.55 * h), int(y2 - 0.1 * h))
            where[rows, int(x1 + 0.35 * w) : int(x2 - 0.35 * w)] = 2
        for kind in (0, 2):
            at = np.argwhere(where == kind)
            at = at[rng.choice(len(at), min(400, len(at)), replace=False)]
            colours.append(picture[at[:, 0], at[:, 1]] / 255)
            true.append(np.full(len(at), kind == 2))
    return fitted(np.concatenate(colours), np.concatenate(true))


def test_a_segmenter_taught_on_one_film_outlines_the_caps_of_another(
    real_data: Path, tmp_path: Path
) -> None:
    shelf = weighing(
        tmp_path, "segment", "masks", cap_weights(real_data)[None], ["cap"], side=(640, 640)
    )
    step = {"name": "s", "kind": "segment", "params": {"model": "m/1", "least_px": 150}}
    tool = Segment(SegmentStep.model_validate(step, context={"shelf": shelf}), shelf)
    shares: list[float] = []
    for picture, _, caps in frames(real_data, "IMG_4824", every=9):
        found = tool.look(picture, CONTEXT)
        for cap in caps:
            best = max(found, key=lambda f: share_of(f.box or cap, cap))
            shares.append(share_of(best.box or (0, 0, 1, 1), cap))
            assert _inked(best) == pytest.approx(best.value, rel=0.1)
    assert len(shares) >= 10 and min(shares) > 0.75, shares


def _inked(found: Finding) -> float:
    """The area under a finding's outline: its first ring less the others."""
    rings = [np.array(ring, np.int32) for ring in found.outline]
    mask = np.zeros((640, 640), np.uint8)
    cv2.fillPoly(mask, rings, 1)
    for hole in rings[1:]:
        cv2.polylines(mask, [hole], True, 0)
    return float(mask.sum())


def test_a_classifier_taught_on_two_films_tells_the_caps_of_two_others(
    real_data: Path, tmp_path: Path
) -> None:
    def caps(film: str, every: int) -> list[Pixels]:
        return [cut(p, cap) for p, _, caps in frames(real_data, film, every) for cap in caps]

    flips, pumps = caps("IMG_4826", 10), caps("IMG_4821", 10)
    means = np.array([cap.reshape(-1, 3).mean(0) / 255 for cap in (*flips, *pumps)])
    row = fitted(means, np.arange(len(means)) >= len(flips))
    shelf = weighing(tmp_path, "classify", "softmax", np.stack([-row, row]), ["flip", "pump"])
    step = {"name": "c", "kind": "classify", "params": {"model": "m/1", "expect": ["pump"]}}
    tool = Classify(ClassifyStep.model_validate(step, context={"shelf": shelf}), shelf)

    for film, ok in (("IMG_4825", False), ("IMG_4824", True)):
        for cap in caps(film, every=9):
            (found,) = tool.look(cap, CONTEXT)
            assert found.ok is ok, (film, found)


COLOUR = """
tools:
  - name: cap
    kind: colour
    roi: [%d, %d, %d, %d]
    params: {clipped: 1, targets: [{name: cap, lab: [%f, %f, %f], at_most: 12}]}
"""


def test_a_caps_colour_is_that_of_its_like_and_not_of_the_other_products(
    recipe_of: RecipeOf, real_data: Path
) -> None:
    """Taught as the mean of one cap; a pump's base is its box's lower middle."""

    def base(box: Box) -> tuple[int, int, int, int]:
        w, h = box[2] - box[0], box[3] - box[1]
        return (round(box[0] + 0.4 * w), round(box[1] + 0.6 * h),
                round(box[2] - 0.4 * w), round(box[3] - 0.15 * h))  # fmt: skip

    (first, _, (cap, *_)), *others = frames(real_data, "IMG_4824", every=9)
    probe = judge(recipe_of(COLOUR % (*base(cap), 50, 0, 0)), first).findings[0]
    taught = [float(v) for v in (probe.text or "").replace(",", " ").split()[-3:]]
    pumps = [(picture, cap) for picture, _, caps in others for cap in caps]
    flips = [(p, cap) for p, _, caps in frames(real_data, "IMG_4825", every=9) for cap in caps]
    for shown, wanted in ((pumps, Outcome.PASS), (flips, Outcome.REJECT)):
        for picture, cap in shown:
            judged = judge(recipe_of(COLOUR % (*base(cap), *taught)), picture)
            assert judged.outcome is wanted, judged.reasons


def test_half_the_light_on_a_real_pack_is_told(recipe_of: RecipeOf, real_data: Path) -> None:
    folder = real_data / "date_codes"
    photo = pixels_of(there(sorted(folder.rglob("*.jp*g")), folder)[0])
    level = float(photo[100:200, 100:200].mean())
    bounds = f"{{low: {level - 9:.0f}, high: {level + 9:.0f}}}"
    tool = f"{{name: light, kind: illumination, roi: [100, 100, 200, 200], params: {bounds}}}"
    recipe = recipe_of(f"tools: [{tool}]")

    assert judge(recipe, photo).outcome is Outcome.PASS
    assert judge(recipe, (photo // 2).astype(np.uint8)).outcome is not Outcome.PASS
