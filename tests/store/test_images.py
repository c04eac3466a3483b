"""What is rejected keeps its picture, and no picture ever delays a verdict."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.part import Mode, Outcome, Pixels
from inspector.store import History, ImageArchive, ImageRecord, LineLedger, verify
from inspector.store.bench import sample_verdict
from inspector.store.images import BEHIND_PER_S, image_folder

REJECT = sample_verdict(50)
PASS = sample_verdict(1)


def _picture(value: int = 128, shape: tuple[int, ...] = (48, 64, 3)) -> Pixels:
    rows = np.linspace(0, value, shape[0]).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(rows.reshape(-1, *[1] * (len(shape) - 1)), shape))


def _until(archive: ImageArchive, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert done(), archive.counts


def test_rejects_and_errors_are_kept_and_one_pass_in_n(tmp_path: Path) -> None:
    with ImageArchive(tmp_path, pass_image_every=10, reserve_mb=0) as archive:
        frames = {"side": _picture()}
        assert sum(archive.offer(PASS, frames) for _ in range(30)) == 3
        assert archive.offer(REJECT, frames)
        assert archive.offer(replace(PASS, outcome=Outcome.ERROR), frames)
        assert not archive.offer(REJECT, {})
        records = archive.close()
    assert len(records) == 5
    assert archive.counts.written == archive.counts.offered == 5
    with ImageArchive(tmp_path, pass_image_every=0, reserve_mb=0) as archive:
        assert not any(archive.offer(PASS, frames) for _ in range(30))


def test_a_file_is_what_its_name_and_its_record_say(tmp_path: Path) -> None:
    with ImageArchive(tmp_path, reserve_mb=0) as archive:
        grey = _picture(shape=(32, 40))
        archive.offer(REJECT, {"side": _picture(), "code": grey})
        side, code = archive.close()
    content = (tmp_path / code.path).read_bytes()
    assert sha256(content).hexdigest() == code.digest == Path(code.path).stem
    assert len(content) == code.size and (side.view, code.view) == ("side", "code")
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None and decoded.shape == grey.shape
    assert np.abs(decoded.astype(int) - grey).max() < 20
    assert not list(tmp_path.rglob("*.part"))


def test_the_line_records_what_was_written_and_verify_finds_it(tmp_path: Path) -> None:
    with LineLedger.open(tmp_path, station="s1") as ledger:
        archive = ImageArchive(tmp_path, reserve_mb=0)
        ledger.add_verdict(REJECT)
        archive.offer(REJECT, {"side": _picture()})
        records = archive.close()
        for record in records:
            ledger.add_image(record)
    with History(tmp_path) as history:
        part = history.part(REJECT.part_id)
    assert part is not None and part.images == tuple(records)
    report = verify(tmp_path)
    assert report.ok and report.images == 1


def test_the_pixels_are_copied_at_once(tmp_path: Path) -> None:
    with ImageArchive(tmp_path, reserve_mb=0) as archive:
        borrowed = _picture(200)
        expected = borrowed.copy()
        for _ in range(5):  # the copies are reused too
            archive.offer(REJECT, {"side": borrowed})
            borrowed[:] = 0
            _until(archive, lambda: archive.counts.waiting == 0)
            np.copyto(borrowed, expected)
        records = archive.close()
    assert len({record.digest for record in records}) == 1
    decoded = cv2.imread(str(tmp_path / records[0].path))
    assert decoded is not None and decoded.max() > 150


def test_a_slow_disk_overflows_the_queue_counts_it_and_delays_nobody(tmp_path: Path) -> None:
    # A FIFO where the file should be: whoever opens it for writing waits, as on a stalled disk.
    archive = ImageArchive(tmp_path, image_queue=4, reserve_mb=0, jpeg_quality=90)
    picture = _picture()
    ok, encoded = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, 90))
    assert ok
    folder = tmp_path / image_folder(REJECT.times.utc_ns, REJECT.batch)
    folder.mkdir(parents=True)
    stalled = folder / f".{sha256(encoded.tobytes()).hexdigest()}.jpg.part"
    os.mkfifo(stalled)
    taken = 0
    for _ in range(50):  # each comes back, though the disk does not
        taken += archive.offer(REJECT, {"side": picture})
    counts = archive.counts
    assert taken <= 6 and counts.overflowed == 50 - taken and counts.offered == 50
    reader = os.open(stalled, os.O_RDONLY | os.O_NONBLOCK)
    stalled.unlink(missing_ok=True)  # the archive, awake again, may have been faster
    try:
        records = archive.close(60)
    finally:
        os.close(reader)
    assert len(records) + archive.counts.failed == taken


class Gone:
    """A part of two pictures of which one is there still; making it is dear."""

    def __init__(self) -> None:
        self.made = 0

    def __len__(self) -> int:
        return 2

    def items(self) -> Iterable[tuple[str, Pixels]]:
        self.made += 1
        return [("side", _picture())]


def test_pictures_are_made_only_if_there_is_room_and_those_that_are_gone_are_counted(
    tmp_path: Path,
) -> None:
    with ImageArchive(tmp_path, image_queue=1, reserve_mb=0) as archive:
        archive.make_way()  # for the next second it takes 20 a second and no more
        pictures = Gone()
        taken = sum(archive.offer(REJECT, pictures) for _ in range(100))
        assert 1 <= taken == pictures.made < 100
        assert archive.offer(PASS, pictures) is False and pictures.made == taken
        records = archive.close()
    assert len(records) == taken
    assert archive.counts.offered == 200 and archive.counts.overflowed == 200 - taken


def test_a_line_that_is_behind_gets_the_processor_first(tmp_path: Path) -> None:
    with ImageArchive(tmp_path, image_queue=64, reserve_mb=0) as archive:
        archive.make_way()
        began = time.monotonic()
        for _ in range(30):
            assert archive.offer(REJECT, {"side": _picture()})
        _until(archive, lambda: archive.counts.written >= 3)
        assert archive.counts.written <= BEHIND_PER_S * (time.monotonic() - began) + 1
        records = archive.close()  # and at the end writes what waits
    assert len(records) == 30


def test_below_the_reserve_images_stop_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ImageArchive(tmp_path, reserve_mb=1e9) as archive:
        assert archive.offer(REJECT, {"side": _picture(), "code": _picture()})
        _until(archive, lambda: archive.counts.no_space == 2)
        assert archive.counts.written == 0 and not list(tmp_path.rglob("*.jpg"))
        monkeypatch.setattr(archive, "_reserve_bytes", 0)
        monkeypatch.setattr(archive, "_looked", float("-inf"))
        archive.offer(REJECT, {"side": _picture()})
        _until(archive, lambda: archive.counts.written == 1)


def test_a_disk_that_refuses_is_counted_and_said(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("in the way")
    with ImageArchive(tmp_path, reserve_mb=0) as archive:
        archive.offer(REJECT, {"side": _picture()})
        _until(archive, lambda: archive.counts.failed == 1)
        assert "images" in archive.trouble
        (tmp_path / "images").unlink()
        archive.offer(REJECT, {"side": _picture()})
        _until(archive, lambda: archive.counts.written == 1)


@pytest.mark.parametrize(
    "batch", ["../../etc", "/etc/passwd", "..", ".", "", "a/b", "L 1", "批号", "x" * 500, "a\0b"]
)
def test_no_name_of_a_batch_leads_out_of_the_archive(tmp_path: Path, batch: str) -> None:
    with ImageArchive(tmp_path, reserve_mb=0) as archive:
        archive.offer(replace(REJECT, batch=batch), {"side": _picture()})
        records = archive.close()
    path = (tmp_path / records[0].path).resolve()
    assert path.is_relative_to(tmp_path.resolve() / "images") and path.is_file()
    assert len(path.relative_to(tmp_path.resolve()).parts) == 6


def test_names_of_batches_stay_apart() -> None:
    names = ["L1", "L/1", "L%2F1", "l1", "x" * 500, "x" * 501, ".L1"]
    assert len({image_folder(0, name) for name in names}) == len(names)


def test_an_image_that_is_there_already_is_written_once(tmp_path: Path) -> None:
    with ImageArchive(tmp_path, reserve_mb=0) as archive:
        for _ in range(3):
            archive.offer(REJECT, {"side": _picture()})
        records: list[ImageRecord] = archive.close()
    assert len(records) == 3 and len(list(tmp_path.rglob("*.jpg"))) == 1


def test_a_new_batch_is_tried_with_pictures_of_its_own(tmp_path: Path) -> None:
    trial = replace(PASS, mode=Mode.SETUP, batch="never released")
    with ImageArchive(tmp_path, pass_image_every=0, reserve_mb=0) as archive:
        frames = {"side": _picture()}
        assert sum(archive.offer(trial, frames) for _ in range(20)) == 20
        assert not archive.offer(trial, frames)
        assert archive.offer(replace(trial, batch="the next"), frames)


def test_a_long_set_up_leaves_no_first_article_without_a_picture(tmp_path: Path) -> None:
    """Golden parts are passes in a row, wherever in the set-up they come."""
    trial, golden = replace(PASS, mode=Mode.SETUP), 3
    with ImageArchive(tmp_path, image_queue=1000, pass_image_every=0, reserve_mb=0) as archive:
        frames = {"side": _picture()}
        kept = [archive.offer(trial, frames) for _ in range(200)]
        assert all(any(kept[i : i + golden]) for i in range(len(kept) - golden))
        assert sum(kept) < 100
        assert archive.offer(replace(trial, outcome=Outcome.REJECT), frames)
        assert all(archive.offer(trial, frames) for _ in range(20)), "a new attempt"
