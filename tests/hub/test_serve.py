"""What a hub cannot be served with is said in words, before anybody is told an address."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest
from centre_and_stations import certificate
from typer.testing import CliRunner

from training.cli import app
from training.hub.database import HubError
from training.hub.serve import serve_many


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["--certificate", "absent.pem"], "absent.pem and the same file: .*No such file"),
        (["--certificate", "hub.pem", "--private-key", "hub.pem"], "no certificate in PEM and its"),
        (["--private-key", "hub.key"], "need --certificate"),
        (["--client-ca", "hub.pem"], "need --certificate"),
        (["--client-ca", "hub.pem", "--workers", "2"], "need --certificate"),
        (["--workers", "2"], "each would have another one; name a port"),
        (["--certificate", "hub.pem", "--private-key", "hub.key", "--client-ca", "hub.key"],
         "hub.key: no certificate in PEM to know others by"),
    ],
)  # fmt: skip
def test_what_a_hub_cannot_be_served_with_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], why: str
) -> None:
    """One was a traceback, one named no file; and whoever asked for certificates of stations and
    had none to show was served in the clear, and asked nobody."""
    monkeypatch.chdir(tmp_path)
    certificate(tmp_path, "hub")
    done = CliRunner().invoke(app, ["hub", "serve", "--port", "0", *given])
    assert isinstance(done.exception, HubError), done.output
    assert re.search(why, str(done.exception))


def test_one_of_several_hubs_on_a_port_says_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None did: whoever waited for the file waited for ever."""
    hub, said = tmp_path / "hub", tmp_path / "said"
    both_are_there = f"while [ $(wc -l < {said}) -lt 2 ]; do sleep 0.01; done"
    hub.write_text(f'#!/bin/sh\necho "$@" >> {said}\n{both_are_there}\n')
    hub.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hub))
    before = {sign: signal.getsignal(sign) for sign in (signal.SIGTERM, signal.SIGINT)}
    try:
        serve_many(2, ["--port=8443"], tmp_path / "hub.url")
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
    assert said.read_text().count(f"--address-file={tmp_path / 'hub.url'}") == 1
