"""What was told to the operator's webhook, so that no state is told twice.

A row is one thing that is or was the matter. `episode` grows each time it begins anew; with `state` it names what is to
be told, and every change is made on condition that both are still the ones that were read.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from worker.storage.columns import storable
from worker.storage.models import Portal, RaisedAlert
from worker.storage.statements import change, insert_if_missing, is_over

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)
MOST_ATTEMPTS = 30
"""About a day: then it is given up."""

CLAIM = timedelta(minutes=1)
"""How long one process may take to post; longer than the transport lets it."""

AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Alert:
    """A row, and the portal it is about."""

    portal_id: int
    kind: str
    subject: str
    state: str
    episode: int
    since: datetime
    text: str
    cure: str
    is_told: bool
    attempts: int
    next_try_at: datetime | None
    member_id: str
    domain: str

    @property
    def key(self) -> tuple[int, str, str]:
        return self.portal_id, self.kind, self.subject


_COLUMNS = (
    RaisedAlert.portal_id,
    RaisedAlert.kind,
    RaisedAlert.subject,
    RaisedAlert.state,
    RaisedAlert.episode,
    RaisedAlert.since,
    RaisedAlert.text,
    RaisedAlert.cure,
    RaisedAlert.is_told,
    RaisedAlert.attempts,
    RaisedAlert.next_try_at,
    Portal.member_id,
    Portal.domain,
)
_NEWS = {"is_told": False, "attempts": 0, "next_try_at": None}
_OLD = {"is_told": True, "attempts": 0, "next_try_at": None}


def known(session: Session) -> dict[tuple[int, str, str], Alert]:
    """Everything that is or was the matter."""
    rows = session.execute(select(*_COLUMNS).join(Portal, Portal.id == RaisedAlert.portal_id))
    return {alert.key: alert for alert in (Alert(*tuple(row)) for row in rows)}


def untold(session: Session, now: datetime) -> list[Alert]:
    """What is to be told now, the oldest first."""
    rows = session.execute(
        select(*_COLUMNS)
        .join(Portal, Portal.id == RaisedAlert.portal_id)
        .where(_is_due(now))
        .order_by(RaisedAlert.since, RaisedAlert.portal_id, RaisedAlert.kind, RaisedAlert.subject)
        .limit(AT_ONCE)
    )
    return [Alert(*tuple(row)) for row in rows]


def raise_alert(
    session: Session, key: tuple[int, str, str], old: Alert | None, *, text: str, cure: str, now: datetime
) -> None:
    """Something is the matter. If it had ended and nobody was told of the end, nothing is news.

    While somebody may be telling the end (`next_try_at` is ahead) it stays ended, until a later tick.
    """
    values = {"state": "raised", "since": now, "text": storable(text), "cure": cure}
    if old is None:
        names = dict(zip(("portal_id", "kind", "subject"), key, strict=True))
        insert_if_missing(session, RaisedAlert.__table__, {**names, **values, **_NEWS, "episode": 1})
    elif old.is_told:
        change(session, update(RaisedAlert).where(_is(old)).values(**values, **_NEWS, episode=old.episode + 1))
    elif old.next_try_at is None or old.next_try_at <= now:
        change(session, update(RaisedAlert).where(_is(old)).values(state="raised", **_OLD))


def heal_alert(session: Session, alert: Alert, now: datetime) -> None:
    """It is over. If nobody was told that it was the matter, its end is no news.

    While somebody may be telling it (`next_try_at` is ahead) it stays: else its end would never be told.
    """
    if alert.is_told:
        change(session, update(RaisedAlert).where(_is(alert)).values(state="healed", **_NEWS))
    elif alert.next_try_at is None or alert.next_try_at <= now:
        change(session, update(RaisedAlert).where(_is(alert)).values(state="healed", **_OLD))


def claim(session: Session, alert: Alert, now: datetime) -> bool:
    """Take the right to tell it; False when another process has it, or the state has changed."""
    mine = update(RaisedAlert).where(_is(alert), RaisedAlert.attempts == alert.attempts, _is_due(now))
    return change(session, mine.values(attempts=alert.attempts + 1, next_try_at=now + CLAIM)) == 1


def told(session: Session, alert: Alert) -> None:
    """The webhook took it."""
    change(session, update(RaisedAlert).where(_is(alert)).values(**_OLD))


def not_told(session: Session, alert: Alert, now: datetime) -> bool:
    """The webhook did not take it: the next tick tries again, then after growing pauses. True when it was the last."""
    failed = alert.attempts + 1
    pause = timedelta(0) if failed == 1 else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failed - 2))
    change(session, update(RaisedAlert).where(_is(alert)).values(next_try_at=now + pause))
    return failed >= MOST_ATTEMPTS


def _is(alert: Alert) -> ColumnElement[bool]:
    """The row, as it was read."""
    return and_(
        RaisedAlert.portal_id == alert.portal_id,
        RaisedAlert.kind == alert.kind,
        RaisedAlert.subject == alert.subject,
        RaisedAlert.state == alert.state,
        RaisedAlert.episode == alert.episode,
    )


def _is_due(now: datetime) -> ColumnElement[bool]:
    return and_(
        RaisedAlert.is_told.is_(False),
        RaisedAlert.attempts < MOST_ATTEMPTS,
        is_over(RaisedAlert.next_try_at, now, longest=LONGEST_PAUSE),
    )
