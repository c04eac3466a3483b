"""The cameras' page in a real browser: live figures, features into the station file. (S8, I9)"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from inspector.cameras.features import Feature
from inspector.config import load_station
from inspector.identity import Role

FEATURES = [
    Feature("ExposureTime", "float", "RW", 800.0, 10.0, 10_000.0, None, "us", (), "How long."),
    Feature("GainAuto", "enumeration", "RW", "Off", entries=("Off", "Once"), tooltip="Gain."),
    Feature("DeviceModelName", "string", "RO", "Virtual", tooltip="The model."),
]


@pytest.fixture
def told(web: Any) -> Iterator[Path]:
    """Camera ``side`` is open and has told its features; the station file is as it was after."""
    file: Path = web.run / "camera-side.features.json"
    file.write_text(json.dumps([asdict(one) for one in FEATURES]))
    station: Path = web.data.parent / "station.yaml"
    before = station.read_text()
    station.write_text(before + "# the light is a ring, 24 V\n")
    yield station
    station.write_text(before)
    file.unlink()


def sign_in(web: Any, page: Any, role: Role, language: str = "en") -> Any:
    token, _ = web.session(role, name="erik")
    page.context.add_cookies([
        {"name": "inspector", "value": token, "url": web.url},
        {"name": "language", "value": language, "url": web.url},
    ])  # fmt: skip
    page.set_default_timeout(20_000)
    page.goto(f"{web.url}desk/cameras")
    page.locator(".features tbody tr").first.wait_for()
    return page


def test_the_live_picture_has_focus_exposure_and_a_histogram(
    web: Any, page: Any, line: Callable[..., Any], told: Path
) -> None:
    line("--rate", "8")
    sign_in(web, page, Role.ENGINEER)

    page.wait_for_function("document.querySelector('.aids .figure').textContent !== '–'")
    assert page.locator("canvas.picture").evaluate("c => [c.width, c.height]") == [640, 480]
    # 16 blocks of 40 px, some white, on grey 90: edges are there, little is saturated
    assert float(page.locator(".aids .figure").inner_text().replace(",", "")) > 5
    mean = float(page.locator(".shares dd").nth(2).inner_text())
    assert 70 < mean < 110
    assert page.locator(".aids .note").inner_text()


def test_a_feature_goes_into_the_station_file_with_its_comments(
    web: Any, page: Any, told: Path
) -> None:
    sign_in(web, page, Role.ENGINEER)
    assert "How long." in page.locator(".features tbody").inner_text()
    assert "10 … 10000 us" in page.locator(".features tbody").inner_text()
    assert page.locator("input[name=DeviceModelName]").count() == 0, "read only"
    page.locator("input[name=ExposureTime]").fill("99999")
    page.locator("input[name=ExposureTime]").blur()
    assert page.get_by_role("button", name="Save to station file").is_disabled()

    page.locator("input[name=ExposureTime]").fill("450")
    page.locator("select[name=GainAuto]").select_option("Once")
    page.get_by_role("button", name="Save to station file").click()

    page.get_by_text("when the station next starts").wait_for()
    assert load_station(told).cameras[0].features == {"ExposureTime": 450, "GainAuto": "Once"}
    assert "# the light is a ring, 24 V" in told.read_text()


def test_a_station_that_does_not_answer_is_told_in_words(web: Any, page: Any, told: Path) -> None:
    """What was saved was answered by 0, what was asked for by Failed to fetch."""
    sign_in(web, page, Role.ENGINEER)
    page.expected_errors = ("Failed to load resource",)
    page.route("**/cameras/side/features", lambda route: route.abort())
    page.locator("input[name=ExposureTime]").fill("450")
    page.get_by_role("button", name="Save to station file").click()
    page.locator(".features .note", has_text="The station does not answer").wait_for()

    page.reload()
    page.locator(".features .soft", has_text="The station does not answer").wait_for()


def test_what_the_station_file_cannot_hold_is_not_saved(web: Any, told: Path) -> None:
    client = web.client(Role.ENGINEER, name="erik")
    before = told.read_text()

    unknown = client.post("/cameras/other/features", json={"features": {"Gain": 1}})
    nothing = client.post("/cameras/side/features", json={"features": {}})

    assert (unknown.status_code, nothing.status_code) == (409, 422)
    assert told.read_text() == before
    client.close()


def test_what_cannot_be_recorded_is_not_in_the_station_file(web: Any, told: Path) -> None:
    """It stood there in nobody's name, and no later change of that camera could be recorded."""
    before = told.read_text()
    with web.client(Role.ENGINEER, name="erik") as client:
        answer = client.post("/cameras/side/features", json={"features": {"Gain": 10**60}})
    assert (answer.status_code, "64 bits" in answer.json()["error"]) == (503, True)
    assert told.read_text() == before


def test_the_station_files_check_names_the_file_that_people_know(web: Any, told: Path) -> None:
    with web.client(Role.ENGINEER, name="erik") as client:
        client.headers["content-type"] = "application/json"
        answer = client.post("/cameras/side/features", content='{"features": {"Gain": NaN}}')
    assert answer.status_code == 409
    assert f"{told}:" in answer.json()["error"]
    assert "checked" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"made: 2026-02-31\n", "the file is no YAML"),
        ("# 曝光\n".encode("gbk"), "cannot be read"),
    ],
)
def test_a_station_file_that_was_spoiled_since_is_told_in_words(
    web: Any, told: Path, line: bytes, said: str
) -> None:
    told.write_bytes(told.read_bytes() + line)
    with web.client(Role.ENGINEER, name="erik") as client:
        looked = client.get("/cameras/side/features")
        saved = client.post("/cameras/side/features", json={"features": {"Gain": 1}})
    for answer in (looked, saved):
        assert (answer.status_code, said in answer.json()["error"]) == (409, True)


@pytest.mark.slow
def test_who_looks_for_cameras_is_told_what_to_check_where_there_is_none(
    web: Any, page: Any, told: Path
) -> None:
    sign_in(web, page, Role.ADMIN, "zh")

    page.get_by_role("button", name="查找相机").click()

    page.get_by_text("未发现相机").wait_for()
