"""The three databases, each with a database of its own for this process, migrated once and emptied between tests.

Where a server is not up its tests are skipped with the reason. And what the tests of the command line and of the web
pages play on.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from tests.integration.stage import SMALL, Stage
from worker.clock import Clock
from worker.emulator import Emulator
from worker.storage import migrate, schema
from worker.storage.connections import register_account
from worker.storage.models import Account, Base
from worker.storage.session import Database

POSTGRES = "postgresql+psycopg://root@127.0.0.1:5432/postgres"
MARIADB = "mysql+pymysql://root@127.0.0.1:3306/mysql"

SERVED = [
    pytest.param("postgresql", id="postgresql", marks=pytest.mark.postgres),
    pytest.param("mysql", id="mysql", marks=pytest.mark.mariadb),
]
DIALECTS = [pytest.param("sqlite", id="sqlite"), *SERVED]


@contextmanager
def server_database(server: str) -> Iterator[str]:
    """The address of a new, empty database on `server`; dropped at the end."""
    name = f"b24sync_test_{os.getpid()}_{secrets.token_hex(4)}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except OperationalError as error:
        engine.dispose()
        pytest.skip(f"no server at {make_url(server).host}: {str(error.orig).splitlines()[0]}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        force = " WITH (FORCE)" if engine.dialect.name == "postgresql" else ""
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}{force}"))
        engine.dispose()


@contextmanager
def empty_database(dialect: str, folder: Path) -> Iterator[str]:
    """The address of a new, empty database of this dialect."""
    if dialect == "sqlite":
        yield f"sqlite:///{folder / secrets.token_hex(4) / 'b24sync.db'}"
        return
    with server_database(POSTGRES if dialect == "postgresql" else MARIADB) as url:
        yield url


@contextmanager
def migrated_database(dialect: str, folder: Path) -> Iterator[Database]:
    """A new, migrated database of this dialect."""
    with empty_database(dialect, folder) as url:
        database = Database(url)
        migrate.upgrade(database)
        yield database
        database.dispose()


@pytest.fixture(scope="session", params=DIALECTS)
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One migrated database of each kind for the whole session."""
    with migrated_database(request.param, tmp_path_factory.mktemp("database")) as database:
        yield database


@pytest.fixture
def database(migrated: Database) -> Iterator[Database]:
    """A migrated database without rows. Anything that asks for it runs on all three."""
    yield migrated
    with migrated.write() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())


@pytest.fixture
def account(database: Database, clock: Clock) -> Account:
    """An OAuth account of user 1 on a portal of its own; the primary one."""
    with database.write() as session:
        return connect(session, clock.now())


@pytest.fixture
def portal_id(account: Account) -> int:
    """The portal of `account`."""
    return account.portal_id


def connect(session: Session, now: datetime, **told: object) -> Account:
    """Register an account, with what the test tells of it."""
    facts: dict[str, Any] = {
        "member_id": "m1",
        "domain": "one.example",
        "rest_url": f"https://{told.get('domain', 'one.example')}/rest/",
        "oauth_url": None,
        "user_id": 1,
        "kind": "oauth",
        "scope": "task",
        "is_admin": None,
        "time_zone": None,
    }
    return register_account(session, **(facts | told), now=now)


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """A migrated SQLite of its own, for tests that need no other."""
    database = Database(f"sqlite:///{tmp_path / 'b24sync.db'}")
    schema.ensure(database)
    yield database
    database.dispose()


@pytest.fixture(params=DIALECTS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without a schema."""
    with empty_database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def new_database(empty_url: str) -> Iterator[Callable[[], Database]]:
    """Opens the empty database as often as asked; all are closed at the end."""
    opened: list[Database] = []

    def open_one() -> Database:
        opened.append(Database(empty_url))
        return opened[-1]

    yield open_one
    for database in opened:
        database.dispose()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Of all tests of a file; each adds a portal to it."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def stage(emulator: Emulator, tmp_path: Path) -> Iterator[Stage]:
    """A small portal, and settings for it; not connected yet."""
    stage = Stage(emulator, emulator.add_portal(SMALL), tmp_path)
    yield stage
    stage.close()
