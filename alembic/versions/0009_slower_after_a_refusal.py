"""Request budgets remember that the portal refused, and go slower for a while.

Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def _columns() -> list[sa.Column]:
    return [
        sa.Column(
            "slow",
            sa.Double(),
            server_default="1",
            nullable=False,
            comment="Which part of per_second we took at slowed_at; it grows back",
        ),
        sa.Column(
            "slowed_at",
            sa.Double(),
            server_default="0",
            nullable=False,
            comment="When the portal last refused for its rate, Unix time",
        ),
    ]


def upgrade() -> None:
    """What is there already stays: MariaDB commits each column by itself, and a half-done upgrade is repeated."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("request_budgets")}
    for column in _columns():
        if column.name not in there:
            op.add_column("request_budgets", column)


def downgrade() -> None:
    """Every portal is asked at its whole rate again."""
    for column in _columns():
        op.drop_column("request_budgets", column.name)
