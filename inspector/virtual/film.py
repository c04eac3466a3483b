"""Films: what the virtual cameras play. Immutable files of frames, checked for size and digest.

Enters a folder of images, or frames; leaves `.film` files. Imported by the command line, by
``filmset.py``, which renders a batch's films, and by who plays or measures them.

A film is a header of 4096 bytes, little-endian, zero padded (``magic[8]="INSPFILM"``; u32 version,
width, height, pixel_format, frame_count, frame_bytes; u64 data_offset; u8 sha256[32] of all frame
data), then the frames back to back. The producer maps films into memory, where a file that is cut
short would kill it (SIGBUS): so a film's size is checked before it is mapped, and it is read-only.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.pictures import DEPTHS, SUFFIXES, bits_of, images_in, read_image
from inspector.virtual import optics
from inspector.virtual.optics import Mat

MAGIC = b"INSPFILM"
VERSION = 1
DATA_OFFSET = 4096
_HEADER = struct.Struct("<8s6IQ32s")
_STEP = 1 << 22


class FilmError(ValueError):
    """A file is not a film that can be played, or a film cannot be made: the text says why."""


class TruncatedFilm(FilmError):
    """A film's file is shorter or longer than its header says."""


class PixelFormat(IntEnum):
    """The pixel formats that a film can have, by their PFNC codes (EMVA, GenICam PFNC 2.4)."""

    Mono8 = 0x01080001
    Mono10 = 0x01100003
    Mono12 = 0x01100005
    BayerRG8 = 0x01080009
    RGB8 = 0x02180014
    BGR8 = 0x02180015

    @property
    def channels(self) -> int:
        """Values per pixel."""
        return 3 if self >> 24 == 2 else 1

    @property
    def bits(self) -> int:
        """Of a value; more than eight lie in the low bits of little-endian words."""
        return {"Mono10": 10, "Mono12": 12}.get(self.name, 8)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a frame."""
        return np.dtype("<u2" if self.bits > 8 else np.uint8)

    @classmethod
    def named(cls, name: str | int) -> PixelFormat:
        """By GenICam name or PFNC code. Raises FilmError, with the names there are."""
        try:
            return cls[name] if isinstance(name, str) else cls(name)
        except (KeyError, ValueError):
            known = ", ".join(format_.name for format_ in cls)
            raise FilmError(f"no pixel format {name!r} in films; there are {known}") from None


def encode(picture: Mat, pixel_format: PixelFormat) -> Mat:
    """A BGR or grey picture of eight bits, or a grey one of sixteen, as a camera of that format
    would send it."""
    grey = picture.ndim == 2
    match pixel_format:
        case PixelFormat.Mono10 | PixelFormat.Mono12:
            if picture.dtype == np.uint16:
                return (picture >> (16 - pixel_format.bits)).astype("<u2")
            flat = picture if grey else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
            return flat.astype("<u2") << (pixel_format.bits - 8)
        case PixelFormat.Mono8:
            return picture if grey else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        case PixelFormat.BayerRG8:
            return optics.mosaic(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) if grey else picture)
        case PixelFormat.BGR8:
            return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) if grey else picture
        case PixelFormat.RGB8:
            return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB if grey else cv2.COLOR_BGR2RGB)


def decode(frame: Mat, pixel_format: PixelFormat) -> Mat:
    """A frame as the picture that it shows: grey for Mono8, 10 and 12, else BGR."""
    match pixel_format:
        case PixelFormat.Mono10 | PixelFormat.Mono12:
            return (frame >> (pixel_format.bits - 8)).astype(np.uint8)
        case PixelFormat.BayerRG8:
            return optics.demosaic(frame)
        case PixelFormat.RGB8:
            return cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        case _:
            return np.ascontiguousarray(frame)


@dataclass(frozen=True, slots=True)
class Film:
    """An open film. ``frames`` maps the file: nothing is read before it is looked at."""

    path: Path
    width: int
    height: int
    pixel_format: PixelFormat
    sha256: str
    frames: NDArray[Any]
    """``(frame_count, height, width)`` or ``(frame_count, height, width, 3)``, read-only; bytes, or
    words where a value has more than eight bits."""

    @classmethod
    def open(cls, path: str | os.PathLike[str], verify: bool = True) -> Film:
        """Open a film; with ``verify`` its digest is computed and compared.

        Raises FilmError when it is no film or its content has changed, TruncatedFilm when its size
        is wrong, OSError when it cannot be read.
        """
        path = Path(path)
        with path.open("rb") as file:
            raw = file.read(_HEADER.size)
            if len(raw) < _HEADER.size or raw[:8] != MAGIC:
                raise FilmError(f"{path}: not a film (it does not begin with {MAGIC.decode()})")
            _, version, width, height, code, count, size, offset, digest = _HEADER.unpack(raw)
            if version != VERSION or offset != DATA_OFFSET:
                raise FilmError(f"{path}: film version {version} is not {VERSION}, make it again")
            pixel_format = PixelFormat.named(code)
            pixel = pixel_format.channels * pixel_format.dtype.itemsize
            if size != width * height * pixel or not size or not count:
                raise FilmError(
                    f"{path}: {count} frames of {size} bytes are not {width}×{height} "
                    f"{pixel_format.name}"
                )
            _check_size(path, DATA_OFFSET + count * size)
            if verify:
                file.seek(DATA_OFFSET)
                found = hashlib.sha256()
                while chunk := file.read(_STEP):
                    found.update(chunk)
                if found.digest() != digest:
                    raise FilmError(
                        f"{path}: its frames have changed since it was made (SHA-256 "
                        f"{found.hexdigest()[:12]}…, written {digest.hex()[:12]}…)"
                    )
        shape: tuple[int, ...] = (count, height, width)
        if pixel_format.channels == 3:
            shape += (3,)
        frames = np.memmap(path, pixel_format.dtype, "r", DATA_OFFSET, shape)
        return cls(path, width, height, pixel_format, digest.hex(), frames)

    def __len__(self) -> int:
        return len(self.frames)

    def picture(self, index: int) -> Pixels:
        """A frame as the picture it shows, grey or BGR, copied out of the map."""
        return decode(np.array(self.frames[index % len(self)]), self.pixel_format)


def _check_size(path: Path, expected: int) -> None:
    found = path.stat().st_size
    if found != expected:
        kind = "cut short" if found < expected else "too long"
        raise TruncatedFilm(f"{path}: {kind}: {found} bytes, its header says {expected}")


class FilmWriter:
    """A film being written: frames are added one by one, and it appears whole or not at all."""

    def __init__(
        self, path: str | os.PathLike[str], width: int, height: int, pixel_format: PixelFormat
    ) -> None:
        if pixel_format is PixelFormat.BayerRG8 and (width % 2 or height % 2):
            raise FilmError(f"a BayerRG8 film needs an even width and height, not {width}×{height}")
        self.path = Path(path)
        if self.path.is_dir():
            raise FilmError(f"{self.path} is a folder; name the film's file in it")
        if not self.path.parent.is_dir():
            raise FilmError(f"{self.path}: its folder is not there; make it first")
        self.count = 0
        self._shape = (height, width) if pixel_format.channels == 1 else (height, width, 3)
        self._format = pixel_format
        self._digest = hashlib.sha256()
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self._file = self._part.open("wb")
        self._file.write(bytes(DATA_OFFSET))

    def add(self, frame: NDArray[Any]) -> None:
        """Append one frame, already in the film's pixel format."""
        if frame.shape != self._shape or frame.dtype != self._format.dtype:
            raise FilmError(
                f"{self.path}: frame {self.count} is {frame.dtype} {frame.shape}, "
                f"the film wants {self._format.dtype} {self._shape}"
            )
        data = np.ascontiguousarray(frame).data
        self._digest.update(data)
        self._file.write(data)
        self.count += 1

    def finish(self) -> None:
        """Complete the header, make the file durable and read-only, and give it its name."""
        if not self.count:
            raise FilmError(f"{self.path}: a film needs at least one frame")
        size = int(np.prod(self._shape)) * self._format.dtype.itemsize
        self._file.seek(0)
        self._file.write(
            _HEADER.pack(
                MAGIC, VERSION, self._shape[1], self._shape[0], self._format, self.count, size,
                DATA_OFFSET, self._digest.digest(),
            )
        )  # fmt: skip
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.chmod(0o444)
        self._part.replace(self.path)

    def discard(self) -> None:
        """Leave nothing behind: on a full disk the half of a film would keep it full."""
        self._part.unlink(missing_ok=True)
        with suppress(OSError):  # what is still to be written, there is no room for
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()
        if isinstance(error, OSError) and error.filename is None:
            raise FilmError(f"{self.path.parent}: {error.strerror}") from error


