"""What portals send otherwise than this program knows: each thing once, with how often and since when."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from worker.storage.lookup import within
from worker.storage.models import SchemaDrift
from worker.storage.statements import change

MOST = 100
"""Kept of one portal: more tell nobody more."""

KEEP = timedelta(days=30)


class Otherwise(Protocol):
    """One thing that is otherwise."""

    @property
    def field(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def example(self) -> str: ...


def note_drift(session: Session, portal_id: int, resource: str, found: Iterable[Otherwise], now: datetime) -> None:
    """Count what was met again, keep what is new; in the transaction of the rows. Only the portal's lease may."""
    of_portal = SchemaDrift.portal_id == portal_id
    for one in found:
        key = (
            of_portal,
            SchemaDrift.resource == resource,
            SchemaDrift.field == one.field,
            SchemaDrift.kind == one.kind,
        )
        again = update(SchemaDrift).where(*key).values(times=SchemaDrift.times + 1, last_seen_at=now)
        if change(session, again):
            continue
        if (session.scalar(select(func.count()).select_from(SchemaDrift).where(of_portal)) or 0) < MOST:
            values = {"portal_id": portal_id, "resource": resource, "field": one.field, "kind": one.kind}
            new = {**values, "example": one.example, "times": 1, "first_seen_at": now, "last_seen_at": now}
            session.execute(insert(SchemaDrift).values(**new))


def list_drift(session: Session, portal_ids: Sequence[int] | None = None) -> Sequence[SchemaDrift]:
    """All of these portals or of all, the oldest first."""
    statement = select(SchemaDrift).where(within(SchemaDrift.portal_id, portal_ids))
    order = (SchemaDrift.first_seen_at, SchemaDrift.resource, SchemaDrift.field, SchemaDrift.kind)
    return session.scalars(statement.order_by(*order)).all()


def prune_drift(session: Session, now: datetime) -> int:
    """Forget what was not met for long: a newer program knows it, or the portal sends it no more."""
    return change(session, delete(SchemaDrift).where(SchemaDrift.last_seen_at < now - KEEP))
