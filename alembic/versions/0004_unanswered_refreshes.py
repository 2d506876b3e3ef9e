"""A refresh leaves a trace before it is sent, so that a lost answer can be told from a lost authorization.

Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("oauth_tokens") as table:
        table.add_column(
            sa.Column(
                "unanswered",
                sa.Integer(),
                nullable=False,
                server_default="0",
                comment="Refreshes of this pair that were begun and whose end is unknown",
            )
        )


def downgrade() -> None:
    with op.batch_alter_table("oauth_tokens") as table:
        table.drop_column("unanswered")
