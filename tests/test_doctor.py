"""The doctor compares what is installed with what is asked for."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from inspector import doctor


def test_the_doctor_names_a_package_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [
        "a==1.2.3",
        "b>=2.10",
        "c>=2.10",
        "d[x]==1.0",
        "e>=1",
        "g<2,>=1.1",
        'f; extra == "test"',
    ]
    there = {"a": "1.2.4", "b": "2.9.9", "c": "2.10.0", "d": "1.0", "g": "1.10rc1+cpu"}

    def version(name: str) -> str:
        if name not in there:
            raise PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr("inspector.doctor.importlib.metadata.requires", lambda _: asked)
    monkeypatch.setattr("inspector.doctor.importlib.metadata.version", version)
    told = [(f.what, f.ok, f.found, f.mend) for f in doctor._packages()]
    assert told == [
        ("a", False, "1.2.4", "pip install 'a==1.2.3'"),
        ("b", False, "2.9.9", "pip install 'b>=2.10'"),
        ("c", True, "2.10.0", ""),
        ("d", True, "1.0", ""),
        ("e", False, "missing", "pip install 'e>=1'"),
        ("g", True, "1.10rc1+cpu", ""),
    ]
