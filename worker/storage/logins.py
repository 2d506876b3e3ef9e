"""Logins under way. A state is good for ten minutes and for one callback, whichever process serves it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from worker.storage.models import PendingLogin
from worker.storage.statements import change

LIFE = timedelta(minutes=10)
KEEP = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Login:
    """A login as it stands; `outcome` is None until it is finished, then `connected` or `failed`."""

    domain: str
    redirect_uri: str
    expires_at: datetime
    used_at: datetime | None
    outcome: str | None
    error: str | None


def create_login(
    session: Session, *, state: str, domain: str, redirect_uri: str, now: datetime, life: timedelta = LIFE
) -> None:
    """Begin a login. Only the hash of `state` is kept: who reads the table cannot finish another's login."""
    values = {"domain": domain, "redirect_uri": redirect_uri, "created_at": now, "expires_at": now + life}
    session.execute(insert(PendingLogin).values(state=_key(state), **values))


def claim_login(session: Session, state: str, *, now: datetime) -> Login | None:
    """Use the state up; None when it is unknown, over, or used already."""
    claimed = change(
        session,
        update(PendingLogin)
        .where(PendingLogin.state == _key(state), PendingLogin.used_at.is_(None), PendingLogin.expires_at > now)
        .values(used_at=now),
    )
    return get_login(session, state) if claimed else None


def finish_login(session: Session, state: str, *, outcome: str, error: str | None = None) -> bool:
    """Tell whoever waits how it went: `connected` or `failed`."""
    statement = update(PendingLogin).where(PendingLogin.state == _key(state)).values(outcome=outcome, error=error)
    return change(session, statement) == 1


def get_login(session: Session, state: str) -> Login | None:
    """How a login stands; None when it is unknown."""
    row = session.execute(
        select(
            PendingLogin.domain,
            PendingLogin.redirect_uri,
            PendingLogin.expires_at,
            PendingLogin.used_at,
            PendingLogin.outcome,
            PendingLogin.error,
        ).where(PendingLogin.state == _key(state))
    ).one_or_none()
    return None if row is None else Login(*row)


def prune_logins(session: Session, now: datetime, *, keep: timedelta = KEEP) -> int:
    """Forget logins begun before `keep`."""
    return change(session, delete(PendingLogin).where(PendingLogin.created_at < now - keep))


def _key(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()
