"""The schema is the sum of the migrations, on every database."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from worker.errors import SchemaError
from worker.storage import migrate, revisions, schema
from worker.storage.models import Base
from worker.storage.session import Database

VIEWS = {"open_tasks", "overdue_tasks", "upcoming_events", "portal_freshness"}

Open = Callable[[], Database]


def tables_of(database: Database) -> set[str]:
    with database.read() as session:
        return set(inspect(session.connection()).get_table_names())


def set_revision(database: Database, revision: str) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_upgrade_makes_what_the_models_say(new_database: Open):
    """From nothing, the migrations lead to the models' tables and to no difference."""
    database = new_database()
    assert revisions.current(database) is None

    migrate.upgrade(database)

    assert revisions.current(database) == revisions.head()
    assert tables_of(database) == {*Base.metadata.tables, "alembic_version"}
    assert migrate.check(database) == []


def test_down_and_up_again(new_database: Open):
    """Downgrading leaves nothing behind that an upgrade would stumble over."""
    database = new_database()
    migrate.upgrade(database)

    migrate.downgrade(database, "base")

    assert tables_of(database) == {"alembic_version"}
    with database.read() as session:
        assert inspect(session.connection()).get_view_names() == []

    migrate.upgrade(database)
    assert migrate.check(database) == []


def test_there_is_one_head():
    """Two branches of migrations would leave it to chance which one runs."""
    script = ScriptDirectory(str(revisions.scripts()))

    assert script.get_heads() == [revisions.head()]


def test_a_files_name_tells_its_revision():
    """Whoever only wants to know whether something is due need not load the migrations."""
    script = ScriptDirectory(str(revisions.scripts()))
    files = {one.revision: Path(one.path).name for one in script.walk_revisions()}

    assert all(name.startswith(f"{revision}_") for revision, name in files.items())
    assert revisions.known() == files.keys()


def test_check_tells_a_difference(new_database: Open):
    """`check` is not clean by being blind."""
    database = new_database()
    migrate.upgrade(database)
    with database.write() as session:
        session.execute(text("DROP TABLE closed_methods"))

    assert any("closed_methods" in difference for difference in migrate.check(database))


def test_comments_reach_the_database(new_database: Open):
    """Each table and column is explained where the database can hold it."""
    database = new_database()
    migrate.upgrade(database)
    if database.dialect == "sqlite":
        pytest.skip("SQLite keeps no comments")
    with database.read() as session:
        inspector = inspect(session.connection())
        for table in Base.metadata.sorted_tables:
            assert inspector.get_table_comment(table.name)["text"] == table.comment
            for column in inspector.get_columns(table.name):
                assert column["comment"] == table.c[column["name"]].comment


def test_every_table_and_column_of_the_models_has_a_comment():
    """The comments are the documentation of the tables."""
    for table in Base.metadata.sorted_tables:
        assert table.comment, table.name
        assert [column.name for column in table.c if not column.comment] == [], table.name


def test_views_exist(new_database: Open):
    """People who only read find their views."""
    database = new_database()
    migrate.upgrade(database)
    with database.read() as session:
        assert set(inspect(session.connection()).get_view_names()) == VIEWS
        for view in VIEWS:
            assert session.execute(text(f"SELECT * FROM {view}")).all() == []  # noqa: S608 - our own names


def test_ensure_makes_sqlite_and_names_the_command_elsewhere(new_database: Open):
    """SQLite is nobody else's to change; a server's schema is its operator's."""
    database = new_database()
    if database.dialect == "sqlite":
        schema.ensure(database)
    else:
        with pytest.raises(SchemaError, match=r"has no schema yet: run `b24sync db upgrade`"):
            schema.ensure(database)
        migrate.upgrade(database)

    schema.ensure(database)

    assert revisions.current(database) == revisions.head()


def test_a_database_ahead_of_the_program_is_left_alone(new_database: Open):
    """An older program neither runs on a newer schema nor touches it."""
    database = new_database()
    migrate.upgrade(database)
    set_revision(database, "9999")

    for act in (schema.ensure, migrate.upgrade):
        with pytest.raises(SchemaError, match=r"ahead of this program.*9999.*upgrade b24sync"):
            act(database)

    assert revisions.current(database) == "9999"


def test_two_upgrades_at_once(new_database: Open):
    """The second waits and finds nothing to do."""
    assert raced(migrate.upgrade, new_database, 2) == []
    assert migrate.check(new_database()) == []


def test_ensure_of_four_threads_on_one_new_file(tmp_path: Path):
    """Two commands started at once on a new SQLite both find a whole schema."""
    opened: list[Database] = []

    def open_one() -> Database:
        opened.append(Database(f"sqlite:///{tmp_path / 'new' / 'b24sync.db'}"))
        return opened[-1]

    assert raced(schema.ensure, open_one, 4) == []
    assert migrate.check(opened[0]) == []
    for database in opened:
        database.dispose()


def raced(act: Callable[[Database], None], open_one: Open, count: int) -> list[Exception]:
    """What went wrong when `count` threads do it at once, each on its own Database."""
    errors: list[Exception] = []
    start = threading.Barrier(count)

    def run(database: Database) -> None:
        start.wait()
        try:
            act(database)
        except Exception as error:  # noqa: BLE001 - told to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(open_one(),)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_migrations_leave_logging_alone(tmp_path: Path):
    """Who runs the program has set up its logging."""
    before = (list(logging.getLogger().handlers), logging.getLogger().level)
    logger = logging.getLogger("made.before")
    database = Database(f"sqlite:///{tmp_path / 'b24sync.db'}")

    migrate.upgrade(database)
    database.dispose()

    assert (list(logging.getLogger().handlers), logging.getLogger().level) == before
    assert not logger.disabled


def test_rows_keep_their_children_when_sqlite_copies_a_table(tmp_path: Path):
    """SQLite alters a table by dropping it; with foreign keys enforced its children would be deleted."""
    database = Database(f"sqlite:///{tmp_path / 'b24sync.db'}")
    engine = database.migration_engine()
    with engine.begin() as connection:
        assert connection.scalar(text("PRAGMA foreign_keys")) == 0
    engine.dispose()
    database.dispose()
