"""What portals send otherwise than b24sync knows.

Revises: 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

UTC_TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")


def upgrade() -> None:
    op.create_table(
        "schema_drift",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column("resource", sa.String(length=32), nullable=False, comment="tasks, calendar or users"),
        sa.Column("field", sa.String(length=40), nullable=False, comment="The field's name, as the portal sends it"),
        sa.Column(
            "kind",
            sa.String(length=32),
            nullable=False,
            comment="field (unknown), shape (many for one, one for many) or code (a new word)",
        ),
        sa.Column(
            "example",
            sa.String(length=40),
            nullable=False,
            comment="The kind of its value, or the new word; nothing personal",
        ),
        sa.Column("times", sa.BigInteger(), nullable=False, comment="Runs that met it"),
        sa.Column("first_seen_at", UTC_TIME, nullable=False, comment="When first (our clock)"),
        sa.Column("last_seen_at", UTC_TIME, nullable=False, comment="When last (our clock)"),
        sa.ForeignKeyConstraint(["portal_id"], ["portals.id"], name="fk_schema_drift_portal_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("portal_id", "resource", "field", "kind", name="pk_schema_drift"),
        comment="What portals send otherwise than b24sync knows; kept in raw, and no failure",
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("schema_drift")
