"""Process values reach the centre under the desk's seal, once, and no others (S5, I4)."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from centre_and_stations import Served, Site, alarms_at, alarms_here, count
from sqlalchemy import select

from inspector.store.tags import Quality, Sample, Tags
from training.hub import tables


def fill(site: Site, values: list[float | None]) -> None:
    with Tags(site.data, seal_s=0) as tags:
        for number, value in enumerate(values):
            quality = Quality.BAD if value is None else Quality.GOOD
            tags.add([Sample("oven", value, "Cel", 10**18 + number, quality)], "opcua")


def test_what_was_sealed_arrives_once(centre: Served, site: Site) -> None:
    site.enrol(centre)
    fill(site, [71.5, 72.25, None])
    rounds = site.rounds(centre.url)
    assert not rounds.round().troubles
    rounds._memory.keep(tags_sealed=-1)  # it remembers nothing, and sends again
    assert not rounds.round().troubles
    with centre.hub.engine.begin() as connection:
        rows = connection.execute(
            select(tables.Tag.name, tables.Tag.value, tables.Tag.unit, tables.Tag.text)
        ).all()
    assert [tuple(row) for row in rows] == [
        ("oven", 71.5, "Cel", "good"), ("oven", 72.25, "Cel", "good"), ("oven", None, "Cel", "bad"),
    ]  # fmt: skip


def test_a_value_that_was_changed_is_named_and_not_sent(centre: Served, site: Site) -> None:
    site.enrol(centre)
    fill(site, [71.5, 72.25])
    with closing(sqlite3.connect(site.data / "tags.db")) as db, db:
        db.execute("UPDATE sample SET value = 70 WHERE position = 2")
    db.close()
    done = site.rounds(centre.url).round()
    assert done.troubles == ["tags.db samples 2 to 2 are not those that were sealed"]
    assert alarms_at(centre) == alarms_here(site.data) == [("tags", done.troubles[0])]
    assert count(centre, tables.Tag) == 1
