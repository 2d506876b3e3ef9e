"""When each resource of each portal was last whole: one question for all of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from worker.storage.lookup import within
from worker.storage.models import Account, Portal, SyncCursor, SyncRun


def whole_at(session: Session, portal_ids: Sequence[int] | None = None) -> Mapping[tuple[int, str], datetime | None]:
    """The end of the last run that was ok, by (portal, resource); None where none ever was.

    Of these portals, or of all. A resource that never ran is not in it.
    """
    ok_runs = (
        select(func.max(SyncRun.finished_at))
        .where(
            SyncRun.portal_id == SyncCursor.portal_id,
            SyncRun.resource == SyncCursor.resource,
            SyncRun.status == "ok",
        )
        .scalar_subquery()
    )
    at = case((SyncCursor.last_status == "ok", SyncCursor.last_run_at), else_=ok_runs)
    asked = select(SyncCursor.portal_id, SyncCursor.resource, at).where(within(SyncCursor.portal_id, portal_ids))
    return {(portal_id, resource): moment for portal_id, resource, moment in session.execute(asked)}


def not_well(session: Session, since: datetime, resources: Sequence[str]) -> Sequence[int]:
    """Portals with anything that may be the matter; of thousands these are a few.

    All but those that are active, whose accounts are all ok, and whose resources were all read whole, by their last
    run, since then.
    """
    fresh = (
        select(SyncCursor.portal_id)
        .where(
            SyncCursor.resource.in_(resources),
            SyncCursor.last_status == "ok",
            SyncCursor.last_run_at >= since,
        )
        .group_by(SyncCursor.portal_id)
        .having(func.count() == len(resources))
        .subquery()
    )
    troubled = select(Account.portal_id).where(Account.status != "ok")
    doubtful = or_(fresh.c.portal_id.is_(None), Portal.status != "active", Portal.id.in_(troubled))
    asked = select(Portal.id).outerjoin(fresh, fresh.c.portal_id == Portal.id).where(doubtful)
    return session.scalars(asked.order_by(Portal.id)).all()
