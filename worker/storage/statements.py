"""Statements that change rows: the three dialects' upserts, and how many rows were changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Delete, Insert, Result, Table, Update, or_
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from worker.clock import TOLERANCE

KEPT = frozenset({"first_seen_at"})  # an update never touches these


LONGEST_LEASE = timedelta(minutes=15)
"""Of any kind. They are much shorter; but who takes a lease from a living process whose clock is ahead does harm."""


def is_over(
    until: InstrumentedAttribute[datetime | None], now: datetime, *, longest: timedelta = LONGEST_LEASE
) -> ColumnElement[bool]:
    """Whether a date has come, as SQL. One further ahead than `longest` was written before our clock was set back."""
    return or_(until.is_(None), until <= now, until > now + longest + TOLERANCE)


def change(session: Session, statement: Update | Delete, values: Mapping[str, Any] | None = None) -> int:
    """Run it as it is, with `values` for its parameters, and count the rows.

    Objects that the session holds are not brought up to date: to find them SQLAlchemy would evaluate the condition
    itself, or ask the database first, and a compare-and-swap would not be one statement any more.
    """
    return changed_rows(session.execute(statement, values, execution_options={"synchronize_session": False}))


def changed_rows(result: Result[Any]) -> int:
    """How many rows an UPDATE or DELETE matched, also where the new values are the old ones.

    MariaDB itself would count changed rows only; SQLAlchemy connects with CLIENT.FOUND_ROWS.
    """
    if not isinstance(result, CursorResult):
        raise TypeError("only UPDATE and DELETE count rows")
    return result.rowcount


def insert_or_update(dialect: str, table: Table, columns: Sequence[str]) -> Insert:
    """The dialect's upsert of `columns`, for executemany."""
    names = changing(table, columns)
    if dialect == "mysql":
        row = mysql.insert(table)
        return row.on_duplicate_key_update({name: row.inserted[name] for name in names})
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key), set_={name: insert.excluded[name] for name in names}
    )


def changing(table: Table, columns: Sequence[str]) -> list[str]:
    """Those of `columns` that an update of an existing row sets."""
    keys = {column.name for column in table.primary_key}
    return [name for name in columns if name not in keys | KEPT]


def insert_if_missing(session: Session, table: Table, values: Mapping[str, Any]) -> None:
    """Insert a row unless one with its key is there.

    Not by trying and catching: InnoDB leaves a shared lock behind after a duplicate key, and two who then go on to
    change the row wait for each other.
    """
    dialect = session.get_bind().dialect.name
    if dialect == "mysql":
        key = next(iter(table.primary_key))
        session.execute(mysql.insert(table).values(**values).on_duplicate_key_update({key.name: key}))
        return
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    session.execute(insert.values(**values).on_conflict_do_nothing())
