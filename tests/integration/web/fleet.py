"""Portals in every state that there is, as many as asked for."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import cycle, islice

from sqlalchemy import insert
from sqlalchemy.orm import Session

from tests.integration.conftest import connect
from worker.resources import RESOURCES
from worker.storage import runs
from worker.storage.cursors import update_cursor
from worker.storage.drift import note_drift
from worker.storage.models import Account, OAuthToken, Portal, User
from worker.storage.ranking import Rank
from worker.storage.rejected import put_rejected

INTERVAL = timedelta(minutes=5)
SCOPE = "task,calendar,user"

Spoil = Callable[[Session, Account, datetime], None]


def well(_session: Session, _account: Account, _now: datetime) -> None:
    pass


def closed(session: Session, account: Account, _now: datetime) -> None:
    session.get_one(Portal, account.portal_id).status = "closed"
    account.status = "app_removed"


def paused(session: Session, account: Account, now: datetime) -> None:
    session.get_one(Portal, account.portal_id).status = "paused"
    late(session, account, now)


def silent(session: Session, account: Account, now: datetime) -> None:
    portal = session.get_one(Portal, account.portal_id)
    portal.breaker_failures, portal.breaker_until, portal.breaker_reason = 3, now + INTERVAL, "connection refused"


def guarded(session: Session, account: Account, now: datetime) -> None:
    for resource in ("tasks", "users"):
        _ran(session, account.portal_id, resource, now, status="guarded", error="too much is gone")


def failed(session: Session, account: Account, now: datetime) -> None:
    _ran(session, account.portal_id, "calendar", now, status="failed", error=f"portal {account.portal_id} said no")


def late(session: Session, account: Account, now: datetime) -> None:
    update_cursor(session, account.portal_id, "planner", last_run_at=now - 4 * INTERVAL, last_status="ok")


def waiting(session: Session, account: Account, now: datetime) -> None:
    account.status = "needs_reauth"
    failed(session, account, now)


def unpaid(_session: Session, account: Account, _now: datetime) -> None:
    account.status = "payment_required"


def ending(session: Session, account: Account, now: datetime) -> None:
    """Its sign-in ends in a week, and two permissions are missing: three things."""
    session.get_one(OAuthToken, account.id).refresh_issued_at = now - timedelta(days=173)
    account.scope = "tasks,crm"


def new(session: Session, account: Account, _now: datetime) -> None:
    for resource in ("tasks", "calendar"):
        update_cursor(session, account.portal_id, resource, last_run_at=None, last_status=None)


def spoiled(session: Session, account: Account, now: datetime) -> None:
    """Well, but for a record that became no row and a field that nobody knows."""
    for key in ("1", "2"):
        put_rejected(session, account.portal_id, "tasks", key, payload="{}", reason="odd", now=now)
    note_drift(session, account.portal_id, "tasks", [_Drift()], now)


class _Drift:
    field, kind, example = "NEW", "field", "text"


KINDS: Mapping[Spoil, Rank] = {
    well: Rank.WELL,
    closed: Rank.NEEDS,
    failed: Rank.BEHIND,
    paused: Rank.PAUSED,
    silent: Rank.BEHIND,
    guarded: Rank.NEEDS,
    late: Rank.BEHIND,
    waiting: Rank.NEEDS,
    unpaid: Rank.NEEDS,
    ending: Rank.NEEDS,
    new: Rank.NEW,
    spoiled: Rank.WELL,
}
"""Every state, and how much such a portal wants to be looked at."""


def add_portals(session: Session, now: datetime, *kinds: Spoil) -> list[int]:
    """One portal of each of these kinds; their numbers."""
    return [_add(session, kind, now) for kind in kinds]


def add_fleet(session: Session, now: datetime, number: int) -> list[int]:
    """So many, of all kinds in turn."""
    return add_portals(session, now, *islice(cycle(KINDS), number))


def _add(session: Session, spoil: Spoil, now: datetime) -> int:
    number = session.query(Portal).count()
    account = connect(session, now, member_id=f"m{number}", domain=f"{spoil.__name__}-{number}.example", scope=SCOPE)
    token = {"account_id": account.id, "access_token_encrypted": "x", "expires_in": 3600, "version": 1}
    session.execute(insert(OAuthToken).values(**token, access_expires_at=now + INTERVAL, refresh_issued_at=now))
    for resource in RESOURCES:
        _ran(session, account.portal_id, resource, now)
    user = {"portal_id": account.portal_id, "user_id": 1, "raw": "{}", "content_hash": ""}
    session.execute(insert(User).values(**user, first_seen_at=now, updated_at=now))
    session.flush()
    spoil(session, account, now)
    session.flush()
    return account.portal_id


def _ran(session: Session, portal_id: int, resource: str, now: datetime, **told: str) -> None:
    """A run that was ok, unless it is told otherwise."""
    report = {
        "portal_id": portal_id,
        "resource": resource,
        "mode": "incremental",
        "status": "ok",
        "inserted": 1,
        **told,
    }
    runs.add_run(session, {**report, "started_at": now, "finished_at": now})
    update_cursor(session, portal_id, resource, last_run_at=now, last_status=report["status"])
