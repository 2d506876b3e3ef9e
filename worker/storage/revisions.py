"""Revisions of the schema: which one a database has, which one this program needs, and which it knows.

Migrations live in `alembic/`; the wheel carries them as `worker/storage/_alembic`.
"""

from functools import cache
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
    return max(known())


def refuse_newer(db: Database) -> None:
    """Raise SchemaError for a database whose revision this program does not know."""
    revision = current(db)
    if revision is not None and revision not in known():
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
def known() -> frozenset[str]:
    """The revisions that this program knows: each file's name begins with its own, and they follow each other."""
    found = frozenset(file.name.partition("_")[0] for file in (scripts() / "versions").glob("[0-9]*_*.py"))
    if not found:
        raise UsageError("the program carries no migrations: it is not installed whole")
    return found