def write_film(
    path: str | os.PathLike[str],
    frames: Iterable[NDArray[Any]],
    width: int,
    height: int,
    pixel_format: int | str,
) -> Film:
    """Write frames that are already in ``pixel_format``; the film comes back open."""
    with FilmWriter(path, width, height, PixelFormat.named(pixel_format)) as writer:
        for frame in frames:
            writer.add(frame)
        writer.finish()
    return Film.open(path, verify=False)


def make_film(
    images_dir: str | os.PathLike[str],
    out: str | os.PathLike[str],
    pixel_format: int | str = "BGR8",
    size: tuple[int, int] | None = None,
) -> Film:
    """A film of all images under a folder, in the order of their paths.

    ``size`` is (width, height), by default that of the first image; images of another size are
    scaled to fit, keeping their proportions, on grey. Files of sixteen bits are taken for what all
    of them together hold. Raises FilmError when there is no image or one cannot be read.
    """
    folder, wanted = Path(images_dir), PixelFormat.named(pixel_format)
    if not folder.is_dir():
        raise FilmError(f"{folder}: no such folder of images")
    paths = images_in(folder)
    if not paths:
        raise FilmError(f"{folder}: no image in it ({', '.join(SUFFIXES)})")
    bits = bits_of(paths) or DEPTHS[-1]
    if size is None:
        height, width = _picture(paths[0], bits, wanted).shape[:2]
        size = (width, height)
        if wanted is PixelFormat.BayerRG8:
            size = (width - width % 2, height - height % 2)
    frames = (encode(_fitted(_picture(path, bits, wanted), size), wanted) for path in paths)
    return write_film(out, frames, size[0], size[1], wanted)


def _picture(path: Path, bits: int, wanted: PixelFormat) -> NDArray[Any]:
    """A file's picture of eight bits, or, for films of more, a grey one whose values fill sixteen
    where its file holds more than eight."""
    picture, flaw = read_image(path, bits)
    if picture is None:
        raise FilmError(f"{path}: {flaw}")
    if wanted.bits > 8:
        deep = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
        if deep is not None and deep.dtype == np.uint16:
            return np.minimum(deep, (1 << bits) - 1).astype(np.uint16) << (16 - bits)
    return picture


def _fitted(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    width, height = size
    if picture.shape[:2] == (height, width):
        return picture
    scale = min(width / picture.shape[1], height / picture.shape[0])
    inner = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    grey = 114 << 8 if picture.dtype == np.uint16 else 114
    whole = np.full((height, width, *picture.shape[2:]), grey, picture.dtype)
    x, y = (width - inner[0]) // 2, (height - inner[1]) // 2
    whole[y : y + inner[1], x : x + inner[0]] = cv2.resize(picture, inner, interpolation=way)
    return whole
