"""The schema of a database that is to be used: it is the one this program needs, or made so, or refused."""

from importlib import import_module

from worker.errors import SchemaError
from worker.storage.revisions import current, head, refuse_newer
from worker.storage.session import Database


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
        # Alembic takes an eighth of a second to come up, and nearly every start finds nothing to do.
        import_module("worker.storage.migrate").upgrade(db)
        return
    state = "has no schema yet" if revision is None else f"is at revision {revision}, this program needs {head()}"
    raise SchemaError(f"the database {state}: run `b24sync db upgrade`")
