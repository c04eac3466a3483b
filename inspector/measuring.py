"""Pictures of a board go in, a camera's calibration comes out; repeated values, a gauge study's.

May import the tools, recipe, offline and quality; imported by the command line.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import cv2
import numpy as np
from pydantic import ValidationError

from inspector.config import first_problem
from inspector.part import Batch, Pixels
from inspector.pictures import DEPTHS, bits_of, is_picture, read_image
from inspector.recipe import load
from inspector.store.files import write_whole
from inspector.tools.calibration import Board, Calibration, calibrate, draw_board, find_corners
from inspector.tools.step import bgr_of, grey_of

Told = Callable[[int, int], None]
"""Progress: how many are done, of how many."""
ENLARGED = 100
"""How much longer than they are residuals are drawn."""


class MeasuringError(Exception):
    """What is wrong with pictures or values, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration with what it was made from."""

    calibration: Calibration
    plane: str
    """Name of the picture that shows the plane."""
    without_board: tuple[str, ...]
    """Pictures in which no board was found."""
    picture: Pixels
    """The one that shows the plane."""


@dataclass(frozen=True, slots=True)
class Values:
    """What was measured, to be studied."""

    label: str
    unit: str
    parts: tuple[str, ...]
    appraisers: tuple[str, ...]
    values: tuple[tuple[tuple[float, ...], ...], ...]
    """``values[part][appraiser][trial]``."""


def board_of(**fields: object) -> Board:
    """A board; raises ``MeasuringError`` in words when there is none like it."""
    try:
        return Board.model_validate(fields)
    except ValidationError as error:
        raise MeasuringError(f"the board: {first_problem(error)}") from None


def board_picture(board: Board, px_per_mm: float = 10) -> Pixels:
    """The board to print. Raises ``MeasuringError``."""
    try:
        return draw_board(board, px_per_mm)
    except ValueError as error:
        raise MeasuringError(str(error)) from None


def calibrate_folder(
    paths: Sequence[Path], board: Board, plane: str = "", told: Told = lambda done, of: None
) -> Calibrated:
    """The calibration from picture files or folders; the board lies on the plane to measure in
    the picture called ``plane``, the first by name if empty. Raises ``MeasuringError``."""
    files = _pictures(paths)
    if not files:
        raise MeasuringError("no pictures of a board; name them, or a folder of them")
    pictures: dict[str, Pixels] = {}
    without = []
    for path, pixels in zip(files, _seen(files, None, told), strict=True):
        if find_corners(pixels, board) is None:
            without.append(path.name)
        else:
            pictures[path.name] = pixels
    plane = plane or files[0].name
    if plane not in pictures:
        known = ", ".join(pictures) or "none"
        what = f"{board.columns}x{board.rows} {board.kind}"
        raise MeasuringError(f"no {what} in {plane}; it is in: {known}")
    order = [plane, *(name for name in pictures if name != plane)]
    try:
        made = calibrate([pictures[name] for name in order], board)
    except ValueError as error:
        raise MeasuringError(str(error)) from None
    return Calibrated(made, plane, tuple(without), pictures[plane])


def draw_residuals(made: Calibrated) -> Pixels:
    """The plane's picture with each corner, and how far it is from where it should be: a line
    ``ENLARGED`` times as long as the distance."""
    camera = made.calibration
    found = find_corners(made.picture, camera.board)
    assert found is not None, "it was calibrated by these corners"
    corners, known = found
    off = (camera.to_mm(corners) - known) * camera.px_per_mm * ENLARGED
    grey = grey_of(made.picture)
    faint = cv2.addWeighted(grey, 0.5, np.full_like(grey, 255), 0.5, 0)
    canvas = bgr_of(np.asarray(faint, np.uint8))
    for (x, y), (dx, dy) in zip(corners, off, strict=True):
        start, end = (round(x), round(y)), (round(x + dx), round(y + dy))
        cv2.circle(canvas, start, 4, (160, 110, 0), 1, cv2.LINE_AA)
        cv2.line(canvas, start, end, (0, 40, 200), 2, cv2.LINE_AA)
    said = (
        f"{camera.px_per_mm:.4f} +- {camera.px_per_mm_u:.4f} px/mm (k=2), "
        f"rms {camera.rms_px:.3f} px, lines x{ENLARGED}"
    )
    cv2.putText(canvas, said, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.ascontiguousarray(canvas, np.uint8)


def write_png(path: Path, pixels: Pixels) -> None:
    """Writes a picture, whole or not at all. Raises ``StoreError`` or ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, cv2.imencode(".png", pixels)[1].tobytes())


