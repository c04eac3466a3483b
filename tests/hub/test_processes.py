"""Two hubs, each a process of its own, on one PostgreSQL and one S3 bucket: every record once (S20,
I5)."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from centre_and_stations import Served, Site, alarms_at, count, records_at, records_here

from inspector.store import signing_key
from inspector.store.merkle import EMPTY_ROOT, leaf_hash, root_of
from inspector.sync import segment
from inspector.sync.centre import Link
from inspector.sync.enrol import SyncError
from inspector.trial import wait_for
from training.hub import tables
from training.hub.hub import open_hub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TURNS, PARTS = 6, 40


@contextmanager
def hubs(home: Path, database: str, bucket: str, number: int) -> Iterator[list[tuple[str, int]]]:
    """So many ``training hub serve`` as a plant group starts them: address and process id."""
    children, addresses = [], []
    try:
        for index in range(number):
            address = home / f"address-{index}"
            with (home / f"hub-{index}.log").open("wb") as log:
                child = subprocess.Popen(
                    [
                        sys.executable, "-m", "training.cli", "hub", "serve", "--home", str(home),
                        "--database", database, "--blobs", bucket, "--port", "0",
                        "--address-file", str(address),
                    ],
                    stdout=log, stderr=log,
                )  # fmt: skip
            children.append(child)
            addresses.append(address)
        for index, (child, address) in enumerate(zip(children, addresses, strict=True)):
            listens = wait_for(address.exists, 120.0, lambda c=child: c.poll() is None)  # type: ignore[misc]
            assert listens, (home / f"hub-{index}.log").read_text()
        yield [(a.read_text(), c.pid) for a, c in zip(addresses, children, strict=True)]
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_two_hub_processes_take_every_record_once(
    tmp_path: Path, database: str, bucket: str, another: Callable[[str], Site]
) -> None:
    """Four stations, each in turn at either hub; each turn's records are sent to both at once
    again; one hub is killed in the middle."""
    home = tmp_path / "hub"
    here = open_hub(home, database, bucket)
    sites = [another(f"ST-{number}") for number in range(4)]
    with hubs(home, database, bucket, 2) as running:
        (one, pid), (two, _) = running
        known = {site.name: site.enrol(Served(here, one)) for site in sites}
        failed: list[BaseException] = []

        def work(site: Site) -> None:
            try:
                for turn in range(TURNS):
                    site.inspect(PARTS)
                    with suppress(SyncError):  # the hub is killed meanwhile: another one is asked
                        site.rounds((one, two)[turn % 2]).round()
                    site.close()
                    if turn == TURNS // 2 and site is sites[0]:
                        subprocess.run(["kill", "-9", str(pid)], check=True)
                site.rounds(two).round()
                site.close()
                _again_at_once(site, known[site.name], [two, two])
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(site,)) for site in sites]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed, failed
        served = Served(here, two)
        for site in sites:
            assert records_at(served, site.name) == records_here(site.data)
        assert count(served, tables.Verdict) == count(served, tables.Gate)
        assert count(served, tables.Verdict) == len(sites) * TURNS * PARTS
        assert not alarms_at(served)
    here.close()


def test_the_same_records_at_both_hubs_at_once_count_once(
    tmp_path: Path, database: str, bucket: str, another: Callable[[str], Site]
) -> None:
    home = tmp_path / "hub"
    here = open_hub(home, database, bucket)
    site = another("ST-1")
    with hubs(home, database, bucket, 2) as running:
        addresses = [address for address, _ in running]
        known = site.enrol(Served(here, addresses[0]))
        site.inspect(PARTS)
        _again_at_once(site, known, addresses * 3)
        served = Served(here, addresses[0])
        assert count(served, tables.Verdict) == PARTS and count(served, tables.Segment) == 1
        assert records_at(served, site.name) == records_here(site.data)
    here.close()


def _again_at_once(site: Site, known: object, addresses: list[str]) -> None:
    """All records of the station's line in one segment, to every address at the same time."""
    key = signing_key(site.data)
    records = records_here(site.data)
    roots = (EMPTY_ROOT, root_of([leaf_hash(record) for record in records]))
    packed = segment.pack(site.name, "line", 0, records, roots, [], key)
    sizes: list[int] = []

    def send(address: str) -> None:
        link = Link(type(known)(address, known.key), site.name, key)  # type: ignore[attr-defined,call-arg]
        receipt, _ = link.segment(packed)
        sizes.append(receipt.line)
        link.close()

    threads = [threading.Thread(target=send, args=(address,)) for address in addresses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [len(records)] * len(addresses)
