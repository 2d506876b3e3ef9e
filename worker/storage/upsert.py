"""Writes rows of the mirror, and only those that changed.

The stored hashes are read first and compared here: that costs less than to send every row and let the database find
out, and it tells exactly what was inserted, updated and revived. One writer per portal is what the lease provides; two
would not corrupt rows, only count them twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Table, and_, bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from worker.storage.bulk import write_rows
from worker.storage.lookup import among, chunks, lookup, own_key, within
from worker.storage.statements import change

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows given."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    revived: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.revived + other.revived,
        )


@dataclass(frozen=True, slots=True)
class SetCounts:
    """What it took to make a set of rows equal to another."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    def __add__(self, other: "SetCounts") -> "SetCounts":
        return SetCounts(self.inserted + other.inserted, self.updated + other.updated, self.deleted + other.deleted)


def upsert(session: Session, table: Table, rows: Sequence[Row], *, portal_id: int, now: datetime) -> Counts:
    """Write the rows whose content is new.

    Args:
        session: A write transaction.
        table: A mirrored entity: key (portal_id, <its own ID>), with `content_hash` and the three times.
        rows: Columns without `portal_id` and without the three times. Rows may differ in which columns they have: a
            stored row keeps the columns that its new row does not name. Of two rows with one key the last wins.
        portal_id: Whose rows.
        now: Becomes `updated_at` (and `first_seen_at` of new rows).
    """
    key = own_key(table)
    by_key = {row[key.name]: row for row in rows}
    stored = _stored(session, table, portal_id, by_key)
    inserted = updated = revived = 0
    write: list[Row] = []
    for own_id in sorted(by_key):  # one order for all writers: no deadlocks
        row = by_key[own_id]
        was = stored.get(own_id)
        if was is None:
            inserted += 1
        elif was[1] is not None:
            revived += 1
        elif was[0] != row["content_hash"]:
            updated += 1
        else:
            continue
        write.append(row)
    own = {"portal_id": portal_id, "first_seen_at": now, "updated_at": now, "deleted_at": None}
    _write(session, table, write, own, new=not stored)
    return Counts(inserted, updated, len(by_key) - len(write), revived)


def replace_set(
    session: Session,
    table: Table,
    rows: Sequence[Row],
    *,
    scope: Row | ColumnElement[bool],
    stamp: Row | None = None,
) -> SetCounts:
    """Make the rows under `scope` equal to `rows`, by difference only; an equal set writes nothing.

    Args:
        session: A write transaction.
        table: A table without a history: what is missing from `rows` is deleted.
        rows: Whole rows. Values that a scope of single values fixes may be left out.
        scope: A condition, or columns with the value (or a collection of values) each must have.
        stamp: Columns that every row written gets, but that make no row differ.
    """
    fixed = _fixed(scope)
    keys = [column.name for column in table.primary_key]
    wanted = {}
    for row in rows:
        whole = {**fixed, **row}
        wanted[tuple(whole[name] for name in keys)] = whole
    stored = {
        tuple(row[name] for name in keys): row
        for condition in _conditions(table, scope)
        for row in session.execute(select(*table.columns).where(condition)).mappings()
    }
    new = [row for key, row in wanted.items() if key not in stored]
    changed = [row for key, row in wanted.items() if key in stored and _differs(row, stored[key])]
    gone = [key for key in stored if key not in wanted]
    # Deleted first: where the portal moved an instance, its new row may meet a unique key of the old one.
    _delete(session, table, gone)
    _write(session, table, new, stamp or {})
    _write(session, table, changed, stamp or {})
    return SetCounts(len(new), len(changed), len(gone))


def mark_deleted(session: Session, table: Table, portal_id: int, keys: Iterable[int], now: datetime) -> int:
    """Mark rows as gone. Rows that are marked already keep their date and are not counted."""
    key = own_key(table)
    marked = 0
    for some in chunks(sorted(set(keys))):
        statement = (
            update(table)
            .where(table.c.portal_id == portal_id, among(key, some), table.c.deleted_at.is_(None))
            .values(deleted_at=now)
        )
        marked += change(session, statement)
    return marked


