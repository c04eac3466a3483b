"""The image archive: pictures of what was rejected, and of some of what was not.

Enters: a verdict and its views' pixels, from the line. Leaves: JPEG files under
``<data>/images/<yyyy>/<mm>/<dd>/<batch>/<sha256>.jpg``, and for each an `ImageRecord` that the line
adds to the ledger. The line imports this.

It never delays a verdict: `offer` copies the pixels (I6) and returns; a full queue or a full disk
drops the image and counts it, and the verdict stands without it. Encoding and writing run in a
thread of their own; OpenCV and the disk release Python's lock while they work.
"""

from __future__ import annotations

import os
import queue
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from inspector.part import Mode, Outcome, PartId, Pictures, Pixels, Verdict
from inspector.store.files import sync_folder
from inspector.store.records import ImageRecord

SPARE_BUFFERS = 8
"""Copies kept for reuse per picture size: a fresh megabyte costs 250 page faults."""


@dataclass(frozen=True, slots=True)
class ArchiveCounts:
    """What became of the images that were offered, in views."""

    offered: int
    """Views that the archive's rule asks for."""
    written: int
    overflowed: int
    """Dropped because the queue was full, or gone before they could be copied."""
    no_space: int
    """Dropped because less than the reserve was free."""
    failed: int
    """Dropped because encoding or writing failed; `ImageArchive.trouble` says how."""
    waiting: int


@dataclass(frozen=True, slots=True)
class _Job:
    part_id: PartId
    batch: str
    utc_ns: int
    views: tuple[tuple[str, Pixels], ...]


BEHIND_S, BEHIND_PER_S = 1.0, 20.0
"""How long and how fast pictures are written after the line has said that it is behind: each takes
0.7 ms of a processor that a judge wants."""
TRIED = 20
"""Passed parts in a row of one set-up or challenge whose pictures are all kept: what a change-over
is signed for is evidence. Of those that follow every so manieth is."""


