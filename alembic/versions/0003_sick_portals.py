"""Portals remember how often they did not answer (the circuit breaker), and by which clock their dates were set.

Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql")
UTC_TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")


def _columns() -> list[sa.Column]:
    return [
        sa.Column(
            "breaker_failures",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Turns in a row to which the portal gave no answer; 0: it answers",
        ),
        sa.Column(
            "breaker_until",
            UTC_TIME,
            nullable=True,
            comment="Until then the portal is not asked; afterwards a probe is",
        ),
        sa.Column("breaker_reason", TEXT, nullable=True, comment="What the last turn without an answer met"),
        sa.Column(
            "scheduled_at",
            UTC_TIME,
            nullable=True,
            comment="When next_run_at was set (our clock); if that lies ahead, our clock was set back and it is due",
        ),
        sa.Column(
            "clock_ahead_seconds",
            sa.Double(),
            nullable=True,
            comment="How far the portal's clock is ahead of ours; a fall means that it was set back",
        ),
    ]


def upgrade() -> None:
    """What is there already stays: MariaDB commits each column by itself, and a half-done upgrade is repeated."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("portals")}
    for column in _columns():
        if column.name not in there:
            op.add_column("portals", column)


def downgrade() -> None:
    """What the columns held is lost: every portal counts as one that answers."""
    for column in _columns():
        op.drop_column("portals", column.name)
