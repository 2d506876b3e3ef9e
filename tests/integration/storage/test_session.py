"""Transactions: whole or not at all, one at a time in a thread, none lost between processes."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from tests.integration.conftest import connect
from worker.clock import Clock
from worker.errors import UsageError
from worker.storage import migrate, revisions
from worker.storage.models import Portal
from worker.storage.session import Database

ROOT = Path(__file__).parents[3]

COUNT_UP = """
import sys
from sqlalchemy import select
from worker.storage.models import Portal
from worker.storage.session import Database

database = Database(sys.argv[1])
for _ in range(int(sys.argv[2])):
    with database.write() as session:
        portal = session.scalars(select(Portal).with_for_update()).one()
        portal.fence += 1
database.dispose()
"""


def test_a_raise_rolls_back(database: Database, portal_id: int):
    """A transaction is all or nothing."""

    def fail() -> None:
        with database.write() as session:
            session.get_one(Portal, portal_id).domain = "other.example"
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.read() as session:
        assert session.get_one(Portal, portal_id).domain == "one.example"


def test_reading_changes_nothing(database: Database, portal_id: int):
    """What is written in a reading transaction is gone, or is refused at once."""
    try:
        with database.read() as session:
            session.execute(text("UPDATE portals SET domain = 'other.example'"))
    except OperationalError:
        assert database.dialect == "sqlite"
    with database.read() as session:
        assert session.get_one(Portal, portal_id).domain == "one.example"


def test_rows_stay_readable_after_the_transaction(database: Database, portal_id: int):
    """What a function returned may be used when the transaction is over."""
    with database.write() as session:
        portal = session.get_one(Portal, portal_id)
        portal.domain = "other.example"

    assert portal.domain == "other.example"


@pytest.mark.parametrize("inner", ["read", "write"])
def test_no_second_transaction_inside_a_write(database: Database, inner: str):
    """On SQLite it would wait for itself for half a minute; so it is a mistake everywhere."""
    begin = getattr(database, inner)
    with database.write(), pytest.raises(RuntimeError, match="a write transaction is open"), begin():
        pass
    with begin():
        pass


def test_a_write_inside_a_read(database: Database, portal_id: int):
    """Who reads page by page may write between the pages; on SQLite the reading goes on in its own moment."""
    with database.read() as reading:
        reading.get_one(Portal, portal_id)
        with database.write() as session:
            session.get_one(Portal, portal_id).domain = "other.example"


def test_no_update_is_lost_between_processes(new_database: Callable[[], Database], clock: Clock):
    """Four processes read, add one and write, 25 times each."""
    database = new_database()
    migrate.upgrade(database)
    with database.write() as session:
        number = connect(session, clock.now()).portal_id
        session.get_one(Portal, number).fence = 0
    url = database.url.render_as_string(hide_password=False)
    processes = [
        subprocess.Popen([sys.executable, "-c", COUNT_UP, url, "25"], env={**os.environ, "PYTHONPATH": str(ROOT)})
        for _ in range(4)
    ]

    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    with database.read() as session:
        assert session.scalars(select(Portal.fence)).one() == 100


def test_a_forked_child_leaves_the_parents_connections_alone(database: Database, portal_id: int):
    """After a fork the child opens its own connections, and the parent's still answer."""
    with database.read() as session:
        session.get_one(Portal, portal_id)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            database.after_fork()
            with database.read() as session:
                code = 0 if session.get_one(Portal, portal_id).domain == "one.example" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with database.read() as session:
        assert session.get_one(Portal, portal_id).domain == "one.example"


def test_settings_of_the_connection(database: Database):
    """What the house relies on, asked of the database itself."""
    asked = {
        "sqlite": {
            "PRAGMA journal_mode": "wal",
            "PRAGMA synchronous": 1,
            "PRAGMA busy_timeout": 30000,
            "PRAGMA foreign_keys": 1,
            "PRAGMA page_size": 8192,
            "PRAGMA cache_size": -8000,
        },
        "postgresql": {"SHOW TIME ZONE": "UTC", "SHOW transaction_isolation": "read committed"},
        "mysql": {
            "SELECT @@time_zone": "+00:00",
            "SELECT @@character_set_connection": "utf8mb4",
            "SELECT @@sql_mode LIKE '%STRICT_ALL_TABLES%'": 1,
            "SELECT @@tx_isolation": "READ-COMMITTED",
        },
    }
    with database.write() as session:
        for statement, expected in asked[database.dialect].items():
            assert session.scalar(text(statement)) == expected, statement


def test_the_sqlite_file_is_its_owners_alone(sqlite_database: Database):
    """The file holds tokens; its folder is made where it is missing, and the WAL has the same mode."""
    path = Path(str(sqlite_database.url.database))
    with sqlite_database.write() as session:
        session.execute(text("UPDATE portals SET domain = 'x'"))

        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("b24sync.db*")}
    assert set(modes.values()) == {0o600}
    assert "b24sync.db-wal" in modes


def test_a_sqlite_file_of_an_older_program_keeps_its_pages(tmp_path: Path):
    """Its page size is a property of the file: it is used as it is."""
    path = tmp_path / "b24sync.db"
    with closing(sqlite3.connect(path)) as older:
        older.execute("PRAGMA page_size = 4096")
        older.execute("PRAGMA journal_mode = WAL")
        older.execute("CREATE TABLE kept (number INTEGER)")
        older.commit()

    with Database(f"sqlite:///{path}").write() as session:
        session.execute(text("INSERT INTO kept VALUES (1)"))
        assert session.scalar(text("PRAGMA page_size")) == 4096


def test_a_file_that_cannot_be_made_is_told(tmp_path: Path):
    """A sentence with the path, not a traceback of the driver."""
    (tmp_path / "file").write_text("")
    database = Database(f"sqlite:///{tmp_path}/file/b24sync.db")

    with pytest.raises(UsageError, match=r"the database file .*/file/b24sync.db cannot be made"):
        revisions.current(database)


def test_a_file_that_is_no_database_is_told(tmp_path: Path):
    """A wrong path is the operator's to mend."""
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be looked at " * 20)
    database = Database(f"sqlite:///{tmp_path}/notes.txt")

    with pytest.raises(UsageError, match=r"notes.txt cannot be used: file is not a database"):
        revisions.current(database)


def test_an_error_tells_no_values(database: Database):
    """The values of a statement may be secrets."""
    statement = text("INSERT INTO nowhere (token) VALUES (:secret)")
    with pytest.raises(SQLAlchemyError, match="nowhere") as caught, database.write() as session:
        session.execute(statement, {"secret": "s3cr3t"})
    assert "s3cr3t" not in str(caught.value)
