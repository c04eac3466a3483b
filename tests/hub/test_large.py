"""The centre of a plant group: a real PostgreSQL, a real object store, several hubs together
(S20)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from centre_and_stations import (
    Site,
    alarms_at,
    count,
    records_at,
    records_here,
    serving,
)
from sqlalchemy import inspect, select

from inspector.store import signing_key
from inspector.store.merkle import EMPTY_ROOT, leaf_hash, root_of
from inspector.sync import segment
from inspector.sync.enrol import Away
from inspector.sync.receipt import check_receipt
from training.hub import database as database_module
from training.hub import tables
from training.hub.blobs import BlobError, open_blobs
from training.hub.database import HubError, connect, open_database
from training.hub.hub import open_hub
from training.hub.ingest import Sender
from training.hub.records import find_serial, part_at
from training.hub.reindex import reindex


def later() -> int:
    """Three hours on: every hour of parts is over."""
    return time.time_ns() + 3 * 3_600_000_000_000


def test_postgresql_and_s3_hold_what_a_station_sends(
    tmp_path: Path, database: str, bucket: str, site: Site
) -> None:
    hub = open_hub(tmp_path / "hub", database, bucket)
    with serving(hub) as served:
        site.enrol(served)
        site.inspect(150, pictures=True, serial="SN-\u5e8f")
        site.write("review", part=None, note="\0 and \ud800 travel too", share=float("nan"))
        done = site.rounds(served.url, utc_ns=later, samples={"per_hour": 5}).round()
        assert not done.troubles and done.pictures == 8
        assert records_at(served, site.name) == records_here(site.data)
        assert count(served, tables.Verdict) == count(served, tables.Gate) == 150
        with hub.engine.begin() as connection:
            (place, *_) = find_serial(connection, "SN-\u5e8f")
            found = part_at(connection, hub.blobs, place)
            assert found.verdict.sequence == 150 and found.checkpoint is not None
            assert len(found.gates) == 1 and len(found.images) == 1
            digests = connection.execute(select(tables.Sample.digest)).scalars().all()
        assert all(hub.blobs.get(digest) for digest in digests)
        site.close()
    hub.close()


def test_two_hubs_on_one_database_at_once(
    tmp_path: Path, database: str, another: Callable[[str], Site]
) -> None:
    """Both migrate, both take segments of the same stations, in turn and at once."""
    home = tmp_path / "hub"
    signing_key(home, "hub")
    opened = [open_hub(home, database, str(tmp_path / "blobs")) for _ in range(2)]
    with serving(opened[0]) as one, serving(opened[1]) as two:
        sites = [another(f"ST-{number}") for number in range(3)]
        for site in sites:
            site.enrol(one)

        def work(site: Site) -> None:
            for hub in (one, two, one, two):
                site.inspect(30)
                site.rounds(hub.url).round()
                site.close()

        threads = [threading.Thread(target=work, args=(site,)) for site in sites]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for site in sites:
            assert records_at(two, site.name) == records_here(site.data)
        assert count(one, tables.Verdict) == 360 and not alarms_at(one)
    for hub in opened:
        hub.close()


def test_the_same_segment_at_two_hubs_at_once_counts_once(
    tmp_path: Path, database: str, site: Site
) -> None:
    """An answer was late, the station asked another hub of the group."""
    home = tmp_path / "hub"
    opened = [open_hub(home, database, str(tmp_path / "blobs")) for _ in range(2)]
    with serving(opened[0]) as served:
        known = site.enrol(served)
    site.inspect(100)
    key = signing_key(site.data)
    records = records_here(site.data)
    leaves = [leaf_hash(record) for record in records]
    packed = segment.pack(site.name, "line", 0, records, (EMPTY_ROOT, root_of(leaves)), [], key)
    sender = Sender(1, site.name, key.public_key())
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda hub=hub: answers.append(hub.ingest.take(sender, packed)))
        for hub in opened * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sizes = [check_receipt(a["receipt"], site.name, known.key).line for a in answers]
    assert sizes == [len(records)] * 8
    with serving(opened[1]) as served:
        assert count(served, tables.Verdict) == 100 and count(served, tables.Segment) == 1
    for hub in opened:
        hub.close()


def test_a_hub_with_another_key_may_not_join(tmp_path: Path, database: str) -> None:
    open_hub(tmp_path / "one", database, str(tmp_path / "blobs")).close()
    with pytest.raises(HubError, match="belongs to a centre with another key"):
        open_hub(tmp_path / "two", database, str(tmp_path / "blobs"))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_migrations_make_the_tables_that_the_code_means(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    url = (
        f"sqlite:///{tmp_path / 'a.db'}"
        if kind == "sqlite"
        else request.getfixturevalue("database")
    )
    engine = open_database(url)
    with engine.connect() as connection:
        difference = compare_metadata(MigrationContext.configure(connection), tables.Base.metadata)
        assert difference == []
        assert "verdict" in inspect(connection).get_table_names()
    engine.dispose()


def test_a_database_that_cannot_be_reached_is_said_so() -> None:
    with pytest.raises(HubError, match="Connection refused"):
        open_database("postgresql://nobody@127.0.0.1:9/none")
    with pytest.raises(HubError, match="runs on sqlite or postgresql"):
        connect("mysql://x")


def test_a_picture_changed_in_the_bucket_is_named(bucket: str) -> None:
    import boto3

    blobs = open_blobs(bucket)
    digest = blobs.put(b"a picture")
    assert blobs.get(digest) == b"a picture" and list(blobs) == [digest]
    size, pieces = blobs.pieces(digest)
    assert (size, b"".join(pieces)) == (9, b"a picture")
    prefix = bucket.rpartition("/")[2]
    boto3.client("s3").put_object(
        Bucket="centre", Key=f"{prefix}/blob/{digest[:2]}/{digest[2:4]}/{digest}", Body=b"another"
    )
    with pytest.raises(BlobError, match=f"{digest} was changed where it lies"):
        blobs.get(digest)
    with pytest.raises(BlobError, match=r"NoSuchBucket|404"):
        open_blobs("s3://nowhere")


def test_pieces_wait_in_the_bucket_and_become_one(bucket: str) -> None:
    from hashlib import sha256

    one, two = open_blobs(bucket), open_blobs(bucket)  # two hubs
    content = bytes(range(256)) * 40
    digest = sha256(content).hexdigest()
    assert one.add("ST-1", digest, len(content), 0, content[:6000]) == 6000
    assert two.received("ST-1", digest) == 6000 and two.received("ST-2", digest) == 0
    assert two.add("ST-1", digest, len(content), 6000, content[6000:]) == len(content)
    assert one.get(digest) == content and one.received("ST-1", digest) == 0


def test_a_whole_that_is_not_its_digest_may_be_sent_again(tmp_path: Path) -> None:
    from hashlib import sha256

    blobs = open_blobs(tmp_path / "blobs")
    digest = sha256(b"right" * 100).hexdigest()
    blobs.add("s", digest, 500, 0, b"wrong" * 50)
    with pytest.raises(BlobError, match=f"{digest} was changed"):
        blobs.add("s", digest, 500, 250, b"right" * 50)
    assert blobs.received("s", digest) == 0
    assert blobs.add("s", digest, 500, 0, b"right" * 100) == 500


def test_a_station_waits_while_its_index_is_made_again(
    tmp_path: Path, database: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it sent meanwhile was in the index twice: none was made, however often it was begun."""
    monkeypatch.setattr(database_module, "LOCK_WAIT_S", 0.1)
    hub = open_hub(tmp_path / "hub", database)
    with serving(hub) as served:
        site.enrol(served)
        site.write("note")
        site.inspect(20)
        site.rounds(served.url).round()

        def meanwhile(done: int) -> None:
            if done == len(records_here(site.data)):  # the line's; the desk's follow
                site.write("note")
                with pytest.raises(Away, match="lock timeout"):
                    site.rounds(served.url).round()

        with hub.engine.begin() as connection:
            reindex(connection, hub.blobs, 1, meanwhile)
        site.rounds(served.url).round()
        assert records_at(served, site.name, "desk") == records_here(site.data, "desk")
        site.close()
    hub.close()


def test_the_index_can_be_made_again_from_the_segments(
    tmp_path: Path, database: str, site: Site
) -> None:
    hub = open_hub(tmp_path / "hub", database)
    with serving(hub) as served:
        site.enrol(served)
        site.inspect(120, pictures=True)
        site.write("review", part=str(site.inspect(1)[0].part_id), decision="confirm")
        site.rounds(served.url).round()
        site.close()
    names = ("verdict", "gate", "finding", "tally", "image", "review", "context", "event")
    with hub.engine.begin() as connection:
        every = {name: tables.Base.metadata.tables[name] for name in names}
        before = {
            name: sorted(map(repr, connection.execute(table.select())))
            for name, table in every.items()
        }
        assert all(before.values())
        for table in every.values():
            connection.execute(table.delete())
        records = reindex(connection, hub.blobs, 1)
        after = {
            name: sorted(map(repr, connection.execute(table.select())))
            for name, table in every.items()
        }
    assert after == before
    assert records == len(records_here(site.data)) + 1
    hub.close()
