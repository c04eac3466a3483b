"""A centre that listens, and stations that owe it something."""

from __future__ import annotations

import os
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import func, insert, select

from inspector.config import Sync
from inspector.part import PartId
from inspector.store import DeskLedger, ImageRecord, LineLedger, signing_key
from inspector.store.bench import sample_gate, sample_verdict
from inspector.store.merkle import leaf_hash
from inspector.store.related import desk_records
from inspector.store.rows import mark_of
from inspector.sync.centre import Link
from inspector.sync.choose import Chooser
from inspector.sync.enrol import Centre, enrol
from inspector.sync.memory import Memory
from inspector.sync.rounds import Rounds
from training.hub import tables
from training.hub.app import create_app
from training.hub.enrolment import make_token
from training.hub.hub import Hub, open_hub
from training.hub.trees import records_of


@dataclass
class Served:
    """A hub that listens on a port of this machine."""

    hub: Hub
    url: str

    def token(self, station: str = "") -> str:
        """A token for one station."""
        with self.hub.engine.begin() as connection:
            return make_token(connection, self.hub.key, "test", self.hub.utc_ns(), station=station)


@contextmanager
def serving(hub: Hub, nice: int = 0, **settings: Any) -> Iterator[Served]:
    """The hub behind a real socket, in a thread and those that this one starts; these are as
    ``nice`` as a machine of its own would be, where a line on this one is measured."""
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(hub),
            port=0,
            log_config=None,
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=1,
            **settings,
        )
    )

    def run() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
        server.run()

    thread = threading.Thread(target=run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    scheme = "https" if settings.get("ssl_certfile") else "http"
    try:
        yield Served(hub, f"{scheme}://localhost:{port}")
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Served]:
    """A centre on SQLite and a folder."""
    hub = open_hub(tmp_path / "hub")
    with serving(hub) as served:
        yield served
    hub.close()


class Site:
    """A station's data folder, its ledgers growing as a test asks, and its sync."""

    def __init__(self, folder: Path, name: str = "ST-01") -> None:
        self.data = folder
        self.name = name
        self.sequence = 0
        self.announced: list[str] = []
        self._open: list[Any] = []
        self.enrolled: Centre | None = None

    def enrol(self, served: Served, url: str = "", ca: Path | None = None) -> Centre:
        """As `inspector enrol` does."""
        station: Any = SimpleNamespace(data=self.data, station=self.name, site="north", line="f2")
        self.enrolled = enrol(station, url or served.url, served.token(), ca)
        return self.enrolled

    def inspect(self, parts: int, *, pictures: bool = False, **what: Any) -> list[Any]:
        """So many parts go by, each 50th a reject; their records are signed."""
        verdicts = []
        with LineLedger.open(self.data, station=self.name, checkpoint_records=50) as ledger:
            for _ in range(parts):
                self.sequence += 1
                verdict = sample_verdict(self.sequence, **what)
                verdicts.append(verdict)
                ledger.add_verdict(verdict)
                ledger.add_gate(sample_gate(verdict))
                if pictures or verdict.outcome != "pass":
                    ledger.add_image(self.picture(verdict))
                if self.sequence % 20 == 0:
                    ledger.commit()
        return verdicts

    def picture(self, verdict: Any, content: bytes | None = None) -> ImageRecord:
        """A file in the archive and its record."""
        content = content or b"picture of " + verdict.part_id.bytes * 40
        digest = sha256(content).hexdigest()
        path = f"images/2026/11/25/{verdict.batch}/{digest}.jpg"
        (self.data / path).parent.mkdir(parents=True, exist_ok=True)
        (self.data / path).write_bytes(content)
        return ImageRecord(verdict.part_id, "side", digest, path, len(content))

    def write(self, kind: str, principal: str = "anna", /, **body: Any) -> int:
        """A record at the desk."""
        with DeskLedger.open(self.data) as desk:
            return desk.add(kind, body, principal)

    def rounds(
        self,
        url: str,
        *,
        ca: Path | None = None,
        utc_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        zone: tzinfo | None = None,
        **plan: Any,
    ) -> Rounds:
        """The station's sync, as its process makes it."""
        assert self.enrolled is not None
        settings = Sync.model_validate(
            {"hub": url, "cpu_share": 1.0, "acknowledge_s": 0.001, **plan}
        )
        key = signing_key(self.data)
        known = Centre(url, self.enrolled.key)
        link = Link(known, self.name, key, ca)
        memory = Memory(self.data)
        rounds = Rounds(
            self.data,
            self.name,
            settings,
            known,
            link,
            key,
            memory=memory,
            chooser=Chooser(self.data, self.name, settings.samples, memory, utc_ns=utc_ns),
            announce=self.announced.append,
            utc_ns=utc_ns,
            monotonic=monotonic,
            zone=zone,
        )
        self._open += [rounds, link]
        return rounds

    def close(self) -> None:
        """Lets go of what `rounds` opened."""
        for one in self._open:
            one.close()
        self._open.clear()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """One station."""
    made = Site(tmp_path / "station")
    yield made
    made.close()


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Callable[[str], Site]]:
    """Makes more stations, by name."""
    made: list[Site] = []

    def make(name: str) -> Site:
        made.append(Site(tmp_path / name, name))
        return made[-1]

    yield make
    for one in made:
        one.close()


