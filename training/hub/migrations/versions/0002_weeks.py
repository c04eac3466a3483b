"""Verdicts, findings and gate decisions by week (on PostgreSQL in partitions)"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from training.hub import weeks

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BEFORE = (
    "COALESCE((SELECT v.utc_ns FROM verdict v WHERE v.station_id = {0}.station_id"
    " AND v.position < {0}.position ORDER BY v.position DESC LIMIT 1), 0)"
)
"""The instant of the last verdict before a row."""
OF_IT = (
    "COALESCE((SELECT v.utc_ns FROM verdict v WHERE v.station_id = {0}.station_id"
    " AND v.position = {0}.position), 0)"
)
COLUMNS = {
    "finding": (
        "station_id", "position", "number", "tool", "kind", "label", "view", "severity", "score",
        "box", "text", "value", "reason",
    ),
    "gate": ("station_id", "stream_at", "sequence", "position", "action", "acknowledged"),
    "verdict": (
        "station_id", "position", "context", "sequence", "outcome", "utc_ns", "part", "serial",
    ),
}  # fmt: skip
"""As they were. Verdicts come last: the others ask them when they were."""
INDEXES = {"verdict": ("verdict_part", "verdict_serial"), "finding": ("ix_finding_label",)}


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table, when in (("finding", OF_IT), ("gate", BEFORE)):
            op.add_column(
                table, sa.Column("utc_ns", sa.BigInteger(), nullable=False, server_default="0")
            )
            op.execute(f"UPDATE {table} SET utc_ns = {when.format(table)}")
        return
    for table in COLUMNS:
        _set_aside(table)
    _create(sliced=True)
    connection = op.get_bind()
    weeks.begin(connection)
    hours = connection.execute(sa.text("SELECT DISTINCT utc_ns / 3600000000000 FROM was_verdict"))
    for monday in sorted({weeks.monday_of(hour) for (hour,) in hours}):
        weeks.make(connection, monday)
    for table, columns in COLUMNS.items():
        names = ", ".join(f'"{name}"' for name in columns)
        when = {"finding": OF_IT, "gate": BEFORE}.get(table, "").format(f"was_{table}")
        when = when.replace("FROM verdict v", "FROM was_verdict v")
        also, value = (", utc_ns", f", {when}") if when else ("", "")
        op.execute(f"INSERT INTO {table} ({names}{also}) SELECT {names}{value} FROM was_{table}")
    for table in COLUMNS:
        op.drop_table(f"was_{table}")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in ("finding", "gate"):
            op.drop_column(table, "utc_ns")
        return
    for table in COLUMNS:
        _set_aside(table)
    _create(sliced=False)
    for table, columns in COLUMNS.items():
        names = ", ".join(f'"{name}"' for name in columns)
        op.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM was_{table}")
        op.execute(f"DROP TABLE was_{table} CASCADE")
    op.execute(f"DROP SCHEMA {weeks.SCHEMA}")


def _set_aside(table: str) -> None:
    """Renames the table, its key and its indexes, so that the new one may have their names."""
    op.rename_table(table, f"was_{table}")
    op.execute(f"ALTER INDEX {table}_pkey RENAME TO was_{table}_pkey")
    for index in INDEXES.get(table, ()):
        op.execute(f"ALTER INDEX {index} RENAME TO was_{index}")


def _create(*, sliced: bool) -> None:
    when: Sequence[str] = ("utc_ns",) if sliced else ()
    by = {"postgresql_partition_by": "RANGE (utc_ns)"} if sliced else {}

    def instant() -> list[sa.Column]:
        return [sa.Column("utc_ns", sa.BigInteger(), nullable=False)] if sliced else []

    op.create_table(
        "verdict",
        sa.Column("station_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("context", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.LargeBinary(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("station_id", "position", *when, name="verdict_pkey"),
        **by,
    )
    op.create_index("verdict_part", "verdict", ["part"])
    op.create_index(
        "verdict_serial", "verdict", ["serial"], postgresql_where=sa.text("serial IS NOT NULL")
    )
    op.create_table(
        "finding",
        sa.Column("station_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        *(sa.Column(n, sa.Text(), nullable=False) for n in ("tool", "kind", "label", "view")),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("box", sa.JSON(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        *instant(),
        sa.PrimaryKeyConstraint("station_id", "position", "number", *when, name="finding_pkey"),
        **by,
    )
    op.create_index("ix_finding_label", "finding", ["label"])
    op.create_table(
        "gate",
        sa.Column("station_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stream_at", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.SmallInteger(), nullable=False),
        sa.Column("acknowledged", sa.SmallInteger(), nullable=False),
        *instant(),
        sa.PrimaryKeyConstraint(
            "station_id", "stream_at", "sequence", "position", *when, name="gate_pkey"
        ),
        **by,
    )
