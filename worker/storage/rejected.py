"""Records that could not become rows: kept with their payload, tried again at every run."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from worker.storage.columns import storable
from worker.storage.lookup import chunks, within
from worker.storage.models import RejectedRecord
from worker.storage.statements import change

KEEP = timedelta(days=90)
KEY_LENGTH = 191


def put_rejected(
    session: Session, portal_id: int, resource: str, record_key: str, *, payload: str, reason: str, now: datetime
) -> None:
    """Keep a record, or note that it was rejected once more."""
    key, payload, reason = short_key(storable(record_key)), storable(payload), storable(reason)
    again = (
        update(RejectedRecord)
        .where(*_of(portal_id, resource), RejectedRecord.record_key == key)
        .values(payload=payload, reason=reason, last_tried_at=now, attempts=RejectedRecord.attempts + 1)
    )
    if change(session, again) == 0:
        values = {"portal_id": portal_id, "resource": resource, "record_key": key, "payload": payload, "reason": reason}
        session.execute(insert(RejectedRecord).values(**values, first_seen_at=now, last_tried_at=now, attempts=1))


def list_rejected(session: Session, portal_id: int, resource: str | None = None) -> Sequence[RejectedRecord]:
    """What is kept of a portal; what was tried longest ago comes first."""
    statement = select(RejectedRecord).where(RejectedRecord.portal_id == portal_id)
    if resource is not None:
        statement = statement.where(RejectedRecord.resource == resource)
    order = (RejectedRecord.last_tried_at, RejectedRecord.resource, RejectedRecord.record_key)
    return session.scalars(statement.order_by(*order)).all()


def some_rejected(
    session: Session, portal_id: int, resource: str, *, after: str = "", limit: int
) -> Sequence[RejectedRecord]:
    """The next records kept of a resource, by their keys."""
    statement = select(RejectedRecord).where(*_of(portal_id, resource), RejectedRecord.record_key > after)
    return session.scalars(statement.order_by(RejectedRecord.record_key).limit(limit)).all()


def count_all_rejected(session: Session, portal_ids: Sequence[int] | None = None) -> dict[int, int]:
    """How many records are kept, by portal, of these or of all; who has none is not in it."""
    kept = select(RejectedRecord.portal_id, func.count()).where(within(RejectedRecord.portal_id, portal_ids))
    rows = session.execute(kept.group_by(RejectedRecord.portal_id))
    return {portal_id: count for portal_id, count in rows}  # noqa: C416 - dict() would not keep the types


def kept_keys(session: Session, portal_id: int, resource: str, keys: Iterable[str]) -> set[str]:
    """Those of the keys under which a record is kept."""
    by_short = {short_key(storable(key)): key for key in keys}
    found: set[str] = set()
    for some in chunks(sorted(by_short)):
        statement = select(RejectedRecord.record_key).where(
            *_of(portal_id, resource), RejectedRecord.record_key.in_(some)
        )
        found.update(by_short[short] for short in session.scalars(statement))
    return found


def remove_rejected(session: Session, portal_id: int, resource: str, keys: Iterable[str]) -> int:
    """Forget records that became rows, or are gone on the portal."""
    wanted = sorted({short_key(storable(key)) for key in keys})
    removed = 0
    for some in chunks(wanted):
        statement = delete(RejectedRecord).where(*_of(portal_id, resource), RejectedRecord.record_key.in_(some))
        removed += change(session, statement)
    return removed


def remove_stale(session: Session, portal_id: int, resource: str, *, before: datetime) -> int:
    """Forget what was last rejected before a complete reading: since it was not met again, it healed or is gone."""
    return change(
        session, delete(RejectedRecord).where(*_of(portal_id, resource), RejectedRecord.last_tried_at < before)
    )


def prune_rejected(session: Session, now: datetime, *, keep: timedelta = KEEP) -> int:
    """Forget records first rejected before `keep`: they are tried at every run, so the last try says nothing."""
    return change(session, delete(RejectedRecord).where(RejectedRecord.first_seen_at < now - keep))


def short_key(record_key: str) -> str:
    """The key as it is stored: a long one keeps its beginning, and a hash for the rest."""
    if len(record_key) <= KEY_LENGTH:
        return record_key
    digest = hashlib.sha256(record_key.encode()).hexdigest()
    return f"{record_key[: KEY_LENGTH - len(digest) - 1]}~{digest}"


def _of(portal_id: int, resource: str) -> tuple[Any, Any]:
    return RejectedRecord.portal_id == portal_id, RejectedRecord.resource == resource
