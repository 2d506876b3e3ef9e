"""Registers what a person connected: one row per portal, one per account, however often and from wherever it comes."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from worker.storage.models import Account, Portal, RequestBudget
from worker.storage.portals import PLACEHOLDER, find_portal, host_of, remove_portal
from worker.storage.statements import change, insert_if_missing


def register_account(
    session: Session,
    *,
    member_id: str,
    domain: str,
    rest_url: str,
    oauth_url: str | None,
    user_id: int,
    kind: str,
    scope: str,
    is_admin: bool | None,
    time_zone: str | None,
    now: datetime,
) -> Account:
    """Put a connection on record, or refresh the one that is there.

    The first account of a portal is its primary one. A portal known by its domain only takes the real `member_id`
    from the first OAuth connection of that host. A connection made again is healthy again, and so is a portal that
    was closed; one that an operator paused stays paused.

    Args:
        session: A write transaction; the account's secret is saved in the same one.
        member_id: As the portal told it, or `domain:<host>` where it told none.
        domain: The portal's host.
        rest_url: Where REST calls go, without secrets.
        oauth_url: The token server the portal named; None keeps the one that is known.
        user_id: Whose authorization this is.
        kind: `oauth` or `webhook`.
        scope: What was granted, separated by commas.
        is_admin: None keeps what is known.
        time_zone: None keeps what is known.
        now: Our clock.
    """
    host = host_of(domain)
    portal = _known_portal(session, member_id, host)
    if portal is None:
        new = {"member_id": member_id, "domain": host, "rest_url": rest_url, "created_at": now}
        insert_if_missing(session, Portal.__table__, new)  # of two at once, one finds the other's
        portal = session.scalars(select(Portal).where(Portal.member_id == member_id)).one()
    # From here on one connection at a time for this portal: only one of two can be the first account.
    session.refresh(portal, with_for_update=True)
    if not member_id.startswith(PLACEHOLDER):
        _take_over_placeholder(session, portal, host)
        portal.member_id, portal.domain, portal.rest_url = member_id, host, rest_url
    portal.oauth_url = oauth_url or portal.oauth_url
    if portal.status == "closed":
        portal.status, portal.status_reason = "active", None
    portal.next_run_at = portal.enqueued_until = portal.breaker_until = portal.breaker_reason = None
    portal.breaker_failures = 0  # it has just answered, or will say so soon
    portal.events_checked_at = None  # a new installation has no event bound (vendor: events/event-bind.md)
    account = _account(session, portal, user_id, kind, now)
    account.scope = scope
    account.status, account.status_reason = "ok", None
    if is_admin is not None:
        account.is_admin = is_admin
    if time_zone is not None:
        account.time_zone = time_zone
    if is_admin is not None and time_zone is not None:
        account.profile_read_at = now
    session.flush()
    return account


def _known_portal(session: Session, member_id: str, host: str) -> Portal | None:
    """The row of this portal: by its own ID, else by the host where one of the two sides knows no ID."""
    portal = session.scalars(select(Portal).where(Portal.member_id == member_id)).one_or_none()
    if portal is not None:
        return portal
    if member_id.startswith(PLACEHOLDER):
        return find_portal(session, host)
    return session.scalars(select(Portal).where(Portal.member_id == PLACEHOLDER + host)).one_or_none()


def _take_over_placeholder(session: Session, portal: Portal, host: str) -> None:
    """A portal that moved may have been met again under its new host, as a stranger: that row ends in this one.

    Its accounts come over; what was mirrored for it is read again under the right row.
    """
    stranger = session.scalars(select(Portal).where(Portal.member_id == PLACEHOLDER + host)).one_or_none()
    if stranger is None or stranger.id == portal.id:
        return
    known = {(account.user_id, account.kind) for account in _accounts(session, portal)}
    has_primary = bool(known)
    for account in _accounts(session, stranger):
        if (account.user_id, account.kind) not in known:
            moved = {"portal_id": portal.id, "is_primary": account.is_primary and not has_primary}
            change(session, update(Account).where(Account.id == account.id).values(**moved))
    session.expire_all()
    remove_portal(session, stranger.id)


def _accounts(session: Session, portal: Portal) -> list[Account]:
    return list(session.scalars(select(Account).where(Account.portal_id == portal.id).order_by(Account.id)))


def _account(session: Session, portal: Portal, user_id: int, kind: str, now: datetime) -> Account:
    accounts = _accounts(session, portal)
    for account in accounts:
        if (account.user_id, account.kind) == (user_id, kind):
            return account
    account = Account(
        portal_id=portal.id,
        user_id=user_id,
        kind=kind,
        scope="",
        is_primary=not any(account.is_primary for account in accounts),
        created_at=now,
    )
    session.add(account)
    if session.get(RequestBudget, portal.id) is None:
        session.add(RequestBudget(portal_id=portal.id))
    session.flush()
    return account
