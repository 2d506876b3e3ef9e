"""What happened lately: the last runs of each resource, what they wrote, and what they could not."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import and_, func, literal, select
from sqlalchemy.orm import Session, aliased

from worker.storage.columns import UtcDateTime
from worker.storage.models import Portal, RejectedRecord, SyncCursor, SyncRun

LONG_AGO = literal(datetime(1970, 1, 1, tzinfo=UTC), UtcDateTime)
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
class RunView:
    """One run, or the sum of an hour's quiet ones."""

    started_at: datetime
    mode: str
    status: str
    folded: int
    seconds: float
    inserted: int
    updated: int
    deleted: int
    revived: int


@dataclass(frozen=True, slots=True)
class RejectedView:
    """A record that was rejected, without its payload."""

    resource: str
    record_key: str
    reason: str


def last_runs(
    session: Session, portal_ids: Sequence[int], *, limit: int
) -> Mapping[tuple[int, str], Sequence[RunView]]:
    """The last runs of each resource of these portals, by (portal, resource), the oldest first."""
    older = aliased(SyncRun)
    oldest = (
        select(older.started_at)
        .where(older.portal_id == SyncCursor.portal_id, older.resource == SyncCursor.resource)
        .order_by(older.started_at.desc(), older.id.desc())
        .limit(1)
        .offset(limit - 1)
        .scalar_subquery()
    )
    # An outer join, so that the resources come first and each looks its runs up by the index: SQLite would else go
    # through all runs of the portals.
    rows = session.execute(
        select(SyncCursor.portal_id, SyncCursor.resource, *(getattr(SyncRun, name) for name in RunView.__slots__))
        .outerjoin(
            SyncRun,
            and_(
                SyncRun.portal_id == SyncCursor.portal_id,
                SyncRun.resource == SyncCursor.resource,
                SyncRun.started_at >= func.coalesce(oldest, LONG_AGO),
            ),
        )
        .where(SyncCursor.portal_id.in_(portal_ids))
        .order_by(SyncRun.started_at, SyncRun.id)
    )
    found: dict[tuple[int, str], list[RunView]] = defaultdict(list)
    for portal_id, resource, *run in rows:
        if run[0] is not None:
            found[portal_id, resource].append(RunView(*run))
    return {key: runs[-limit:] for key, runs in found.items()}  # of runs that began together there may be more


def sums_since(session: Session, portal_ids: Sequence[int], since: datetime) -> list[Changed]:
    """What was written since then, one for each resource of these portals that was changed; the latest first."""
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
        .where(SyncRun.portal_id.in_(portal_ids), SyncRun.started_at >= since, WRITTEN > 0)
        .group_by(Portal.id, Portal.domain, SyncRun.resource)
        .order_by(at.desc())
    )
    # Sums of whole numbers are decimals on two of the databases.
    return [
        Changed(domain, resource, int(new), int(changed), int(gone), int(back), last)
        for domain, resource, new, changed, gone, back, last in rows
    ]


def latest_changes(session: Session, portal_ids: Sequence[int], since: datetime, *, limit: int) -> list[Changed]:
    """The last runs of these portals that wrote anything, the latest first."""
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
        .where(SyncRun.portal_id.in_(portal_ids), SyncRun.started_at >= since, WRITTEN > 0)
        .order_by(SyncRun.started_at.desc(), SyncRun.id.desc())
        .limit(limit)
    )
    return [Changed(*row) for row in rows]


def latest_rejected(session: Session, portal_ids: Sequence[int], *, limit: int) -> Mapping[int, Sequence[RejectedView]]:
    """The records of each of these portals that were rejected first most recently."""
    order = (RejectedRecord.first_seen_at.desc(), RejectedRecord.resource, RejectedRecord.record_key)
    place = func.row_number().over(partition_by=RejectedRecord.portal_id, order_by=order).label("place")
    columns = (RejectedRecord.resource, RejectedRecord.record_key, RejectedRecord.reason)
    kept = select(RejectedRecord.portal_id, *columns, place).where(RejectedRecord.portal_id.in_(portal_ids)).subquery()
    rows = session.execute(select(kept).where(kept.c.place <= limit).order_by(kept.c.portal_id, kept.c.place))
    found: dict[int, list[RejectedView]] = defaultdict(list)
    for portal_id, resource, key, reason, _ in rows:
        found[portal_id].append(RejectedView(resource, key, reason))
    return found
