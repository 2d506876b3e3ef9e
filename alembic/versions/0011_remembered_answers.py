"""What calendars last answered, as digests: an answer that says the same is not read again.

Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "remembered_answers",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column(
            "account_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="Who was answered: accounts.id"
        ),
        sa.Column("calendar_type", sa.String(length=32), nullable=False, comment="user, group or company_calendar"),
        sa.Column(
            "owner_id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="The user or the group; 0: the company",
        ),
        sa.Column(
            "digest",
            sa.String(length=64),
            nullable=False,
            comment="Of the answer and of all that its meaning depends on; an equal one need not be read",
        ),
        sa.Column("records", sa.BigInteger(), nullable=False, comment="Records in it"),
        sa.Column("unchanged", sa.BigInteger(), nullable=False, comment="Those of them that are rows of the mirror"),
        sa.Column("live", sa.BigInteger(), nullable=False, comment="Events of the mirror that it was held against"),
        sa.ForeignKeyConstraint(
            ["portal_id"], ["portals.id"], name="fk_remembered_answers_portal_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("portal_id", "account_id", "calendar_type", "owner_id", name="pk_remembered_answers"),
        comment="What calendars last answered; emptied for a portal whenever anything of its calendars is written",
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("remembered_answers")
