"""Runs a statement that changes rows, and tells how many."""

from typing import Any

from sqlalchemy import CursorResult, Delete, Result, Update
from sqlalchemy.orm import Session


def change(session: Session, statement: Update | Delete) -> int:
    """Run it as it is and count the rows.

    Objects that the session holds are not brought up to date: to find them SQLAlchemy would evaluate the condition
    itself, or ask the database first, and a compare-and-swap would not be one statement any more.
    """
    return changed_rows(session.execute(statement, execution_options={"synchronize_session": False}))


def changed_rows(result: Result[Any]) -> int:
    """How many rows an UPDATE or DELETE matched, also where the new values are the old ones.

    MariaDB itself would count changed rows only; SQLAlchemy connects with CLIENT.FOUND_ROWS.
    """
    if not isinstance(result, CursorResult):
        raise TypeError("only UPDATE and DELETE count rows")
    return result.rowcount
