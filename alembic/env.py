"""Runs migrations: for the program (which hands over a connection) and for the `alembic` command of developers.

The command takes the database from `-x url=...`, else from the settings:

    alembic -x url=postgresql://... upgrade head --sql     writes SQL instead of running it
    alembic revision --autogenerate -m "what changes"

Logging is left as it is: it belongs to whoever runs this.
"""

from typing import Any

from alembic import context
from sqlalchemy import Connection

from worker.config import Settings
from worker.storage.models import Base
from worker.storage.session import Database


def _url() -> str:
    given = context.get_x_argument(as_dictionary=True).get("url")
    return given or Settings.load().database_url


def _options(dialect: str) -> dict[str, Any]:
    return {
        "target_metadata": Base.metadata,
        "compare_type": True,
        # SQLite can only copy a table to alter it.
        "render_as_batch": True,
        # True of SQLite too, since our transactions begin explicitly; not true of MariaDB.
        "transactional_ddl": dialect != "mysql",
        "transaction_per_migration": dialect != "sqlite",
    }


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, **_options(connection.dialect.name))
    with context.begin_transaction():
        context.run_migrations()


def _online() -> None:
    given = context.config.attributes.get("connection")
    if given is not None:
        _migrate(given)
        return
    engine = Database(_url()).migration_engine()
    with engine.begin() as connection:
        _migrate(connection)


def _offline() -> None:
    database = Database(_url())
    context.configure(
        url=database.url, literal_binds=True, dialect_opts={"paramstyle": "named"}, **_options(database.dialect)
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    _offline()
else:
    _online()
