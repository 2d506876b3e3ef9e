"""What is the matter now, read in one transaction."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.resources import RESOURCES
from worker.storage.freshness import not_well, whole_at
from worker.storage.lookup import chunks
from worker.storage.models import Account, Portal, SyncCursor

STALE_INTERVALS = 6
"""A resource is stale when its last whole run is older than this many intervals."""

Key = tuple[int, str, str]
"""Our number of the portal, the kind, and the subject: an account's number, or a resource."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is the matter, with a sentence for a person and the command that helps."""

    text: str
    cure: str


HOW = {
    "needs_reauth": "does not take the account's authorization any more",
    "app_removed": "has removed the application",
    "payment_required": "has a plan or trial that ended",
}


def conditions(
    session: Session, now: datetime, interval: timedelta, raised: frozenset[Key], *, judge_age: bool
) -> dict[Key, Condition]:
    """All that is the matter.

    Args:
        session: A reading transaction.
        now: Our clock.
        interval: B24SYNC_SYNC_INTERVAL.
        raised: What was the matter before: a guard's stop is over when a run was ok, not when the next one failed
            otherwise, and a resource that is being read is stale until it was read.
        judge_age: Whether to raise what is stale; not where this process has just come up after a long pause.
    """
    limit = STALE_INTERVALS * interval
    suspects = {*not_well(session, now - limit, RESOURCES), *(portal_id for portal_id, _, _ in raised)}
    found: dict[Key, Condition] = {}
    for some in chunks(sorted(suspects)):
        whole, statuses = whole_at(session, some), _last_statuses(session, some)
        accounts = _accounts(session, some)
        for portal in session.scalars(select(Portal).where(Portal.id.in_(some)).order_by(Portal.id)):
            mine = accounts.get(portal.id, [])
            found.update(_of_portal(portal, mine, statuses, raised))
            well = all(account.status == "ok" for account in mine if account.is_primary)
            if portal.status == "active" and well:
                found.update(_stale(portal, whole, now, interval, raised, judge_age=judge_age))
    return found


def _of_portal(
    portal: Portal,
    accounts: Sequence[Account],
    statuses: Mapping[tuple[int, str], str | None],
    raised: frozenset[Key],
) -> Iterator[tuple[Key, Condition]]:
    """What is the matter besides its age."""
    if portal.status == "closed":
        reason = f": {portal.status_reason}" if portal.status_reason else ""
        text = f"{portal.domain} does not serve b24sync any more{reason}"
        yield (portal.id, "portal", ""), Condition(text, f"b24sync connect {portal.domain}")
        return
    yield from _of_accounts(portal, accounts)
    if portal.status != "active":
        return
    for resource in RESOURCES:
        guard: Key = (portal.id, "guard", resource)
        status = statuses.get((portal.id, resource))
        if status == "guarded" or (guard in raised and status != "ok"):
            yield (
                guard,
                Condition(
                    f"{portal.domain}: the guard against mass deletion stopped the run of {resource}",
                    f"b24sync sync --portal {portal.domain} --resource {resource} --reconcile --force",
                ),
            )


def _of_accounts(portal: Portal, accounts: Sequence[Account]) -> Iterator[tuple[Key, Condition]]:
    for account in accounts:
        if account.status in HOW:
            text = f"{portal.domain} {HOW[account.status]} (user {account.user_id}, {account.kind})"
            yield (portal.id, "account", str(account.id)), Condition(text, f"b24sync connect {portal.domain}")


def _stale(
    portal: Portal,
    whole: Mapping[tuple[int, str], datetime | None],
    now: datetime,
    interval: timedelta,
    raised: frozenset[Key],
    *,
    judge_age: bool,
) -> Iterator[tuple[Key, Condition]]:
    reading = portal.lease_until is not None and portal.lease_until > now
    for resource in RESOURCES:
        key: Key = (portal.id, "stale", resource)
        age = now - (whole.get((portal.id, resource)) or portal.created_at)
        if age > STALE_INTERVALS * interval and (key in raised or (judge_age and not reading)):
            text = f"{portal.domain}: {resource} was not read whole for {age.total_seconds():.0f} s"
            yield key, Condition(text, "b24sync doctor")


def _accounts(session: Session, portal_ids: Sequence[int]) -> dict[int, list[Account]]:
    accounts: dict[int, list[Account]] = defaultdict(list)
    mine = select(Account).where(Account.portal_id.in_(portal_ids))
    for account in session.scalars(mine.order_by(Account.is_primary.desc(), Account.id)):
        accounts[account.portal_id].append(account)
    return accounts


def _last_statuses(session: Session, portal_ids: Sequence[int]) -> dict[tuple[int, str], str | None]:
    statuses = select(SyncCursor.portal_id, SyncCursor.resource, SyncCursor.last_status)
    rows = session.execute(statuses.where(SyncCursor.portal_id.in_(portal_ids)))
    return {(portal_id, resource): status for portal_id, resource, status in rows}
