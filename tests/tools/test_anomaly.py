"""``anomaly`` finds what is unlike the good parts it was taught with, and where (S3, S4, S7)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import zstandard
from surfaces import scratched, surface

from inspector.config import ConfigError
from inspector.part import Batch, Outcome, Pixels
from inspector.recipe import Judgement, Recipe, load
from inspector.teach import Taught, teach_anomaly
from inspector.tools.anomaly import worst
from inspector.tools.bank import Bank, keep_bank, packed, unpacked
from inspector.tools.likeness import Member, fit_member, usual_of
from inspector.tools.onnx import Shelf
from inspector.tools.texture import Source, same_scale, working_size
from inspector.virtual.bottle import PartSpec, render_part

MODELS = Path(__file__).parents[2] / "models"
RECIPE = """
name: plate
tools:
  - {name: surface, kind: anomaly, %s params: {bank: %s}}
"""


@pytest.fixture(scope="module")
def taught() -> Taught:
    return teach_anomaly([surface(i) for i in range(12)], Shelf(MODELS))


@pytest.fixture
def made(taught: Taught, tmp_path: Path) -> Callable[..., Recipe]:
    def make(extra: str = "", bank: Bank | None = None) -> Recipe:
        digest = keep_bank(bank or taught.bank, tmp_path)
        (tmp_path / "plate.yaml").write_text(RECIPE % (extra, digest))
        return load(tmp_path / "plate.yaml", MODELS)

    return make


def judge(recipe: Recipe, pixels: Pixels) -> Judgement:
    return recipe.judge({"image": pixels}, Batch("b"), date(2026, 1, 1))


def test_good_parts_pass_and_a_scratch_is_rejected_where_it_is(
    made: Callable[..., Recipe],
) -> None:
    recipe = made()
    good = [judge(recipe, surface(i)) for i in range(50, 56)]
    bad = judge(recipe, scratched(surface(60), (90, 40), (120, 70)))
    assert [g.outcome for g in good] == [Outcome.PASS] * 6
    assert bad.outcome is Outcome.REJECT and "unlike good parts" in bad.reasons[0]
    first = bad.findings[0]
    assert first.kind == "anomaly" and first.box is not None
    assert first.score > max(f.score for g in good for f in g.findings)
    x1, y1, x2, y2 = first.box
    assert x1 <= 105 <= x2 and y1 <= 55 <= y2
    assert x2 - x1 < 100 and y2 - y1 < 100


def test_every_image_has_one_finding_with_its_score_at_least(made: Callable[..., Recipe]) -> None:
    (finding,) = judge(made(), surface(71)).findings
    assert finding.ok and 0 < finding.score < 0.5


def test_the_score_grows_with_the_fault(made: Callable[..., Recipe]) -> None:
    recipe, scores = made(), []
    for strength in (0, 40, 80, 120):
        picture = surface(61).astype(np.int32)
        picture[50:58, 60:68] += strength
        found = judge(recipe, np.clip(picture, 0, 255).astype(np.uint8)).findings
        scores.append(found[0].score)
    assert scores == sorted(scores) and scores[-1] > 0.5 > scores[0]


def test_a_threshold_moves_what_is_rejected(
    made: Callable[..., Recipe], taught: Taught, tmp_path: Path
) -> None:
    bad = scratched(surface(60), (90, 40), (120, 70))
    score = judge(made(), bad).findings[0].score
    digest = keep_bank(taught.bank, tmp_path)
    path = tmp_path / "plate.yaml"
    for threshold, outcome in ((score + 0.01, Outcome.PASS), (score - 0.01, Outcome.REJECT)):
        path.write_text(RECIPE % ("", f"{digest}, threshold: {threshold}"))
        assert judge(load(path, MODELS), bad).outcome is outcome


def test_a_roi_is_all_that_is_seen_and_boxes_are_the_frames(made: Callable[..., Recipe]) -> None:
    recipe = made("roi: [40, 20, 200, 148],")
    frame = np.zeros((170, 240), np.uint8)
    frame[20:148, 40:200] = scratched(surface(62), (90, 40), (120, 70))
    box = judge(recipe, frame).findings[0].box
    assert box is not None and box[0] <= 145 <= box[2] and box[1] <= 75 <= box[3]
    assert judge(recipe, surface(1)).outcome is Outcome.ERROR


def test_a_colour_picture_is_seen_in_grey_where_grey_was_taught(
    made: Callable[..., Recipe],
) -> None:
    grey = surface(63)
    scores = [
        judge(made(), picture).findings[0].score
        for picture in (grey, np.ascontiguousarray(np.stack([grey] * 3, 2)))
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


def test_where_parts_stand_still_another_shape_is_no_such_part(
    made: Callable[..., Recipe], taught: Taught
) -> None:
    still = made(bank=replace(taught.bank, fixed=True))
    judged = judge(still, surface(64, (128, 160)))
    assert judged.outcome is Outcome.ERROR
    assert judged.reasons[0] == "surface: the picture is 128x160, 160x128 was taught"
    assert judged.findings[0].kind == "anomaly"
    if not any(m.way == "placed" for m in taught.bank.members):
        loose = made(bank=replace(taught.bank, fixed=False))
        assert judge(loose, surface(64, (230, 128))).outcome is Outcome.PASS


def test_the_same_teaching_makes_the_same_bank_and_a_file_gives_it_back(taught: Taught) -> None:
    again = teach_anomaly([surface(i) for i in range(12)], Shelf(MODELS))
    assert packed(again.bank) == packed(taught.bank)
    assert packed(unpacked(packed(taught.bank))) == packed(taught.bank)


def test_a_place_where_good_parts_differ_much_is_measured_by_how_much_they_do(
    taught: Taught,
) -> None:
    rng = np.random.default_rng(3)
    good = [rng.normal(0, 1, (4, 8, 10)).astype(np.float32) for _ in range(40)]
    for grid in good:
        grid[:, 5:7, 1:3] *= 5
    member = fit_member(Source(""), "placed", good)
    mean = np.mean([member.distances(g) for g in good], axis=0)
    told = replace(member, usual=usual_of(mean))
    faulty = good[0].copy()
    faulty[:, 1:3, 7:9] += 3

    def at(judge: Member) -> tuple[bool, bool]:
        row, column = np.unravel_index(judge.normal(faulty).argmax(), (8, 10))
        return bool(row < 4), bool(column > 5)

    assert at(member) == (False, False) and at(told) == (True, True)
    kept = unpacked(packed(replace(taught.bank, members=(told,)))).members[0]
    assert np.allclose(kept.usual, told.usual, atol=2e-3)
    with pytest.raises(ValueError, match="do not fit together"):
        unpacked(packed(replace(taught.bank, members=(replace(told, usual=mean[0]),))))


def test_the_recipes_digest_covers_the_bank(made: Callable[..., Recipe], taught: Taught) -> None:
    """(I7)"""
    other = replace(taught.bank, limit=taught.bank.limit + 1)
    assert made().digest != made(bank=other).digest
    assert made().model_digests


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        ("changed", "was changed: its digest is another; copy it again"),
        ("cut", "was changed: its digest is another; copy it again"),
        ("gone", "copy it there"),
        ("no bank", "teach it again"),
        ("old", "this version reads 'inspector-bank/1'); teach it again"),
    ],
)
def test_a_bank_that_is_not_whole_is_refused_by_name(
    taught: Taught, tmp_path: Path, spoil: str, mend: str
) -> None:
    """(I7)"""
    digest = keep_bank(taught.bank, tmp_path)
    path = tmp_path / "anomaly" / f"{digest}.bank"
    data = path.read_bytes()
    if spoil == "changed":
        path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    elif spoil == "cut":
        path.write_bytes(data[:-10])
    elif spoil == "gone":
        path.unlink()
    else:  # whole by its digest, and yet not what this version reads
        body = zstandard.ZstdDecompressor().decompress(data)
        line, _, rest = body.partition(b"\n")
        wrong = (
            b"noise" if spoil == "no bank" else line.replace(b"bank/1", b"bank/0") + b"\n" + rest
        )
        other = zstandard.ZstdCompressor().compress(wrong)
        digest = hashlib.sha256(other).hexdigest()
        (tmp_path / "anomaly" / f"{digest}.bank").write_bytes(other)
    (tmp_path / "plate.yaml").write_text(RECIPE % ("", digest))
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "plate.yaml", MODELS)
    assert f"{digest}.bank" in str(refused.value) and mend in str(refused.value)


@pytest.mark.parametrize(
    ("size", "looked"),
    [
        ((256, 256), (256, 256)),
        ((230, 630), (224, 640)),
        ((1600, 256), (1600, 256)),
        ((64, 64), (96, 96)),
        ((2048, 2048), (768, 768)),
        ((20, 9), (224, 96)),
    ],
)
def test_resolution_and_aspect_are_the_products(
    size: tuple[int, int], looked: tuple[int, int]
) -> None:
    assert working_size(*size) == looked
    assert same_scale(*size, taught=size) == looked


def test_the_worst_place_is_few_cells_and_many() -> None:
    crack, stain = np.zeros((40, 40), np.float32), np.zeros((40, 40), np.float32)
    crack[3, 4:8] = 8
    stain[10:14, 10:14] = 4
    assert worst(crack) > 4 and worst(stain) == pytest.approx(4)
    assert worst(np.zeros((1, 1), np.float32)) == 0


def test_a_small_defect_of_a_large_picture_counts_as_it_would_in_a_smaller_one() -> None:
    rng = np.random.default_rng(8)
    large = rng.normal(0, 1, (100, 120)).astype(np.float32)
    spoilt = large.copy()
    spoilt[40:43, 60:63] = 6

    assert worst(spoilt) > worst(large) + 1.5


NECK = Path(__file__).parents[2] / "station_configs" / "recipes" / "bottle-neck.yaml"


@pytest.mark.parametrize("defect", ["", "cap_missing", "cap_wrong", "cap_tilted"])
def test_the_shipped_recipe_knows_good_necks_of_bottles_it_never_saw(defect: str) -> None:
    spec = PartSpec(split="held_out", defects=(defect,) if defect else ())  # type: ignore[arg-type]
    judged = judge(load(NECK, MODELS), render_part(41_000 + len(defect), spec).side)
    assert judged.outcome is (Outcome.REJECT if defect else Outcome.PASS), judged.reasons
    found = [f for f in judged.findings if f.kind == "anomaly"]
    assert found[0].ok is not bool(defect)
    assert found[0].box is not None and 200 < found[0].box[0] < 440 and found[0].box[3] < 160
