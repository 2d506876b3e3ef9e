"""Portals and their accounts: who is connected, and in what state.

Every function works inside the caller's transaction. What they return stays readable after it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from worker.breaker import Breaker
from worker.storage.columns import storable
from worker.storage.models import Account, Base, OAuthToken, Portal
from worker.storage.statements import changed_rows

PLACEHOLDER = "domain:"
"""Begins the member_id of a portal that has not told its own."""


def host_of(domain: str) -> str:
    """The bare host name (and port) of what a person or a portal calls the domain."""
    return domain.strip().lower().removeprefix("https://").removeprefix("http://").split("/", 1)[0]


def find_portal(session: Session, text: str) -> Portal | None:
    """The portal with this member_id, domain or number. Of several with one domain, the one in use, then the newest."""
    portal = session.scalars(select(Portal).where(Portal.member_id == text)).one_or_none()
    if portal is not None:
        return portal
    in_use = Portal.status != "closed"
    portal = session.scalars(
        select(Portal).where(Portal.domain == host_of(text)).order_by(in_use.desc(), Portal.id.desc()).limit(1)
    ).one_or_none()
    if portal is None and text.isascii() and text.isdigit() and len(text) < 19:  # noqa: PLR2004 - what BIGINT holds
        portal = session.get(Portal, int(text))
    return portal


def get_portal(session: Session, portal_id: int) -> Portal | None:
    """The portal with this number, as it is now."""
    return session.get(Portal, portal_id, populate_existing=True)


def list_portals(session: Session) -> Sequence[Portal]:
    """All portals, the oldest first."""
    return session.scalars(select(Portal).order_by(Portal.id)).all()


def set_portal_status(session: Session, portal_id: int, status: str, reason: str | None = None) -> bool:
    """Make a portal active, paused or closed. One that becomes active is due at once."""
    values: dict[str, Any] = {"status": status, "status_reason": reason}
    if status == "active":
        values |= {"next_run_at": None, "enqueued_until": None, **_columns(Breaker())}
    return _change_portal(session, portal_id, values)


def move_portal(session: Session, portal_id: int, domain: str, rest_url: str) -> bool:
    """The portal answers elsewhere now."""
    return _change_portal(session, portal_id, {"domain": host_of(domain), "rest_url": rest_url})


def breaker_of(portal: Portal) -> Breaker:
    """The portal's circuit breaker."""
    return Breaker(portal.breaker_failures, portal.breaker_until, portal.breaker_reason)


def save_breaker(session: Session, portal_id: int, breaker: Breaker) -> bool:
    """Keep it, for all processes."""
    return _change_portal(session, portal_id, _columns(breaker))


def save_clock(session: Session, portal_id: int, ahead: float) -> bool:
    """Keep by how many seconds the portal's clock is ahead of ours."""
    return _change_portal(session, portal_id, {"clock_ahead_seconds": ahead})


def save_events_mode(session: Session, portal_id: int, mode: str, now: datetime | None) -> bool:
    """Keep what the portal's offline events are used for; `now`: when what is bound was looked at."""
    return _change_portal(session, portal_id, {"events_mode": mode, "events_checked_at": now})


def save_events_process(session: Session, portal_id: int, process_id: str | None) -> bool:
    """Keep under which ID events were taken; None once they are cleared."""
    return _change_portal(session, portal_id, {"events_process_id": process_id})


def remove_portal(session: Session, portal_id: int) -> bool:
    """Delete the portal and everything of it. A run that is under way finds its lease lost."""
    # The portal first: whoever writes for it waits for this row or has done so already.
    session.execute(select(Portal.id).where(Portal.id == portal_id).with_for_update())
    accounts = select(Account.id).where(Account.portal_id == portal_id).scalar_subquery()
    session.execute(delete(OAuthToken).where(OAuthToken.account_id.in_(accounts)))
    for table in reversed(Base.metadata.sorted_tables):
        if "portal_id" in table.c:
            session.execute(delete(table).where(table.c.portal_id == portal_id))
    return changed_rows(session.execute(delete(Portal).where(Portal.id == portal_id))) == 1


def list_accounts(session: Session, portal_id: int) -> Sequence[Account]:
    """The accounts of a portal, the primary one first."""
    statement = select(Account).where(Account.portal_id == portal_id)
    return session.scalars(statement.order_by(Account.is_primary.desc(), Account.id)).all()


def primary_account(session: Session, portal_id: int) -> Account | None:
    """The account that reads the portal."""
    statement = select(Account).where(Account.portal_id == portal_id, Account.is_primary)
    return session.scalars(statement.order_by(Account.id).limit(1)).one_or_none()


def get_account(session: Session, account_id: int) -> Account | None:
    """The account with this number, as it is now."""
    return session.get(Account, account_id, populate_existing=True)


def set_account_status(
    session: Session, account_id: int, status: str, reason: str | None = None, *, token_version: int | None = None
) -> bool:
    """Make an account ok, needs_reauth, payment_required or app_removed.

    With `token_version` only while that pair is still the stored one: somebody may have authorized again meanwhile.
    """
    if token_version is not None:
        pair = select(OAuthToken.version).where(OAuthToken.account_id == account_id).with_for_update()
        if session.scalar(pair) != token_version:
            return False
    return _change_account(session, account_id, {"status": status, "status_reason": reason})


def save_profile(
    session: Session, account_id: int, *, is_admin: bool | None, time_zone: str | None, now: datetime
) -> bool:
    """Keep what the portal says of the account's user."""
    values = {"is_admin": is_admin, "time_zone": time_zone, "profile_read_at": now}
    return _change_account(session, account_id, values)


def save_scope(session: Session, account_id: int, scope: str) -> bool:
    """Keep the scopes that were granted."""
    return _change_account(session, account_id, {"scope": scope})


def _columns(breaker: Breaker) -> dict[str, Any]:
    reason = None if breaker.reason is None else storable(breaker.reason)
    return {"breaker_failures": breaker.failures, "breaker_until": breaker.until, "breaker_reason": reason}


def _change_portal(session: Session, portal_id: int, values: Mapping[str, Any]) -> bool:
    return changed_rows(session.execute(update(Portal).where(Portal.id == portal_id).values(**values))) == 1


def _change_account(session: Session, account_id: int, values: Mapping[str, Any]) -> bool:
    return changed_rows(session.execute(update(Account).where(Account.id == account_id).values(**values))) == 1
