"""Image files go in, what the line's own tools say of each comes out, without a line.

May import recipe, tools, config and part; imported by the command line.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspector.config import ConfigError, Problem
from inspector.part import Batch, Finding, Pixels
from inspector.recipe import Recipe, load

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
"""What is taken from a folder; a file named by itself is tried whatever its name."""
DEPTHS = (8, 10, 12, 14, 16)
"""Bits of a sensor's values, which files of more than eight bits keep in sixteen."""


def inspect_images(
    recipe: Path | Recipe,
    paths: Sequence[Path],
    models: Path = Path("models"),
    threads: int = 2,
    texts: Mapping[str, str] | None = None,
    today: date | None = None,
) -> Iterator[dict[str, Any]]:
    """Judges each image of ``paths`` (files or folders, these sorted by name), JSON-ready.

    Yields ``image, outcome, score, reasons, ms, findings: [{tool, kind, label, score, box, text,
    value, unit, ok, severity, reason}]``; the image's ``score`` is how anomalous it is, None where
    no ``anomaly`` step judged it. An image that cannot be read is an ``error``; the others go on.
    Several views of one part cannot be told from file names: such a recipe is refused.
    Raises ``ConfigError`` or ``ModelError`` before the first image.
    """
    if not isinstance(recipe, Recipe):
        recipe = load(recipe, models=models, threads=threads)
    if len(recipe.views) > 1:
        what = f"needs the views {', '.join(recipe.views)} of each part; images give one"
        raise ConfigError(Path(recipe.name), [Problem(None, "views", what)])
    recipe.warm_up()
    batch = Batch("offline", texts=dict(texts or {}))
    images = list(_images(paths))
    bits = recipe.file.bits or bits_of(images) or DEPTHS[-1]
    return _judge_all(recipe, images, batch, today or date.today(), bits)


def _judge_all(
    recipe: Recipe, images: Sequence[Path], batch: Batch, today: date, bits: int
) -> Iterator[dict[str, Any]]:
    for path in images:
        started = time.perf_counter()
        pixels, flaw = read_image(path, bits)
        if pixels is None:
            ms = (time.perf_counter() - started) * 1e3
            outcome, reasons, findings = "error", [flaw], []
        else:
            judged = recipe.judge({recipe.views[0]: pixels}, batch, today)
            ms, outcome, reasons = judged.ms, judged.outcome.value, list(judged.reasons)
            findings = [_plain(f) for f in judged.findings]
        yield {
            "image": str(path),
            "outcome": outcome,
            "score": max((f["score"] for f in findings if f["kind"] == "anomaly"), default=None),
            "reasons": reasons,
            "ms": round(ms, 3),
            "findings": findings,
        }


def bits_of(images: Iterable[Path]) -> int | None:
    """How many bits the values of these pictures have, of those files that keep sixteen: the fewest
    of ``DEPTHS`` that hold the largest value of all; None where there is no such file.

    Of all of them together, so that a dark picture stays darker than a bright one. What cannot be
    read is passed over."""
    most = -1
    for path in images:
        if most >= 1 << DEPTHS[-2]:
            break
        if path.suffix.lower() not in _DEEP:
            continue
        try:
            data = path.read_bytes()
        except OSError:
            continue
        if data.startswith(_PNG) and data[24:25] != b"\x10":
            continue
        pixels = _decoded(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
        if pixels is not None and pixels.dtype == np.uint16:
            most = max(most, int(pixels.max()))
    if most < 0:
        return None
    return next(bits for bits in DEPTHS if most < 1 << bits)


def read_image(path: Path, bits: int = 16) -> tuple[Pixels | None, str]:
    """The picture in ``path``, grey (h, w) if it is stored so, else BGR (h, w, 3); or why not.

    Of ``bits`` that values of a file of sixteen bits have (``bits_of``), the high eight are kept.
    What a PNG leaves transparent is white, as on paper.
    A truncated JPEG or PNG is refused: decoders fill what is missing with grey, and grey passes.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        return None, f"{path.name} cannot be read: {error.strerror or error}"
    if not data:
        return None, f"{path.name} is empty"
    cut = _truncated(data)
    if cut:
        return None, f"{path.name} is truncated: {cut}"
    pixels = None
    if bits < DEPTHS[-1] and path.suffix.lower() in _DEEP:
        deep = _decoded(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
        if deep is not None and deep.dtype == np.uint16:
            pixels = np.minimum(deep >> (bits - 8), 255)
    if pixels is None and data.startswith(_PNG) and data[25:26] in (b"\4", b"\6"):
        pixels = _on_white(data)
    if pixels is None:
        pixels = _decoded(data, cv2.IMREAD_ANYCOLOR)
    if pixels is None:
        return None, f"{path.name} is no image that can be decoded"
    return np.ascontiguousarray(pixels, np.uint8), ""


def _decoded(data: bytes, how: int) -> Any:
    """What OpenCV makes of a file's bytes; None where it makes nothing of them."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    except cv2.error:
        return None
    return None if pixels is None or pixels.size == 0 else pixels


def _on_white(data: bytes) -> Any:
    """A PNG of which something is transparent, on white; None where nothing is."""
    layers = _decoded(data, cv2.IMREAD_UNCHANGED)
    if layers is None or layers.ndim != 3 or layers.shape[2] != 4:
        return None
    full = np.iinfo(layers.dtype).max
    if layers[..., 3].min() == full:
        return None
    share = layers[..., 3:].astype(np.float32) / full
    pixels = np.rint(255 * (layers[..., :3] / np.float32(full) * share + 1 - share))
    grey = data[25:26] == b"\4"
    return (pixels[..., 0] if grey else pixels).astype(np.uint8)


_PNG = b"\x89PNG\r\n\x1a\n"
_DEEP = (".png", ".tif", ".tiff", ".pgm", ".ppm")
"""Files that may keep sixteen bits of a value."""


def _truncated(data: bytes) -> str:
    tail = data.rstrip(b"\0")[-64:]
    if data.startswith(b"\xff\xd8") and b"\xff\xd9" not in tail and b"\xff\xd9" not in data[-4096:]:
        return "a JPEG ends with its end marker, this one does not"
    if data.startswith(_PNG) and b"IEND" not in data[-4096:]:
        return "a PNG ends with IEND, this one does not"
    return ""


def _images(paths: Sequence[Path]) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        else:
            yield path


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        "tool": finding.tool,
        "kind": finding.kind,
        "label": finding.label,
        "score": round(finding.score, 6),
        "box": None if finding.box is None else [round(v, 1) for v in finding.box],
        "text": finding.text,
        "value": finding.value,
        "unit": finding.unit,
        "ok": finding.ok,
        "severity": finding.severity.value,
        "reason": finding.reason,
        **({"outline": finding.outline} if finding.outline else {}),
    }
