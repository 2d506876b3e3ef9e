"""The schema as a page: docs/schema.md, word for word, from the models and from the views of a migrated database."""

import importlib
from collections.abc import Mapping
from itertools import groupby

from sqlalchemy import Boolean, Column, Date, Double, Index, Integer, String, Table, Text
from sqlalchemy.types import TypeEngine

from worker.storage.columns import UtcDateTime
from worker.storage.models import Base

INTRODUCTION = """\
# The schema

This page is written by `make schema` from the models, and `make test` compares the two, so it cannot be out of date.
The same comments are in the database (PostgreSQL: `\\d+ tasks`, MariaDB: `SHOW FULL COLUMNS FROM tasks`; SQLite keeps
none). [queries.md](queries.md) shows how to ask.

- The portal numbers its records; keys are therefore `(portal_id, …)`. `portals.domain` says which portal that is.
- Times are UTC, dates are days in the zone that the column names. A list is a JSON text.
- A deleted record keeps its row, with `deleted_at` set. The views leave such rows out.
- Read as much as you like. Write nothing into these tables: the next run takes it for the portal's own.

Columns and views are added in any version. One that is removed, or that means something else from then on, is announced
in the [changelog](../CHANGELOG.md) under "Upgrading".
"""

VIEWS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "open_tasks": ("Tasks that are not completed, with names.", ("tasks",)),
    "overdue_tasks": ("Open tasks whose deadline is over.", ("tasks",)),
    "upcoming_events": (
        "Instances of events that are going on or still to come, within the window.",
        ("calendar_occurrences", "calendar_events"),
    ),
    "portal_freshness": ("How fresh the mirror of each portal's resources is.", ("sync_cursors",)),
}
"""View to what its rows are, and the tables whose columns it shows under their own names."""

OF_VIEWS = {
    "portal": "The portal's domain",
    "responsible": "Name of who is responsible; NULL: not known",
    "created_by": "Name of who set the task; NULL: not known",
    "calendar": "Name of the calendar",
    "owner": "Name of the calendar's owner, of users' calendars only",
    "portal_status": "active, paused or closed",
    "seconds_since_run": "Seconds since the last run ended, whatever its status",
}

KINDS: tuple[tuple[type[TypeEngine[object]], str], ...] = (
    (UtcDateTime, "time"),
    (Boolean, "yes or no"),
    (Integer, "whole number"),
    (Double, "number"),
    (Date, "date"),
    (Text, "text"),
    (String, "text"),
)
"""The first that fits."""


def page(views: Mapping[str, list[str]]) -> str:
    """The page; `views`: each view to its columns."""
    parts = [INTRODUCTION, "## Views\n", *(_view(name, columns) for name, columns in sorted(views.items()))]
    mapped = sorted(
        Base.registry.mappers, key=lambda mapper: (_place(mapper.class_.__module__), mapper.class_.__name__)
    )
    for module, mappers in groupby(mapped, key=lambda mapper: mapper.class_.__module__):
        parts.append(f"## {_first_line(module)}\n")
        parts.extend(_table(mapper.class_.__table__) for mapper in mappers)
    return "\n".join(parts)


def _place(module: str) -> int:
    """What people read comes first."""
    order = ("entities", "agenda", "bookkeeping", "access")
    name = module.rpartition(".")[2]
    return order.index(name) if name in order else len(order)


def _first_line(module: str) -> str:
    return (importlib.import_module(module).__doc__ or module).split("\n", 1)[0].rstrip(".")


def _view(name: str, columns: list[str]) -> str:
    meaning, tables = VIEWS[name]
    lines = [f"### `{name}`\n", f"{meaning}\n", "| column | meaning |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{column}` | {_of_view(column, tables)} |" for column in columns), ""])


def _of_view(column: str, tables: tuple[str, ...]) -> str:
    if column in OF_VIEWS:
        return OF_VIEWS[column]
    return next(
        str(Base.metadata.tables[name].c[column].comment) for name in tables if column in Base.metadata.tables[name].c
    )


def _table(table: Table) -> str:
    keys = ", ".join(f"`{column.name}`" for column in table.primary_key)
    lines = [
        f"### `{table.name}`\n",
        f"{table.comment}. Key: {keys}.\n",
        "| column | type | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{column.name}` | {_kind(column)} | {column.comment} |" for column in table.columns]
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    return "\n".join([*lines, "", *map(_index, indexes)])


def _kind(column: Column[object]) -> str:
    kind = next(word for type_, word in KINDS if isinstance(column.type, type_))
    return f"{kind}, or NULL" if column.nullable else kind


def _index(index: Index) -> str:
    columns = ", ".join(f"`{column.name}`" for column in index.columns)
    where = index.dialect_options["postgresql"]["where"]
    return f"Index `{index.name}`: {columns}{'' if where is None else f' where `{where}`'}.\n"
