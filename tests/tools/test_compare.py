"""``compare`` finds what is foreign, missing or displaced, and nothing on good parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from tools.model_shelf import answering

from inspector.config import ConfigError
from inspector.part import Batch, Outcome, Pixels
from inspector.recipe import Judgement, Recipe, load
from inspector.tools.card import ModelError
from inspector.tools.compare import Compare, CompareStep, Params
from inspector.tools.difference import Difference, shown
from inspector.tools.golden import Golden, keep_golden
from inspector.tools.onnx import Shelf
from inspector.tools.traces import Conductors, trace_fault
from inspector.virtual.bottle import BOTTLE_LINE, PartSpec, draw_setup, render_part

RecipeOf = Callable[..., Recipe]
PLATE = """
tools:
  - name: plate
    kind: compare
    params: {golden: ["{good}"]%s}
"""


def judge(recipe: Recipe, pixels: Pixels) -> Judgement:
    return recipe.judge({"image": pixels}, Batch("b"), date(2026, 1, 1))


def plate(*, screw: bool = True, foreign: bool = False, shift: int = 0) -> Pixels:
    """A plate with a slot and four screws, one of which may be missing or displaced."""
    picture = np.full((240, 320), 60, np.uint8)
    cv2.rectangle(picture, (40, 30), (280, 210), 150, -1)
    cv2.rectangle(picture, (120, 110), (200, 130), 40, -1)
    for x, y in ((60, 50), (260, 50), (60, 190)):
        cv2.circle(picture, (x, y), 9, 220, -1, cv2.LINE_AA)
    if screw:
        cv2.circle(picture, (260 - shift, 190), 9, 220, -1, cv2.LINE_AA)
    if foreign:
        cv2.ellipse(picture, (90, 150), (8, 4), 30, 0, 360, 230, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (5, 5), 1.0).astype(np.uint8)


def seen(picture: Pixels, seed: int = 0, x: float = 0, y: float = 0, light: float = 1) -> Pixels:
    rng = np.random.default_rng(seed)
    matrix = np.array([(1.0, 0, x), (0, 1, y)])
    size = (picture.shape[1], picture.shape[0])
    moved = cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(moved * light + rng.normal(0, 2, moved.shape), 0, 255).astype(np.uint8)


def labels(judged: Judgement) -> list[str]:
    return [f.label for f in judged.findings]


def test_good_parts_pass_shifted_dimmed_and_noisy(recipe_of: RecipeOf) -> None:
    recipe, rng = recipe_of(PLATE % "", good=plate()), np.random.default_rng(5)
    for seed in range(20):
        part = seen(plate(), seed, *rng.uniform(-3, 3, 2), light=rng.uniform(0.75, 1.15))
        assert judge(recipe, part).outcome is Outcome.PASS


def test_a_foreign_object_is_found_where_it_is(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(PLATE % "", good=plate()), seen(plate(foreign=True), 1, 2, -1))
    assert labels(judged) == ["foreign"] and judged.outcome is Outcome.REJECT
    x1, y1, x2, y2 = judged.findings[0].box or (0, 0, 0, 0)
    assert x1 < 92 < x2 and y1 < 149 < y2 and x2 - x1 < 30
    assert "something foreign of" in judged.reasons[0]


def test_a_missing_part_is_found(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(PLATE % "", good=plate()), seen(plate(screw=False), 2, -2, 1))
    assert labels(judged) == ["missing"]


def test_a_displaced_part_is_found(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(PLATE % "", good=plate()), seen(plate(shift=7), 3))
    assert judged.outcome is Outcome.REJECT


def test_a_break_of_a_line_thinner_than_its_edges_may_move_is_found(recipe_of: RecipeOf) -> None:
    line = np.full((120, 160), 200, np.uint8)
    cv2.rectangle(line, (10, 10), (150, 110), 90, 2)
    cv2.line(line, (20, 60), (140, 60), 60, 3)
    broken = line.copy()
    broken[55:66, 70:84] = 200
    recipe = recipe_of(PLATE % ", edge_px: 2", good=line)
    assert judge(recipe, line).outcome is Outcome.PASS
    assert labels(judge(recipe, broken)) == ["missing"]


def test_places_to_ignore_are_not_judged(recipe_of: RecipeOf) -> None:
    recipe = recipe_of(PLATE % ", ignore: [[70, 130, 110, 170]]", good=plate())
    assert judge(recipe, seen(plate(foreign=True))).outcome is Outcome.PASS
    assert judge(recipe, seen(plate(screw=False))).outcome is Outcome.REJECT


def test_a_thin_tail_that_meets_a_fault_stretches_no_box(recipe_of: RecipeOf) -> None:
    good = np.full((120, 200), 60, np.uint8)
    part = good.copy()
    part[50:62, 40:52] = 220
    part[55:57, 52:150] = 220

    (whole,) = judge(recipe_of(PLATE % ", settle_px: 0", good=good), part).findings
    thick = recipe_of(PLATE % ", settle_px: 0, thick_px: 7, join_px: 4", good=good)
    (core,) = judge(thick, part).findings

    assert whole.box and core.box
    assert whole.box[2] >= 148 and core.box[2] <= 65
    assert core.box[:2] == whole.box[:2]


def test_what_reaches_the_rim_is_none_where_the_rim_is_not_trusted(recipe_of: RecipeOf) -> None:
    good = np.full((120, 200), 60, np.uint8)
    part = good.copy()
    part[50:70, 190:] = 220

    assert labels(judge(recipe_of(PLATE % ", settle_px: 0", good=good), part)) == ["foreign"]
    trusting_less = recipe_of(PLATE % ", settle_px: 0, rim_px: 1", good=good)
    assert judge(trusting_less, part).outcome is Outcome.PASS
    part[50:70, 3:23] = 220  # nearer to the rim than what lies so near each other is joined over
    joining = recipe_of(PLATE % ", settle_px: 0, rim_px: 1, join_px: 9", good=good)
    assert [f.box for f in judge(joining, part).findings] == [(2, 49, 24, 71)]


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("traces", ["", ", traces: dark"])
def test_another_picture_is_no_play_of_the_rim(
    recipe_of: RecipeOf, level: int, traces: str
) -> None:
    """All that differs reaches the rim there: a black frame was as good as the golden picture."""
    good = np.full((120, 200), 60, np.uint8)
    good[20:100, 30:170:4] = 200
    recipe = recipe_of(PLATE % f", settle_px: 0, rim_px: 2, light: false{traces}", good=good)

    assert judge(recipe, good).outcome is Outcome.PASS
    assert judge(recipe, np.full_like(good, level)).outcome is Outcome.REJECT


def test_what_differs_everywhere_is_a_reject_and_no_error(recipe_of: RecipeOf) -> None:
    """How deep a difference is that has no end was no number, and so was its score."""
    good = np.full((120, 200), 60, np.uint8)
    recipe = recipe_of(PLATE % ", settle_px: 0", good=good)

    (found,) = (judged := judge(recipe, np.full_like(good, 200))).findings

    assert judged.outcome is Outcome.REJECT, judged.reasons
    assert found.value == good.size and 0.9 < found.score <= 1


def test_several_golden_pictures_make_the_range_that_good_ones_differ_by(
    recipe_of: RecipeOf,
) -> None:
    bright = plate()
    bright[150:170, 220:240] = 210
    between = plate()
    between[150:170, 220:240] = 180
    one = recipe_of(PLATE % ", tolerance: 20", good=plate())
    both = recipe_of(
        PLATE.replace('"{good}"', '"{good}", "{bright}"') % ", tolerance: 20",
        good=plate(),
        bright=bright,
    )
    assert judge(one, between).outcome is Outcome.REJECT
    assert judge(both, between).outcome is Outcome.PASS
    assert judge(both, plate(foreign=True)).outcome is Outcome.REJECT


def test_severities_go_by_label(recipe_of: RecipeOf) -> None:
    recipe = recipe_of(PLATE % ", severities: {foreign: critical}", good=plate())
    assert judge(recipe, plate(foreign=True)).findings[0].severity == "critical"
    with pytest.raises(ConfigError, match="did you mean `foreign`"):
        recipe_of(PLATE % ", severities: {foriegn: critical}", good=plate())


def test_margins_go_by_label(recipe_of: RecipeOf) -> None:
    near, far = (
        judge(recipe_of(PLATE % f", margin_px: 2{given}", good=plate()), plate(foreign=True))
        for given in ("", ", margins: {foreign: 7, missing: 30}")
    )

    (x1, y1, x2, y2), box = near.findings[0].box or (0.0, 0.0, 0.0, 0.0), far.findings[0].box
    assert box == pytest.approx((x1 - 5, y1 - 5, x2 + 5, y2 + 5))
    with pytest.raises(ConfigError, match="did you mean `foreign`"):
        recipe_of(PLATE % ", margins: {foriegn: 3}", good=plate())
    with pytest.raises(ConfigError, match="foreign"):
        recipe_of(PLATE % ", margins: {foreign: -3}", good=plate())


def test_a_picture_of_another_size_is_an_error(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(PLATE % "", good=plate()), plate()[:200])
    assert judged.outcome is Outcome.ERROR and "320x200" in judged.reasons[0]


def test_golden_pictures_of_two_sizes_are_refused(recipe_of: RecipeOf) -> None:
    with pytest.raises(ConfigError, match="have one size"):
        recipe_of(
            PLATE.replace('"{good}"', '"{good}", "{small}"') % "",
            good=plate(),
            small=plate()[:200],
        )


def test_rendered_bottles_of_one_batch_pass_and_defects_are_found(recipe_of: RecipeOf) -> None:
    setup = draw_setup(np.random.default_rng(1), BOTTLE_LINE, "train")
    spec = PartSpec(setup=setup)
    goldens = {f"g{n}": render_part(n, spec).side for n in range(2)}
    # The cap's place, seen by a part that stands as taught.
    tools = """
    tools:
      - name: part
        kind: align
        params: {golden: "{g0}", part: [210, 15, 430, 430]}
      - name: cap
        kind: compare
        follow: part
        roi: [255, 10, 385, 110]
        params: {golden: ["{g0}", "{g1}"], tolerance: 45, area_px: 40, thick_px: 3}
    """
    recipe = recipe_of(tools, **goldens)
    for seed in (11, 12):
        assert judge(recipe, render_part(seed, spec).side).outcome is Outcome.PASS
    for defect in ("cap_missing", "cap_tilted"):
        part = render_part(21, replace(spec, defects=(defect,))).side
        assert judge(recipe, part).outcome is Outcome.REJECT, defect


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("copper", ("seen", (30, 5), (36, 9))),
        ("spur", ("seen", (30, 16), (33, 20))),
        ("short", ("seen", (30, 20), (33, 40))),
        ("pin-hole", ("gap", (30, 23), (32, 26))),
        ("mousebite", ("gap", (30, 18), (34, 24))),
        ("open", ("gap", (30, 18), (33, 32))),
    ],
)
def test_faults_of_conductors_are_named_by_what_they_join_and_cut(
    name: str, draw: tuple[str, tuple[int, int], tuple[int, int]]
) -> None:
    golden = np.zeros((60, 64), bool)
    golden[20:30], golden[40:50] = True, True
    seen = golden.copy()
    how, (x1, y1), (x2, y2) = draw
    seen[y1:y2, x1:x2] = how == "seen"
    assert trace_fault(seen, golden, seen ^ golden, 4) == name


def test_a_gap_that_cuts_a_corner_off_is_an_open_and_a_crumb_in_a_bite_is_none() -> None:
    pad = np.zeros((60, 60), bool)
    pad[20:, 20:] = True
    cut, bitten = pad.copy(), pad.copy()
    for n in range(16):
        cut[34 - n : 38 - n, 20 + n] = False
    bitten[20:32, 30:42] = False
    bitten[24:29, 33:38] = True

    assert trace_fault(cut, pad, cut ^ pad, 4) == "open"
    assert trace_fault(bitten, pad, bitten ^ pad, 4) == "mousebite"
    assert trace_fault(~cut, ~pad, cut ^ pad, 4) == "short"


def test_copper_too_much_beside_copper_too_little_is_two_faults(recipe_of: RecipeOf) -> None:
    board = np.full((120, 160), 250, np.uint8)
    board[40:80, 10:150] = 5
    spoilt = board.copy()
    spoilt[72:76, 60:70] = 250
    spoilt[80:86, 62:68] = 5
    recipe = recipe_of(PLATE % ", traces: dark, join_px: 5, tolerance: 90", good=board)

    assert sorted(labels(judge(recipe, spoilt))) == ["pin-hole", "spur"]


@pytest.mark.parametrize("side", ["left", "top"])
def test_what_lies_beyond_a_board_that_stands_askew_is_no_copper(
    recipe_of: RecipeOf, side: str
) -> None:
    board = np.full((160, 160), 250, np.uint8)
    for at in range(8, 160, 30):
        board[at : at + 9, at // 4 :] = 5
        board[:, at : at + 9] = 5
    moved = seen(board, x=2.4 * (side == "left"), y=2.4 * (side == "top"))
    recipe = recipe_of(PLATE % ", traces: dark, tolerance: 90, edge_px: 1, area_px: 6", good=board)

    assert judge(recipe, moved).outcome is Outcome.PASS


def test_a_board_with_copper_at_one_end_alone_is_settled_by_it(recipe_of: RecipeOf) -> None:
    board = np.full((400, 400), 250, np.uint8)
    board[300:320, 60:330], board[340:370, 100:380] = 5, 5
    stretched = np.array([(1.0, 0, 0), (0, 1.03, -0.03 * 400)])  # its empty end by 12 px
    part = cv2.warpAffine(board, stretched, (400, 400), borderMode=cv2.BORDER_REPLICATE)
    recipe = recipe_of(
        PLATE % ", traces: dark, tolerance: 90, settle_px: 2, edge_px: 1", good=board
    )

    assert judge(recipe, part.astype(np.uint8)).outcome is Outcome.PASS
    part[288:300, 150:160] = 5
    assert labels(judge(recipe, part.astype(np.uint8))) == ["spur"]


def test_real_boards_faults_are_found_and_named(recipe_of: RecipeOf, real_data: Path) -> None:
    board = real_data / "pcb" / "00041006_test.jpg"
    template = cv2.imread(str(board).replace("_test", "_template"), 0)
    tools = PLATE % ", traces: dark, thick_px: 3, margin_px: 9, join_px: 5, tolerance: 90"
    recipe = recipe_of(tools, good=np.ascontiguousarray(template, np.uint8))
    assert judge(recipe, np.ascontiguousarray(template, np.uint8)).outcome is Outcome.PASS
    judged = judge(recipe, cv2.imread(str(board), 0).astype(np.uint8))
    rows = [line.split() for line in board.with_name("00041006.txt").read_text().splitlines()]
    names = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
    for row in rows:
        x1, y1, x2, y2, kind = (int(v) for v in row)
        hits = [
            f.label
            for f in judged.findings
            if f.box and x1 < (f.box[0] + f.box[2]) / 2 < x2 and y1 < (f.box[1] + f.box[3]) / 2 < y2
        ]
        assert hits == [names[kind - 1]], row


def namer(models: Path, **scores: float) -> Shelf:
    """A classifier of differences that says the same of each."""
    answer = np.array([list(scores.values())])
    return answering(models, "classify", "softmax", [answer], list(scores), side=(64, 128))


def named(tmp_path: Path, shelf: Shelf, picture: Pixels, params: str = "") -> Judgement:
    folder = tmp_path / "recipes"
    folder.mkdir(exist_ok=True)
    given = f"{{golden: [{keep_golden(plate(), folder)}], model: m/1{params}}}"
    file = folder / "r.yaml"
    file.write_text(f"name: r\ntools: [{{name: plate, kind: compare, params: {given}}}]\n")
    return judge(load(file, shelf), picture)


def test_a_model_names_each_difference(tmp_path: Path) -> None:
    shelf = namer(tmp_path, good=0.1, scratch=0.2, chip=0.7)

    judged = named(tmp_path, shelf, plate(foreign=True))

    assert judged.outcome is Outcome.REJECT
    assert [(f.label, round(f.score, 2)) for f in judged.findings] == [("chip", 0.7)]


def test_differences_that_nobody_asked_the_model_about_are_no_pass(tmp_path: Path) -> None:
    """The hundred largest are named: where those are all good, a fault may be among the rest."""
    specked = plate()
    for y, x in product(range(34, 200, 12), range(44, 270, 12)):
        specked[y : y + 4, x : x + 4] = 255
    shelf = namer(tmp_path, good=0.9, chip=0.1)
    params = ", settle_px: 0, light: false, area_px: 1, join_px: 0"

    judged = named(tmp_path, shelf, specked, params)

    assert judged.outcome is Outcome.ERROR
    assert "differences, of which 100 were named, all of them good" in judged.reasons[0]


def test_what_the_model_says_is_good_is_no_difference(tmp_path: Path) -> None:
    shelf = namer(tmp_path, good=0.6, chip=0.4)

    assert named(tmp_path, shelf, plate(foreign=True)).outcome is Outcome.PASS
    strict = named(tmp_path, shelf, plate(foreign=True), ", good_from: 0.9")
    assert labels(strict) == ["chip"]


@pytest.mark.parametrize(
    ("scores", "label"),
    [
        ({"good": 0.2, "open": 0.5, "mousebite": 0.3}, "mousebite"),  # what the rule says counts …
        ({"good": 0.2, "open": 0.79, "mousebite": 0.01}, "open"),  # … beside what the model sees
    ],
)
def test_what_a_rule_calls_a_fault_of_conductors_counts_beside_the_model(
    tmp_path: Path, scores: dict[str, float], label: str
) -> None:
    shelf = namer(tmp_path, **scores)

    judged = named(tmp_path, shelf, plate(foreign=True), ", traces: dark")

    assert labels(judged) == [label]
    assert judged.findings[0].score is not None and 0.5 < judged.findings[0].score <= 0.8


@pytest.mark.parametrize(("tone", "votes"), [
    (220, {"open": 1.0}),
    (150, {"open": pytest.approx(2 / 3), "mousebite": pytest.approx(1 / 3)}),
])  # fmt: skip
def test_a_rule_is_of_two_minds_about_a_gap_that_is_half_etched(
    tone: int, votes: dict[str, float]
) -> None:
    golden = np.full((60, 60), 220, np.uint8)
    golden[20:40] = 20
    board = golden.copy()
    board[20:37, 25:35] = 220
    board[37:40, 25:35] = tone  # the bound may lie at 80 and at 160

    conductors = Conductors(board, golden, dark=True, around_px=8, least_px=4)

    spot = np.ones((20, 10), bool)
    assert conductors.votes(25, 20, spot) == votes
    assert conductors.name(25, 20, spot) == "open"


def test_each_difference_has_a_score_of_each_class(tmp_path: Path) -> None:
    shelf = namer(tmp_path, good=0.2, open=0.5, mousebite=0.3)
    given = {"golden": (Golden.of(plate()),), "model": "m/1", "traces": "dark"}
    step = CompareStep(name="plate", kind="compare", params=Params.model_validate(given))

    ((one, _, likely),) = Compare(step, shelf).named(plate(foreign=True))

    assert (one.x, one.y) == (83, 145)
    assert likely["good"] == pytest.approx(0.2) and sum(likely.values()) == pytest.approx(1)
    assert likely["mousebite"] > likely["open"] > 0


def test_a_rule_has_no_say_in_whether_a_bite_is_a_fault(tmp_path: Path) -> None:
    shelf = namer(tmp_path, good=0.6, open=0.3, mousebite=0.1)

    assert named(tmp_path, shelf, plate(foreign=True), ", traces: dark").outcome is Outcome.PASS


@pytest.mark.parametrize(("good", "outcome"), [(0.8, Outcome.REJECT), (0.9, Outcome.PASS)])
def test_what_joins_two_conductors_is_hardly_a_rough_edge(
    tmp_path: Path, good: float, outcome: Outcome
) -> None:
    shelf = namer(tmp_path, good=good, short=0.95 - good, spur=0.05)
    joined = plate()
    joined[128:150, 150:156] = 40
    joined[105:112, 150:156] = 40
    joined[30:112, 150:156] = 40

    judged = named(tmp_path, shelf, joined, ", traces: dark")

    assert judged.outcome is outcome


@pytest.mark.parametrize(
    ("scores", "side", "params", "said"),
    [
        ({"fault": 0.5, "chip": 0.5}, (64, 128), "", "no class `good`"),
        ({"good": 0.5, "chip": 0.5}, (64, 64), "", r"\[1,S,2S,3\]"),
        ({"good": 0.5, "chip": 0.5}, (64, 128), ", severities: {chap: minor}", "mean `chip`"),
    ],
)
def test_a_model_that_names_no_differences_is_refused(
    tmp_path: Path, scores: dict[str, float], side: tuple[int, int], params: str, said: str
) -> None:
    answer = np.array([list(scores.values())])
    shelf = answering(tmp_path, "classify", "softmax", [answer], list(scores), side=side)

    with pytest.raises((ModelError, ConfigError), match=said):
        named(tmp_path, shelf, plate(), params)


def test_a_model_sees_a_difference_near_and_whole() -> None:
    part, golden = np.full((100, 200), 9, np.uint8), np.full((100, 200), 5, np.uint8)
    one = Difference(2, 40, np.ones((10, 150), bool), 1500, 10.0)

    near, far = np.split(shown(part, golden, one, 64), 2, axis=1)

    assert near.shape == far.shape == (64, 64, 3)
    assert (near[..., 0] == 9).all() and (near[..., 1] == 5).all()
    assert (near[32, :, 2] == 255).all() and (near[..., 2] > 0).sum() == 10 * 64
    assert far[32, 0, 2] == far[32, -1, 2] == 0 and far[32, 32, 2] > 0


def test_recipes_without_a_model_keep_their_digest() -> None:
    params = {"golden": (Golden.of(plate()),)}

    said = Params(**params).model_dump(mode="json")

    assert not {"model", "good_from", "rim_px"} & set(said)
