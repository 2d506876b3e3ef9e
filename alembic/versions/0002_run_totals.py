"""Sums over all runs: runs are folded and deleted, and what is counted for monitoring must only grow.

Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "sqlite_autoincrement": True,
}


def upgrade() -> None:
    op.create_table(
        "run_totals",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column("resource", sa.String(length=32), nullable=False, comment="tasks, calendar, planner or users"),
        sa.Column("status", sa.String(length=32), nullable=False, comment="ok, incomplete, guarded or failed"),
        sa.Column("runs", sa.BigInteger(), nullable=False, comment="Runs that ended so"),
        sa.Column("fetched", sa.BigInteger(), nullable=False, comment="Records read"),
        sa.Column("inserted", sa.BigInteger(), nullable=False, comment="Rows new"),
        sa.Column("updated", sa.BigInteger(), nullable=False, comment="Rows changed"),
        sa.Column("unchanged", sa.BigInteger(), nullable=False, comment="Rows left as they were"),
        sa.Column("deleted", sa.BigInteger(), nullable=False, comment="Rows marked as deleted"),
        sa.Column("revived", sa.BigInteger(), nullable=False, comment="Rows that came back"),
        sa.Column("rejected", sa.BigInteger(), nullable=False, comment="Records that could not become rows"),
        sa.Column("http_requests", sa.BigInteger(), nullable=False, comment="HTTP requests"),
        sa.Column("calls", sa.BigInteger(), nullable=False, comment="REST calls"),
        sa.Column("retries", sa.BigInteger(), nullable=False, comment="Requests repeated after a failure"),
        sa.Column("refreshes", sa.BigInteger(), nullable=False, comment="Tokens refreshed"),
        sa.Column("waited_seconds", sa.Double(), nullable=False, comment="Time waited for the portal's limits"),
        sa.Column("seconds", sa.Double(), nullable=False, comment="Duration"),
        sa.ForeignKeyConstraint(["portal_id"], ["portals.id"], name="fk_run_totals_portal_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("portal_id", "resource", "status", name="pk_run_totals"),
        comment="Sums over all runs, also those that are deleted: they only grow",
        **OPTIONS,
    )


def downgrade() -> None:
    """The sums are lost; they begin at zero again."""
    op.drop_table("run_totals")
