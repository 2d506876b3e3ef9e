"""Sums over all runs, which only grow: what a monitoring system counts must not fall when old runs are deleted."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Double, Insert, Row, cast, func, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Session

from worker.storage.models import RunTotal

FIGURES = tuple(
    column.name for column in RunTotal.__table__.c if column.name not in {"portal_id", "resource", "status"}
)


_COLUMNS = RunTotal.__table__.c


def add_to_totals(session: Session, reports: Sequence[Mapping[str, Any]]) -> None:
    """Add the figures of runs, in the transaction that leaves their rows: the portal's lease keeps others out."""
    rows = [
        {
            **{name: report[name] for name in ("portal_id", "resource", "status")},
            **{name: report.get(name) or 0 for name in FIGURES},
            "runs": 1,
        }
        for report in reports
    ]
    session.execute(_adding(session.get_bind().dialect.name), rows)


@cache
def _adding(dialect: str) -> Insert:
    """Insert the figures, or add them to those that are there."""
    table = RunTotal.__table__
    if dialect == "mysql":
        row = mysql.insert(table)
        return row.on_duplicate_key_update({name: table.c[name] + row.inserted[name] for name in FIGURES})
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    sums = {name: table.c[name] + insert.excluded[name] for name in FIGURES}
    return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=sums)


def sum_totals(session: Session) -> Sequence[Row[*tuple[Any, ...]]]:
    """Portal, resource, and the sums over all statuses in the order of `FIGURES`, as floats."""
    # Sums of whole numbers are decimals on two of the databases.
    sums = [cast(func.sum(_COLUMNS[name]), Double) for name in FIGURES]
    whose = (_COLUMNS.portal_id, _COLUMNS.resource)
    return session.execute(select(*whose, *sums).group_by(*whose).order_by(*whose)).all()


def count_runs(session: Session) -> Sequence[Sequence[Any]]:
    """Portal, resource, status, and how many runs ended so."""
    whose = (_COLUMNS.portal_id, _COLUMNS.resource, _COLUMNS.status)
    return session.execute(select(*whose, _COLUMNS.runs).order_by(*whose)).all()
