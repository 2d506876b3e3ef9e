"""The request budgets, shared by all processes through the database: `worker.budget.BudgetStore` over SQL.

A leaky bucket in one row: `level` is what was in it at `level_at`, and it empties by `per_second`. A reservation is one
UPDATE that computes the level from what the row holds in that moment, so nothing is read first and no update is lost.

A little of the bucket is left alone: requests reserved one after the other arrive a little closer together, or further
apart. Where the portal refuses although there is room, others at our address fill its bucket too: we then go half as
fast, and come back to our whole rate within ten minutes.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Double, Update, and_, case, delete, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from worker.clock import TOLERANCE
from worker.errors import LeaseLost
from worker.storage.models import ClosedMethod, RequestBudget
from worker.storage.session import Database
from worker.storage.statements import change, insert_if_missing, is_over

LONGEST_CLOSED = timedelta(minutes=10)
"""The window of the operating time (vendor: limits.md): no method is closed for longer."""

_USED = 0.96  # of the burst: 48 of 50 requests
_RECOVERY = 600.0  # seconds from standing still to the whole rate
_SLOWEST = 1 / 16
_TOGETHER = 2.0  # seconds: requests that were refused together slow us down once


class SqlBudgetStore:
    """Every method is one short transaction of its own."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def reserve(self, portal_id: int, requests: int, *, now: datetime, patience: float) -> float:
        """Reserve room for `requests` in the portal's bucket, in one update.

        Returns:
            Seconds to wait before sending, 0.0 when there is room now. A wait longer than `patience` seconds is
            returned too, but then nothing was reserved.
        """
        level = _level(now) + requests
        limit = RequestBudget.burst * _USED + _rate(now) * patience
        statement = _set_level(portal_id, now, level).where(level <= limit)
        with self._db.write() as session:
            taken = change(session, statement)
            if not taken:  # no room, or no bucket yet
                _ensure_bucket(session, portal_id)
                taken = change(session, statement)
            after = RequestBudget.level if taken else level
            wait = (after - RequestBudget.burst * _USED) / _rate(now)
            seconds = max(0.0, session.scalars(select(wait).where(RequestBudget.portal_id == portal_id)).one())
        # The caller takes what is beyond its patience for "not reserved": rounding, or what others did between the
        # two statements, must not blur that.
        return min(seconds, patience) if taken else max(seconds, math.nextafter(patience, math.inf))

    def fill(self, portal_id: int, *, now: datetime) -> None:
        """The portal said QUERY_LIMIT_EXCEEDED: its bucket is full, whoever filled it, and will be again."""
        level = _level(now)
        full = case((level > RequestBudget.burst, level), else_=RequestBudget.burst)
        moment = literal(now.timestamp(), Double)
        half = case((_share(now) / 2 > _SLOWEST, _share(now) / 2), else_=literal(_SLOWEST, Double))
        again = RequestBudget.slowed_at > moment - _TOGETHER
        slow = update(RequestBudget).where(RequestBudget.portal_id == portal_id, ~again)
        with self._db.write() as session:
            _ensure_bucket(session, portal_id)
            change(session, _set_level(portal_id, now, full))
            change(session, slow.ordered_values((RequestBudget.slow, half), (RequestBudget.slowed_at, moment)))

    def close_method(self, portal_id: int, method: str, *, until: datetime) -> None:
        """Nobody calls `method` before `until`. An earlier date never shortens a later one."""
        values = {"portal_id": portal_id, "method": method, "until": until}
        later = case((ClosedMethod.until > until, ClosedMethod.until), else_=literal(until, ClosedMethod.until.type))
        this = update(ClosedMethod).where(ClosedMethod.portal_id == portal_id, ClosedMethod.method == method)
        # A portal that was removed meanwhile needs no closed methods.
        with suppress(IntegrityError), self._db.write() as session:
            insert_if_missing(session, ClosedMethod.__table__, values)
            change(session, this.values(until=later))

    def closed_methods(self, portal_id: int, *, now: datetime) -> Mapping[str, datetime]:
        """The methods closed at `now`, and until when."""
        statement = select(ClosedMethod.method, ClosedMethod.until)
        with self._db.read() as session:
            shut = ~is_over(ClosedMethod.until, now, longest=LONGEST_CLOSED)
            rows = session.execute(statement.where(ClosedMethod.portal_id == portal_id, shut))
            return {method: until for method, until in rows}  # noqa: C416 - dict() would not keep the types


def prune_closed_methods(session: Session, now: datetime) -> int:
    """Forget methods that are open again."""
    return change(session, delete(ClosedMethod).where(is_over(ClosedMethod.until, now, longest=LONGEST_CLOSED)))


def _share(now: datetime) -> ColumnElement[float]:
    """Which part of the portal's rate we take at `now`: less after a refusal, for a while."""
    moment = literal(now.timestamp(), Double)
    passed = case((RequestBudget.slowed_at < moment, moment - RequestBudget.slowed_at), else_=0.0)
    share = RequestBudget.slow + passed / _RECOVERY
    return case((share < 1.0, share), else_=1.0)


def _rate(now: datetime) -> ColumnElement[float]:
    return RequestBudget.per_second * _share(now)


def _level(now: datetime) -> ColumnElement[float]:
    """What is left in the bucket at `now`, as SQL. A clock that was set back empties nothing."""
    moment = literal(now.timestamp(), Double)
    passed = case((RequestBudget.level_at < moment, moment - RequestBudget.level_at), else_=0.0)
    left = RequestBudget.level - passed * _rate(now)
    return case((left > 0.0, left), else_=0.0)


def _set_level(portal_id: int, now: datetime, level: ColumnElement[float]) -> Update:
    moment = literal(now.timestamp(), Double)
    # The later of the two, or machines whose clocks differ would empty it twice; but not a day that has not come yet.
    ahead = and_(RequestBudget.level_at >= moment, RequestBudget.level_at <= moment + TOLERANCE.total_seconds())
    later = case((ahead, RequestBudget.level_at), else_=moment)
    statement = update(RequestBudget).where(RequestBudget.portal_id == portal_id)
    # In this order: MariaDB computes each column from those already set.
    return statement.ordered_values((RequestBudget.level, level), (RequestBudget.level_at, later))


def _ensure_bucket(session: Session, portal_id: int) -> None:
    """See that the portal has a bucket.

    Raises:
        LeaseLost: The portal was removed.
    """
    if session.scalar(select(RequestBudget.portal_id).where(RequestBudget.portal_id == portal_id)) is not None:
        return
    try:
        insert_if_missing(session, RequestBudget.__table__, {"portal_id": portal_id})
    except IntegrityError:
        raise LeaseLost(f"portal {portal_id} was removed") from None
