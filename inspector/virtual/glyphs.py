"""The shapes of printed characters, as data: dot matrices and strokes. Imported by `print` alone.

Two alphabets of 5×7 dots (the common one of character displays, and one with other digits) and one
of strokes on an 8×12 grid, from which 7×9 dots and continuous lines are made.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Dots = NDArray[np.float32]
"""``(n, 2)``: column and row of each dot."""

MATRIX_5X7 = {
    "0": "0E 11 13 15 19 11 0E",
    "1": "04 0C 04 04 04 04 0E",
    "2": "0E 11 01 02 04 08 1F",
    "3": "1F 02 04 02 01 11 0E",
    "4": "02 06 0A 12 1F 02 02",
    "5": "1F 10 1E 01 01 11 0E",
    "6": "06 08 10 1E 11 11 0E",
    "7": "1F 01 02 04 08 08 08",
    "8": "0E 11 11 0E 11 11 0E",
    "9": "0E 11 11 0F 01 02 0C",
    "A": "0E 11 11 1F 11 11 11",
    "B": "1E 11 11 1E 11 11 1E",
    "C": "0E 11 10 10 10 11 0E",
    "D": "1C 12 11 11 11 12 1C",
    "E": "1F 10 10 1E 10 10 1F",
    "F": "1F 10 10 1E 10 10 10",
    "G": "0E 11 10 17 11 11 0F",
    "H": "11 11 11 1F 11 11 11",
    "I": "0E 04 04 04 04 04 0E",
    "J": "07 02 02 02 02 12 0C",
    "K": "11 12 14 18 14 12 11",
    "L": "10 10 10 10 10 10 1F",
    "M": "11 1B 15 15 11 11 11",
    "N": "11 11 19 15 13 11 11",
    "O": "0E 11 11 11 11 11 0E",
    "P": "1E 11 11 1E 10 10 10",
    "Q": "0E 11 11 11 15 12 0D",
    "R": "1E 11 11 1E 14 12 11",
    "S": "0F 10 10 0E 01 01 1E",
    "T": "1F 04 04 04 04 04 04",
    "U": "11 11 11 11 11 11 0E",
    "V": "11 11 11 11 11 0A 04",
    "W": "11 11 11 15 15 15 0A",
    "X": "11 11 0A 04 0A 11 11",
    "Y": "11 11 11 0A 04 04 04",
    "Z": "1F 01 02 04 08 10 1F",
    ".": "00 00 00 00 00 0C 0C",
    ":": "00 0C 0C 00 0C 0C 00",
    "/": "00 01 02 04 08 10 00",
    "-": "00 00 00 1F 00 00 00",
    " ": "00 00 00 00 00 00 00",
}
"""Seven rows of five bits, the left column the highest bit."""

MATRIX_5X7_OTHER = MATRIX_5X7 | {
    "0": "04 0A 11 11 11 0A 04",
    "1": "04 0C 14 04 04 04 1F",
    "2": "0E 11 01 06 08 10 1F",
    "3": "0E 11 01 06 01 11 0E",
    "4": "10 12 12 1F 02 02 02",
    "6": "0E 10 10 1E 11 11 0E",
    "7": "1F 01 01 02 02 04 04",
    "9": "0E 11 11 0F 01 01 0E",
    "A": "04 0A 11 11 1F 11 11",
    "D": "1E 11 11 11 11 11 1E",
    "G": "0E 11 10 13 11 11 0E",
    "J": "01 01 01 01 01 11 0E",
    "M": "11 1B 15 11 11 11 11",
    "N": "11 19 19 15 13 13 11",
    "S": "0E 11 10 0E 01 11 0E",
    "W": "11 11 11 11 15 1B 11",
}

STROKES = {
    "0": "30 50 72 7a 5c 3c 1a 12 30",
    "1": "13 40 4c|1c 7c",
    "2": "02 20 60 82 84 0c 8c",
    "3": "02 20 60 82 84 66 36|66 88 8a 6c 2c 0a",
    "4": "6c 60 09 89",
    "5": "80 10 05 55 87 8a 6c 2c 0a",
    "6": "70 40 05 0a 2c 6c 8a 88 66 26 08",
    "7": "00 80 82 3c",
    "8": "26 04 02 20 60 82 84 66 26 08 0a 2c 6c 8a 88 66",
    "9": "84 66 26 04 02 20 60 82 87 4c 1c",
    "A": "0c 40 8c|28 68",
    "B": "00 0c 6c 8a 88 66 06|66 84 82 60 00",
    "C": "82 60 20 02 0a 2c 6c 8a",
    "D": "00 0c 5c 89 83 50 00",
    "E": "80 00 0c 8c|06 66",
    "F": "80 00 0c|06 66",
    "G": "82 60 20 02 0a 2c 6c 8a 87 57",
    "H": "00 0c|80 8c|06 86",
    "I": "20 60|40 4c|2c 6c",
    "J": "80 8a 6c 2c 0a",
    "K": "00 0c|80 07|35 8c",
    "L": "00 0c 8c",
    "M": "0c 00 46 80 8c",
    "N": "0c 00 8c 80",
    "O": "20 60 82 8a 6c 2c 0a 02 20",
    "P": "0c 00 60 82 85 67 07",
    "Q": "20 60 82 8a 6c 2c 0a 02 20|58 8c",
    "R": "0c 00 60 82 85 67 07|47 8c",
    "S": "82 60 20 02 04 26 66 88 8a 6c 2c 0a",
    "T": "00 80|40 4c",
    "U": "00 0a 2c 6c 8a 80",
    "V": "00 4c 80",
    "W": "00 2c 45 6c 80",
    "X": "00 8c|80 0c",
    "Y": "00 46 80|46 4c",
    "Z": "00 80 0c 8c",
    ".": "3b 5b 5c 3c 3b",
    ":": "33 53 54 34 33|39 59 5a 3a 39",
    "/": "80 0c",
    "-": "16 76",
    " ": "",
}
"""Polylines on a grid of 8 × 12; each point is two hexadecimal digits, x and y."""

CHARACTERS = "".join(MATRIX_5X7)
"""Every character that can be printed."""


@lru_cache(maxsize=256)
def matrix_dots(character: str, other: bool) -> Dots:
    """The dots of a 5×7 character."""
    rows = (MATRIX_5X7_OTHER if other else MATRIX_5X7)[character].split()
    dots = [
        (column, row)
        for row, bits in enumerate(rows)
        for column in range(5)
        if int(bits, 16) >> (4 - column) & 1
    ]
    return np.array(dots, np.float32).reshape(-1, 2)


def polylines(character: str) -> list[NDArray[np.float32]]:
    """The strokes of a character, each ``(n, 2)``, scaled so that it is 1 wide and 1 high."""
    return [
        np.array([(int(point[0], 16) / 8, int(point[1], 16) / 12) for point in line.split()], "f4")
        for line in STROKES[character].split("|")
        if line
    ]


@lru_cache(maxsize=256)
def stroke_dots(character: str, columns: int, rows: int) -> Dots:
    """The dots that a print head of ``columns`` × ``rows`` makes of a character's strokes."""
    dots = set()
    for line in polylines(character):
        points = line * (columns - 1, rows - 1)
        for start, end in pairwise(points):
            steps = max(1, int(np.ceil(np.abs(end - start).max())))
            for t in np.linspace(0, 1, steps + 1):
                column, row = start + (end - start) * t
                dots.add((int(column + 0.5), int(row + 0.5)))
    return np.array(sorted(dots), np.float32).reshape(-1, 2)
