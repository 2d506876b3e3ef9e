"""The state of the mirror at one moment, as the status page and `b24sync status` show it. Holds no secret."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.breaker import Breaker
from worker.resources import RESOURCES
from worker.storage import portals
from worker.storage.cursors import Cursor, load_all_cursors
from worker.storage.drift import list_drift
from worker.storage.freshness import whole_at
from worker.storage.models import Account, Base, CalendarEvent, PlannerTask, Portal, Task, User
from worker.storage.rejected import count_all_rejected
from worker.storage.runs import last_error
from worker.storage.schema import current
from worker.storage.session import Database
from worker.storage.tokens import TokenDates, token_dates
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


@dataclass(frozen=True, slots=True)
class AccountState:
    """One authorization. A webhook has no dates: it does not end."""

    user_id: int
    kind: str
    is_primary: bool
    status: str
    scope: str
    access_expires_at: datetime | None
    refresh_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class ResourceState:
    """One resource of a portal.

    Args:
        fresh_seconds: Since the end of the last run that was whole; None: there was none.
        rows: Without those marked as deleted.
        error: Why the last run was not ok; None where it was.
    """

    name: str
    last_run_at: datetime | None
    last_status: str | None
    fresh_seconds: int | None
    rows: int
    next_run_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class BreakerView:
    """Whether the portal answers.

    Args:
        state: closed (it does), open (left alone until `until`), half_open (the next turn asks whether it does again).
        failures: Turns in a row without an answer.
        until: When it is asked again.
        reason: What the last of them met.
    """

    state: str
    failures: int
    until: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class DriftView:
    """Something that the portal sends otherwise than this program knows: nothing is lost, but people should hear of it.

    Args:
        kind: field (unknown), shape (many values for one, or one for many) or code (a new word).
        example: The kind of its value, or the new word.
        times: Runs that met it.
    """

    resource: str
    field: str
    kind: str
    example: str
    times: int
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class PortalState:
    """One portal.

    Args:
        events_mode: What its offline events are good for: confirm, hints or polling (none); None: not asked yet.
    """

    member_id: str
    domain: str
    status: str
    accounts: Sequence[AccountState]
    resources: Sequence[ResourceState]
    rejected: int
    events_mode: str | None
    breaker: BreakerView
    drift: Sequence[DriftView]


@dataclass(frozen=True, slots=True)
class Overview:
    """All portals, and the revision of the database's schema."""

    portals: Sequence[PortalState]
    schema: str | None

    def as_dict(self) -> dict[str, Any]:
        """The public figures, in the order of the contract; times as ISO 8601 in UTC."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def look(database: Database, now: datetime) -> Overview:
    """The state now, in one reading transaction."""
    revision = current(database)
    with database.read() as session:
        every = _Every(session)
        states = [_portal(session, portal, every, now) for portal in portals.list_portals(session)]
    return Overview(states, revision)


class _Every:
    """What all portals have, each kind by one question: thousands of portals are asked for no more than one is."""

    def __init__(self, session: Session) -> None:
        self.dates = {pair.account_id: pair for pair in token_dates(session)}
        self.accounts = _by_portal(session.scalars(select(Account).order_by(Account.is_primary.desc(), Account.id)))
        self.cursors = load_all_cursors(session)
        self.whole = whole_at(session)
        self.rows = count_all_rows(session)
        self.rejected = count_all_rejected(session)
        self.drift = _by_portal(list_drift(session))


class _OfPortal(Protocol):
    portal_id: Any


T = TypeVar("T", bound=_OfPortal)


def _by_portal(rows: Iterable[T]) -> Mapping[int, list[T]]:
    found: dict[int, list[T]] = defaultdict(list)
    for row in rows:
        found[row.portal_id].append(row)
    return found


def _portal(session: Session, portal: Portal, every: _Every, now: datetime) -> PortalState:
    return PortalState(
        member_id=portal.member_id,
        domain=portal.domain,
        status=portal.status,
        accounts=[_account(account, every.dates.get(account.id)) for account in every.accounts.get(portal.id, ())],
        resources=[_resource(session, (portal.id, name), every, now) for name in RESOURCES],
        rejected=every.rejected.get(portal.id, 0),
        events_mode=portal.events_mode,
        breaker=_breaker(portals.breaker_of(portal), now),
        drift=[
            DriftView(one.resource, one.field, one.kind, one.example, one.times, one.first_seen_at, one.last_seen_at)
            for one in every.drift.get(portal.id, ())
        ],
    )


def _breaker(breaker: Breaker, now: datetime) -> BreakerView:
    return BreakerView(str(breaker.state(now)), breaker.failures, breaker.until, breaker.reason)


def _account(account: Account, pair: TokenDates | None) -> AccountState:
    ends = pair is not None and account.kind == "oauth"
    return AccountState(
        user_id=account.user_id,
        kind=account.kind,
        is_primary=account.is_primary,
        status=account.status,
        scope=account.scope,
        access_expires_at=pair.access_expires_at if pair and ends else None,
        refresh_expires_at=pair.refresh_issued_at + REFRESH_LIFE if pair and ends else None,
    )


def _resource(session: Session, key: tuple[int, str], every: _Every, now: datetime) -> ResourceState:
    cursor = every.cursors.get(key) or Cursor(*key)
    fresh_at = every.whole.get(key) if cursor.last_run_at is not None else None
    return ResourceState(
        name=cursor.resource,
        last_run_at=cursor.last_run_at,
        last_status=cursor.last_status,
        fresh_seconds=None if fresh_at is None else max(0, int((now - fresh_at).total_seconds())),
        rows=every.rows.get(key, 0),
        next_run_at=cursor.next_run_at,
        error=None if cursor.last_status in {None, "ok"} else last_error(session, cursor.portal_id, cursor.resource),
    )


def count_rows(session: Session, portal_id: int, resource: str) -> int:
    """How many rows a portal's resource has, without those marked as deleted."""
    return count_live(session, MAIN_TABLES[resource].__table__, portal_id)


def count_all_rows(session: Session) -> Mapping[tuple[int, str], int]:
    """The same for all portals at once, by (portal, resource); who has none is not in it."""
    return {
        (portal_id, resource): count
        for resource, table in MAIN_TABLES.items()
        for portal_id, count in count_all_live(session, table.__table__).items()
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of the figures
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
