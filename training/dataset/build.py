"""From records to rows: a station's data folder, or the centre's database, enters; drafts leave.

Each draft is a picture that a person has judged (or, where asked for, the station alone), with its
way back to the exact record: station, position, leaf. Imports the store's readers and the hub's
tables; the command line and ``loop`` import this.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from inspector.part import Outcome, PartId, Verdict
from inspector.store import History, schema
from inspector.store.circumstance import batch_of
from inspector.store.errors import RecordError
from inspector.store.merkle import leaf_hash
from inspector.store.records import BatchChange
from training.dataset.alike import alike, print_of
from training.dataset.labels import (
    Review,
    Truth,
    complaint_of,
    joined,
    review_of,
    truth_of,
)
from training.dataset.row import Draft, Row
from training.dataset.snapshot import SnapshotError, decode
from training.dataset.split import split
from training.hub.blobs import BlobError, open_blobs


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which parts a data set is to have; the defaults take every reviewed one."""

    products: tuple[str, ...] = ()
    stations: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    since_utc_ns: int = 0
    until_utc_ns: int = 1 << 63
    unreviewed: bool = False
    """Also parts that no person has judged, with the station's own verdict as their truth."""
    val: float = 0.15
    test: float = 0.2
    """Shares of the parts that choose, and that measure."""
    trust: Mapping[str, float] | None = None
    """Weight of a reviewer's word, by name; 1 where none is given."""


@dataclass(frozen=True, slots=True)
class _Source:
    """One part with everything that is known of it."""

    verdict: Verdict
    position: int
    record: bytes
    product: str
    texts: Mapping[str, str]
    reviews: tuple[Review, ...]
    pictures: tuple[tuple[str, str, Callable[[], bytes]], ...]
    """View, digest, and how to read it."""
    reason: str
    probability: float


def from_station(data: Path, wanted: Wanted | None = None) -> tuple[list[Draft], dict[str, Any]]:
    """Drafts from one station's data folder, and what they were made from."""
    wanted = wanted or Wanted()
    sources = list(_of_station(data, wanted))
    drafts = finish(_drafts(sources, wanted), wanted.val, wanted.test)
    names = sorted({s.verdict.station for s in sources})
    return drafts, {"stations": names, "folder": data.name, "parts": len(sources)}


