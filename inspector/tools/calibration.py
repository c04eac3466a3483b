"""Pictures of a calibration board go in; how a camera's pixels lie in millimetres comes out.

Checkerboards and ChArUco boards. From three pictures on, tilted, the lens is fitted too (Z. Zhang,
"A flexible new technique for camera calibration", 2000; OpenCV's model k1 k2 p1 p2). The plane that
is measured in is where the board lies in one of the pictures. Imported by ``measure`` and the
command line.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from inspector.config import Settings, first_problem
from inspector.part import Pixels
from inspector.tools.kept import folder_of, not_looked_for
from inspector.tools.place import Points, pitch_at
from inspector.tools.step import Unjudged, grey_of

Row = tuple[float, float, float]
Matrix = tuple[Row, Row, Row]
_EYE: Matrix = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
_LEAST_CORNERS = 8
LEAST_TILT_DEG = 5.0
"""Boards tilted by 8 deg fixed the focal length to 0.3 %; untilted ones were off fourfold."""


class Board(Settings):
    """The board, as it was printed."""

    kind: Literal["checkerboard", "charuco"] = "checkerboard"
    columns: int = Field(ge=3, le=100)
    """Squares, not inner corners, from left to right."""
    rows: int = Field(ge=3, le=100)
    square_mm: float = Field(gt=0)
    marker_mm: float = Field(0, ge=0)
    """ChArUco: the side of a marker."""
    dictionary: str = "DICT_5X5_100"
    """ChArUco: OpenCV's name of the marker set."""
    tolerance_mm: float = Field(0, ge=0)
    """By how much the board's whole width may be off, from its certificate."""

    @model_validator(mode="after")
    def _has_markers(self) -> Board:
        if self.kind == "charuco" and not 0 < self.marker_mm < self.square_mm:
            raise ValueError("a ChArUco board has `marker_mm` between 0 and `square_mm`")
        if not isinstance(getattr(cv2.aruco, self.dictionary, None), int):
            raise ValueError(f"OpenCV has no marker set `{self.dictionary}`")
        if self.kind == "charuco" and (needs := self.columns * self.rows // 2) > self._markers():
            raise ValueError(
                f"`{self.dictionary}` has {self._markers()} markers, this board needs {needs}; name"
                " a larger set, such as DICT_5X5_1000"
            )
        return self

    def _markers(self) -> int:
        numbers = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, self.dictionary))
        return len(numbers.bytesList)


class Calibration(Settings):
    """How one camera's pixels lie in millimetres on one plane."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    """Of its pictures, in pixels."""
    matrix: Matrix = _EYE
    """The camera matrix, in pixels."""
    distortion: tuple[float, ...] = ()
    """OpenCV's k1 k2 p1 p2; none where the lens was not fitted."""
    plane: Matrix
    """From undistorted pixels to millimetres, a homography."""
    px_per_mm: float = Field(gt=0)
    """In the middle of the board."""
    px_per_mm_u: float = Field(ge=0)
    """Its expanded uncertainty (k = 2), from the board's tolerance and the fit (GUM, JCGM 100)."""
    rms_px: float = Field(ge=0)
    """Root mean square distance of the board's corners from where the calibration puts them."""
    pictures: int = Field(ge=1)
    board: Board

    @property
    def relative_u(self) -> float:
        """The expanded uncertainty of a length by its scale alone, as a share of the length."""
        return self.px_per_mm_u / self.px_per_mm

    def check_size(self, height: int, width: int) -> None:
        """Raises ``Unjudged`` for a picture of another size: it is not in this camera's pixels."""
        if (height, width) != (self.height, self.width):
            size = f"{width}x{height}"
            raise Unjudged(f"calibrated for {self.width}x{self.height}, the picture is {size}")

    def to_mm(self, points: Points) -> Points:
        """(n, 2) pixels of the picture, in millimetres on the plane."""
        flat = _undistorted(points, np.array(self.matrix), self.distortion)
        return _mapped(np.array(self.plane), flat)


