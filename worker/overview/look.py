"""Reads the state of portals: each kind of thing by one question, for thousands of portals as for one."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from worker.breaker import Breaker
from worker.overview.states import AccountState, BreakerView, DriftView, Overview, PortalState, ResourceState
from worker.resources import RESOURCES
from worker.storage.cursors import Cursor, load_all_cursors
from worker.storage.drift import list_drift
from worker.storage.freshness import whole_at
from worker.storage.lookup import within
from worker.storage.models import Account, Base, CalendarEvent, OAuthToken, PlannerTask, Portal, Task, User
from worker.storage.rejected import count_all_rejected
from worker.storage.revisions import current
from worker.storage.runs import last_errors
from worker.storage.session import Database
from worker.storage.upsert import count_all_live, count_live

REFRESH_LIFE = timedelta(days=180)
"""What the vendor documents (settings/oauth/auto-renewal.md); the server tells no date."""

MAIN_TABLES: Mapping[str, type[Base]] = {
    "users": User,
    "tasks": Task,
    "planner": PlannerTask,
    "calendar": CalendarEvent,
}
"""The table whose rows stand for a resource."""


def look(database: Database, now: datetime, portal_ids: Sequence[int] | None = None) -> Overview:
    """The state of these portals, or of all, now, in one reading transaction."""
    revision = current(database)
    with database.read() as session:
        return Overview(list(look_at(session, now, portal_ids).values()), revision)


def look_at(session: Session, now: datetime, portal_ids: Sequence[int] | None = None) -> dict[int, PortalState]:
    """The state of these portals by number, in this order; without numbers of all, the oldest first."""
    every = _Every(session, portal_ids)
    wanted = every.portals if portal_ids is None else [number for number in portal_ids if number in every.portals]
    return {number: _portal(every.portals[number], every, now) for number in wanted}


class _Every:
    """What the portals have, each kind by one question."""

    def __init__(self, session: Session, portal_ids: Sequence[int] | None) -> None:
        columns = (Portal.member_id, Portal.domain, Portal.status, Portal.events_mode)
        breaker = (Portal.breaker_failures, Portal.breaker_until, Portal.breaker_reason)
        chosen = select(Portal.id, *columns, *breaker).where(within(Portal.id, portal_ids)).order_by(Portal.id)
        self.portals = {portal.id: portal for portal in session.execute(chosen)}
        self.accounts = _by_portal(session.execute(_accounts(portal_ids)))
        self.cursors = load_all_cursors(session, portal_ids)
        self.whole = whole_at(session, portal_ids)
        self.rows = count_all_rows(session, portal_ids)
        self.rejected = count_all_rejected(session, portal_ids)
        self.errors = last_errors(session, portal_ids)
        self.drift = _by_portal(list_drift(session, portal_ids))


def _accounts(portal_ids: Sequence[int] | None) -> Any:  # noqa: ANN401 - the select of so many columns has no short type
    """The primary account of each portal first."""
    columns = (Account.portal_id, Account.user_id, Account.kind, Account.is_primary, Account.status, Account.scope)
    return (
        select(*columns, OAuthToken.access_expires_at, OAuthToken.refresh_issued_at)
        .outerjoin(OAuthToken, OAuthToken.account_id == Account.id)
        .where(within(Account.portal_id, portal_ids))
        .order_by(Account.is_primary.desc(), Account.id)
    )


class _OfPortal(Protocol):
    portal_id: Any


T = TypeVar("T", bound=_OfPortal)


def _by_portal(rows: Iterable[T]) -> Mapping[int, list[T]]:
    found: dict[int, list[T]] = defaultdict(list)
    for row in rows:
        found[row.portal_id].append(row)
    return found


def _portal(portal: Row[*tuple[Any, ...]], every: _Every, now: datetime) -> PortalState:
    breaker = Breaker(portal.breaker_failures, portal.breaker_until, portal.breaker_reason)
    return PortalState(
        member_id=portal.member_id,
        domain=portal.domain,
        status=portal.status,
        accounts=[_account(account) for account in every.accounts.get(portal.id, ())],
        resources=[_resource((portal.id, name), every, now) for name in RESOURCES],
        rejected=every.rejected.get(portal.id, 0),
        events_mode=portal.events_mode,
        breaker=BreakerView(str(breaker.state(now)), breaker.failures, breaker.until, breaker.reason),
        drift=[
            DriftView(one.resource, one.field, one.kind, one.example, one.times, one.first_seen_at, one.last_seen_at)
            for one in every.drift.get(portal.id, ())
        ],
    )


def _account(account: Row[*tuple[Any, ...]]) -> AccountState:
    ends = account.kind == "oauth" and account.refresh_issued_at is not None
    return AccountState(
        user_id=account.user_id,
        kind=account.kind,
        is_primary=account.is_primary,
        status=account.status,
        scope=account.scope,
        access_expires_at=account.access_expires_at if ends else None,
        refresh_expires_at=account.refresh_issued_at + REFRESH_LIFE if ends else None,
    )


def _resource(key: tuple[int, str], every: _Every, now: datetime) -> ResourceState:
    cursor = every.cursors.get(key) or Cursor(*key)
    fresh_at = every.whole.get(key) if cursor.last_run_at is not None else None
    return ResourceState(
        name=cursor.resource,
        last_run_at=cursor.last_run_at,
        last_status=cursor.last_status,
        fresh_seconds=None if fresh_at is None else max(0, int((now - fresh_at).total_seconds())),
        rows=every.rows.get(key, 0),
        next_run_at=cursor.next_run_at,
        error=every.errors.get(key),
    )


def count_rows(session: Session, portal_id: int, resource: str) -> int:
    """How many rows a portal's resource has, without those marked as deleted."""
    return count_live(session, MAIN_TABLES[resource].__table__, portal_id)


def count_rows_in_all(session: Session) -> int:
    """How many rows all resources of all portals have, without those marked as deleted."""
    return sum(count_live(session, table.__table__) for table in MAIN_TABLES.values())


def count_all_rows(session: Session, portal_ids: Sequence[int] | None = None) -> Mapping[tuple[int, str], int]:
    """The same of these portals or of all at once, by (portal, resource); who has none is not in it."""
    return {
        (portal_id, resource): count
        for resource, table in MAIN_TABLES.items()
        for portal_id, count in count_all_live(session, table.__table__, portal_ids).items()
    }
