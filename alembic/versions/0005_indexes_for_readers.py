"""Indexes for the questions that people ask: whose the open tasks are, what is overdue, how full a week is.

Most tasks of a portal are completed, so the open ones get indexes of their own, in place of two of all tasks. Who has
one portal does not name it in a query, so it does not come first.

Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

OPEN = sa.text("deleted_at IS NULL AND (status IS NULL OR status <> 5)")


def upgrade() -> None:
    where = {"sqlite_where": OPEN, "postgresql_where": OPEN}
    op.create_index("ix_tasks_open_responsible", "tasks", ["responsible_id", "portal_id", "deadline"], **where)
    op.create_index("ix_tasks_open_deadline", "tasks", ["deadline", "portal_id"], **where)
    op.drop_index("ix_tasks_portal_id_responsible_id_status", "tasks")
    op.drop_index("ix_tasks_portal_id_deadline", "tasks")
    op.create_index("ix_calendar_occurrences_starts_at_portal_id", "calendar_occurrences", ["starts_at", "portal_id"])
    op.drop_index("ix_calendar_occurrences_portal_id_starts_at", "calendar_occurrences")


def downgrade() -> None:
    op.create_index("ix_calendar_occurrences_portal_id_starts_at", "calendar_occurrences", ["portal_id", "starts_at"])
    op.drop_index("ix_calendar_occurrences_starts_at_portal_id", "calendar_occurrences")
    op.create_index("ix_tasks_portal_id_deadline", "tasks", ["portal_id", "deadline"])
    op.create_index("ix_tasks_portal_id_responsible_id_status", "tasks", ["portal_id", "responsible_id", "status"])
    op.drop_index("ix_tasks_open_deadline", "tasks")
    op.drop_index("ix_tasks_open_responsible", "tasks")
