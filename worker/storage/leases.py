"""Who works on which portal: claims of the dispatcher, and the fenced lease of a run.

A lease is a compare-and-swap on the portal's row. Its fence grows with every lease, so a process that lost the lease
without noticing (it slept, its clock stood) is told so by `check_fence` before it commits anything.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, func, or_, select, update
from sqlalchemy.orm import Session

from worker.clock import TOLERANCE
from worker.errors import LeaseLost
from worker.storage.columns import UtcDateTime
from worker.storage.models import Portal
from worker.storage.statements import LONGEST_LEASE, change, is_over


def claim_due(session: Session, *, now: datetime, enqueued_for: timedelta, limit: int, sick_limit: int) -> list[int]:
    """Take up to `limit` portals that are due, and mark them as enqueued.

    No portal is claimed by two dispatchers: the rows are locked while they are marked, and what another one has locked
    is passed over. A portal whose message got lost is claimed again when `enqueued_for` is over.

    Of the portals that did not answer last time no more than `sick_limit` are under way at once, over all processes:
    each may hold a thread until its request times out, and the healthy ones need threads too.
    """
    sick = Portal.breaker_failures > 0
    due = and_(
        Portal.status == "active",
        or_(
            Portal.next_run_at.is_(None),
            Portal.next_run_at <= now,
            Portal.scheduled_at > now + TOLERANCE,
            and_(Portal.hinted_at.is_not(None), ~sick),  # a portal that does not answer is left alone all the same
        ),
        unclaimed := is_over(Portal.enqueued_until, now, longest=enqueued_for),
        is_over(Portal.lease_until, now),
    )
    under_way = or_(~unclaimed, ~is_over(Portal.lease_until, now))
    room = sick_limit - (session.scalar(select(func.count()).select_from(Portal).where(sick, under_way)) or 0)
    claimed = _first_due(session, and_(due, ~sick), limit)
    if room > 0:
        claimed += _first_due(session, and_(due, sick), min(room, limit))
    if claimed:
        change(session, update(Portal).where(Portal.id.in_(claimed)).values(enqueued_until=now + enqueued_for))
    return claimed


def _first_due(session: Session, due: ColumnElement[bool], limit: int) -> list[int]:
    # MariaDB knows no NULLS FIRST.
    order = (Portal.next_run_at.is_not(None), Portal.next_run_at, Portal.id)
    return list(
        session.scalars(select(Portal.id).where(due).order_by(*order).limit(limit).with_for_update(skip_locked=True))
    )


def take_lease(session: Session, portal_id: int, *, owner: str, now: datetime, ttl: timedelta) -> int | None:
    """Take the portal's lease if nobody holds it.

    Returns:
        The fence of this lease, or None when another one is alive (whoever its owner is) or the portal is gone.
    """
    values = {"portal": portal_id, "me": owner, "now": now, "end": now + ttl, "latest": now + LONGEST_LEASE + TOLERANCE}
    if change(session, _TAKE, values) == 0:
        return None
    # The row is ours until the transaction ends: nobody moved the fence in between.
    return session.scalars(_FENCE, {"portal": portal_id}).one()


def renew_leases(
    session: Session, *, owner_fences: Mapping[int, tuple[str, int]], now: datetime, ttl: timedelta
) -> set[int]:
    """Prolong leases, given as portal -> (owner, fence).

    Returns:
        The portals whose lease still was ours. One that ran out but was taken by nobody is ours again.
    """
    renewed = set()
    for portal_id, (owner, fence) in sorted(owner_fences.items()):
        statement = update(Portal).where(_held(portal_id, owner, fence)).values(lease_until=now + ttl)
        if change(session, statement) == 1:
            renewed.add(portal_id)
    return renewed


def check_fence(session: Session, portal_id: int, *, owner: str, fence: int, now: datetime) -> None:
    """Make sure that the lease is ours until this transaction ends; called in the transaction that writes rows.

    The portal's row is locked, so that nobody can take the lease between this look and the commit.

    Raises:
        LeaseLost: The lease ran out, is another's, or the portal is gone: roll back.
    """
    values = {"portal": portal_id, "me": owner, "number": fence, "now": now}
    if session.scalars(_CHECK, values).one_or_none() is None:
        raise LeaseLost(f"the lease {fence} of portal {portal_id} is not ours any more")


def release_lease(
    session: Session, portal_id: int, *, owner: str, fence: int, next_run_at: datetime | None, now: datetime
) -> bool:
    """Give the lease back and set when the portal is due; False when it was not ours any more."""
    return change(session, _RELEASE, _released(portal_id, owner, fence, next_run_at, now)) == 1


def end_lease(
    session: Session, portal_id: int, *, owner: str, fence: int, next_run_at: datetime | None, now: datetime
) -> None:
    """Give back a lease that has not run out: first of all in the transaction that leaves what the turn came to.

    It locks the portal's row as `check_fence` does, and is the same proof.

    Raises:
        LeaseLost: As `check_fence`.
    """
    if change(session, _END, _released(portal_id, owner, fence, next_run_at, now)) == 0:
        raise LeaseLost(f"the lease {fence} of portal {portal_id} is not ours any more")


def unclaim(session: Session, portal_ids: Iterable[int], *, until: datetime | None = None) -> None:
    """Undo a claim whose message is not sent or lost; with `until` only the one that ends then, not a later one."""
    claimed = update(Portal).where(Portal.id.in_(list(portal_ids)))
    if until is not None:
        claimed = claimed.where(Portal.enqueued_until == until)
    change(session, claimed.values(enqueued_until=None))


def free(session: Session, portal_id: int, *, owner: str, now: datetime) -> bool:
    """Give back what `owner` holds of this portal, whatever its fence: for one who cannot know it."""
    values = {"lease_owner": None, "lease_until": None, "next_run_at": None, "scheduled_at": now}
    mine = update(Portal).where(Portal.id == portal_id, Portal.lease_owner == owner)
    return change(session, mine.values(**values)) == 1


def _held(portal_id: int, owner: str, fence: int) -> ColumnElement[bool]:
    return and_(Portal.id == portal_id, Portal.lease_owner == owner, Portal.fence == fence)


def _released(portal_id: int, owner: str, fence: int, next_run_at: datetime | None, now: datetime) -> dict[str, object]:
    return {"portal": portal_id, "me": owner, "number": fence, "due": next_run_at, "now": now}


def _time(name: str) -> BindParameter[datetime]:
    return bindparam(name, type_=UtcDateTime)


# Every turn runs these: put together once, for that costs several times what it costs to run them.
_THIS = Portal.id == bindparam("portal")
_MINE = and_(_THIS, Portal.lease_owner == bindparam("me"), Portal.fence == bindparam("number"))
_FREE = or_(Portal.lease_until.is_(None), Portal.lease_until <= _time("now"), Portal.lease_until > _time("latest"))
_TAKE = (
    update(Portal)
    .where(_THIS, _FREE)
    .values(lease_owner=bindparam("me"), lease_until=_time("end"), fence=Portal.fence + 1, enqueued_until=None)
)
_FENCE = select(Portal.fence).where(_THIS)
# key_share: rows that refer to the portal may be inserted meanwhile (PostgreSQL).
_CHECK = select(Portal.id).where(_MINE, Portal.lease_until > _time("now")).with_for_update(key_share=True)
_RELEASE = (
    update(Portal)
    .where(_MINE)
    .values(lease_owner=None, lease_until=None, next_run_at=_time("due"), scheduled_at=_time("now"))
)
_END = _RELEASE.where(Portal.lease_until > _time("now"))
