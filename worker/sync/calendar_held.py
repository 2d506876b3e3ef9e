"""What the mirror holds of one owner's window, and whether an answer can be true beside it.

A calendar comes without any count, so a row that the portal lost on the way looks like one that was deleted. What the
mirror knows tells some of them apart: those are worth a second question.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Table, delete, exists, select
from sqlalchemy.orm import Session

from worker.resources.calendar_calls import Owner, Window
from worker.resources.calendar_events import EventSeen
from worker.storage.models import Base, CalendarOccurrence
from worker.storage.upsert import known_ids

EVENTS, SECTIONS = Base.metadata.tables["calendar_events"], Base.metadata.tables["calendar_sections"]


@dataclass(frozen=True, slots=True)
class Held:
    """One owner's part of the mirror.

    Args:
        sections: The calendars.
        hashes: Visible hashes of the events with an instance in the window.
        starts: When the instances of these events begin.
        judged: Whether what an answer lacks of it may be taken for gone.
    """

    sections: set[int]
    hashes: dict[int, str | None]
    starts: dict[int, set[datetime]]
    judged: bool = True

    def contradicts(self, sections: Iterable[int], events: Sequence[EventSeen]) -> bool:
        """Whether a calendar is gone, or an event that was not moved shows fewer instances than before.

        The one is rare and cannot be asked for by its ID, the other cannot be: the hash covers rule and exceptions.
        It is the one that a mask does not change.
        """
        if self.judged and self.sections - set(sections):
            return True
        return any(
            self.hashes.get(seen.event_id) == seen.row["visible_hash"]
            and self.starts[seen.event_id] - {row["starts_at"] for row in seen.occurrences}
            for seen in events
        )


def held_of(session: Session, portal_id: int, owner: Owner, window: Window) -> Held:
    """What the mirror holds of this owner."""
    rows = session.execute(
        select(EVENTS.c.event_id, EVENTS.c.visible_hash, CalendarOccurrence.starts_at)
        .join(
            CalendarOccurrence,
            (CalendarOccurrence.portal_id == EVENTS.c.portal_id) & (CalendarOccurrence.event_id == EVENTS.c.event_id),
        )
        .where(EVENTS.c.portal_id == portal_id, EVENTS.c.deleted_at.is_(None), _of(owner, EVENTS), _overlap(window))
    )
    hashes: dict[int, str | None] = {}
    starts: dict[int, set[datetime]] = defaultdict(set)
    for event_id, visible_hash, starts_at in rows:
        hashes[event_id] = visible_hash
        starts[event_id].add(starts_at)
    return Held(known_ids(session, SECTIONS, portal_id, where=_of(owner, SECTIONS)), hashes, starts)


def forget_old_instances(session: Session, portal_id: int, owner: Owner, window: Window) -> None:
    """Instances that the moving window has left; their events stay."""
    of_owner = select(EVENTS.c.event_id).where(EVENTS.c.portal_id == portal_id, _of(owner, EVENTS))
    outside = (
        (CalendarOccurrence.portal_id == portal_id) & CalendarOccurrence.event_id.in_(of_owner) & ~_overlap(window)
    )
    if session.scalar(select(exists().where(outside))):
        session.execute(delete(CalendarOccurrence).where(outside))


def _overlap(window: Window) -> ColumnElement[bool]:
    """An instance that overlaps the window; the last day of an all-day one is part of it."""
    starts_at, ends_at = CalendarOccurrence.starts_at, CalendarOccurrence.ends_at
    return (starts_at < window.end) & (
        (ends_at > window.start)
        | (starts_at >= window.start)
        | (CalendarOccurrence.all_day & (ends_at >= window.start))
    )


def _of(owner: Owner, table: Table) -> ColumnElement[bool]:
    return (table.c.calendar_type == owner.type) & (table.c.owner_id == owner.id)
