"""When each resource of each portal was last whole: one question for all of them."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from worker.storage.models import SyncCursor, SyncRun


def whole_at(session: Session) -> Mapping[tuple[int, str], datetime | None]:
    """The end of the last run that was ok, by (portal, resource); None where none ever was.

    A resource that never ran is not in it.
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
    rows = session.execute(select(SyncCursor.portal_id, SyncCursor.resource, at))
    return {(portal_id, resource): moment for portal_id, resource, moment in rows}
