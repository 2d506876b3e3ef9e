"""How portals behave, as probed.

Revises: 0007
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql")
UTC_TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")


def upgrade() -> None:
    op.create_table(
        "portal_capabilities",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column("name", sa.String(length=191), nullable=False, comment="What was probed, such as tasks.order"),
        sa.Column(
            "value",
            sa.String(length=32),
            nullable=False,
            comment="yes, no, unknown (nothing to look at) or a word of its own",
        ),
        sa.Column("evidence", TEXT, nullable=False, comment="What was seen; nothing personal"),
        sa.Column("probed_at", UTC_TIME, nullable=False, comment="When (our clock)"),
        sa.ForeignKeyConstraint(
            ["portal_id"], ["portals.id"], name="fk_portal_capabilities_portal_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("portal_id", "name", name="pk_portal_capabilities"),
        comment="How portals behave, as probed; docs/capabilities.md explains each name",
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("portal_capabilities")
