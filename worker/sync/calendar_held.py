"""What the mirror holds of one owner's window: what of an answer is news beside it, and what cannot be true."""

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

    def lacking(self, events: Sequence[EventSeen]) -> set[int]:
        """Events that an answer should show and does not."""
        return self.hashes.keys() - {seen.event_id for seen in events} if self.judged else set()

    def gone_sections(self, sections: Iterable[int]) -> set[int]:
        """Calendars that an answer should show and does not; "none is readable" looks the same as "there is none"."""
        there = set(sections)
        return self.sections - there if self.judged and there else set()

    def moved(self, seen: EventSeen) -> bool:
        """Whether an event's instances are others than before."""
        return {row["starts_at"] for row in seen.occurrences} != self.starts.get(seen.event_id, set())

    def too_few(self, events: Iterable[EventSeen]) -> set[int]:
        """Events that show fewer instances than before though nothing about them changed: that cannot be true.

        The hash is the one that a mask does not change; it covers when a series begins, its rule and its exceptions.
        """
        return {
            seen.event_id
            for seen in events
            if self.hashes.get(seen.event_id) == seen.row["visible_hash"]
            and len(seen.occurrences) < len(self.starts[seen.event_id])
        }


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


def forget_old_instances(session: Session, portal_id: int, owner: Owner, window: Window) -> bool:
    """Instances that the moving window has left; their events stay. Returns whether there were any."""
    of_owner = select(EVENTS.c.event_id).where(EVENTS.c.portal_id == portal_id, _of(owner, EVENTS))
    outside = (
        (CalendarOccurrence.portal_id == portal_id) & CalendarOccurrence.event_id.in_(of_owner) & ~_overlap(window)
    )
    if not session.scalar(select(exists().where(outside))):
        return False
    session.execute(delete(CalendarOccurrence).where(outside))
    return True


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
