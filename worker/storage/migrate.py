"""The way from one revision of the schema to another.

One process migrates at a time: the others wait for a lock of the database and then find nothing left to do.
"""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from worker.errors import SchemaError
from worker.storage.models import Base
from worker.storage.resume import resumed
from worker.storage.revisions import refuse_newer, scripts
from worker.storage.session import Database

LOCK_KEY = 8_624_001  # PostgreSQL names advisory locks by number
LOCK_NAME = "b24sync_migrate"
LOCK_SECONDS = 60
TABLE_SECONDS = 10

# Alembic keeps the migration under way in a global of its module.
_one_in_this_process = threading.Lock()


def upgrade(db: Database, revision: str = "head") -> None:
    """Bring the database to `revision`, from empty or from an older one."""
    refuse_newer(db)
    with _migrating(db) as config:
        command.upgrade(config, revision)


def downgrade(db: Database, revision: str) -> None:
    """Take the database back to `revision` (`base`: to nothing). For tests and for people who know why."""
    refuse_newer(db)
    with _migrating(db) as config:
        command.downgrade(config, revision)


def check(db: Database) -> list[str]:
    """How the database's tables differ from the models; empty when they do not."""
    with db.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        return [str(difference) for difference in compare_metadata(context, Base.metadata)]


def _config() -> Config:
    """Alembic's settings, made in code: an installed program has no pyproject.toml beside it."""
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    return config


@contextmanager
def _migrating(db: Database) -> Iterator[Config]:
    """Alembic's settings with a connection in them, while nobody else migrates."""
    engine = db.migration_engine()
    try:
        with _one_in_this_process, _lock(engine), engine.connect() as connection:
            config = _config()
            config.attributes["connection"] = connection
            if db.dialect == "sqlite":
                # One transaction around it all: it begins with BEGIN IMMEDIATE, and so is the lock as well.
                with connection.begin():
                    yield config
                    _check_foreign_keys(connection)
            else:
                _wait_briefly(connection)
                with resumed(connection) if db.dialect == "mysql" else nullcontext():
                    yield config
    finally:
        engine.dispose()


@contextmanager
def _lock(engine: Engine) -> Iterator[None]:
    """Wait for the right to migrate: a lock of the server's, held by a connection of its own.

    Not by the transaction of the migration: MariaDB commits with every DDL statement, and PostgreSQL builds an index
    CONCURRENTLY outside of transactions only.
    """
    dialect = engine.dialect.name
    if dialect == "sqlite":
        yield
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not (_taken_postgresql if dialect == "postgresql" else _taken_mariadb)(connection):
            raise SchemaError(f"another process has been migrating this database for {LOCK_SECONDS} s: try again")
        yield  # closing the connection gives the lock back


def _taken_postgresql(connection: Connection) -> bool:
    connection.execute(text(f"SET lock_timeout = '{LOCK_SECONDS}s'"))
    try:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
    except OperationalError:  # the timeout
        return False
    return True


def _taken_mariadb(connection: Connection) -> bool:
    name = f"{LOCK_NAME}.{connection.engine.url.database}"[:64]  # such names belong to the whole server
    statement = text("SELECT GET_LOCK(:name, :seconds)")
    return bool(connection.scalar(statement, {"name": name, "seconds": LOCK_SECONDS}) == 1)


def _wait_briefly(connection: Connection) -> None:
    """A migration that waits for a table makes everybody behind it wait as well: it gives up soon."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET lock_timeout = '{TABLE_SECONDS}s'"))
    else:
        connection.execute(text(f"SET SESSION lock_wait_timeout = {TABLE_SECONDS}"))
    connection.commit()


def _check_foreign_keys(connection: Connection) -> None:
    """They were not enforced meanwhile."""
    broken = connection.execute(text("PRAGMA foreign_key_check")).first()
    if broken is not None:
        raise SchemaError(f"the migration would leave rows without their parent in {broken[0]}: nothing was changed")
