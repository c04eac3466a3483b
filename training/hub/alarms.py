"""Alarms of the centre: what is wrong with a station or with what it sent.

Enters: a code and a sentence. Leaves: a row that stands until a person closes it; the same thing
again is counted, not repeated. The hub's rooms import this.
"""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from training.hub.tables import Alarm


def raise_alarm(
    connection: Connection, station_id: int, code: str, detail: str, utc_ns: int
) -> None:
    """Raises an alarm, or counts one that stands already."""
    standing = connection.execute(
        select(Alarm.id, Alarm.times).where(
            Alarm.station_id == station_id,
            Alarm.code == code[:32],
            Alarm.detail == detail,
            Alarm.closed_by == "",
        )
    ).first()
    if standing is None:
        connection.execute(
            insert(Alarm).values(
                station_id=station_id,
                code=code[:32],
                detail=detail.replace("\0", "\\0"),
                since_utc_ns=utc_ns,
                last_utc_ns=utc_ns,
                times=1,
                closed_by="",
            )
        )
    else:
        connection.execute(
            update(Alarm)
            .where(Alarm.id == standing.id)
            .values(times=standing.times + 1, last_utc_ns=utc_ns)
        )


def close_alarm(connection: Connection, alarm_id: int, principal: str) -> None:
    """Somebody has dealt with it (I9)."""
    connection.execute(
        update(Alarm).where(Alarm.id == alarm_id, Alarm.closed_by == "").values(closed_by=principal)
    )