def records_at(served: Served, name: str, ledger: str = "line") -> list[bytes]:
    """Every record that the centre has of a station's ledger, from its segments, in order."""
    with served.hub.engine.begin() as connection:
        station_id = connection.execute(
            select(tables.Station.id).where(tables.Station.name == name)
        ).scalar_one()
        segments = connection.execute(
            select(tables.Segment.digest)
            .where(tables.Segment.station_id == station_id, tables.Segment.ledger == ledger)
            .order_by(tables.Segment.first)
        ).scalars()
        return [
            record
            for digest in segments.all()
            for record in records_of(connection, served.hub.blobs, station_id, digest)
        ]


def records_here(data: Path, ledger: str = "line") -> list[bytes]:
    """Every record of a station's ledger, in order."""
    with closing(sqlite3.connect(data / f"{ledger}.db")) as connection:
        rows = connection.execute("SELECT body FROM record ORDER BY position").fetchall()
    return [body for (body,) in rows]


def count(served: Served, table: Any) -> int:
    """Rows of a table at the centre."""
    with served.hub.engine.begin() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def alarms_at(served: Served) -> list[tuple[str, str]]:
    """Code and detail of every alarm that stands at the centre."""
    with served.hub.engine.begin() as connection:
        rows = connection.execute(select(tables.Alarm.code, tables.Alarm.detail))
        return [(row.code, row.detail) for row in rows]


def alarms_here(data: Path) -> list[tuple[str, str]]:
    """Code and detail of every alarm that sync recorded at the desk."""
    records = desk_records(data, "sync.alarm")
    return [(record.body["code"], record.body["detail"]) for record in records]


def change_record(data: Path, position: int, *, mend_mark: bool) -> None:
    """Flips a bit of a record's last time."""
    connection = sqlite3.connect(data / "line.db", timeout=30.0)
    body = bytearray(
        connection.execute("SELECT body FROM record WHERE position = ?", (position,)).fetchone()[0]
    )
    body[30] ^= 1
    mark = mark_of(leaf_hash(bytes(body)))
    connection.execute("UPDATE record SET body = ? WHERE position = ?", (bytes(body), position))
    if mend_mark:
        connection.execute("UPDATE record SET mark = ? WHERE position = ?", (mark, position))
    connection.commit()
    connection.close()


def wish(served: Served, part: PartId, why: str) -> None:
    """Anna at the centre asks for the pictures of ``part``, of its first station."""
    with served.hub.engine.begin() as connection:
        wanted = select(tables.Image).where(tables.Image.part == part.bytes)
        for image in connection.execute(wanted).all():
            connection.execute(
                insert(tables.Wish).values(
                    station_id=1, digest=image.digest, part=image.part, why=why,
                    made_by="anna", made_utc_ns=1,
                )
            )  # fmt: skip


def station_file(folder: Path, hub: str, **sync: Any) -> Path:
    """A station file in ``folder`` whose data are in ``folder/station``."""
    (folder / "recipe.yaml").write_text(
        "name: bottle\ntools:\n"
        "  - {name: cap, kind: detect, view: side,"
        " params: {model: m/1, threshold: 0.4, thresholds: {dent: 0.6}}}\n"
    )
    lines = "".join(f"  {name}: {value}\n" for name, value in sync.items())
    path = folder / "station.yaml"
    path.write_text(
        f"station: ST-01\nsite: north\nline: f2\ndata: station\nrecipes: [recipe.yaml]\n"
        f"cameras: [{{name: side}}]\nbatch: {{id: B1}}\nsync:\n  hub: {hub}\n{lines}"
    )
    return path


@contextmanager
def demanding(hub: Hub, folder: Path) -> Iterator[tuple[Served, Path, tuple[Path, Path]]]:
    """The centre ``hub`` where nobody is heard without a certificate (mTLS): what it is reached by,
    its own certificate, and a station's with its key."""
    theirs, key = certificate(folder, "centre")
    mine = certificate(folder, "station")
    with serving(
        hub, ssl_certfile=theirs, ssl_keyfile=key, ssl_ca_certs=str(mine[0]),
        ssl_cert_reqs=ssl.CERT_REQUIRED,
    ) as served:  # fmt: skip
        yield served, theirs, mine


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths
