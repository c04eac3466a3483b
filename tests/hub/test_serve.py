"""What a hub cannot be served with is said in words, before anybody is told an address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from centre_and_stations import certificate
from typer.testing import CliRunner

from training.cli import app
from training.hub.database import HubError


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["--certificate", "absent.pem"], "absent.pem and the same file: .*No such file"),
        (["--certificate", "hub.pem", "--private-key", "hub.pem"], "no certificate in PEM and its"),
        (["--private-key", "hub.key"], "need --certificate"),
        (["--client-ca", "hub.pem"], "need --certificate"),
        (["--client-ca", "hub.pem", "--workers", "2"], "need --certificate"),
        (["--certificate", "hub.pem", "--private-key", "hub.key", "--client-ca", "hub.key"],
         "hub.key: no certificate in PEM to know others by"),
    ],
)  # fmt: skip
def test_certificates_of_no_use_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], why: str
) -> None:
    """One was a traceback, one named no file; and whoever asked for certificates of stations and
    had none to show was served in the clear, and asked nobody."""
    monkeypatch.chdir(tmp_path)
    certificate(tmp_path, "hub")
    done = CliRunner().invoke(app, ["hub", "serve", "--port", "0", *given])
    assert isinstance(done.exception, HubError), done.output
    assert re.search(why, str(done.exception))
