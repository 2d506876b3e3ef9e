"""Where the next run of a resource starts, as a value."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from worker.storage.bulk import write_rows
from worker.storage.lookup import within
from worker.storage.models import SyncCursor


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


_TABLE = SyncCursor.__table__
_OF_PORTAL = (
    select(*(_TABLE.c[name] for name in NAMES))
    .where(_TABLE.c.portal_id == bindparam("portal"))
    .order_by(_TABLE.c.resource)
)
"""Made once: to put a statement together costs several times what SQLite needs to answer it."""


def load_cursor(session: Session, portal_id: int, resource: str) -> Cursor:
    """The stored cursor, or an empty one."""
    return load_cursors(session, portal_id).get(resource, Cursor(portal_id, resource))


def load_cursors(session: Session, portal_id: int) -> dict[str, Cursor]:
    """The stored cursors of a portal, by resource."""
    rows = session.execute(_OF_PORTAL, {"portal": portal_id})
    return {cursor.resource: cursor for cursor in (Cursor(*row) for row in rows)}


def load_all_cursors(session: Session, portal_ids: Sequence[int] | None = None) -> dict[tuple[int, str], Cursor]:
    """The stored cursors of these portals or of all, by (portal, resource)."""
    rows = session.execute(select(*(_TABLE.c[name] for name in NAMES)).where(within(_TABLE.c.portal_id, portal_ids)))
    return {(cursor.portal_id, cursor.resource): cursor for cursor in (Cursor(*row) for row in rows)}


def update_cursor(session: Session, portal_id: int, resource: str, **changes: Any) -> None:  # noqa: ANN401 - as the columns
    """Change some of a cursor's values; in the transaction of the rows they cover."""
    update_cursors(session, portal_id, {resource: changes})


def update_cursors(session: Session, portal_id: int, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Change some values of several cursors, by resource: one statement for all that change in the same values."""
    shapes: dict[frozenset[str], list[Mapping[str, Any]]] = defaultdict(list)
    for resource, values in sorted(changes.items()):
        shapes[frozenset(values)].append({"resource": resource, **values})
    for alike in shapes.values():
        write_rows(session, _TABLE, alike, shared={"portal_id": portal_id})


def save_cursor(session: Session, cursor: Cursor) -> None:
    """Store the cursor, whole; in the transaction of the rows it covers."""
    values = {name: getattr(cursor, name) for name in NAMES if name not in {"portal_id", "resource"}}
    update_cursor(session, cursor.portal_id, cursor.resource, **values)
