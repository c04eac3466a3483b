"""Films: what the virtual cameras play. Immutable files of frames, checked for size and digest.

Enters a folder of images, or a product and a seed; leaves `.film` files, and for a product the
truth beside them, which only the world may read. Imported by the command line, the world, the
training scripts and tests.

A film is a header of 4096 bytes, little-endian, zero padded (``magic[8]="INSPFILM"``; u32 version,
width, height, pixel_format, frame_count, frame_bytes; u64 data_offset; u8 sha256[32] of all frame
data), then the frames back to back. The producer maps films into memory, where a file that is cut
short would kill it (SIGBUS): so a film's size is checked before it is mapped, and it is read-only.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.pictures import DEPTHS, SUFFIXES, bits_of, read_image
from inspector.virtual import batch, bottle, optics
from inspector.virtual.optics import Mat
from inspector.virtual.print import Split

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
        """Leave nothing behind."""
        self._file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._file.closed:
            self.discard()


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
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
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


@dataclass(frozen=True, slots=True)
class FilmSet:
    """A folder of films of the same parts, one per view, and what batch they are."""

    folder: Path
    product: str
    lot: str
    date: str
    seed: int
    count: int

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> FilmSet:
        """Read ``film.json``. Raises FilmError when the folder holds no complete set."""
        path = Path(folder) / "film.json"
        try:
            card = json.loads(path.read_text())
            return cls(
                Path(folder), *(card[k] for k in ("product", "lot", "date", "seed", "count"))
            )
        except (OSError, ValueError, KeyError) as error:
            raise FilmError(f"{path}: no complete film set here ({error})") from None

    def film(self, view: str, verify: bool = True) -> Film:
        """The film of ``side`` or ``code``."""
        return Film.open(self.folder / f"{view}.film", verify)

    def truth(self) -> list[dict[str, Any]]:
        """What each part really is. For the world and for measuring; a station may not read it."""
        parts: list[dict[str, Any]] = json.loads((self.folder / "truth.json").read_text())
        return parts


def render_set(
    product: str,
    seed: int,
    count: int,
    out_dir: str | os.PathLike[str],
    defect_rate: float = 0.1,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
    *,
    split: Split = "held_out",
    lot: str | None = None,
    date: str | None = None,
    mixed: bool = False,
    novelty: str = "",
    novelty_rate: float = 0.1,
    novelty_from: int = 0,
) -> FilmSet:
    """Render a batch: ``side.film``, ``code.film``, ``truth.json`` (mode 0600) and ``film.json``.

    One set is one batch with one lot and date (drawn from the seed unless given) on one set-up;
    ``mixed`` draws the set-up anew for each part, for measuring models on many. ``novelty`` names a
    defect that no shipped model was shown; so many of the good parts have it, from part
    ``novelty_from`` on. ``progress`` is called with the parts done and the count. Nothing appears
    in ``out_dir`` before all is done.
    Raises FilmError for an unknown product or an impossible number.
    """
    if product not in bottle.PRODUCTS:
        raise FilmError(f"no product {product!r}; there are {', '.join(bottle.PRODUCTS)}")
    if count < 1 or seed < 0 or not 0 <= defect_rate <= 1:
        raise FilmError("count must be at least 1, seed at least 0, defect_rate between 0 and 1")
    if novelty and novelty not in bottle.NOVELTIES:
        raise FilmError(f"no novelty {novelty!r}; there are {', '.join(bottle.NOVELTIES)}")
    rng = np.random.default_rng([seed, 0])
    drawn = (bottle.draw_lot(rng), bottle.draw_date(rng))
    lot, date = lot or drawn[0], date or drawn[1]
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    stretch = 8
    what = (lot, date, defect_rate, split, mixed, novelty, novelty_rate, novelty_from)
    orders = [
        batch.Stretch(product, seed, at, min(stretch, count - at), *what)
        for at in range(0, count, stretch)
    ]
    truth: list[dict[str, Any]] = []
    side_writer = FilmWriter(folder / "side.film", 640, 480, PixelFormat.BayerRG8)
    code_writer = FilmWriter(folder / "code.film", 320, 240, PixelFormat.Mono8)
    with side_writer, code_writer:
        for parts in batch.render_stretches(orders, workers):
            for side, code, facts in parts:
                side_writer.add(side)
                code_writer.add(code)
                truth.append(facts)
            if progress:
                progress(len(truth), count)
        card = {"product": product, "lot": lot, "date": date, "seed": seed, "count": count}
        (folder / "film.json").unlink(
            missing_ok=True
        )  # an old set is not half replaced: it is gone
        side_writer.finish()
        code_writer.finish()
        _write_json(folder / "truth.json", truth, 0o600)
        _write_json(folder / "film.json", card, 0o644)
    return FilmSet.open(folder)


def _write_json(path: Path, content: object, mode: int) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        json.dump(content, file, separators=(",", ":"))
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    part.replace(path)
