"""Whatever may come as a frame, for tools that must judge it or say why not."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st


@st.composite
def frames(draw: st.DrawFn, part: st.SearchStrategy[Any], usual: tuple[int, int] = (64, 96)) -> Any:
    """A ``part``, or noise, or plain, of the ``usual`` size among others, or what is no picture."""
    kind = draw(st.sampled_from(["part", "noise", "plain", "wrong"]))
    if kind == "part":
        return draw(part)
    size = draw(st.sampled_from([usual, (1, 1), (1, 300), (300, 1), (5, 7), (40, 40), (90, 130)]))
    shape = draw(st.sampled_from([size, (*size, 3)]))
    if kind == "plain":
        return np.full(shape, draw(st.integers(0, 255)), np.uint8)
    if kind == "noise":
        return np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, shape, np.uint8)
    dtype = draw(st.sampled_from([np.float32, np.uint16, np.int8, bool]))
    other = draw(st.sampled_from([(0, 0), (0, 9, 3), (4,), (4, 4, 4), (2, 3, 3, 3), size]))
    return np.full(other, np.nan if dtype is np.float32 else 1).astype(dtype)
