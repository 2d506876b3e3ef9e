"""What the alert webhook was told, so that nothing is told twice.

Revises: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql")
UTC_TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "sqlite_autoincrement": True,
}


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column("kind", sa.String(length=32), nullable=False, comment="account, portal, guard or stale"),
        sa.Column(
            "subject",
            sa.String(length=191),
            nullable=False,
            comment="The account (accounts.id), or the resource; empty: the portal",
        ),
        sa.Column(
            "state", sa.String(length=32), nullable=False, comment="raised (it is the matter) or healed (it is over)"
        ),
        sa.Column("episode", sa.BigInteger(), nullable=False, comment="How often it has begun"),
        sa.Column("since", UTC_TIME, nullable=False, comment="When it began (our clock)"),
        sa.Column("text", TEXT, nullable=False, comment="What is the matter, for the person"),
        sa.Column("cure", TEXT, nullable=False, comment="The command that helps"),
        sa.Column("is_told", sa.Boolean(), nullable=False, comment="Whether the webhook knows the state"),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="How often it was tried to tell it"),
        sa.Column(
            "next_try_at",
            UTC_TIME,
            nullable=True,
            comment="Not tried before this: a pause, or somebody is telling it; NULL: at once",
        ),
        sa.ForeignKeyConstraint(["portal_id"], ["portals.id"], name="fk_alerts_portal_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("portal_id", "kind", "subject", name="pk_alerts"),
        comment="What the alert webhook was told: nothing is told twice",
        **OPTIONS,
    )


def downgrade() -> None:
    """What was told is forgotten: what is the matter would be told once more."""
    op.drop_table("alerts")
