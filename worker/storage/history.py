"""What happened lately: the last runs of a resource, what they wrote, and what they could not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.storage.models import Portal, RejectedRecord, SyncRun

WRITTEN = SyncRun.inserted + SyncRun.updated + SyncRun.deleted + SyncRun.revived


@dataclass(frozen=True, slots=True)
class Changed:
    """What runs wrote for one resource of one portal; `at` is the end of the last of them."""

    domain: str
    resource: str
    inserted: int
    updated: int
    deleted: int
    revived: int
    at: datetime


@dataclass(frozen=True, slots=True)
class RejectedView:
    """A record that was rejected, without its payload."""

    resource: str
    record_key: str
    reason: str


def last_runs(session: Session, portal_id: int, resource: str, *, limit: int) -> Sequence[SyncRun]:
    """The last runs, the oldest first."""
    newest = (
        select(SyncRun)
        .where(SyncRun.portal_id == portal_id, SyncRun.resource == resource)
        .order_by(SyncRun.started_at.desc(), SyncRun.id.desc())
        .limit(limit)
    )
    return session.scalars(newest).all()[::-1]


def sums_since(session: Session, since: datetime) -> list[Changed]:
    """What was written since then, one for each resource that was changed; the latest first."""
    at = func.max(SyncRun.finished_at)
    rows = session.execute(
        select(
            Portal.domain,
            SyncRun.resource,
            func.sum(SyncRun.inserted),
            func.sum(SyncRun.updated),
            func.sum(SyncRun.deleted),
            func.sum(SyncRun.revived),
            at,
        )
        .join(Portal, Portal.id == SyncRun.portal_id)
        .where(SyncRun.started_at >= since, WRITTEN > 0)
        .group_by(Portal.id, Portal.domain, SyncRun.resource)
        .order_by(at.desc())
    )
    # Sums of whole numbers are decimals on two of the databases.
    return [
        Changed(domain, resource, int(new), int(changed), int(gone), int(back), last)
        for domain, resource, new, changed, gone, back, last in rows
    ]


def latest_changes(session: Session, since: datetime, *, limit: int) -> list[Changed]:
    """The last runs that wrote anything, the latest first."""
    rows = session.execute(
        select(
            Portal.domain,
            SyncRun.resource,
            SyncRun.inserted,
            SyncRun.updated,
            SyncRun.deleted,
            SyncRun.revived,
            SyncRun.finished_at,
        )
        .join(Portal, Portal.id == SyncRun.portal_id)
        .where(SyncRun.started_at >= since, WRITTEN > 0)
        .order_by(SyncRun.started_at.desc(), SyncRun.id.desc())
        .limit(limit)
    )
    return [Changed(*row) for row in rows]


def latest_rejected(session: Session, portal_id: int, *, limit: int) -> list[RejectedView]:
    """The records that were rejected first most recently."""
    rows = session.execute(
        select(RejectedRecord.resource, RejectedRecord.record_key, RejectedRecord.reason)
        .where(RejectedRecord.portal_id == portal_id)
        .order_by(RejectedRecord.first_seen_at.desc(), RejectedRecord.resource, RejectedRecord.record_key)
        .limit(limit)
    )
    return [RejectedView(*row) for row in rows]
