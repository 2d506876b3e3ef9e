"""A migration may be killed at any statement: the next one begins where it must, and the schema is whole."""

import signal

import pytest
from sqlalchemy import text

from tests.faults import fleet
from worker.storage import migrate, revisions
from worker.storage.session import Database

STATEMENTS = [
    pytest.param(number, marks=pytest.mark.long if number not in {17, 45} else ()) for number in (1, 3, 17, 30, 45, 50)
]


def killed(url: str, statement: int) -> bool:
    """Whether the migration came to this statement, and died there."""
    with fleet.process(fleet.upgrade, url, statement) as migration:
        migration.join(60)
        assert migration.exitcode in {0, -signal.SIGKILL}
        return migration.exitcode != 0


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_killed_migration_is_followed_by_a_whole_one(empty_url: str, statement: int):
    assert killed(empty_url, statement)
    database = Database(empty_url, connections=2)
    try:
        migrate.upgrade(database)

        assert revisions.current(database) == revisions.head()
        assert migrate.check(database) == []
        with database.read() as session:
            assert session.scalar(text("SELECT count(*) FROM portal_freshness")) == 0
    finally:
        database.dispose()


@pytest.mark.mariadb
def test_a_strangers_table_is_never_taken_for_a_remnant(empty_url: str):
    """A database that somebody else uses too: told, and told again the second time."""
    database = Database(empty_url, connections=2)
    try:
        with database.write() as session:
            session.execute(text("CREATE TABLE tasks (name VARCHAR(10))"))
        for _ in range(2):
            with pytest.raises(Exception, match="already exists"):
                migrate.upgrade(database)
        with database.read() as session:
            assert session.scalar(text("SELECT count(*) FROM tasks")) == 0
    finally:
        database.dispose()
