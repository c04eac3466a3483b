"""A real plant process over a real ledger, and a client that knows nothing of FastAPI."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scada_line import people

from inspector.bus import run_dir
from inspector.identity import Principal, Role, Users
from inspector.part import Batch
from inspector.store import ImageArchive, LineLedger
from inspector.store.bench import sample_gate, sample_verdict
from inspector.trial import Plan, Trial, running, wait_for
from inspector.virtual.filmset import render_set

SYSTEM = Principal("test", frozenset({Role.SYSTEM}))
STATION = """
station: BOT-L3-01
site: Hamburg
data: data
recipes: [bottle.yaml]
cameras: [{name: side, serial: V001}]
travel: {gate_mm: 500, pitch_min_mm: 20}
plc: {port: 5020}
web:
batch: {id: L2417A}
plant: {port: 0%s}
"""

RECIPE = """
name: {name}
views: [code]
tools:
  - {{name: light, kind: illumination, view: code, roi: [6, 6, 26, 26], params: {{low: {low}}}}}
"""


DARK = {
    "name": "dark", "label": "light_fault", "count": 3, "within_parts": 50, "output": 3,
    "output_s": 2.0, "maintenance": "clean the light",
}  # fmt: skip


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Plain ``http.client``, one connection, kept alive."""

    def __init__(self, url: str, key: str = "") -> None:
        self.url, self.key = url, key
        host = url.split("//")[1].rstrip("/")
        self._connection = http.client.HTTPConnection(host, timeout=20)

    def __call__(self, method: str, path: str, body: Any = None, /, **headers: str) -> Reply:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key:
            sent.setdefault("Authorization", f"Bearer {self.key}")
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        self._connection.request(method, path, data, sent)
        response = self._connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        reply = Reply(response.status, names, response.read())
        if names.get("connection") == "close":
            self._connection.close()
        return reply

    def get(self, path: str, **headers: str) -> Reply:
        return self("GET", f"/api/v1{path}", **headers)

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        return self("POST", f"/api/v1{path}", body, **headers)

    def close(self) -> None:
        self._connection.close()


class Plant:
    """A plant process that can be killed and started again."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.data = folder / "data"
        self.run = run_dir(self.data)
        self.file = folder / "station.yaml"
        self.file.write_text(STATION % settings)
        self.users = Users(self.data)
        self.process: subprocess.Popen[bytes] | None = None
        self._clients: list[Client] = []

    def start(self) -> None:
        address = self.run / "plant.url"
        address.unlink(missing_ok=True)
        command = [sys.executable, "-m", "inspector.plant.process", str(self.file), str(self.run)]
        self.process = subprocess.Popen(command)
        deadline = time.monotonic() + 40
        while not address.exists():
            assert self.process.poll() is None, "the plant process died"
            assert time.monotonic() < deadline, "the plant process does not listen"
            time.sleep(0.02)
        self.url = address.read_text()

    def kill(self) -> None:
        """``kill -9``."""
        for client in self._clients:
            client.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def key(self, user: str, *roles: Role) -> str:
        """A new user's API key."""
        self.users.add_user(user, roles, principal=SYSTEM)
        return self.users.add_key(user, principal=SYSTEM)

    def revoke(self, user: str) -> None:
        """All keys of a user."""
        self.users.revoke_keys(user, principal=SYSTEM)

    def client(self, key: str) -> Client:
        client = Client(self.url, key)
        self._clients.append(client)
        return client


