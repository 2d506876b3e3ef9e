"""Online events: whom to believe, and the hint that a portal has news.

A hint says "look now" and nothing else, so one that comes twice, or was forged by somebody who knows the secret, costs
one quiet turn. It stays until a turn that began after it has ended: who dies in between leaves it for the next.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from worker.storage.models import Portal
from worker.storage.statements import change


def save_application_token(session: Session, portal_id: int, token: str) -> None:
    """Keep the secret of a portal's events, as a hash: it is only ever compared."""
    change(session, update(Portal).where(Portal.id == portal_id).values(application_token_hash=_hash(token)))


@dataclass(frozen=True, slots=True)
class Sender:
    """The portal that sent an event.

    Args:
        portal_id: Our number of it.
        is_awaited: A hint waits already and no turn is under way: the one that reads it has not begun, so a second hint
            would say nothing. A flood of events then costs no writing.
    """

    portal_id: int
    is_awaited: bool


def sender(session: Session, member_id: str, token: str) -> Sender | None:
    """Who sent an event; None when the secret is not that portal's.

    Compared in constant time, also where the portal is unknown.
    """
    row = session.execute(
        select(Portal.id, Portal.application_token_hash, Portal.hinted_at, Portal.lease_owner).where(
            Portal.member_id == member_id
        )
    ).one_or_none()
    known = row.application_token_hash if row is not None else None
    same = hmac.compare_digest(_hash(token), known or _hash(""))
    if row is None or known is None or not same:
        return None
    return Sender(row.id, is_awaited=row.hinted_at is not None and row.lease_owner is None)


def add_hint(session: Session, portal_id: int, now: datetime) -> None:
    """The portal has news: it is due now."""
    change(session, update(Portal).where(Portal.id == portal_id).values(hinted_at=now))


def clear_hint(session: Session, portal_id: int, seen: datetime) -> None:
    """A turn has read what the hint told of; one that came since stays."""
    change(session, update(Portal).where(Portal.id == portal_id, Portal.hinted_at == seen).values(hinted_at=None))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