def calibrate(pictures: Sequence[Pixels], board: Board, plane: int = 0) -> Calibration:
    """The calibration from pictures of one camera, the board lying on the plane to measure in
    ``pictures[plane]``; in the others it is tilted by 15 to 30 deg, and moved all over the picture.

    With one or two pictures the lens is taken as free of distortion. Raises ``ValueError``: what is
    wrong with the pictures.
    """
    if not 0 <= plane < len(pictures):
        raise ValueError(f"there are {len(pictures)} pictures; number {plane} is not among them")
    height, width = pictures[0].shape[:2]
    if any(picture.shape[:2] != (height, width) for picture in pictures):
        raise ValueError("the pictures are not of one size, so not of one camera")
    seen = [find_corners(picture, board) for picture in pictures]
    if seen[plane] is None:
        raise ValueError(f"no {board.columns}x{board.rows} {board.kind} in picture {plane}")
    found = [s for s in seen if s is not None]
    matrix: NDArray[Any] = np.eye(3)
    distortion: tuple[float, ...] = ()
    if len(found) >= 3:
        matrix, distortion = _lens(found, (width, height))
    image, flat = seen[plane] or found[0]
    straight = _undistorted(image, matrix, distortion)
    homography, _ = cv2.findHomography(straight, flat, 0)
    if homography is None:
        raise ValueError(f"the corners of picture {plane} are on a line; show more of the board")
    back = _mapped(np.linalg.inv(homography), flat)
    miss = back - straight
    scale = 1 / pitch_at(straight.mean(0), lambda points: _mapped(np.asarray(homography), points))
    spread = math.sqrt(float(((straight - straight.mean(0)) ** 2).sum()))
    sigma = math.sqrt(float((miss**2).sum()) / max(1, miss.size - 8))
    length = math.hypot(*(flat.max(0) - flat.min(0)))
    certified = board.tolerance_mm / math.sqrt(3) / length
    return Calibration(
        width=width,
        height=height,
        matrix=_rows(matrix),
        distortion=distortion,
        plane=_rows(homography / homography[2, 2]),
        px_per_mm=scale,
        px_per_mm_u=2 * scale * math.hypot(sigma / spread, certified),
        rms_px=math.sqrt(float((miss**2).sum(1).mean())),
        pictures=len(found),
        board=board,
    )


def find_corners(picture: Pixels, board: Board) -> tuple[Points, Points] | None:
    """The board's inner corners: (n, 2) in pixels and (n, 2) in mm on the board; None without."""
    grey = grey_of(picture)
    if board.kind == "charuco":
        corners, ids, _, _ = cv2.aruco.CharucoDetector(_charuco(board)).detectBoard(grey)
        if ids is None or len(ids) < _LEAST_CORNERS:
            return None
        known = np.asarray(_charuco(board).getChessboardCorners())[np.asarray(ids).ravel(), :2]
        return np.asarray(corners, np.float64).reshape(-1, 2), known.astype(np.float64)
    size = (board.columns - 1, board.rows - 1)
    flags = cv2.CALIB_CB_EXHAUSTIVE | cv2.CALIB_CB_ACCURACY | cv2.CALIB_CB_NORMALIZE_IMAGE
    found, corners = cv2.findChessboardCornersSB(grey, size, flags=flags)
    if not found:
        return None
    # Found as crossings of straight lines, which a lens bends; refined each by itself.
    step = np.linalg.norm(np.diff(corners.reshape(size[1], size[0], 2), axis=1), axis=2).min()
    half = max(2, min(8, int(step / 3)))
    enough = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-3)
    corners = cv2.cornerSubPix(grey, corners.astype(np.float32), (half, half), (-1, -1), enough)
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    known = np.stack([columns.ravel(), rows.ravel()], 1) * board.square_mm
    return np.asarray(corners, np.float64).reshape(-1, 2), known.astype(np.float64)


def draw_board(board: Board, px_per_mm: float) -> Pixels:
    """The board to print, with a white margin of one square."""
    side = round(board.square_mm * px_per_mm)
    if side < 4:
        raise ValueError(f"squares of {side} px cannot be drawn; raise the resolution")
    size = (board.columns * side, board.rows * side)
    if board.kind == "charuco":
        inner = np.asarray(_charuco(board).generateImage(size), np.uint8)
    else:
        y, x = np.mgrid[: size[1], : size[0]] // side
        inner = np.where((x + y) % 2 == 0, 0, 255).astype(np.uint8)
    return np.pad(inner, side, constant_values=255)


