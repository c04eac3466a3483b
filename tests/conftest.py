"""What tests of several rooms share."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings
from real_pictures import there

if TYPE_CHECKING:
    from inspector.part import Pixels
    from inspector.recipe import Recipe

ROOT = Path(__file__).parent.parent

# The same examples at each run: a landing does not hang on luck. `--hypothesis-profile=default`
# goes looking for new ones; what it finds becomes a test of its own.
settings.register_profile("steady", derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images: ``INSPECTOR_REAL_DATA`` or ``../shared/data``; skips without."""
    folder = Path(os.environ.get("INSPECTOR_REAL_DATA") or ROOT.parent / "shared" / "data")
    (folder,) = there([folder] if folder.is_dir() else [], folder)
    return folder


@pytest.fixture
def camera_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CameraBench:
    """Two virtual cameras, ``V001 side`` and ``V002 code``, with noise for films, on one wire."""
    return CameraBench(tmp_path, monkeypatch)


class CameraBench:
    """Films, a wire and the list of devices that this process and its children see."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from inspector.virtual.film import PixelFormat, write_film
        from inspector.virtual.producer import DEVICES, Device, write_devices
        from inspector.virtual.wire import Wire

        noise = np.random.default_rng(1)
        self.folder = folder
        self.side = noise.integers(0, 256, (20, 48, 64), np.uint8)
        self.code = noise.integers(0, 256, (20, 24, 32), np.uint8)
        write_film(folder / "side.film", self.side, 64, 48, PixelFormat.BayerRG8)
        write_film(folder / "code.film", self.code, 32, 24, PixelFormat.Mono8)
        self.wire = Wire.create(folder / "wire")
        self.devices = [
            Device("V001", "side", folder / "side.film", self.wire.path),
            Device("V002", "code", folder / "code.film", self.wire.path),
        ]
        monkeypatch.setenv(DEVICES, str(write_devices(folder / "devices", self.devices)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """An unmarked test over 5 s fails: slow proofs carry their mark."""
    report = yield
    limit = float(os.environ.get("INSPECTOR_TEST_LIMIT_S", "5"))
    late = report.when == "call" and report.passed and call.duration > limit
    if late and item.get_closest_marker("slow") is None:
        report.outcome = "failed"
        report.longrepr = f"took {call.duration:.1f} s; an unmarked test has {limit:g} s"
    return report


@pytest.fixture
def recipe_of(tmp_path: Path) -> Callable[..., Recipe]:
    """Makes a recipe ready from the YAML of its tools; ``{name}`` in it is the digest of a golden
    picture given by that name."""
    from inspector.recipe import load
    from inspector.tools.golden import keep_golden
    from inspector.tools.onnx import Shelf

    def make(tools: str, judges: int = 1, **goldens: Pixels) -> Recipe:
        folder = tmp_path / "recipes"
        folder.mkdir(exist_ok=True)
        for name, pixels in goldens.items():
            tools = tools.replace(f"{{{name}}}", keep_golden(pixels, folder))
        path = folder / "trial.yaml"
        path.write_text(f"name: trial\n{textwrap.dedent(tools)}")
        return load(path, models=Shelf(ROOT / "models", judges=judges))

    return make
