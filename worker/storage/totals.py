"""Sums over all runs, which only grow: what a monitoring system counts must not fall when old runs are deleted."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from worker.storage.models import RunTotal
from worker.storage.statements import change

FIGURES = tuple(
    column.name for column in RunTotal.__table__.c if column.name not in {"portal_id", "resource", "status"}
)


def add_to_totals(session: Session, report: Mapping[str, Any]) -> None:
    """Add a run's figures, in the transaction that leaves the run's row: the portal's lease keeps others out."""
    key = {name: report[name] for name in ("portal_id", "resource", "status")}
    figures = {name: report.get(name) or 0 for name in FIGURES} | {"runs": 1}
    columns = RunTotal.__table__.c
    sums = {name: columns[name] + figure for name, figure in figures.items()}
    if change(session, update(RunTotal).filter_by(**key).values(**sums)) == 0:
        session.execute(insert(RunTotal).values(**key, **figures))


def list_totals(session: Session) -> Sequence[RunTotal]:
    """The sums of every portal, resource and status."""
    order = (RunTotal.portal_id, RunTotal.resource, RunTotal.status)
    return session.scalars(select(RunTotal).order_by(*order)).all()
