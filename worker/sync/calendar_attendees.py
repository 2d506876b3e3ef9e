"""Who takes part: kept on the meeting's parent where the mirror has it, else on the copy that was read.

A meeting is one row of its host and one copy for each attendee, and each shows the same list to whom it is shown.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.resources.calendar_events import EventSeen
from worker.storage.models import Base, CalendarEvent, EventAttendee
from worker.storage.upsert import SetCounts, known_ids, replace_set

Attendees = list[tuple[int, str]]


def write_attendees(session: Session, portal_id: int, events: Sequence[EventSeen]) -> SetCounts:
    """Make the attendees of `events`, which were just written, what their listing showed."""
    holders: dict[int, Attendees] = {}
    empty: set[int] = set()
    listed = [seen for seen in events if seen.attendees is not None]
    parents = _known(session, portal_id, {seen.parent_event_id for seen in listed if seen.parent_event_id})
    for seen in sorted(
        listed, key=lambda seen: seen.parent_event_id is None
    ):  # a parent's own list comes last: it wins
        if seen.parent_event_id is not None and seen.parent_event_id in parents:
            holders[seen.parent_event_id] = seen.attendees or []
            empty.add(seen.event_id)
        else:
            holders[seen.event_id] = seen.attendees or []
    # The parent holds the attendees from now on; one that was masked takes over what its copies told.
    taken = _of_copies(session, portal_id, [seen.event_id for seen in events if seen.parent_event_id is None])
    for parent_id, copies in taken.items():
        empty.update(copies)
        if parent_id not in holders:
            holders[parent_id] = next((held for _, held in sorted(copies.items()) if held), [])
    # Shown, and no meeting (any more).
    empty.update(seen.event_id for seen in events if not seen.row["is_meeting"] and not seen.row["masked"])
    return _replace(session, portal_id, holders, empty)


def hand_down(session: Session, portal_id: int, parent_id: int, copies: Iterable[int]) -> None:
    """The parent goes: those of its copies that stay hold the attendees from now on."""
    held = select(EventAttendee.user_id, EventAttendee.status).where(
        EventAttendee.portal_id == portal_id, EventAttendee.event_id == parent_id
    )
    attendees = [(user_id, status or "") for user_id, status in session.execute(held)]
    if attendees:
        _replace(session, portal_id, dict.fromkeys(copies, attendees), set())


def _known(session: Session, portal_id: int, event_ids: Iterable[int]) -> set[int]:
    ids = list(event_ids)
    if not ids:
        return set()
    return known_ids(session, Base.metadata.tables["calendar_events"], portal_id, where=CalendarEvent.event_id.in_(ids))


def _of_copies(session: Session, portal_id: int, parents: Sequence[int]) -> dict[int, dict[int, Attendees]]:
    """Parent -> copy -> attendees, for copies that hold some."""
    rows = session.execute(
        select(CalendarEvent.parent_event_id, CalendarEvent.event_id, EventAttendee.user_id, EventAttendee.status)
        .join(
            EventAttendee,
            (EventAttendee.portal_id == CalendarEvent.portal_id) & (EventAttendee.event_id == CalendarEvent.event_id),
        )
        .where(CalendarEvent.portal_id == portal_id, CalendarEvent.parent_event_id.in_(parents))
    )
    found: dict[int, dict[int, Attendees]] = defaultdict(lambda: defaultdict(list))
    for parent_id, copy_id, user_id, status in rows:
        found[parent_id or 0][copy_id].append((user_id, status or ""))
    return found


def _replace(session: Session, portal_id: int, holders: dict[int, Attendees], empty: set[int]) -> SetCounts:
    rows = [
        {"portal_id": portal_id, "event_id": event_id, "user_id": user_id, "status": status}
        for event_id, attendees in holders.items()
        for user_id, status in attendees
    ]
    scope = {"portal_id": portal_id, "event_id": sorted(empty | holders.keys())}
    return replace_set(session, Base.metadata.tables["event_attendees"], rows, scope=scope)
