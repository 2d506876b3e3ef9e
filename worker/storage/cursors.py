"""Where the next run of a resource starts, as a value."""

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.storage.models import SyncCursor
from worker.storage.statements import insert_or_update


@dataclass(frozen=True, slots=True)
class Cursor:
    """What is known of one resource of one portal.

    Args:
        portal_id: The portal.
        resource: The resource's name.
        cursor_at: All changes before this, by the portal's clock, are in the mirror; None: nothing was ever complete.
        bookmark: Where a run that was cut off goes on; the text is its writer's business.
        last_full_at: Last complete reading.
        last_reconcile_at: Last complete sweep of all IDs.
        complete_as_admin: Whether the last complete run was an administrator's.
        complete_scope: Its scopes.
        next_run_at: When the resource is due; None: at once.
        last_run_at: When its last run ended.
        last_status: How.
    """

    portal_id: int
    resource: str
    cursor_at: datetime | None = None
    bookmark: str | None = None
    last_full_at: datetime | None = None
    last_reconcile_at: datetime | None = None
    complete_as_admin: bool | None = None
    complete_scope: str | None = None
    next_run_at: datetime | None = None
    last_run_at: datetime | None = None
    last_status: str | None = None


NAMES = [field.name for field in fields(Cursor)]


def load_cursor(session: Session, portal_id: int, resource: str) -> Cursor:
    """The stored cursor, or an empty one."""
    columns = [SyncCursor.__table__.c[name] for name in NAMES]
    row = session.execute(
        select(*columns).where(SyncCursor.portal_id == portal_id, SyncCursor.resource == resource)
    ).one_or_none()
    return Cursor(portal_id, resource) if row is None else Cursor(*row)


def load_cursors(session: Session, portal_id: int) -> dict[str, Cursor]:
    """The stored cursors of a portal, by resource."""
    columns = [SyncCursor.__table__.c[name] for name in NAMES]
    rows = session.execute(select(*columns).where(SyncCursor.portal_id == portal_id).order_by(SyncCursor.resource))
    return {cursor.resource: cursor for cursor in (Cursor(*row) for row in rows)}


def update_cursor(session: Session, portal_id: int, resource: str, **changes: Any) -> None:  # noqa: ANN401 - as the columns
    """Change some of a cursor's values; in the transaction of the rows they cover."""
    save_cursor(session, replace(load_cursor(session, portal_id, resource), **changes))


def save_cursor(session: Session, cursor: Cursor) -> None:
    """Store the cursor, whole; in the transaction of the rows it covers."""
    values: dict[str, Any] = {name: getattr(cursor, name) for name in NAMES}
    dialect = session.get_bind().dialect.name
    session.execute(insert_or_update(dialect, SyncCursor.__table__, NAMES), [values])