def read_values(path: Path) -> Values:
    """A table with the columns ``part``, ``value`` and perhaps ``appraiser``, one row a trial.

    Raises ``MeasuringError``: which row, and what is wrong with it.
    """
    cells: dict[tuple[str, str], list[float]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            names = rows.fieldnames or []
            if not {"part", "value"} <= set(names):
                known = ", ".join(names) or "none"
                raise MeasuringError(f"{path} needs the columns `part` and `value`; it has {known}")
            for line, row in enumerate(rows, 2):
                key = (row["part"] or "").strip(), (row.get("appraiser") or "").strip()
                cells.setdefault(key, []).append(_number(row["value"], f"{path}, line {line}"))
    except UnicodeDecodeError:
        raise MeasuringError(f"{path} is not UTF-8; save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise MeasuringError(f"{path} is no CSV table: {error}") from None
    return _crossed(cells, "value", "", str(path))


def _number(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise MeasuringError(f"{where}: `{text or ''}` is no number; measure that part again")
    return value


def repeated(
    folder: Path,
    recipe: Path,
    label: str,
    models: Path,
    threads: int = 2,
    told: Told = lambda done, of: None,
) -> Values:
    """What a recipe measures in ``folder/PART/*``: each picture of a part is a trial.

    ``label`` is the finding's; empty is the only one that has a value. Raises ``MeasuringError``,
    ``ConfigError`` or ``ModelError``.
    """
    if not folder.is_dir():
        raise MeasuringError(f"{folder} is no folder with one folder of pictures for each part")
    ready = load(recipe, models, threads)
    parts = sorted(p for p in folder.iterdir() if p.is_dir())
    files = [(part.name, path) for part in parts for path in _pictures([part])]
    if not files:
        raise MeasuringError(f"{folder} has no folders with pictures; make one for each part")
    cells: dict[tuple[str, str], list[float]] = {}
    units: set[str] = set()
    ready.warm_up()
    seen = _seen([path for _, path in files], ready.file.bits, told)
    for (part, path), pixels in zip(files, seen, strict=True):
        judged = ready.judge({ready.views[0]: pixels}, Batch("gauge"), date.today())
        valued = {f.label: f for f in judged.findings if f.value is not None}
        name = label or (next(iter(valued)) if len(valued) == 1 else "")
        if name not in valued:
            known = ", ".join(f"`{v}`" for v in valued) or "; ".join(judged.reasons) or "none"
            wanted = f"no value `{name}`" if name else "name one value with --measure"
            raise MeasuringError(f"{path}: {wanted}; it has {known}")
        several = sum(f.value is not None and f.label == name for f in judged.findings)
        if several > 1:
            what = f"{several} values `{name}`, and none says which of them is the part's"
            raise MeasuringError(f"{path}: {what}; narrow the recipe until it finds one")
        cells.setdefault((part, ""), []).append(float(valued[name].value or 0.0))
        units.add(valued[name].unit or "")
        label = name
    return _crossed(cells, label, " ".join(sorted(units)), str(folder))


def _crossed(
    cells: dict[tuple[str, str], list[float]], label: str, unit: str, where: str
) -> Values:
    """Raises ``MeasuringError`` unless each appraiser measured each part equally often."""
    parts = tuple(dict.fromkeys(part for part, _ in cells))
    appraisers = tuple(dict.fromkeys(who for _, who in cells))
    most = max((len(trials) for trials in cells.values()), default=0)
    for part in parts:
        for who in appraisers:
            count = len(cells.get((part, who), ()))
            if count != most:
                by = f" by {who}" if who else ""
                what = f"part {part} was measured {count} times{by}, another {most} times"
                raise MeasuringError(f"{where}: {what}; each is measured equally often")
    if len(parts) < 2 or most < 2:
        raise MeasuringError(f"{where}: a study needs 2 parts and 2 trials of each at least")
    values = tuple(tuple(tuple(cells[part, who]) for who in appraisers) for part in parts)
    return Values(label, unit, parts, appraisers, values)


def _seen(files: Sequence[Path], bits: int | None, told: Told) -> Iterator[Pixels]:
    """Each file's picture, while ``told`` hears how far it is. Raises ``MeasuringError``."""
    bits = bits or bits_of(files) or DEPTHS[-1]
    for number, path in enumerate(files):
        told(number, len(files))
        pixels, flaw = read_image(path, bits)
        if pixels is None:
            raise MeasuringError(f"{flaw}; take it again or leave it out")
        yield pixels
    told(len(files), len(files))


def _pictures(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(filter(is_picture, path.iterdir()))
        else:
            found.append(path)
    return found
