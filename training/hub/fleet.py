"""What the fleet page shows: every station, how it does, how far it has come (S20).

Enters: the database. Leaves: plain rows for pages and ``training hub fleet``. Nothing is scanned:
the sums come from hourly tallies.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from training.hub import tables
from training.hub.index import HOUR_NS

SILENT_NS = 5 * 60_000_000_000
"""A station that has not been heard of for so long is shown as away."""


@dataclass(frozen=True, slots=True)
class StationRow:
    """One line of the page."""

    name: str
    site: str
    line: str
    parts: int
    """In production (mode auto), in the hours asked for."""
    passed: int
    rejected: int
    errors: int
    first_pass: float | None
    """Passed of all parts; None where there are none."""
    recipe: str
    models: list[str]
    software: str
    batch: str
    behind: int
    """Records that it owes, by its own word."""
    seen_utc_ns: int
    newest_utc_ns: int
    """Of its newest verdict here, by its own clock."""
    away: bool
    alarms: int
    revoked: bool

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def fleet(connection: Connection, utc_ns: int, hours: int = 24) -> list[StationRow]:
    """Every station, by site, line and name."""
    since = utc_ns // HOUR_NS - hours
    counts = _counts(connection, since)
    newest = _newest_contexts(connection)
    ledger, alarm = tables.Ledger, tables.Alarm
    newest_ns = select(ledger.station_id, ledger.utc_ns).where(ledger.name == "line")
    standing = (
        select(alarm.station_id, func.count())
        .where(alarm.closed_by == "")
        .group_by(alarm.station_id)
    )
    times = dict(connection.execute(newest_ns).all())
    alarms = dict(connection.execute(standing).all())
    station = tables.Station
    rows = []
    for row in connection.execute(
        select(station).order_by(station.site, station.line, station.name)
    ):
        passed, rejected, errors, skipped = counts.get(row.id, (0, 0, 0, 0))
        parts = passed + rejected + errors + skipped
        context = newest.get(row.id)
        report = row.report if isinstance(row.report, dict) else {}
        behind = report.get("behind")
        rows.append(
            StationRow(
                name=row.name,
                site=row.site,
                line=row.line,
                parts=parts,
                passed=passed,
                rejected=rejected,
                errors=errors,
                first_pass=passed / parts if parts else None,
                recipe=context.recipe if context else "",
                models=list(context.models) if context else [],
                software=context.software if context else str(report.get("software") or ""),
                batch=context.batch if context else "",
                behind=sum(n for n in behind.values() if isinstance(n, int))
                if isinstance(behind, dict)
                else 0,
                seen_utc_ns=row.seen_utc_ns,
                newest_utc_ns=times.get(row.id, 0),
                away=utc_ns - row.seen_utc_ns > SILENT_NS,
                alarms=alarms.get(row.id, 0),
                revoked=bool(row.revoked),
            )
        )
    return rows


def hourly(connection: Connection, station_id: int, utc_ns: int, hours: int = 24) -> list[Any]:
    """``(hour, passed, rejected, errors)`` of one station, oldest first."""
    tally, context = tables.Tally, tables.Context
    rows = connection.execute(
        select(tally.hour, tally.outcome, func.sum(tally.parts))
        .join(
            context,
            (context.station_id == tally.station_id) & (context.position == tally.context),
        )
        .where(
            tally.station_id == station_id,
            tally.hour > utc_ns // HOUR_NS - hours,
            context.mode == 0,
        )
        .group_by(tally.hour, tally.outcome)
    )
    found: dict[int, list[int]] = {}
    for hour, outcome, parts in rows:
        found.setdefault(hour, [0, 0, 0, 0])[outcome] = int(parts)
    return [(hour, *found[hour][:3]) for hour in sorted(found)]


def defects(connection: Connection, station_id: int, since_ns: int) -> list[Any]:
    """``(tool, label, parts)`` of what was wrong most in production, newest days only."""
    finding, verdict, context = tables.Finding, tables.Verdict, tables.Context
    return list(
        connection.execute(
            select(
                finding.tool,
                finding.label,
                func.count(func.distinct(finding.position)).label("parts"),
            )
            .join(
                verdict,
                (verdict.station_id == finding.station_id)
                & (verdict.position == finding.position)
                & (verdict.utc_ns == finding.utc_ns),
            )
            .join(context, _context_of(verdict))
            .where(finding.station_id == station_id, finding.utc_ns >= since_ns, context.mode == 0)
            .group_by(finding.tool, finding.label)
            .order_by(func.count(func.distinct(finding.position)).desc())
            .limit(20)
        )
    )


def newest_rejects(connection: Connection, station_id: int, limit: int = 50) -> list[Any]:
    """The newest parts of production that did not pass, newest first; who was not inspected was
    not rejected."""
    verdict, context = tables.Verdict, tables.Context
    return list(
        connection.execute(
            select(verdict)
            .join(context, _context_of(verdict))
            .where(
                verdict.station_id == station_id,
                verdict.outcome.in_((1, 2)),
                context.mode == 0,
            )
            .order_by(verdict.position.desc())
            .limit(limit)
        )
    )


def _context_of(verdict: Any) -> Any:
    context = tables.Context
    return (context.station_id == verdict.station_id) & (context.position == verdict.context)


def _counts(connection: Connection, since: int) -> dict[int, tuple[int, int, int, int]]:
    tally, context = tables.Tally, tables.Context
    rows = connection.execute(
        select(tally.station_id, tally.outcome, func.sum(tally.parts))
        .join(
            context,
            (context.station_id == tally.station_id) & (context.position == tally.context),
        )
        .where(tally.hour > since, context.mode == 0)
        .group_by(tally.station_id, tally.outcome)
    )
    found: dict[int, list[int]] = {}
    for station_id, outcome, parts in rows:
        found.setdefault(station_id, [0, 0, 0, 0])[outcome] = int(parts)
    return {station_id: (c[0], c[1], c[2], c[3]) for station_id, c in found.items()}


def _newest_contexts(connection: Connection) -> dict[int, Any]:
    """Of each station's newest verdict: a context that comes again, such as after a rush order or a
    roll-back, is no new record."""
    context, ledger, verdict = tables.Context, tables.Ledger, tables.Verdict
    newest = (
        select(verdict.context)
        .where(
            verdict.station_id == ledger.station_id,
            verdict.utc_ns >= ledger.utc_ns - HOUR_NS,  # on PostgreSQL: one week of them all
        )
        .order_by(verdict.position.desc())
        .limit(1)
        .scalar_subquery()
    )
    of_station = (
        select(ledger.station_id, newest.label("position"))
        .where(ledger.name == "line")
        .cte("newest")
        .prefix_with("MATERIALIZED")
    )
    rows = connection.execute(
        select(context).join(
            of_station,
            (context.station_id == of_station.c.station_id)
            & (context.position == of_station.c.position),
        )
    )
    return {row.station_id: row for row in rows}
