"""MariaDB and MySQL commit every DDL statement by itself: a migration that was killed leaves half of its work behind.

So a migration leaves a mark while it is under way. Who finds the mark does the killed one's work again, and takes what
is there already as done. Without a mark nothing is taken so: a table of ours that exists then is a stranger's.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.exc import DBAPIError

log = logging.getLogger(__name__)

MARK = "b24sync_migrating"

DONE_ALREADY = frozenset({1050, 1051, 1060, 1061, 1091, 1826, 4092})
"""Table (or view) exists, is unknown; column exists; index exists; cannot drop what is not there; foreign key exists;
view is unknown (dev.mysql.com, Server Error Message Reference; mariadb.com, MariaDB Error Codes)."""


@contextmanager
def resumed(connection: Connection) -> Iterator[None]:
    """Run a migration so that the next one can go on where this one was killed."""
    resuming = inspect(connection).has_table(MARK)
    connection.execute(text(f"CREATE TABLE IF NOT EXISTS {MARK} (nothing INT)"))
    connection.commit()
    if resuming:
        log.warning("a migration was killed here: what it has done already is taken as done")
        event.listen(connection.engine, "do_execute", _unless_done)
    try:
        yield
    except DBAPIError as error:
        if not resuming and _code(error.orig) in DONE_ALREADY:
            _unmark(connection)  # a stranger's table: the next try must not take it for ours
        raise
    else:
        _unmark(connection)
    finally:
        if resuming:
            event.remove(connection.engine, "do_execute", _unless_done)


def _unmark(connection: Connection) -> None:
    connection.rollback()
    connection.execute(text(f"DROP TABLE IF EXISTS {MARK}"))
    connection.commit()


def _unless_done(cursor: Any, statement: str, parameters: Any, _context: object) -> bool:  # noqa: ANN401 - any driver's
    """Run the statement here, instead of SQLAlchemy: True says that it has been seen to."""
    try:
        cursor.execute(statement, parameters)
    except Exception as error:
        if _code(error) not in DONE_ALREADY:
            raise
    return True


def _code(error: BaseException | None) -> object:
    """The server's number of an error, as both drivers of MySQL put it first."""
    return next(iter(error.args), None) if error is not None else None
