"""One hub: a database, blobs, a key. All of it is in what it was given, so that several may run.

Enters: a folder, or URLs. Leaves: a `Hub` that `app`, the command line and tests work with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.engine import Engine

from inspector.store.errors import StoreError
from inspector.store.keys import signing_key
from training.hub.blobs import BlobError, Blobs, open_blobs
from training.hub.database import HubError, open_database
from training.hub.enrolment import own_key
from training.hub.ingest import Ingest

DATABASE = "hub.db"
BLOBS = "blobs"


@dataclass(frozen=True, slots=True)
class Hub:
    """What a request is answered from."""

    engine: Engine
    blobs: Blobs
    key: Ed25519PrivateKey
    utc_ns: Callable[[], int] = time.time_ns
    ingest: Ingest = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ingest", Ingest(self.engine, self.blobs, self.key, self.utc_ns))

    def close(self) -> None:
        """Lets go of the database."""
        self.engine.dispose()


def open_hub(
    home: Path,
    database: str = "",
    blobs: str = "",
    utc_ns: Callable[[], int] = time.time_ns,
) -> Hub:
    """The hub whose key lies in ``home/keys``; its database and blobs too, unless URLs are given.

    Raises:
        HubError: the database or the blobs cannot be reached, or belong to another centre.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        key = signing_key(home, "hub")
        engine = open_database(database or f"sqlite:///{(home / DATABASE).resolve()}")
        try:
            with engine.begin() as connection:
                own_key(connection, key)
            return Hub(engine, open_blobs(blobs or home / BLOBS), key, utc_ns)
        except BaseException:
            engine.dispose()
            raise
    except (StoreError, BlobError) as error:
        raise HubError(str(error)) from error
    except OSError as error:
        raise HubError(f"{home}: {error.strerror}") from error
