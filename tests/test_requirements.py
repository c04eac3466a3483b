"""The matrix of requirements and tests is current, and no invariant is without a test."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "matrix"


@pytest.fixture(scope="module")
def matrix() -> ModuleType:
    """``scripts/matrix`` as a module."""
    loader = importlib.machinery.SourceFileLoader("matrix", str(SCRIPT))
    spec = importlib.util.spec_from_loader("matrix", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    write, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = write
    return module


def test_the_page_is_current() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_invariant_lacks_a_test(matrix: ModuleType) -> None:
    found = matrix.shown_by()
    assert not [name for name in matrix.INVARIANTS if not found[name]]


def test_names_and_ranges_are_read(matrix: ModuleType) -> None:
    assert matrix.named("after (I4), S11–S13 and S1; not S70, SHA256 or I10") == {
        "I4", "S11", "S12", "S13", "S1",
    }  # fmt: skip
