"""A database that cannot be used: which errors say so, and what a person is told."""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from worker.log import redact

UNUSABLE = (DBAPIError, PoolTimeout)
"""Everything that a database answers instead of doing what it was asked."""

AWAY = (OperationalError, InterfaceError, PoolTimeout)
"""What passes by itself: no connection, one that broke, a lock or a connection that did not come free in time."""


def database_sentence(error: Exception) -> str:
    """Without the address, the statement and its values."""
    cause = getattr(error, "orig", None) or "all connections are in use"
    first = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
    return redact(f"the database cannot be used: {first} (see DATABASE_URL)")