def save_calibration(calibration: Calibration, path: Path) -> str:
    """Writes it as JSON; the file's SHA-256, which verdicts carry."""
    data = calibration.model_dump_json(indent=1).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read_calibration(path: Path) -> tuple[Calibration, str]:
    """The calibration in a file, and the file's SHA-256. Raises ``ValueError``: what is wrong."""
    try:
        data = path.read_bytes()
        return Calibration.model_validate_json(data), hashlib.sha256(data).hexdigest()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); calibrate first") from None
    except ValidationError as error:
        raise ValueError(f"{path}: {first_problem(error)}; calibrate again") from None


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationFile:
    """A calibration that a recipe names; the recipe may outlive it, the verdict has its digest."""

    name: str
    _calibration: Calibration | None = None
    """None when the recipe was read without its folder."""
    digest: str = ""

    @property
    def calibration(self) -> Calibration:
        """Raises ``ModelError`` when its file was not looked for."""
        if self._calibration is None:
            raise not_looked_for(f"calibration/{self.name}")
        return self._calibration


def _named(value: Any, info: ValidationInfo) -> CalibrationFile:
    if isinstance(value, CalibrationFile):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError("a calibration is named by its file, from the recipe's folder")
    folder = folder_of(info)
    return CalibrationFile(value, *read_calibration(folder / value) if folder else ())


def _name_of(file: CalibrationFile) -> str:
    return file.name


CalibrationName = Annotated[
    CalibrationFile, PlainValidator(_named), PlainSerializer(_name_of, return_type=str)
]
"""A field of a tool's parameters: a file's name in the recipe, its calibration when it is read."""


def _charuco(board: Board) -> Any:
    markers = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, board.dictionary))
    size = (board.columns, board.rows)
    return cv2.aruco.CharucoBoard(size, board.square_mm, board.marker_mm, markers)


def _lens(
    found: Sequence[tuple[Points, Points]], size: tuple[int, int]
) -> tuple[NDArray[Any], tuple[float, ...]]:
    flat = [np.pad(known, ((0, 0), (0, 1))).astype(np.float32) for _, known in found]
    image = [corners.astype(np.float32)[:, None] for corners, _ in found]
    start: Any = None
    _, matrix, lens, turns, _, spread, _, _ = cv2.calibrateCameraExtended(
        flat, image, size, start, start, flags=cv2.CALIB_FIX_K3
    )
    focal, doubt = float(matrix[0, 0]), float(np.ravel(spread)[0])
    facing = [np.asarray(cv2.Rodrigues(turn)[0])[:, 2] for turn in turns]
    tilt = max(math.degrees(math.acos(min(1.0, float(a @ facing[0])))) for a in facing)
    # Boards that all face one way leave distance and focal length exchangeable: the fit then says
    # anything, with a small spread, and no tilt.
    if not math.isfinite(doubt) or doubt > 0.05 * focal or tilt < LEAST_TILT_DEG:
        raise ValueError(
            f"the pictures do not fix the lens (the board is tilted by {tilt:.0f} deg at most); "
            "tilt it by 15 to 30 deg in some of them, or give the flat one alone"
        )
    return np.asarray(matrix), tuple(float(v) for v in np.ravel(lens)[:4])


def _undistorted(points: Points, matrix: NDArray[Any], lens: Sequence[float]) -> Points:
    if not lens:
        return np.asarray(points, np.float64)
    column = np.asarray(points, np.float64)[:, None]
    flat = cv2.undistortPoints(column, matrix, np.array(lens), P=matrix)
    return np.asarray(flat).reshape(-1, 2)


def _mapped(matrix: NDArray[Any], points: Points) -> Points:
    column = np.asarray(points, np.float64)[:, None]
    return np.asarray(cv2.perspectiveTransform(column, matrix)).reshape(-1, 2)


def _rows(matrix: NDArray[Any]) -> Matrix:
    a, b, c = ((float(r[0]), float(r[1]), float(r[2])) for r in matrix)
    return (a, b, c)
