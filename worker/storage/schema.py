"""The schema: which revision a database has, and which one this program needs.

Migrations live in `alembic/`; the wheel carries them as `worker/storage/_alembic`. Alembic itself is imported where
something is to be migrated: it takes an eighth of a second to come up, and nearly every start finds nothing to do.
"""

from functools import cache
from importlib import import_module
from pathlib import Path

from sqlalchemy import inspect, text

from worker.errors import SchemaError, UsageError
from worker.storage.session import Database


def current(db: Database) -> str | None:
    """The revision of the database, None where there is no schema yet."""
    with db.read() as session:
        if not inspect(session.connection()).has_table("alembic_version"):
            return None
        return session.scalars(text("SELECT version_num FROM alembic_version")).one_or_none()


def head() -> str:
    """The revision this program needs."""
    return max(_revisions())


def ensure(db: Database) -> None:
    """See that the schema is the one this program needs.

    SQLite is created or upgraded at once: nobody else could do it. Another database is its operator's to change.

    Raises:
        SchemaError: The database is behind (and not SQLite), or ahead of this program.
    """
    revision = current(db)
    if revision == head():
        return
    refuse_newer(db)
    if db.dialect == "sqlite":
        import_module("worker.storage.migrate").upgrade(db)
        return
    state = "has no schema yet" if revision is None else f"is at revision {revision}, this program needs {head()}"
    raise SchemaError(f"the database {state}: run `b24sync db upgrade`")


def refuse_newer(db: Database) -> None:
    """Raise SchemaError for a database whose revision this program does not know."""
    revision = current(db)
    if revision is not None and revision not in _revisions():
        raise SchemaError(
            f"the database is ahead of this program: it is at revision {revision}, which this version does not know;"
            " upgrade b24sync"
        )


def scripts() -> Path:
    """Where the migrations are."""
    here = Path(__file__).resolve().parent
    for place in (here / "_alembic", here.parents[1] / "alembic"):
        if (place / "env.py").is_file():
            return place
    raise UsageError("the migrations are missing: the program is not installed whole")


@cache
def _revisions() -> frozenset[str]:
    """The revisions that this program knows: each file's name begins with its own, and they follow each other."""
    found = frozenset(file.name.partition("_")[0] for file in (scripts() / "versions").glob("[0-9]*_*.py"))
    if not found:
        raise UsageError("the program carries no migrations: it is not installed whole")
    return found
