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

from sqlalchemy import ColumnElement, Double, Update, and_, bindparam, case, delete, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from worker.clock import TOLERANCE
from worker.errors import LeaseLost
from worker.storage.columns import UtcDateTime
from worker.storage.models import ClosedMethod, RequestBudget
from worker.storage.session import Database
from worker.storage.statements import change, insert_if_missing, is_over

LONGEST_CLOSED = timedelta(minutes=10)
"""The window of the operating time (vendor: limits.md): no method is closed for longer."""

_USED = 0.96  # of the burst: 48 of 50 requests
_RECOVERY = 600.0  # seconds from standing still to the whole rate
_SLOWEST = 1 / 16
_TOGETHER = 2.0  # seconds: requests that were refused together slow us down once


def _share() -> ColumnElement[float]:
    """Which part of the portal's rate we take at `_MOMENT`: less after a refusal, for a while."""
    passed = case((RequestBudget.slowed_at < _MOMENT, _MOMENT - RequestBudget.slowed_at), else_=0.0)
    share = RequestBudget.slow + passed / _RECOVERY
    return case((share < 1.0, share), else_=1.0)


def _rate() -> ColumnElement[float]:
    return RequestBudget.per_second * _share()


def _level() -> ColumnElement[float]:
    """What is left in the bucket at `_MOMENT`, as SQL. A clock that was set back empties nothing."""
    passed = case((RequestBudget.level_at < _MOMENT, _MOMENT - RequestBudget.level_at), else_=0.0)
    left = RequestBudget.level - passed * _rate()
    return case((left > 0.0, left), else_=0.0)


def _set_level(level: ColumnElement[float]) -> Update:
    # The later of the two, or machines whose clocks differ would empty it twice; but not a day that has not come yet.
    ahead = and_(RequestBudget.level_at >= _MOMENT, RequestBudget.level_at <= _MOMENT + TOLERANCE.total_seconds())
    later = case((ahead, RequestBudget.level_at), else_=_MOMENT)
    # In this order: MariaDB computes each column from those already set.
    return _BUCKET.ordered_values((RequestBudget.level, level), (RequestBudget.level_at, later))


_MOMENT = bindparam("moment", type_=Double)
"""Now, Unix time."""

_REQUESTS = bindparam("requests", type_=Double)
_PATIENCE = bindparam("patience", type_=Double)
_MINE = RequestBudget.portal_id == bindparam("portal")
_BUCKET = update(RequestBudget).where(_MINE)

# Put together once: that costs ten times what it costs to run them.
_RESERVE = _set_level(_level() + _REQUESTS).where(
    _level() + _REQUESTS <= RequestBudget.burst * _USED + _rate() * _PATIENCE
)
_WAIT = select((RequestBudget.level - RequestBudget.burst * _USED) / _rate()).where(_MINE)
_WAIT_OF_MORE = select((_level() + _REQUESTS - RequestBudget.burst * _USED) / _rate()).where(_MINE)
_FILL = _set_level(case((_level() > RequestBudget.burst, _level()), else_=RequestBudget.burst))
_SLOW = _BUCKET.where(~(RequestBudget.slowed_at > _MOMENT - _TOGETHER)).ordered_values(
    (RequestBudget.slow, case((_share() / 2 > _SLOWEST, _share() / 2), else_=literal(_SLOWEST, Double))),
    (RequestBudget.slowed_at, _MOMENT),
)
_CLOSED = select(ClosedMethod.method, ClosedMethod.until).where(
    ClosedMethod.portal_id == bindparam("portal"),
    ClosedMethod.until > bindparam("now", type_=UtcDateTime),
    ClosedMethod.until <= bindparam("latest", type_=UtcDateTime),
)


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
        values = {"portal": portal_id, "moment": now.timestamp(), "requests": requests, "patience": patience}
        with self._db.write() as session:
            taken = change(session, _RESERVE, values)
            if not taken:  # no room, or no bucket yet
                _ensure_bucket(session, portal_id)
                taken = change(session, _RESERVE, values)
            seconds = max(0.0, session.scalars(_WAIT if taken else _WAIT_OF_MORE, values).one())
        # The caller takes what is beyond its patience for "not reserved": rounding, or what others did between the
        # two statements, must not blur that.
        return min(seconds, patience) if taken else max(seconds, math.nextafter(patience, math.inf))

    def fill(self, portal_id: int, *, now: datetime) -> None:
        """The portal said QUERY_LIMIT_EXCEEDED: its bucket is full, whoever filled it, and will be again."""
        values = {"portal": portal_id, "moment": now.timestamp()}
        with self._db.write() as session:
            _ensure_bucket(session, portal_id)
            change(session, _FILL, values)
            change(session, _SLOW, values)

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
        values = {"portal": portal_id, "now": now, "latest": now + LONGEST_CLOSED + TOLERANCE}
        with self._db.read() as session:
            rows = session.execute(_CLOSED, values)
            return {method: until for method, until in rows}  # noqa: C416 - dict() would not keep the types


def prune_closed_methods(session: Session, now: datetime) -> int:
    """Forget methods that are open again."""
    return change(session, delete(ClosedMethod).where(is_over(ClosedMethod.until, now, longest=LONGEST_CLOSED)))


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
