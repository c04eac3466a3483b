"""The process itself: rates, TLS, its end, and its place in the station's table."""

from __future__ import annotations

import asyncio
import datetime
import http.client
import re
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from ruamel.yaml import YAML

from inspector.config import Calendar, ConfigError, load_station
from inspector.config import Plant as PlantPlan
from inspector.identity import Role, Users
from inspector.plant.door import Buckets, Door, Keys
from inspector.processes import table


@pytest.fixture
def start(tmp_path: Path, plants: Any) -> Iterator[Callable[[str], Any]]:
    """Starts a plant process with more settings of its section; over a ledger without parts."""
    from inspector.store import LineLedger

    started: list[Any] = []

    def make(settings: str) -> Any:
        LineLedger.open(tmp_path / "data", station="s").close()
        started.append(plants(tmp_path, settings))
        started[-1].start()
        return started[-1]

    yield make
    for plant in started:
        plant.kill()


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    now = [0.0]
    buckets = Buckets(10.0, 5, most=2, clock=lambda: now[0])
    assert [buckets.wait_s("a") for _ in range(5)] == [0.0] * 5
    assert buckets.wait_s("a") == pytest.approx(0.1)
    assert buckets.wait_s("b") == 0.0
    now[0] = 0.1
    assert buckets.wait_s("a") == 0.0
    assert buckets.wait_s("a") > 0.0
    now[0] = 100.0
    assert [buckets.wait_s("a") for _ in range(6)].count(0.0) == 5


@pytest.mark.parametrize("spoil", [Path.unlink, lambda file: file.write_bytes(b"none" * 999)])
def test_users_that_cannot_be_read_are_a_problem(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    """As while a back-up is brought back: the MES read a word of the server's own, and the log
    filled with tracebacks."""
    keys = Keys(tmp_path, Users(tmp_path))
    spoil(tmp_path / "users.db")

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Door(nobody, keys, 10.0, 10))
        async with httpx.AsyncClient(transport=transport, base_url="http://station") as mes:
            return await mes.get("/api/v1/status", headers={"X-API-Key": "insp_x"})

    async def nobody(*_: Any) -> None:
        raise AssertionError("somebody came in")

    reply = asyncio.run(ask())
    assert (reply.status_code, reply.json()["type"][-8:]) == (503, "no-users")
    assert reply.headers["retry-after"] == "5"


def test_one_key_that_asks_too_often_waits_and_the_others_do_not(start: Any) -> None:
    plant = start(", rate_per_s: 2, burst: 5")
    greedy = plant.client(plant.key("greedy", Role.MACHINE))
    calm = plant.client(plant.key("calm", Role.MACHINE))
    replies = [greedy.get("/status") for _ in range(12)]
    refused = [reply for reply in replies if reply.status == 429]
    assert len(refused) >= 4
    assert int(refused[0].headers["retry-after"]) >= 1
    assert refused[0].headers["content-type"] == "application/problem+json"
    assert calm.get("/status").status == 200


def test_a_station_without_a_part_yet_answers(start: Any) -> None:
    plant = start("")
    mes = plant.client(plant.key("mes", Role.MACHINE))
    assert mes.get("/parts").json == {"items": [], "next": None}
    assert mes.get("/batches").json["items"] == []
    assert mes.get("/holds").json["items"] == []
    why = {"reason": "r", "requester": "q"}
    assert mes.post("/rejects", {"sequence": {"number": 1}, **why}).status == 404
    assert mes.post("/rejects", {"batch": "A", **why}).status == 404


def test_it_speaks_tls_where_it_has_a_certificate(start: Any, tmp_path: Path) -> None:
    certify(tmp_path)
    plant = start(", certificate: tls.pem, private_key: tls.key")
    assert plant.url.startswith("https://")
    trust = ssl.create_default_context(cafile=tmp_path / "tls.pem")
    host = plant.url.split("//")[1].rstrip("/")
    connection = http.client.HTTPSConnection(host, context=trust, timeout=20)
    connection.request("GET", "/api/v1/status", headers={"X-API-Key": plant.key("m", Role.QA)})
    assert connection.getresponse().status == 200
    connection.close()


def test_it_ends_when_told_to_though_somebody_listens(start: Any) -> None:
    plant = start("")
    client = http.client.HTTPConnection(plant.url.split("//")[1].rstrip("/"), timeout=20)
    headers = {"X-API-Key": plant.key("mes", Role.MACHINE)}
    client.request("GET", "/api/v1/events", headers=headers)
    assert client.getresponse().readline().startswith(b"retry")
    plant.process.terminate()
    began = time.monotonic()
    plant.process.wait(20)
    assert time.monotonic() - began < 5.0  # the supervisor's patience
    client.close()


def test_it_runs_where_the_station_file_asks_for_it(tmp_path: Path, plants: Any) -> None:
    plant = plants(tmp_path, "")
    rows = {process.name: process.module for process in table(load_station(plant.file))}
    assert rows["plant"] == "inspector.plant.process"
    text = plant.file.read_text()
    plant.file.write_text(text[: text.index("plant:")])
    assert "plant" not in {process.name for process in table(load_station(plant.file))}
    plant.file.write_text(text.replace("port: 0}", "port: 0, certificate: x}"))
    with pytest.raises(ConfigError, match="both `certificate` and `private_key`"):
        load_station(plant.file)


def test_the_pages_settings_are_settings(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "mes.md").read_text()
    blocks = [YAML(typ="safe").load(b) for b in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    plans = [PlantPlan.model_validate(block["plant"]) for block in blocks]
    assert plans[1].rules[0].output == 2 and plans[1].webhooks[0].name == "mes"
    calendar = Calendar.model_validate(blocks[0]["calendar"])
    assert list(calendar.shifts) == ["early", "late", "night"]


def certify(folder: Path) -> None:
    """A certificate for 127.0.0.1 that signs itself."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "station")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
