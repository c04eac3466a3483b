"""Parts to judge with a recipe: a film set or a snapshot enters, ``Example``s leave.

Imported by the release's and the evaluation's commands, so that both see the same parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from inspector.part import Batch
from inspector.recipe import read
from inspector.virtual.filmset import FilmSet
from training.dataset.row import NO_VIEW, Row
from training.dataset.snapshot import Snapshot, open_snapshot
from training.release import Example

MOST = 120
"""Candidates for a parity set of a dozen parts."""


def of_film(folder: Path, today: date, most: int = MOST, first: int = 0) -> Iterator[Example]:
    """Parts of a film set from ``first`` on, as its batch wants them."""
    films = FilmSet.open(folder)
    batch = Batch(
        f"{films.product}-{films.lot}", films.product, films.product,
        {"lot": films.lot, "date": films.date},
    )  # fmt: skip
    opened = {view: films.film(view, verify=False) for view in ("side", "code")}
    for i in range(first, min(first + most, films.count)):
        frames = {view: film.picture(i) for view, film in opened.items()}
        yield Example(f"{films.lot}-{i}", frames, batch, today)


def of_snapshot(home: Path, ref: str, recipe_file: Path, most: int = MOST) -> list[Example]:
    """Held-out parts of a data set that show every view the recipe needs."""
    snapshot, views = open_snapshot(home, ref), read(recipe_file).views
    found = []
    for rows, there in shown(snapshot, views, "test", "val"):
        found.append(example_of(snapshot, rows, {view: there[view] for view in views}))
        if len(found) >= most:
            break
    return found


def example_of(snapshot: Snapshot, rows: Sequence[Row], there: Mapping[str, Row]) -> Example:
    """One part of a snapshot, with its pictures by view."""
    first = rows[0]
    moment = datetime.fromtimestamp(first.utc_ns / 1e9, UTC).astimezone()
    day = moment.date() if first.utc_ns else date.today()  # the plant's, by this machine's TZ
    return Example(
        first.part or first.image[:16],
        {view: snapshot.picture(row) for view, row in there.items()},
        Batch(first.batch, first.product, first.recipe.partition("@")[0], dict(first.texts)),
        day,
    )


def shown(
    snapshot: Snapshot, views: Sequence[str], *splits: str
) -> Iterator[tuple[list[Row], dict[str, Row]]]:
    """The parts of these splits that show a recipe's views, with their pictures by view. A recipe
    of one view takes the only picture, as on the line, unless its station has a camera that is
    called so; what another tool gave is of any."""
    cameras = {(row.station, row.view) for row in snapshot.rows}
    for rows in snapshot.parts(*splits):
        there = {row.view: row for row in rows}
        if len(views) == 1 and len(there) == 1:
            ((view, only),) = there.items()
            if view == NO_VIEW or (only.station, views[0]) not in cameras:
                there = {views[0]: only}
        if set(views) <= set(there):
            yield rows, there
