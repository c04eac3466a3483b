"""What tests of several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images: ``INSPECTOR_REAL_DATA`` or ``../shared/data``; skips without."""
    folder = Path(os.environ.get("INSPECTOR_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"REAL DATA MISSING: {folder}; set INSPECTOR_REAL_DATA")
    return folder


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
