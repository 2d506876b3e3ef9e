"""${message}

Revises: ${down_revision | comma,n}
"""
<%doc>The rules below are for the writer: follow them, then delete them.</%doc>
# Rules for a migration (delete them when they are followed):
#  1. It stands alone: nothing is imported from worker/, whose models will have moved on when it runs.
#  2. It runs on SQLite, PostgreSQL and MariaDB: types with variants as in 0001; `op.batch_alter_table` for SQLite.
#  3. The program before it must run on the schema after it: add a column as nullable, fill it, and demand it only
#     in the next release. Never rename: add, copy, drop a release later.
#  4. Every table and column has a comment. Every constraint has a name.
#  5. It is short: a lock on a table is given up after 10 seconds. An index on a large table is made plainly, but on
#     PostgreSQL (ask `op.get_context().dialect.name`) CONCURRENTLY, in `with op.get_context().autocommit_block():`.
#  6. MariaDB commits every DDL statement by itself: one change per migration, so that a failed one can be repeated.
#  7. Rows are moved by SQL, not by Python, and a test shows that they survive.
#  8. `downgrade` restores the schema; it may lose what the new columns held, and says so.
#  9. A view is dropped and created again when a table under it changes.
# 10. The changelog gets an "Upgrading" line.

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
