"""Data sets are immutable, lead back to the station's records, and let no part leak (S9)."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from training_fixtures.station import SCRATCH, draw, found, make_station
from typer.testing import CliRunner

from inspector.part import Finding, Outcome
from inspector.store import History, schema
from inspector.store.merkle import leaf_hash
from training.cli import app
from training.dataset import Label, Snapshot, SnapshotError, difference, open_snapshot, write
from training.dataset.alike import alike, print_of
from training.dataset.build import Wanted, finish, from_station
from training.dataset.labels import Review, joined, truth_of
from training.dataset.row import Draft, Row
from training.dataset.split import split
from training.formats import FORMATS, export, read


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_station(tmp_path_factory.mktemp("station") / "data")


@pytest.fixture(scope="module")
def home(station: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("datasets")
    drafts, made_from = from_station(station)
    write(folder, "bottles", drafts, made_from=made_from, by="ben")
    return folder


@pytest.fixture
def bottles(home: Path) -> Snapshot:
    return open_snapshot(home, "bottles")


def test_every_picture_leads_back_to_its_record(station: Path, bottles: Snapshot) -> None:
    assert len(bottles.rows) == 40
    with (
        closing(schema.open_reader(station / schema.LINE_FILE)) as line,
        History(station) as history,
    ):
        for row in bottles.rows:
            body = line.execute(
                "SELECT body FROM record WHERE position = ?", (row.position,)
            ).fetchone()[0]
            assert leaf_hash(body).hex() == row.record
            part = history.by_sequence(row.stream, row.sequence)
            assert part is not None and str(part.verdict.part_id) == row.part
            assert part.images[0].digest == row.image
    assert bottles.rows[0].texts == (("lot", "L1"),)


def test_a_person_who_looked_counts_more_than_the_station(bottles: Snapshot) -> None:
    escapes = [r for r in bottles.rows if r.outcome == "pass" and r.truth == "reject"]
    assert len(escapes) == 4
    for row in escapes:
        assert {(x.label, x.source, x.defect) for x in row.labels} == {
            ("scratch", "review", True), ("bottle", "station", False),
        }  # fmt: skip


def test_no_batch_is_on_two_sides_and_the_newest_measure(bottles: Snapshot) -> None:
    sides = {r.batch: r.split for r in bottles.rows}
    assert Counter((r.batch, r.split) for r in bottles.rows) == Counter(
        dict.fromkeys(sides.items(), 10)
    )
    assert sides["B-3"] == "test" and sides["B-0"] == "train"


@pytest.mark.parametrize(("newest", "sides"), [
    (16, ["train"] * 20 + ["test"] * 16), (30, ["train"] * 32 + ["val"] * 8 + ["test"] * 10),
])  # fmt: skip
def test_a_large_newest_batch_measures_or_its_last_parts_do(newest: int, sides: list[str]) -> None:
    of = ["B-1"] * 10 + ["B-2"] * 10 + ["B-3"] * newest
    rows = [
        Row(f"{n}", "side", 1, 1, "pass", part=f"p{n}", batch=batch, utc_ns=n + 1)
        for n, batch in enumerate(of)
    ]
    assert [row.split for row in split(rows)] == sides


def test_one_batch_alone_is_split_by_time() -> None:
    rows = [
        Row(f"{i:064d}", view, 8, 8, "pass", batch="B", part=str(i), utc_ns=i + 1)
        for i in range(20) for view in ("side", "code")
    ]  # fmt: skip
    done = split(rows)
    by_part: dict[str, set[str]] = {}
    for row in done:
        by_part.setdefault(row.part, set()).add(row.split)
    assert all(len(sides) == 1 for sides in by_part.values())
    order = [by_part[str(i)].copy().pop() for i in range(20)]
    assert order == ["train"] * 13 + ["val"] * 3 + ["test"] * 4


def test_what_is_like_one_of_two_that_are_alike_stands_with_both() -> None:
    """No picture measures that is the same, or nearly, as one that teaches: in any view, however
    many parts lie between."""

    def row(part: str, view: str, batch: int, image: str = "", alike: str = "") -> Row:
        name = image or f"{part}-{view}"
        return Row(name, view, 8, 8, "pass", batch=f"B-{batch}", part=part, utc_ns=batch,
                   alike=alike)  # fmt: skip

    rows = [row(f"{b}{n}", "side", b) for b in range(5) for n in range(4)]
    rows += [
        row("early", "side", 0), row("late", "side", 4, alike="early-side"), row("late", "code", 4),
        row("later", "code", 4, alike="late-code"), row("same", "side", 4, image="00-side"),
    ]  # fmt: skip
    sides = {r.part: r.split for r in split(rows)}
    assert sides["42"] == "test"
    assert {sides[part] for part in ("early", "late", "later", "same")} == {"train"}


def test_a_batch_stays_together_though_a_release_took_over_in_the_middle_of_it() -> None:
    rows = [
        Row(f"{i}", "side", 8, 8, "pass", batch=batch, part=f"{i}", utc_ns=i + 1)
        for i, batch in enumerate(["A"] * 10 + ["B"] * 10 + ["C"] * 10 + ["C.s2"] * 4)
    ]
    done = split(rows)
    assert {r.split for r in done if r.batch.startswith("C")} == {"test"}


def test_the_same_content_is_the_same_version(station: Path, home: Path, bottles: Snapshot) -> None:
    drafts, made_from = from_station(station)
    again = write(home, "bottles", drafts, made_from=made_from, by="somebody else")
    assert again.ref == bottles.ref and again.card["by"] == "ben"


def test_a_changed_manifest_or_picture_is_found(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    snapshot = open_snapshot(copy, "bottles")
    victim = snapshot.rows[3]
    blob = next(p for p in (copy / "blobs").rglob("*") if p.name == victim.image or
                victim.image in p.as_posix().replace("/", ""))  # fmt: skip
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"\0")
    with pytest.raises(SnapshotError, match=victim.image[:12]):
        snapshot.content(victim)

    import pyarrow.parquet as pq

    table = pq.read_table(snapshot.folder / "manifest.parquet")
    rows = table.to_pylist()
    rows[0]["truth"] = "reject"
    pq.write_table(type(table).from_pylist(rows), snapshot.folder / "manifest.parquet")
    with pytest.raises(SnapshotError, match="not those that were written"):
        open_snapshot(copy, snapshot.ref)


def test_difference_names_what_came_went_and_changed(home: Path, bottles: Snapshot) -> None:
    rows = [*bottles.rows[1:]]
    rows[0] = replace(rows[0], truth="reject", labels=(Label("dent", (1, 1, 5, 5)),))
    drafts = [Draft(r, bottles.content(r)) for r in rows]
    newer = write(home, "bottles-newer", drafts, made_from={}, by="ben")

    found = difference(bottles, newer)

    assert (found["added"], found["removed"]) == (0, 1)
    assert found["relabelled"] == [rows[0].image]
    assert found["labels"]["dent"] == [0, 1]


def test_the_card_tells_balance_agreement_coverage_and_what_is_thin(bottles: Snapshot) -> None:
    card = bottles.card
    assert card["splits"] == {"train": 20, "val": 10, "test": 10}
    assert card["stations"] == {"s1": 40} and card["products"] == {"bottle": 40}
    assert card["agreement"]["reviewed"] == 40 and card["defects"] == ["scratch"]
    assert any("scratch: only" in remark for remark in card["remarks"])


@pytest.mark.parametrize(
    ("trust", "outcome", "agreement"), [({}, "reject", 1 / 3), ({"anna": 5.0}, "pass", 6 / 7)]
)
def test_the_latest_of_the_most_trusted_counts(
    trust: dict[str, float], outcome: str, agreement: float
) -> None:
    said = [
        Review("ben", "confirm", "pass", "side", (), 1),
        Review("anna", "confirm", "reject", "side", (), 2),
        Review("anna", "override", "pass", "side", (), 3),
        Review("otto", "override", "reject", "side", (Label("scratch", SCRATCH),), 4),
        Review("otto", "second_opinion", "pass", "side", (), 5),
    ]
    truth = truth_of(said, trust)
    assert truth is not None
    assert (truth.outcome, truth.reviewers) == (outcome, 3)
    assert truth.agreement == pytest.approx(agreement)


def test_what_one_person_marked_in_two_views_counts_in_both() -> None:
    """The page sends a review for each view; the later one is no word about the other view."""
    dent = Label("dent", (1, 1, 9, 9))
    scratch = Label("scratch", SCRATCH)
    said = [
        Review("anna", "relabel", "reject", "side", (dent,), 1),
        Review("anna", "relabel", "reject", "side", (scratch,), 2),
        Review("anna", "relabel", "reject", "code", (dent,), 3),
    ]
    truth = truth_of(said)
    assert truth is not None and set(truth.labels) == {("side", scratch), ("code", dent)}
    truth = truth_of([*said, Review("anna", "override", "pass", "side", (), 4)])
    assert truth is not None and (truth.outcome, truth.labels) == ("pass", ())
    again = Review("anna", "relabel", "reject", "code", (dent,), 5)
    truth = truth_of([*said, Review("anna", "override", "pass", "side", (), 4), again])
    assert truth is not None and truth.labels == (("code", dent),)


def test_a_reject_of_which_nobody_marked_what_is_wrong_is_no_good_parts_picture() -> None:
    truth = truth_of([Review("anna", "override", "reject", "side", (), 1)])
    assert truth is not None
    good = Finding("look", "detect", "bottle", True, 0.9, (4.0, 2.0, 60.0, 62.0), "side")

    labels = joined(truth, [good], "side")

    assert [(x.label, x.box, x.defect) for x in labels if x.defect] == [("unmarked", None, True)]


@pytest.mark.parametrize("finding", [
    Finding("cap", "classify", "unsure", False, 0.5, (0, 0, 64, 64), "side"),
    Finding("either", "rule", "either", False),
])  # fmt: skip
def test_what_the_station_gave_no_name_or_no_place_marks_nothing_and_is_no_good_part(
    finding: Finding,
) -> None:
    truth = truth_of([Review("anna", "confirm", "reject", "side", (), 1)])
    assert truth is not None

    (label,) = joined(truth, [finding], "side")

    assert (label.label, label.box, label.defect) == ("unmarked", None, True)
    printed = replace(finding, kind="code", label="lot", box=(1, 2, 3, 4))
    assert joined(truth, [printed], "side") == ()


def test_what_older_records_say_of_the_only_camera_is_on_its_picture(tmp_path: Path) -> None:
    """They call it as the recipe calls its one view: a confirmed reject that nobody marked taught
    that nothing is wrong with it."""

    def older(_: int, outcome: Outcome) -> tuple[Finding, ...]:
        return tuple(replace(f, view="image") for f in found(outcome))

    station = make_station(tmp_path, 1, 5, reviewed=False, findings=older)
    drafts, _ = from_station(station, Wanted(unreviewed=True))
    (reject,) = (d.row for d in drafts if d.row.truth == "reject")
    assert [(x.label, x.box) for x in reject.labels if x.defect] == [("scratch", SCRATCH)]


@pytest.mark.parametrize("kind", ["detect", "count"])
def test_where_something_is_missing_nothing_is_marked_as_being_there(kind: str) -> None:
    truth = truth_of([Review("anna", "confirm", "reject", "side", (), 1)])
    assert truth is not None
    missing = Finding(
        "look", kind, "cap", False, 0.0, (0.0, 0.0, 64.0, 64.0), "side", reason="0 × cap"
    )

    (label,) = joined(truth, [missing], "side")

    assert (label.label, label.box, label.defect) == ("cap", None, True)


@pytest.mark.parametrize(("kind", "label", "said"), [
    ("read", "lot", "L24"), ("read", "lot character", ""), ("code", "ean", ""), ("segment", "", ""),
])  # fmt: skip
def test_only_a_line_of_print_says_something(kind: str, label: str, said: str) -> None:
    truth = truth_of([Review("anna", "confirm", "pass", "side", (), 1)])
    assert truth is not None
    finding = Finding("look", kind, label, True, 0.9, (1, 2, 30, 9), "side", text="L24")
    assert [x.text for x in joined(truth, [finding], "side")] == [said]


def test_the_same_picture_again_is_found_and_another_part_is_not() -> None:
    first, other = (cv2.resize(draw(n), (256, 256)) for n in (1, 2))
    noisy = np.clip(first + np.random.default_rng(0).normal(0, 3, first.shape), 0, 255)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", first, (cv2.IMWRITE_JPEG_QUALITY, 60))[1], 1)
    moved = np.roll(first, 8, 1)
    prints = [print_of(p) for p in (first, other, noisy.astype(np.uint8), jpeg, moved)]
    assert alike(prints) == [0, 1, 0, 0, 4]


def test_a_near_duplicate_stands_where_the_first_stands(bottles: Snapshot) -> None:
    late = next(r for r in bottles.rows if r.split == "test")
    early = next(r for r in bottles.rows if r.split == "train")
    copy = cv2.imencode(".png", bottles.picture(early))[1].tobytes()
    from hashlib import sha256

    drafts = [Draft(r, bottles.content(r)) for r in bottles.rows if r is not late]
    drafts.append(Draft(replace(late, image=sha256(copy).hexdigest()), copy))

    done = {d.row.part: d.row for d in finish(drafts)}

    assert done[late.part].alike == early.image
    assert done[late.part].split == done[early.part].split


@pytest.mark.parametrize("form", FORMATS)
def test_other_tools_give_back_what_they_were_given(
    bottles: Snapshot, tmp_path: Path, form: str
) -> None:
    assert export(bottles, form, tmp_path / form) == 40

    back = {d.row.image: d.row for d in read(form, tmp_path / form)}

    assert set(back) == {r.image for r in bottles.rows}
    for row in bottles.rows:
        theirs = back[row.image]
        assert theirs.split == row.split
        assert [x.label for x in theirs.labels] == [x.label for x in row.labels]
        for mine, other in zip(row.labels, theirs.labels, strict=True):
            assert other.box == pytest.approx(mine.box, abs=0.02)
        if form in ("coco", "labelstudio"):
            assert (theirs.record, theirs.position, theirs.batch) == (
                row.record, row.position, row.batch,
            )  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_no_such_format_is_refused_in_words(tmp_path: Path, form: str) -> None:
    for name in ("tasks.json", "train.json", "annotations.xml"):
        (tmp_path / name).write_text("{")
    with pytest.raises(SnapshotError):
        read(form, tmp_path)


def test_a_filter_that_leaves_nothing_says_so(station: Path, tmp_path: Path) -> None:
    drafts, _ = from_station(station, Wanted(products=("juice",)))
    with pytest.raises(SnapshotError, match="no labelled picture"):
        write(tmp_path, "x", drafts, made_from={}, by="ben")


def test_the_commands_build_show_compare_export_and_import(station: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    home = ["--home", str(tmp_path / "sets")]
    built = run(app, ["dataset", "build", "b", "--station", str(station), "--json", *home])
    assert built.exit_code == 0, built.output
    version = json.loads(built.stdout)["version"]
    assert run(app, ["dataset", "show", f"b/{version}", *home]).exit_code == 0
    out = str(tmp_path / "coco")
    told = run(app, ["dataset", "export", "b", "--format", "coco", "--out", out, *home])
    assert told.exit_code == 0, told.output
    done = run(app, ["dataset", "import", "c", out, "--format", "coco", "--json", *home])
    assert done.exit_code == 0, done.output
    same = run(app, ["dataset", "diff", "b", "c", "--json", *home])
    assert json.loads(same.stdout)["relabelled"] == []


def test_a_station_that_is_named_twice_has_each_picture_once(station: Path, tmp_path: Path) -> None:
    words = ["dataset", "build", "b", "--json", "--home", str(tmp_path)]
    words += ["--station", str(station)] * 2
    built = CliRunner().invoke(app, words)
    assert json.loads(built.stdout)["pictures"] == 40


@pytest.mark.parametrize("name", ["a/b", "..", "", "blobs"])
def test_what_cannot_be_a_data_sets_name_is_refused(
    bottles: Snapshot, tmp_path: Path, name: str
) -> None:
    drafts = [Draft(row, bottles.content(row)) for row in bottles.rows[:1]]
    with pytest.raises(SnapshotError, match="is no name of a data set"):
        write(tmp_path / "sets", name, drafts, made_from={}, by="ben")
    assert not (tmp_path / "sets").exists()
