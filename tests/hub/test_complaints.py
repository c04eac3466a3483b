"""What after-sales heard becomes something to learn from: a serial leads to a part's record and
pictures, and into a data set that says the part is no good one (S21, S9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from centre_and_stations import Served, Site
from sqlalchemy import select, text

from inspector.store import LineLedger
from inspector.store.bench import sample_gate, sample_verdict
from training.dataset.build import from_hub
from training.dataset.row import COMPLAINT
from training.dataset.snapshot import SnapshotError, open_snapshot, write
from training.hub import tables
from training.hub.complaints import file_complaint
from training.teach import Lesson, pictures_of


def a_part_goes_by(site: Site, serial: str) -> Any:
    """A passed part with a serial and a picture, as the line writes it."""
    site.sequence += 1
    verdict = sample_verdict(site.sequence, serial=serial)
    pixels = np.random.default_rng(site.sequence).integers(0, 255, (48, 64, 3), np.uint8)
    _, jpeg = cv2.imencode(".jpg", pixels)
    with LineLedger.open(site.data, station=site.name) as ledger:
        ledger.add_verdict(verdict)
        ledger.add_gate(sample_gate(verdict))
        ledger.add_image(site.picture(verdict, jpeg.tobytes()))
    return verdict


def synchronised(site: Site, served: Served) -> None:
    """The record goes; then the picture that the centre asked for."""
    for _ in range(2):
        site.rounds(served.url).round()
        site.close()


def test_a_complaint_tells_a_data_set_that_the_part_is_no_good_one(
    centre: Served, site: Site, tmp_path: Any
) -> None:
    site.enrol(centre)
    verdict = a_part_goes_by(site, "SN-1")
    site.rounds(centre.url).round()
    site.close()
    with centre.hub.engine.begin() as connection:
        file_complaint(connection, "SN-1", "scratch", "it leaks", "after-sales", 1)
    synchronised(site, centre)

    drafts, _ = from_hub(*places(centre))
    (row,) = (draft.row for draft in drafts)
    assert row.part == str(verdict.part_id) and row.outcome == "pass"  # the station's word …
    assert row.truth == "reject" and row.reviewers == 1  # … and the customer's
    assert [(x.label, x.box, x.source) for x in row.labels if x.defect] == [
        ("scratch", None, COMPLAINT)
    ]
    snapshot = write(tmp_path / "sets", "field", drafts, made_from={}, by="ben")
    assert any("nobody has marked" in remark for remark in snapshot.card["remarks"])
    lesson = Lesson("m", (open_snapshot(tmp_path / "sets", "field"),), "side", ("scratch",))
    assert pictures_of(lesson, "train", "val", "test") == []  # where it is nobody knows yet


def test_a_complaint_is_traced_when_its_record_comes(centre: Served, site: Site) -> None:
    """By the record's coming, and not by somebody who looks at a page."""
    site.enrol(centre)
    with centre.hub.engine.begin() as connection:
        for serial in ("SN-0", "SN-1"):
            file_complaint(connection, serial, "scratch", "it leaks", "after-sales", 1)
    verdict = a_part_goes_by(site, "SN-1")
    synchronised(site, centre)
    with centre.hub.engine.begin() as connection:
        found = {c.serial: (c.part, c.escape) for c in connection.execute(select(tables.Complaint))}
        sample = connection.execute(select(tables.Sample)).one()
    assert found == {"SN-0": (None, 0), "SN-1": (verdict.part_id.bytes, 1)}
    assert (sample.part, sample.reason) == (verdict.part_id.bytes, "complaint")


def test_when_qa_has_marked_it_a_detector_learns_from_it(
    centre: Served, site: Site, tmp_path: Any
) -> None:
    site.enrol(centre)
    verdict = a_part_goes_by(site, "SN-1")
    site.rounds(centre.url).round()
    site.close()
    with centre.hub.engine.begin() as connection:
        file_complaint(connection, "SN-1", "scratch", "", "after-sales", 1)
    site.write(
        "review", "anna", part=str(verdict.part_id), view="side", decision="override",
        outcome="reject", was="pass",
        labels=[{"label": "scratch", "box": [4, 4, 30, 20], "severity": "major"}],
    )  # fmt: skip
    synchronised(site, centre)

    drafts, _ = from_hub(*places(centre))
    assert drafts[0].row.placed and drafts[0].row.agreement == 1.0
    write(tmp_path / "sets", "field", drafts, made_from={}, by="ben")
    lesson = Lesson("m", (open_snapshot(tmp_path / "sets", "field"),), "side", ("scratch",))
    (picture,) = pictures_of(lesson, "train", "val", "test")
    assert picture.boxes.tolist() == [[4, 4, 30, 20]]


def test_a_data_set_is_built_while_the_centre_takes_in_what_stations_send(
    centre: Served, site: Site
) -> None:
    site.enrol(centre)
    a_part_goes_by(site, "SN-1")
    site.rounds(centre.url).round()
    site.close()

    with centre.hub.engine.connect() as writer:
        writer.execute(text("UPDATE station SET name = name"))
        drafts, _ = from_hub(*places(centre))
        writer.rollback()

    assert drafts == []


def test_where_no_centre_is_a_data_set_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"hub\.db: there is no database of a centre"):
        from_hub(f"sqlite:///{tmp_path}/hub.db", str(tmp_path))
    (tmp_path / "hub.db").touch()
    with pytest.raises(SnapshotError, match=r"hub\.db: no such table"):
        from_hub(f"sqlite:///{tmp_path}/hub.db", str(tmp_path))


def places(served: Served) -> tuple[str, str]:
    """Where the centre's database and blobs are."""
    database = served.hub.engine.url.render_as_string(hide_password=False)
    return database, str(served.hub.engine.url.database).replace("hub.db", "blobs")