class ImageArchive:
    """Takes pictures from one thread, writes them in another."""

    def __init__(
        self,
        data_dir: Path | str,
        *,
        pass_image_every: int = 100,
        image_queue: int = 64,
        reserve_mb: float = 512,
        jpeg_quality: int = 92,
        tried_every: int = 3,
    ) -> None:
        """
        Args:
            pass_image_every: one pass in so many is kept, 0: none; everything else always.
            image_queue: parts that may wait for the disk, each with all its views.
            reserve_mb: below this much free disk no image is written, so that the ledger can be.
            jpeg_quality: of the JPEG, 1..100.
            tried_every: of the passes of a set-up or a challenge the first are kept, however
                many the batch had before, and then one in so many: not more than the golden
                parts of a first article, so that each of its attempts has a picture.
        """
        self.data_dir = Path(data_dir)
        self.trouble = ""
        self._pass_every = pass_image_every
        self._reserve_bytes = int(reserve_mb * (1 << 20))
        self._quality = jpeg_quality
        self._tried_every = tried_every
        self._passes = self._tried = 0
        self._tried_batch = ""
        self._jobs: queue.Queue[_Job | None] = queue.Queue(image_queue + 1)
        self._capacity = image_queue
        self._done: deque[ImageRecord] = deque()
        self._spare: dict[tuple[int, ...], deque[Pixels]] = {}
        self._offered = self._overflowed = 0
        self._written = self._no_space = self._failed = 0
        self._has_space = True
        self._looked = self._behind_until = float("-inf")
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="images", daemon=True)
        self._thread.start()

    def offer(self, verdict: Verdict, frames: Pictures) -> bool:
        """Takes copies of a part's pictures if its verdict asks for it; never waits. They are
        asked for only if there is room.

        Args:
            frames: by view; ``(height, width)`` grey or ``(height, width, 3)`` BGR, uint8.

        Returns:
            Whether they will be written, if the disk lets us. False for a pass that is not chosen
            and for a full queue; `counts` tells them apart.
        """
        if verdict.outcome is not Outcome.PASS:
            self._tried = 0  # whatever is tried begins anew
        elif not self._is_wanted(verdict):
            return False
        offered = len(frames)
        if not offered or self._closed:
            return False
        self._offered += offered
        views: tuple[tuple[str, Pixels], ...] = ()
        if self._jobs.qsize() < self._capacity:
            views = tuple([(view, self._copy(pixels)) for view, pixels in frames.items()])
        self._overflowed += offered - len(views)
        if not views:
            return False
        self._jobs.put_nowait(_Job(verdict.part_id, verdict.batch, verdict.times.utc_ns, views))
        return True

    def make_way(self) -> None:
        """The line is behind: for a while its judges need the processor more."""
        self._behind_until = time.monotonic() + BEHIND_S

    def _is_wanted(self, verdict: Verdict) -> bool:
        """Whether a passed part's pictures are to be kept."""
        if verdict.mode in (Mode.SETUP, Mode.CHALLENGE):
            # a batch that follows one that was never released is tried anew
            self._tried = self._tried + 1 if verdict.batch == self._tried_batch else 1
            self._tried_batch = verdict.batch
            return self._tried <= TRIED or (self._tried - TRIED) % self._tried_every == 0
        self._tried, self._tried_batch = 0, ""
        self._passes += 1
        return bool(self._pass_every) and self._passes % self._pass_every == 0

    def written(self) -> list[ImageRecord]:
        """The images that have become durable since the last call, for the ledger."""
        records = []
        while self._done:
            records.append(self._done.popleft())
        return records

    @property
    def counts(self) -> ArchiveCounts:
        """What became of what was offered."""
        return ArchiveCounts(
            self._offered,
            self._written,
            self._overflowed,
            self._no_space,
            self._failed,
            self._jobs.qsize(),
        )

    def close(self, timeout_s: float = 10.0) -> list[ImageRecord]:
        """Writes what waits, ends the thread, gives the last records for the ledger.

        What the disk has not taken in time is left unwritten; it was never recorded.
        """
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            self._thread.join(timeout_s)
        return self.written()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _copy(self, pixels: Pixels) -> Pixels:
        spare = self._spare.setdefault(pixels.shape, deque(maxlen=SPARE_BUFFERS))
        try:
            copy = spare.pop()
        except IndexError:
            copy = np.empty(pixels.shape, np.uint8)
        np.copyto(copy, pixels)
        return copy

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if time.monotonic() < self._behind_until and not self._closed:
                time.sleep(1 / BEHIND_PER_S)
            if not self._space():
                self._no_space += len(job.views)
            else:
                try:
                    records = self._write(job)
                    self._done.extend(records)
                    self._written += len(records)
                except Exception as error:  # one picture's trouble must not end the archive
                    self._failed += len(job.views)
                    self._looked = float("-inf")
                    self.trouble = f"{self.data_dir / 'images'}: {error}"
            for _, pixels in job.views:
                self._spare[pixels.shape].append(pixels)

    def _space(self) -> bool:
        now = time.monotonic()
        if now - self._looked >= 1.0:
            self._looked = now
            self._has_space = free_bytes(self.data_dir) >= self._reserve_bytes
        return self._has_space

    def _write(self, job: _Job) -> list[ImageRecord]:
        folder = self.data_dir / image_folder(job.utc_ns, job.batch)
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            root = self.data_dir.resolve()
            for parent in folder.resolve().parents:
                sync_folder(parent)
                if parent == root:
                    break
        records = []
        for view, pixels in job.views:
            ok, encoded = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, self._quality))
            if not ok:
                raise ValueError(f"no JPEG of a picture of shape {pixels.shape}")
            content = encoded.tobytes()
            digest = sha256(content).hexdigest()
            path = folder / f"{digest}.jpg"
            if not path.exists():
                _write_durably(path, content)
            relative = path.relative_to(self.data_dir).as_posix()
            records.append(ImageRecord(job.part_id, view, digest, relative, len(content)))
        sync_folder(folder)
        return records


def image_folder(utc_ns: int, batch: str) -> Path:
    """``images/<yyyy>/<mm>/<dd>/<batch>`` of a verdict's UTC.

    A batch's name comes from people and machines: what is no plain file name is written as
    ``%`` and its bytes in hex, so that no name leads out of the archive.
    """
    day = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC)
    plain = re.sub(
        rb"[^A-Za-z0-9_.-]|^\.|^-",
        lambda found: b"%%%02X" % found.group()[0],
        batch.encode("utf-8", "backslashreplace"),
    ).decode()
    if len(plain) > 120:
        plain = f"{plain[:80]}%{sha256(batch.encode('utf-8', 'backslashreplace')).hexdigest()[:32]}"
    return Path("images", f"{day:%Y}", f"{day:%m}", f"{day:%d}", plain or "%")


def image_files(data_dir: Path) -> Iterator[str]:
    """Paths relative to ``data_dir`` of all files in its archive, whoever's they are."""
    for folder, _, names in os.walk(data_dir / "images"):
        where = Path(folder).relative_to(data_dir).as_posix()
        yield from (f"{where}/{name}" for name in names)


def free_bytes(folder: Path) -> int:
    """What an ordinary user may still write to this folder's disk; 0 if it cannot be asked."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize


def _write_durably(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.part")
    try:
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fdatasync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