def known_ids(session: Session, table: Table, portal_id: int, *, where: ColumnElement[bool] | None = None) -> set[int]:
    """The IDs of the rows that are not marked as deleted."""
    statement = select(own_key(table)).where(table.c.portal_id == portal_id, table.c.deleted_at.is_(None))
    if where is not None:
        statement = statement.where(where)
    return set(session.scalars(statement))


def count_live(session: Session, table: Table, portal_id: int | None = None) -> int:
    """How many rows a portal, or all of them together, has in a table, without those marked as deleted."""
    statement = select(func.count()).select_from(table)
    if portal_id is not None:
        statement = statement.where(table.c.portal_id == portal_id)
    if "deleted_at" in table.c:
        statement = statement.where(table.c.deleted_at.is_(None))
    return session.scalars(statement).one()


def count_all_live(session: Session, table: Table, portal_ids: Sequence[int] | None = None) -> dict[int, int]:
    """How many each of these portals, or of all, has; who has none is not in it."""
    statement = select(table.c.portal_id, func.count()).where(within(table.c.portal_id, portal_ids))
    statement = statement.group_by(table.c.portal_id)
    if "deleted_at" in table.c:
        statement = statement.where(table.c.deleted_at.is_(None))
    return {row[0]: row[1] for row in session.execute(statement)}


def _stored(
    session: Session, table: Table, portal_id: int, keys: Iterable[int]
) -> dict[int, tuple[str, datetime | None]]:
    """Hash and deletion of those of the keys that have a row."""
    columns = (table.c.content_hash, table.c.deleted_at)
    return {own_id: (text, gone) for own_id, text, gone in lookup(session, table, portal_id, keys, columns)}


def _write(session: Session, table: Table, rows: Sequence[Row], shared: Row, *, new: bool = False) -> None:
    """Insert or update, one statement for all rows of one shape."""
    shapes: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        shapes[tuple(row)].append(row)
    for alike in shapes.values():
        write_rows(session, table, alike, shared=shared, new=new)


def _delete(session: Session, table: Table, keys: Sequence[tuple[Any, ...]]) -> None:
    if not keys:
        return
    columns = list(table.primary_key)
    condition = and_(*(column == bindparam(f"key_{column.name}", type_=column.type) for column in columns))
    names = [f"key_{column.name}" for column in columns]
    session.execute(delete(table).where(condition), [dict(zip(names, key, strict=True)) for key in keys])


def _differs(row: Row, stored: RowMapping) -> bool:
    return any(stored[name] != value for name, value in row.items())


def _is_many(value: object) -> bool:
    return isinstance(value, (list, tuple, set, frozenset))


def _fixed(scope: Row | ColumnElement[bool]) -> dict[str, Any]:
    if isinstance(scope, ColumnElement):
        return {}
    return {name: value for name, value in scope.items() if not _is_many(value)}


def _conditions(table: Table, scope: Row | ColumnElement[bool]) -> Iterator[ColumnElement[bool]]:
    """Conditions that together select the scope; a long collection is split over several."""
    if isinstance(scope, ColumnElement):
        yield scope
        return
    single = and_(True, *(table.c[name] == value for name, value in scope.items() if not _is_many(value)))
    many = [(name, list(value)) for name, value in scope.items() if _is_many(value)]
    if not many:
        yield single
        return
    ((name, values),) = many  # two collections would be a product: no table has such a scope
    for some in chunks(values):
        yield and_(single, table.c[name].in_(some))


def stored_hashes(session: Session, table: Table, portal_id: int, keys: Iterable[int]) -> dict[int, str]:
    """The content hashes of those of `keys` whose rows are there and not marked as deleted."""
    return {
        own_id: content_hash
        for own_id, (content_hash, deleted_at) in _stored(session, table, portal_id, keys).items()
        if deleted_at is None
    }