def from_hub(
    database: str, blobs: str, wanted: Wanted | None = None
) -> tuple[list[Draft], dict[str, Any]]:
    """Drafts from the centre's database and blob store, and what they were made from."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    from training.hub.database import connect, reading

    wanted = wanted or Wanted()
    engine = connect(database)
    shown = make_url(database).render_as_string(hide_password=True)
    file = engine.url.database if engine.url.get_backend_name() == "sqlite" else None
    if file is not None and not Path(file).is_file():
        raise SnapshotError(f"{shown}: there is no database of a centre there")
    try:
        # reads alone: the centre goes on taking in what stations send
        with reading(engine) as connection:
            sources = list(_of_hub(connection, open_blobs(blobs), wanted))
    except SQLAlchemyError as error:
        raise SnapshotError(f"{shown}: {getattr(error, 'orig', error)}") from None
    except (RecordError, BlobError) as error:
        raise SnapshotError(str(error)) from None
    finally:
        engine.dispose()
    drafts = finish(_drafts(sources, wanted), wanted.val, wanted.test)
    names = sorted({s.verdict.station for s in sources})
    return drafts, {"stations": names, "hub": True, "parts": len(sources)}


def finish(
    drafts: Iterable[Draft], val: float = 0.15, test: float = 0.2, keep_splits: bool = False
) -> list[Draft]:
    """Near-duplicates found, splits drawn."""
    drafts = list(drafts)
    by_view: dict[str, list[int]] = defaultdict(list)
    for index, draft in enumerate(drafts):
        by_view[draft.row.view].append(index)
    rows = [draft.row for draft in drafts]
    for indices in by_view.values():
        prints = [print_of(decode(drafts[i].content, rows[i].image)) for i in indices]
        for here, first in enumerate(alike(prints)):
            if first != here and rows[indices[first]].image != rows[indices[here]].image:
                rows[indices[here]] = replace(rows[indices[here]], alike=rows[indices[first]].image)
    if not keep_splits:
        rows = split(rows, val, test)
    return [Draft(row, d.content) for row, d in zip(rows, drafts, strict=True)]


def _drafts(sources: Sequence[_Source], wanted: Wanted) -> Iterator[Draft]:
    cameras: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        cameras[source.verdict.station].update(view for view, *_ in source.pictures)
    for source in sources:
        verdict = source.verdict
        findings = verdict.findings
        if len(cameras[verdict.station]) == 1:
            # older records name it as the recipe calls its one view
            (only,) = cameras[verdict.station]
            findings = tuple(replace(f, view=only) if f.view else f for f in findings)
        truth = truth_of(source.reviews, wanted.trust)
        if truth is None:
            if not wanted.unreviewed or verdict.outcome not in (Outcome.PASS, Outcome.REJECT):
                continue
            truth = Truth(verdict.outcome.value, (), 0, 1.0)
        for view, digest, read in source.pictures:
            if wanted.views and view not in wanted.views:
                continue
            with suppress(OSError, SnapshotError, BlobError):
                content = read()
                pixels = decode(content, digest)
                row = Row(
                    image=digest,
                    view=view,
                    width=pixels.shape[1],
                    height=pixels.shape[0],
                    truth=truth.outcome,
                    labels=joined(truth, findings, view),
                    station=verdict.station,
                    position=source.position,
                    record=leaf_hash(source.record).hex(),
                    part=str(verdict.part_id),
                    stream=verdict.stream,
                    sequence=verdict.sequence,
                    batch=verdict.batch,
                    product=source.product,
                    recipe=verdict.recipe,
                    recipe_digest=verdict.recipe_digest,
                    texts=tuple(sorted(source.texts.items())),
                    utc_ns=verdict.times.utc_ns,
                    outcome=verdict.outcome.value,
                    reason=source.reason,
                    probability=source.probability,
                    reviewers=truth.reviewers,
                    agreement=round(truth.agreement, 4),
                    light=round(float(pixels.mean()), 2),
                )
                yield Draft(row, content)


def _of_station(data: Path, wanted: Wanted) -> Iterator[_Source]:
    reviews: dict[str, list[Review]] = defaultdict(list)
    shadowed: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    line = schema.open_reader(data / schema.LINE_FILE)
    try:
        with History(data, bound_s=60.0) as history:
            for record in history.desk("review", 1_000_000):
                with suppress(KeyError, TypeError, ValueError):
                    reviews[str(record.body["part"])].append(
                        review_of(record.body, record.principal, record.utc_ns)
                    )
            for record in history.desk("shadow", 1_000_000):
                shadowed[str(record.body.get("part"))] += list(record.body.get("images", ()))
            parts = (
                history.last(1_000_000)
                if wanted.unreviewed
                else [p for u in reviews if (p := history.part(PartId(UUID(u)))) is not None]
            )
            for part in parts:
                verdict, name = part.verdict, str(part.verdict.part_id)
                lot = batch_of(history, part)
                if not _fits(verdict, lot.product, wanted):
                    continue
                body = line.execute(
                    "SELECT body FROM record WHERE position = ?", (part.position,)
                ).fetchone()[0]
                kept = {i.view: (i.digest, data / i.path) for i in part.images}
                for image in shadowed[name]:
                    kept.setdefault(
                        str(image["view"]), (str(image["sha256"]), data / str(image["path"]))
                    )
                reason = "shadow" if shadowed[name] and not part.images else "archive"
                yield _Source(
                    verdict, part.position, body, lot.product, lot.texts,
                    tuple(reviews[name]),
                    tuple((v, d, path.read_bytes) for v, (d, path) in sorted(kept.items())),
                    reason, 0.0,
                )  # fmt: skip
    finally:
        line.close()


def _of_hub(connection: Any, blobs: Any, wanted: Wanted) -> Iterator[_Source]:
    from sqlalchemy import select

    from training.hub import tables as t
    from training.hub.records import Records

    names = {s.id: s.name for s in connection.execute(select(t.Station.id, t.Station.name))}
    reviews: dict[tuple[int, bytes], list[Review]] = defaultdict(list)
    for r in connection.execute(select(*t.Review.__table__.columns)):
        body = {
            "labels": r.labels, "decision": r.decision, "outcome": r.outcome, "view": r.view,
        }  # fmt: skip
        with suppress(KeyError, TypeError, ValueError):
            reviews[r.station_id, bytes(r.part)].append(review_of(body, r.principal, r.utc_ns))
    for c in connection.execute(
        select(*t.Complaint.__table__.columns).where(t.Complaint.part.is_not(None))
    ):
        word = complaint_of(c.label, c.made_by, c.made_utc_ns)
        reviews[c.station_id, bytes(c.part)].append(word)
    lots: dict[tuple[int, str], list[Any]] = defaultdict(list)
    for b in connection.execute(
        select(
            t.BatchChange.station_id, t.BatchChange.batch, t.BatchChange.product,
            t.BatchChange.position,
        ).order_by(t.BatchChange.position.desc())
    ):  # fmt: skip
        lots[b.station_id, b.batch].append(b)
    samples: dict[tuple[int, bytes], list[Any]] = defaultdict(list)
    for s in connection.execute(select(*t.Sample.__table__.columns).order_by(t.Sample.id)):
        samples[s.station_id, bytes(s.part)].append(s)
    records = Records(connection, blobs)
    for (station, part), chosen in samples.items():
        if not wanted.unreviewed and not reviews[station, part]:
            continue
        if wanted.stations and names.get(station) not in wanted.stations:
            continue
        position = connection.execute(
            select(t.Verdict.position)
            .where(t.Verdict.part == part, t.Verdict.station_id == station)
            .order_by(t.Verdict.position.desc())
        ).scalar()
        if position is None:
            continue
        body = records.body(station, position)
        verdict = records.read(station, body)
        if not isinstance(verdict, Verdict):
            continue
        changes = lots[station, verdict.batch]
        lot = next((c for c in changes if c.position < position), None)
        product = lot.product if lot else ""
        if not _fits(verdict, product, wanted):
            continue
        change = records.record(station, lot.position) if lot else None
        pictures = tuple((s.view, s.digest, partial(blobs.get, s.digest)) for s in chosen)
        yield _Source(
            verdict, position, body, product,
            change.texts if isinstance(change, BatchChange) else {},
            tuple(reviews[station, part]), pictures,
            chosen[0].reason, chosen[0].probability or 0.0,
        )  # fmt: skip


def _fits(verdict: Verdict, product: str, wanted: Wanted) -> bool:
    return (
        (not wanted.products or product in wanted.products)
        and (not wanted.stations or verdict.station in wanted.stations)
        and wanted.since_utc_ns <= verdict.times.utc_ns < wanted.until_utc_ns
        and verdict.outcome is not Outcome.NOT_INSPECTED
    )
