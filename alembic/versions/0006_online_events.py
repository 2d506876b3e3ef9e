"""Portals know the secret of their online events (as a hash), and that such an event told of news.

Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")


def _columns() -> list[sa.Column]:
    return [
        sa.Column(
            "application_token_hash",
            sa.String(length=64),
            nullable=True,
            comment="SHA-256 of the secret that online events carry; NULL: no installation told it",
        ),
        sa.Column(
            "hinted_at",
            UTC_TIME,
            nullable=True,
            comment="When an online event told of news that no turn has read yet; NULL: none",
        ),
    ]


def upgrade() -> None:
    """What is there already stays: MariaDB commits each column by itself, and a half-done upgrade is repeated."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("portals")}
    for column in _columns():
        if column.name not in there:
            op.add_column("portals", column)


def downgrade() -> None:
    """What the columns held is lost: online events are refused until the application is installed again."""
    for column in _columns():
        op.drop_column("portals", column.name)
