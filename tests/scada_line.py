"""A running line, and SCADA processes beside it that tests start with sections of their own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from asyncua import Client
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography.x509.oid import ExtendedKeyUsageOID
from ruamel.yaml import YAML

from inspector.bus import run_dir
from inspector.identity import Principal, Role, Users
from inspector.trial import Trial

SYSTEM = Principal("test", frozenset({Role.SYSTEM}))
PASSWORD = "a long enough password"


class ScadaProcess:
    """``inspector.plant.scada`` on a trial's run directory."""

    def __init__(self, trial: Trial, folder: Path, section: dict[str, Any]) -> None:
        self.trial, self.run = trial, run_dir(trial.data)
        yaml = YAML(typ="safe")
        station = yaml.load(trial.station_file.read_text()) | {"scada": section}
        self.file = trial.station_file.with_name(f"{folder.name}.yaml")
        with self.file.open("w") as file:
            yaml.dump(station, file)
        self.log = folder / "scada.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *waits_for: str) -> None:
        """Start it, and wait until it has published ``waits_for`` in the run directory."""
        for name in waits_for:
            (self.run / name).unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "inspector.plant.scada", str(self.file), str(self.run)],
                stderr=log,
            )
        deadline = time.monotonic() + 40
        while not all((self.run / name).exists() for name in waits_for):
            assert self.process.poll() is None, "the SCADA process died"
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.02)

    def read(self, name: str) -> str:
        """A published address."""
        return (self.run / name).read_text()

    def stop(self) -> None:
        """In order, as its supervisor would."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)


def people(trial: Trial) -> None:
    """The station's users that SCADA systems sign in as."""
    users = Users(trial.data)
    known = {who.id for who in users.all()}
    roles = {
        "olga": Role.OPERATOR,
        "mes": Role.MACHINE,
        "audit": Role.AUDITOR,
        "mqtt": Role.MACHINE,
    }
    for name, role in roles.items():
        if name not in known:
            users.add_user(name, [role], password=PASSWORD, principal=SYSTEM)


async def client_of(url: str, folder: Path, user: str, password: str = PASSWORD) -> Client:
    """An OPC UA client with a certificate of its own, signing and encrypting."""
    uri = "urn:test:scada"
    key, certificate = folder / "client.pem", folder / "client.der"
    await setup_self_signed_certificate(
        key,
        certificate,
        uri,
        "localhost",
        [ExtendedKeyUsageOID.CLIENT_AUTH],
        {"commonName": "scada"},
    )
    client = Client(url, timeout=10)
    client.application_uri = uri
    await client.set_security(SecurityPolicyBasic256Sha256, str(certificate), str(key))
    client.set_user(user)
    client.set_password(password)
    return client
