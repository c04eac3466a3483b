"""A recipe's text says which camera shows what its tools look at. (S8)"""

from __future__ import annotations

import pytest

from inspector.web.recipetext import camera_of


@pytest.mark.parametrize(
    ("views", "view", "cameras", "camera"),
    [
        ("", "image", ["cam0"], "cam0"),
        ("views: [side]\n", "side", ["cam0"], "cam0"),
        ("views: [side]\n", "side", ["top", "side"], "side"),
        ("views: [side, top]\n", "top", ["side", "top"], "top"),
    ],
)
def test_a_view_is_shown_by_the_camera_of_its_name_or_by_the_only_one(
    views: str, view: str, cameras: list[str], camera: str
) -> None:
    text = f"name: plate\n{views}tools: [{{name: spots, kind: blob}}]\n"
    assert camera_of(text, view, cameras) == camera
