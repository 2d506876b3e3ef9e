"""What needs a person, and the exact command or button for it. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.connect import missing_scopes
from worker.overview import AccountState, PortalState
from worker.web import texts

ENDING = timedelta(days=14)
"""A refresh token is renewed after 20 days of its 180 (`worker.tokens`): one that is so near its end is not renewed."""


@dataclass(frozen=True, slots=True)
class Need:
    """One thing for a person.

    Args:
        what: What is the matter.
        how: What to do about it.
        portal: The domain to authorize again by a button; None where no button helps.
        command: What to run; None where nothing helps.
    """

    what: str
    how: str
    portal: str | None = None
    command: str | None = None


def needs(portals: Iterable[PortalState], now: datetime) -> list[Need]:
    """All of them, portal by portal."""
    return [need for portal in portals for need in _of_portal(portal, now)]


def _of_portal(portal: PortalState, now: datetime) -> Iterator[Need]:
    if portal.status == "closed":
        yield Need(texts.closed(portal.domain), texts.CLOSED_HOW, portal=portal.domain)
        return
    for account in portal.accounts:
        yield from _of_account(portal.domain, account, now)
    for resource in portal.resources:
        if resource.last_status == "guarded":
            command = texts.command_force(portal.domain, resource.name)
            yield Need(texts.guarded(portal.domain, resource.name), texts.GUARDED_HOW, command=command)


def _of_account(domain: str, account: AccountState, now: datetime) -> Iterator[Need]:
    if account.status == "needs_reauth":
        what = texts.reauth(domain, account.user_id)
        if account.kind == "webhook":
            yield Need(what, texts.REAUTH_WEBHOOK, command=texts.command_connect_webhook(domain))
        else:
            yield Need(what, texts.REAUTH_HOW, portal=domain)
    elif account.status == "app_removed":
        yield Need(texts.removed(domain), texts.REMOVED_HOW, portal=domain)
    elif account.status == "payment_required":
        yield Need(texts.unpaid(domain), texts.UNPAID_HOW)
    else:
        if account.refresh_expires_at is not None and account.refresh_expires_at - now < ENDING:
            left = (account.refresh_expires_at - now).total_seconds()
            yield Need(texts.ending(domain, max(0.0, left)), texts.REAUTH_HOW, portal=domain)
        if account.is_primary:
            for scope, what in missing_scopes(tuple(account.scope.split(","))).items():
                yield Need(texts.missing(domain, scope, what), texts.MISSING_HOW, portal=domain)
