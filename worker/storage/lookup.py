"""Finds stored rows of a mirrored entity by the IDs that the portal gave them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, and_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

_SPREAD = 8  # a range is read where at least every eighth number in it is wanted
CHUNK = 500  # values in one IN list; SQLite's older builds take 999 parameters in all


def stored_rows(
    session: Session, table: Table, portal_id: int, keys: Iterable[int], columns: Sequence[Column[Any]]
) -> dict[int, dict[str, Any]]:
    """The columns of those of the keys that have a row, marked as deleted or not."""
    names = [column.name for column in columns]
    found = lookup(session, table, portal_id, keys, columns)
    return {own_id: dict(zip(names, values, strict=True)) for own_id, *values in found}


def lookup(
    session: Session, table: Table, portal_id: int, keys: Iterable[int], columns: Sequence[Column[Any]]
) -> Iterator[Sequence[Any]]:
    """Key and columns of those of the keys that have a row.

    Keys that lie close together are read as a range, which is one statement of three values instead of lists of
    hundreds: a page of a listing is such a range.
    """
    key = own_key(table)
    wanted = sorted(set(keys))
    for some in [wanted] if _close(wanted) else chunks(wanted):
        close = _close(some)
        where = key.between(some[0], some[-1]) if close else among(key, some)
        rows = session.execute(select(key, *columns).where(table.c.portal_id == portal_id, where))
        chosen = frozenset(some) if close else ()
        yield from (row for row in rows if not close or row[0] in chosen)


def _close(keys: Sequence[int]) -> bool:
    return bool(keys) and keys[-1] - keys[0] < _SPREAD * len(keys)


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


def within(portal: Column[int] | InstrumentedAttribute[int], some: Sequence[int] | None) -> ColumnElement[bool]:
    """The portal is one of these; without any list it is any. The list is a page of what people are shown, no fleet."""
    return true() if some is None else portal.in_(some)


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Parts of a long list, each fit for one IN list."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
