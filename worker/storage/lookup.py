"""Finds stored rows of a mirrored entity by the IDs that the portal gave them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, and_, select
from sqlalchemy.orm import Session

CHUNK = 500  # values in one IN list; SQLite's older builds take 999 parameters in all


def stored_rows(
    session: Session, table: Table, portal_id: int, keys: Iterable[int], columns: Sequence[Column[Any]]
) -> dict[int, dict[str, Any]]:
    """The columns of those of the keys that have a row, marked as deleted or not."""
    key = own_key(table)
    names = [column.name for column in columns]
    found: dict[int, dict[str, Any]] = {}
    for some in chunks(sorted(set(keys))):
        statement = select(key, *columns).where(table.c.portal_id == portal_id, among(key, some))
        for own_id, *values in session.execute(statement):
            found[own_id] = dict(zip(names, values, strict=True))
    return found


def own_key(table: Table) -> Column[Any]:
    """The half of the key that the portal gave."""
    (own,) = (column for column in table.primary_key if column.name != "portal_id")
    return own


def among(key: Column[Any], some: Sequence[int]) -> ColumnElement[bool]:
    """`key` is one of these (ascending) values.

    The bounds say nothing new, but PostgreSQL, while it has no statistics yet (a first reading), takes a list for no
    reason to use the key's index: it would read the whole portal once per page.
    """
    return and_(key.between(some[0], some[-1]), key.in_(some))


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Parts of a long list, each fit for one IN list."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
