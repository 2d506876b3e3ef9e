"""Events received from portals, until a run has worked them off. They are hints: a lost one costs a sweep's delay."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from worker.storage.models import PortalEvent
from worker.storage.statements import change


def add_event(
    session: Session, portal_id: int, *, resource: str, event: str, record_id: int, received_at: datetime
) -> None:
    """Keep an event."""
    values = {"resource": resource, "event": event, "record_id": record_id, "received_at": received_at}
    session.execute(insert(PortalEvent).values(portal_id=portal_id, **values))


def list_events(session: Session, portal_id: int, *, limit: int = 500) -> Sequence[PortalEvent]:
    """The events of a portal in the order in which they came."""
    statement = select(PortalEvent).where(PortalEvent.portal_id == portal_id)
    return session.scalars(statement.order_by(PortalEvent.id).limit(limit)).all()


def remove_events(session: Session, portal_id: int, numbers: Iterable[int]) -> int:
    """Forget events that were worked off, in the transaction that wrote what they led to."""
    wanted = sorted(set(numbers))
    removed = 0
    for start in range(0, len(wanted), 500):
        some = PortalEvent.id.in_(wanted[start : start + 500])
        statement = delete(PortalEvent).where(PortalEvent.portal_id == portal_id, some)
        removed += change(session, statement)
    return removed
