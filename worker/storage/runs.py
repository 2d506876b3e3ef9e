"""Runs and their figures. An hour's quiet runs become one row: a quiet portal makes hundreds a day."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from worker.storage.columns import storable
from worker.storage.lookup import chunks, within
from worker.storage.models import SyncCursor, SyncRun
from worker.storage.statements import change
from worker.storage.totals import add_to_totals

FOLD_AFTER = timedelta(hours=1)
KEEP = timedelta(days=30)
DELETED_AT_ONCE = 2000
FOLDS_AT_ONCE = 500
FOLD_WITHIN = timedelta(days=1)
"""What is older was folded before: to look through a month of hours again would cost more than to fold one."""

COUNTERS = (
    "fetched",
    "inserted",
    "updated",
    "unchanged",
    "deleted",
    "revived",
    "rejected",
    "http_requests",
    "calls",
    "retries",
    "refreshes",
    "waited_seconds",
    "seconds",
)
CHANGES = ("inserted", "updated", "deleted", "revived", "rejected")

_INSERT = insert(SyncRun.__table__)
_RETURNING = _INSERT.returning(SyncRun.__table__.c.id, sort_by_parameter_order=True)
_KEPT = frozenset(column.name for column in SyncRun.__table__.c) - {"id", "folded"}

# The hour of started_at, as the three databases say it.
HOUR = {
    "sqlite": lambda column: func.strftime("%Y-%m-%d %H", column),
    "postgresql": lambda column: func.date_trunc("hour", column),
    "mysql": lambda column: func.date_format(column, "%Y-%m-%d %H"),
}


def add_run(session: Session, report: Mapping[str, Any]) -> int:
    """Keep one report, as `add_runs` does."""
    return add_runs(session, [report])[0]


def add_runs(session: Session, reports: Sequence[Mapping[str, Any]]) -> list[int]:
    """Keep reports: `portal_id`, `resource`, `mode`, `status`, `started_at`, `finished_at`, and what figures they have.

    The figures are also added to the sums that only grow. Keys that are no columns are passed over, so a report may be
    handed in as it is.

    Returns:
        The runs' numbers.
    """
    if not reports:
        return []
    kept = [_values(report) for report in reports]
    numbers = _insert(session.connection(), kept)
    add_to_totals(session, kept)
    return numbers


def _insert(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Returns the numbers of the rows, which have the same columns."""
    if connection.dialect.insert_executemany_returning_sort_by_parameter_order:
        return list(connection.execute(_RETURNING, rows).scalars())
    numbers: list[int] = []
    for row in rows:
        numbers += connection.execute(_INSERT, row).inserted_primary_key or ()
    return numbers


def _values(report: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in report.items() if name in _KEPT}
    if values.get("error"):
        values["error"] = storable(values["error"])
    return values


def last_errors(session: Session, portal_ids: Sequence[int] | None = None) -> Mapping[tuple[int, str], str | None]:
    """What went wrong in the last run of each resource whose last run was not ok, by (portal, resource)."""
    of_last = (
        select(SyncRun.error)
        .where(SyncRun.portal_id == SyncCursor.portal_id, SyncRun.resource == SyncCursor.resource)
        .order_by(SyncRun.started_at.desc(), SyncRun.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    asked = select(SyncCursor.portal_id, SyncCursor.resource, of_last)
    rows = session.execute(asked.where(SyncCursor.last_status != "ok", within(SyncCursor.portal_id, portal_ids)))
    return {(portal_id, resource): error for portal_id, resource, error in rows}


def fold_quiet_runs(session: Session, now: datetime) -> int:
    """Fold runs that are over an hour old and changed nothing: one row per hour, portal, resource, mode and status.

    Figures are summed, `folded` counts the runs, the earliest start and the latest end stay, and one of the errors.
    At most 500 rows come out of one call; what remains is folded by the next.

    Returns:
        How many rows went.
    """
    end = (now - FOLD_AFTER).replace(minute=0, second=0, microsecond=0)
    hour = HOUR[session.get_bind().dialect.name](SyncRun.started_at)
    alike = (SyncRun.portal_id, SyncRun.resource, SyncRun.mode, SyncRun.status)
    groups = session.execute(
        select(
            *alike,
            *(func.sum(getattr(SyncRun, name)).label(name) for name in (*COUNTERS, "folded")),
            func.count().label("rows"),
            func.min(SyncRun.id).label("first_id"),
            func.max(SyncRun.id).label("last_id"),
            func.min(SyncRun.started_at).label("started_at"),
            func.max(SyncRun.started_at).label("last_start"),
            func.max(SyncRun.finished_at).label("finished_at"),
            func.max(SyncRun.error).label("error"),
        )
        .where(_QUIET, SyncRun.started_at < end, SyncRun.started_at >= end - FOLD_WITHIN)
        .group_by(*alike, hour)
        .having(func.count() > 1)
        .limit(FOLDS_AT_ONCE)
    ).mappings()
    found = [_named(group) for group in groups]
    if found:
        connection = session.connection()
        connection.execute(_SUM_UP, found)
        connection.execute(_DROP_SUMMED, found)
    return sum(group["rows"] - 1 for group in found)


def _named(group: RowMapping) -> dict[str, Any]:
    """The group's figures, and what its rows have in common under names that are no columns."""
    return {**group, **{f"of_{name}": group[name] for name in ("portal_id", "resource", "mode", "status")}}


_RUNS = SyncRun.__table__.c
_QUIET = and_(*(_RUNS[name] == 0 for name in CHANGES))
_SUM_UP = (
    update(SyncRun.__table__)
    .where(_RUNS.id == bindparam("first_id"))
    .values({name: bindparam(name) for name in (*COUNTERS, "folded", "started_at", "finished_at", "error")})
)
# Only rows that were summed: one that came since has a higher number. Two processes that fold at once write the same.
_DROP_SUMMED = delete(SyncRun.__table__).where(
    _QUIET,
    *(_RUNS[name] == bindparam(f"of_{name}") for name in ("portal_id", "resource", "mode", "status")),
    _RUNS.id > bindparam("first_id"),
    _RUNS.id <= bindparam("last_id"),
    _RUNS.started_at.between(bindparam("started_at"), bindparam("last_start")),
)


def delete_old_runs(session: Session, now: datetime, *, keep: timedelta = KEEP) -> int:
    """Delete runs that began before `keep`: at most 2,000 in one call, what remains by the next."""
    old = select(SyncRun.id).where(SyncRun.started_at < now - keep).order_by(SyncRun.started_at).limit(DELETED_AT_ONCE)
    found = session.scalars(old).all()
    return sum(change(session, delete(SyncRun).where(SyncRun.id.in_(some))) for some in chunks(found))