def fill(data: Path) -> None:
    """120 parts of batch A, 60 of B: each 50th a reject with a picture, each 10th with a serial."""
    pixels = np.random.default_rng(1).integers(0, 256, (48, 64), np.uint8)
    with (
        LineLedger.open(data, station="BOT-L3-01") as ledger,
        ImageArchive(data, reserve_mb=0) as archive,
    ):
        ledger.add_batch(Batch("A", "04012345123456", "bottle", {"lot": "L2417A"}), "begin", "line")
        for number in range(1, 181):
            batch = "A" if number <= 120 else "B"
            if number == 121:
                ledger.add_batch(Batch("A"), "end", "line")
                ledger.add_batch(Batch("B", "04012345123456", "bottle"), "begin", "line")
            verdict = sample_verdict(number, batch=batch, serial=f"S{number}" if number % 10 == 0
                                     else None)  # fmt: skip
            archive.offer(verdict, {"side": pixels})
            ledger.add_verdict(verdict)
            ledger.add_gate(sample_gate(verdict))
            time.sleep(0.0002)  # so that part ids, which grow with the millisecond, differ
        ledger.add_event("alarm", "line", code="air_low", detail="")
        for image in archive.close():
            ledger.add_image(image)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A plant process over 180 parts, without a line."""
    plant = Plant(tmp_path_factory.mktemp("plant"))
    fill(plant.data)
    plant.start()
    yield plant
    plant.kill()


@pytest.fixture(scope="module")
def mes(plant: Plant) -> Client:
    """The MES, with the role of a machine."""
    return plant.client(plant.key("mes", Role.MACHINE))


@pytest.fixture(scope="module")
def auditor(plant: Plant) -> Client:
    """Reads everything, changes nothing."""
    return plant.client(plant.key("auditor", Role.AUDITOR))


@pytest.fixture(scope="session")
def client_of() -> Iterator[Callable[[str, str], Client]]:
    """A client for a URL and a key."""
    clients: list[Client] = []

    def make(url: str, key: str) -> Client:
        clients.append(Client(url, key))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def lines() -> Callable[[Path, float, float], Any]:
    """Starts a station with its plant process: good bottles, endlessly, at a rate, so many seconds
    from the eye to the gate; two recipes that look at the light only."""
    return a_line


@contextmanager
def a_line(folder: Path, rate: float, travel_s: float) -> Iterator[Trial]:
    films = render_set("bottle-line", 43, 12, folder / "films", defect_rate=0.0)
    recipes = []
    for name, low in (("bottle-line", 20), ("juice-line", 20), ("dark-line", 250)):
        recipes.append(folder / f"{name}.yaml")
        recipes[-1].write_text(RECIPE.format(name=name, low=low))
    station = {
        "clock": "trusted",
        "stop.rejects_in_a_row": 0,
        "stop.confirmation_failed": False,
        "stop.light_fault": False,
        "plant": {"port": 0, "rules": [DARK]},
    }
    plan = Plan(
        films, folder, rate, recipes=tuple(recipes), views=("code",), travel_s=travel_s,
        station=station,
    )  # fmt: skip
    with running(plan) as trial:

        def lives() -> bool:
            return trial.station is not None and trial.station.poll() is None

        served = run_dir(trial.data) / "plant.url"
        assert wait_for(served.exists, 60, lives), (folder / "station.log").read_text()[-3000:]
        yield trial


@pytest.fixture(scope="session")
def plants() -> type[Plant]:
    """How a plant process is made: folder, and more settings of its section."""
    return Plant


@pytest.fixture(scope="session")
def full_plant() -> Iterator[Callable[..., Plant]]:
    """A plant process of one's own over the same 180 parts: folder, more settings of its section,
    more sections of the station file."""
    made: list[Plant] = []

    def make(folder: Path, settings: str = "", sections: str = "") -> Plant:
        plant = Plant(folder, settings)
        plant.file.write_text(plant.file.read_text() + sections)
        fill(plant.data)
        made.append(plant)
        plant.start()
        return plant

    yield make
    for plant in made:
        plant.kill()


@pytest.fixture(scope="session")
def scada_trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """One running line for every test that starts a SCADA process of its own beside it."""
    with a_line(tmp_path_factory.mktemp("line"), 5.0, 2.0) as trial:
        people(trial)
        yield trial
