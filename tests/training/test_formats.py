"""What other tools hold is taken as they mean it: no defect gets lost on the way out or back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from training.cases import of_snapshot
from training.cli_dataset import since
from training.dataset import Label, Snapshot, SnapshotError, write
from training.dataset.row import COMPLAINT, Draft, Row
from training.formats import FORMATS, export, read

BOTTLE = Label("bottle", (4.0, 2.0, 60.0, 46.0), defect=False)
SCRATCH = Label("scratch", (10.0, 12.0, 40.0, 20.0))


def draft_of(number: int, truth: str, *labels: Label, **known: Any) -> Draft:
    pixels = np.full((48, 64, 3), 40 + 10 * number, np.uint8)
    content = cv2.imencode(".png", pixels)[1].tobytes()
    known = {"part": f"p{number}", "position": number, "view": "side"} | known
    row = Row(sha256(content).hexdigest(), width=64, height=48, truth=truth, labels=labels, **known)
    return Draft(row, content)


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., Snapshot]:
    def kept(*drafts: Draft) -> Snapshot:
        return write(tmp_path / "sets", "parts", drafts, made_from={}, by="ben")

    return kept


def there_and_back(snapshot: Snapshot, form: str, folder: Path) -> dict[str, Row]:
    export(snapshot, form, folder)
    return {d.row.image: d.row for d in read(form, folder)}


@pytest.mark.parametrize("form", ["coco", "labelstudio", "cvat"])
def test_a_defect_without_a_place_comes_back_as_one(
    keep: Callable[..., Snapshot], tmp_path: Path, form: str
) -> None:
    snapshot = keep(draft_of(1, "reject", Label("leak", None, source=COMPLAINT), BOTTLE))

    (back,) = there_and_back(snapshot, form, tmp_path / form).values()

    assert (back.truth, back.placed) == ("reject", False)
    assert {x.label: (x.source, x.defect) for x in back.labels} == {
        "bottle": ("review", False), "leak": (COMPLAINT, True),
    }  # fmt: skip


def test_yolo_says_of_no_defective_part_that_nothing_is_there(
    keep: Callable[..., Snapshot], tmp_path: Path
) -> None:
    snapshot = keep(draft_of(1, "reject", Label("leak", None), BOTTLE), draft_of(2, "pass", BOTTLE))

    back = there_and_back(snapshot, "yolo", tmp_path / "yolo")

    assert [row.image for row in back.values()] == [snapshot.rows[1].image]


@pytest.mark.parametrize("form", FORMATS)
def test_a_good_thing_is_no_defect_when_it_comes_back(
    keep: Callable[..., Snapshot], tmp_path: Path, form: str
) -> None:
    snapshot = keep(draft_of(1, "pass", BOTTLE), draft_of(2, "reject", BOTTLE, SCRATCH))

    back = there_and_back(snapshot, form, tmp_path / form)

    assert [back[row.image].truth for row in snapshot.rows] == ["pass", "reject"]
    assert [x.defect for x in back[snapshot.rows[1].image].labels] == [False, True]


@pytest.mark.parametrize("form", ["coco", "labelstudio", "cvat"])
def test_print_keeps_what_it_says(keep: Callable[..., Snapshot], tmp_path: Path, form: str) -> None:
    lot = replace(BOTTLE, label="lot", text="L2417A")
    snapshot = keep(draft_of(1, "pass", lot, texts=(("lot", "L2417A"),)))

    (back,) = there_and_back(snapshot, form, tmp_path / form).values()

    assert back.labels[0].text == "L2417A"
    if form != "cvat":
        assert back.texts == (("lot", "L2417A"),)


@pytest.mark.parametrize("form", ["coco", "labelstudio"])
def test_a_defect_that_was_marked_in_the_other_tool_makes_the_part_a_reject(
    keep: Callable[..., Snapshot], tmp_path: Path, form: str
) -> None:
    other = keep(
        draft_of(1, "reject", SCRATCH, part="p"), draft_of(2, "pass", part="p", view="top")
    )
    export(other, form, tmp_path / form)
    for path in (tmp_path / form).glob("*.json"):  # as if the station had passed it
        path.write_text(path.read_text().replace('"truth": "reject"', '"truth": "pass"'))

    rows = read(form, tmp_path / form)
    snapshot = write(tmp_path / "back", "parts", rows, made_from={}, by="ben")

    assert [row.truth for row in snapshot.rows if row.view == "side"] == ["reject"]
    (part,) = of_snapshot(snapshot, ("side", "top"))
    assert (part.truth, part.defects) == ("reject", {"scratch": "major"})


def test_a_recipe_of_one_view_is_not_measured_on_another(keep: Callable[..., Snapshot]) -> None:
    views = ("top", "side", "image")
    drafts = [draft_of(n, "reject", SCRATCH, view=view) for n, view in enumerate(views)]
    snapshot = keep(*drafts, draft_of(3, "pass", view="cam", station="whose only camera it is"))
    side, other = ([k.example.name for k in of_snapshot(snapshot, (v,))] for v in ("side", "a"))
    assert side == ["p1", "p2", "p3"]
    assert other == ["p0", "p1", "p2", "p3"]  # as on the line, where no camera is called so
    marked = {view for k in of_snapshot(snapshot, ("a",)) for view, *_ in k.boxes}
    assert marked == {"a"}  # or a report frames nothing on the pictures of its mistakes


def test_a_part_is_judged_on_the_day_that_it_was_at_the_plant(
    keep: Callable[..., Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = datetime(2026, 3, 1, 20, tzinfo=UTC)
    snapshot = keep(draft_of(1, "pass", utc_ns=int(late.timestamp()) * 10**9))
    with monkeypatch.context() as abroad:
        abroad.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        (part,) = of_snapshot(snapshot, ("side",))
        begun = since("2026-03-02")
    time.tzset()
    assert part.example.today == date(2026, 3, 2)
    assert begun == int(datetime(2026, 3, 1, 16, tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize("called", ["leak", "unmarked"])
def test_a_defect_that_has_been_given_its_place_is_no_longer_without(
    keep: Callable[..., Snapshot], tmp_path: Path, called: str
) -> None:
    snapshot = keep(draft_of(1, "reject", Label(called, None)))
    export(snapshot, "coco", tmp_path / "coco")
    path = tmp_path / "coco" / "train.json"
    whole = json.loads(path.read_text())
    note = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    whole["categories"] = [{"id": 1, "name": "leak"}]
    path.write_text(json.dumps(whole | {"annotations": [note]}))

    (back,) = read("coco", tmp_path / "coco")

    assert [(x.label, x.box) for x in back.row.labels] == [("leak", (1.0, 2.0, 4.0, 6.0))]


@pytest.mark.parametrize(
    ("said", "split"),
    [
        ("Train", "train"), ("Validation", "val"), ("valid", "val"), ("val2017", "val"),
        ("Test", "test"), ("testing", "test"), ("latest", "train"), ("interval", "train"),
    ],
)  # fmt: skip
def test_a_split_is_known_by_what_tools_call_it(
    keep: Callable[..., Snapshot], tmp_path: Path, said: str, split: str
) -> None:
    snapshot = keep(draft_of(1, "pass", BOTTLE))
    export(snapshot, "cvat", tmp_path / "cvat")
    path = tmp_path / "cvat" / "annotations.xml"
    path.write_text(path.read_text().replace('subset="train"', f'subset="{said}"'))
    export(snapshot, "yolo", tmp_path / "yolo")
    for kind in ("images", "labels"):
        (tmp_path / "yolo" / kind / "train").rename(tmp_path / "yolo" / kind / said)
    export(snapshot, "coco", tmp_path / "coco")
    whole = json.loads((tmp_path / "coco" / "train.json").read_text())
    del whole["images"][0]["extra"]
    (tmp_path / "coco" / "train.json").unlink()
    (tmp_path / "coco" / f"instances_{said}.json").write_text(json.dumps(whole))

    for form in ("cvat", "yolo", "coco"):
        (back,) = read(form, tmp_path / form)
        assert back.row.split == split, form


@pytest.mark.parametrize(
    "annotations", [[], [{"was_cancelled": True, "result": []}]], ids=["untouched", "skipped"]
)
def test_a_task_that_nobody_answered_is_no_good_part(
    keep: Callable[..., Snapshot], tmp_path: Path, annotations: list[Any]
) -> None:
    export(keep(draft_of(1, "pass"), draft_of(2, "pass")), "labelstudio", tmp_path / "ls")
    path = tmp_path / "ls" / "tasks.json"
    tasks = json.loads(path.read_text())
    tasks[0] = {"data": {"image": tasks[0]["data"]["image"]}, "annotations": annotations}
    path.write_text(json.dumps(tasks))

    assert len(read("labelstudio", tmp_path / "ls")) == 1


def test_a_turned_rectangle_is_where_it_was_drawn(
    keep: Callable[..., Snapshot], tmp_path: Path
) -> None:
    snapshot = keep(draft_of(1, "reject", SCRATCH))
    export(snapshot, "labelstudio", tmp_path / "ls")
    path = tmp_path / "ls" / "tasks.json"
    path.write_text(path.read_text().replace('"rotation": 0,', '"rotation": 90,'))
    export(snapshot, "cvat", tmp_path / "cvat")
    path = tmp_path / "cvat" / "annotations.xml"
    path.write_text(path.read_text().replace("<box ", '<box rotation="90" '))

    # Label Studio turns about the upper left corner, CVAT about the middle
    (ls,), (cvat,) = read("labelstudio", tmp_path / "ls"), read("cvat", tmp_path / "cvat")
    assert ls.row.labels[0].box == pytest.approx((2.0, 12.0, 10.0, 42.0))
    assert cvat.row.labels[0].box == pytest.approx((21.0, 1.0, 29.0, 31.0))
    assert len(cvat.row.labels[0].polygon) == len(ls.row.labels[0].polygon) == 4


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ('<mask label="dent" left="5" top="6" width="7" height="8" rle="56"/>', (5, 6, 12, 14)),
        ('<ellipse label="dent" cx="20" cy="10" rx="6" ry="4"/>', (14, 6, 26, 14)),
        ('<polyline label="dent" points="3.0,4.0;9.0,2.0"/>', (3, 2, 9, 4)),
    ],
    ids=["mask", "ellipse", "polyline"],
)
def test_whatever_is_drawn_around_a_defect_marks_it(
    keep: Callable[..., Snapshot], tmp_path: Path, shape: str, box: tuple[int, ...]
) -> None:
    export(keep(draft_of(1, "pass")), "cvat", tmp_path / "cvat")
    path = tmp_path / "cvat" / "annotations.xml"
    path.write_text(
        path.read_text().replace('subset="train" />', f'subset="train">{shape}</image>')
    )

    (back,) = read("cvat", tmp_path / "cvat")

    assert back.row.truth == "reject" and back.row.labels[0].box == box


def test_what_has_no_box_is_refused_in_words(keep: Callable[..., Snapshot], tmp_path: Path) -> None:
    export(keep(draft_of(1, "reject", SCRATCH)), "labelstudio", tmp_path / "ls")
    path = tmp_path / "ls" / "tasks.json"
    path.write_text(path.read_text().replace("rectanglelabels", "brushlabels"))

    with pytest.raises(SnapshotError, match="brushlabels, which have no box"):
        read("labelstudio", tmp_path / "ls")


@pytest.mark.parametrize("form", ["coco", "labelstudio", "cvat"])
def test_labels_of_a_picture_of_another_size_are_refused(
    keep: Callable[..., Snapshot], tmp_path: Path, form: str
) -> None:
    export(keep(draft_of(1, "reject", SCRATCH)), form, tmp_path / form)
    (picture,) = (tmp_path / form / "images").iterdir()
    turned = cv2.imencode(".png", np.zeros((64, 48, 3), np.uint8))[1]
    picture.write_bytes(turned.tobytes())

    with pytest.raises(SnapshotError, match="48 × 64 pixels, and its labels are of 64 × 48"):
        read(form, tmp_path / form)


def test_an_outline_in_two_pieces_loses_none(keep: Callable[..., Snapshot], tmp_path: Path) -> None:
    export(keep(draft_of(1, "reject", SCRATCH)), "coco", tmp_path / "coco")
    path = tmp_path / "coco" / "train.json"
    whole = json.loads(path.read_text())
    pieces = [[1, 1, 5, 1, 5, 4], [20, 20, 30, 20, 30, 29]]
    whole["annotations"][0] |= {"segmentation": pieces, "bbox": [1, 1, 29, 28]}
    path.write_text(json.dumps(whole))

    (back,) = read("coco", tmp_path / "coco")

    assert [x.box for x in back.row.labels] == [(1, 1, 5, 4), (20, 20, 30, 29)]
    assert [len(x.polygon) for x in back.row.labels] == [3, 3]


def test_a_data_yaml_that_is_none_is_a_sentence(
    keep: Callable[..., Snapshot], tmp_path: Path
) -> None:
    export(keep(draft_of(1, "pass", BOTTLE)), "yolo", tmp_path / "yolo")
    (tmp_path / "yolo" / "data.yaml").write_text("names: [a, b")

    with pytest.raises(SnapshotError, match=r"data\.yaml"):
        read("yolo", tmp_path / "yolo")
