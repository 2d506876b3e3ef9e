"""The fields of an event's record that matter (vendor: calendar/_includes/calendar_event_fields.md), and when it is."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from worker.errors import Rejected
from worker.resources.calendar_mask import bare_title
from worker.resources.fields import clean, items, shown, to_bool, to_key, to_text
from worker.resources.records import Flag, Key, Number, Reader, Slowly, Text
from worker.resources.times import WallClock, clock_of, formatted, instant_of, midnight
from worker.resources.viewer import Viewer

_DAY_SECONDS = 86_400

Anything = Annotated[Any, Slowly(lambda value, _name: value)]
Hidden = Annotated[str | UnsetType | None, Slowly(to_text)]
"""A text that is left out where the viewer may not see it."""


class EventRecord(Struct, rename="upper"):
    """One row of calendar.event.get or the row of calendar.event.getbyid."""

    id: Key
    parent_id: Number = None
    recurrence_id: Number = None
    deleted: Text = None
    cal_type: Text = None
    owner_id: Number = None
    section_id: Number = None
    sect_id: Number = None
    name: Text = None
    description: Hidden = UNSET
    location: Hidden = UNSET
    date_from: Text = None
    date_from_formatted: Text = None
    date_to_formatted: Text = None
    date_from_ts_utc: Number = None
    date_to_ts_utc: Number = None
    tz_from: Text = None
    tz_to: Text = None
    dt_skip_time: Flag = None
    dt_length: Number = None
    is_meeting: Flag = None
    meeting_host: Number = None
    meeting_status: Text = None
    attendee_list: Anything = UNSET
    accessibility: Text = None
    importance: Text = None
    private_event: Flag = None
    color: Text = None
    rrule: Anything = None
    exdate: Anything = None
    is_accessible_to_user: Flag = None

    @property
    def is_deleted(self) -> bool:
        """Deleted rows simply stop appearing; if one appears after all, it is no event."""
        return to_bool(self.deleted, "DELETED") or False

    @property
    def all_day(self) -> bool:
        """Plain days without a zone."""
        return to_bool(self.dt_skip_time, "DT_SKIP_TIME") or False

    @property
    def is_masked(self) -> bool:
        """Whether the viewer was shown a stand-in: then the content's keys are absent, not empty."""
        hidden = to_bool(self.is_accessible_to_user, "IS_ACCESSIBLE_TO_USER") is False
        return hidden or (self.description is UNSET and self.location is UNSET)

    @property
    def is_title_masked(self) -> bool:
        """Whether nothing of the name is left either."""
        hidden = to_bool(self.is_accessible_to_user, "IS_ACCESSIBLE_TO_USER") is False
        return self.is_masked and (hidden or not bare_title(self.name))


reader = Reader(EventRecord)


class Span(NamedTuple):
    """When one instance is; the columns of these names."""

    starts_at: datetime
    ends_at: datetime
    starts_on: date | None = None
    ends_on: date | None = None


def span_of(record: EventRecord, viewer: Viewer, day: date | None = None) -> Span:
    """When the instance is that a record shows, or the one of the same series on another `day`. Raises Rejected.

    Never by `DATE_FROM_TS_UTC`: that is the series', and off by the server's offset where the server is not in UTC.
    """
    own = wall_from(record)
    start = own if day is None else datetime.combine(day, own.time())
    try:
        return _days(record, start, start - own) if record.all_day else _timed(record, start, start - own, viewer)
    except OverflowError as error:
        raise Rejected(f"DT_LENGTH: {record.dt_length} leads out of the calendar") from error


def wall_from(record: EventRecord) -> datetime:
    """What the clock on the wall shows when it begins. Raises Rejected."""
    return _wall(record.date_from_formatted, "DATE_FROM_FORMATTED")


def _days(record: EventRecord, start: datetime, later: timedelta) -> Span:
    first = start.date()
    if record.date_to_formatted:
        last = (_wall(record.date_to_formatted, "DATE_TO_FORMATTED") + later).date()
    else:
        last = first + timedelta(days=max(0, (record.dt_length or 0) // _DAY_SECONDS - 1))
    return Span(midnight(first), midnight(last), first, last)


def _timed(record: EventRecord, start: datetime, later: timedelta, viewer: Viewer) -> Span:
    starts_at = instant_of(clock_from(record, viewer), start, "DATE_FROM_FORMATTED")
    if record.dt_length and record.dt_length > 0:
        return Span(starts_at, starts_at + timedelta(seconds=record.dt_length))
    end = _wall(record.date_to_formatted, "DATE_TO_FORMATTED") + later
    clock = _clock(record.tz_to, "TZ_TO") or clock_from(record, viewer)
    return Span(starts_at, instant_of(clock, end, "DATE_TO_FORMATTED"))


def clock_from(record: EventRecord, viewer: Viewer) -> WallClock:
    """The clock that an event starts by: its own zone's, else the viewer's. Raises Rejected."""
    return _clock(record.tz_from, "TZ_FROM") or viewer.events_clock


def _clock(zone: str | None, name: str) -> WallClock | None:
    if not zone or not zone.strip():
        return None
    clock = clock_of(zone.strip())
    if clock is None:
        raise Rejected(f"{name}: {shown(zone)} is no zone")
    return clock


def _wall(text: str | None, name: str) -> datetime:
    if not text:
        raise Rejected(f"{name}: missing")
    return formatted(text, name)


def attendees_of(record: EventRecord) -> list[tuple[int, str]] | None:
    """Who takes part and how (H, Y, N, Q), None where the portal did not say. Raises Rejected."""
    sent = record.attendee_list
    if sent is UNSET or sent is None or sent is False:
        return None
    attendees: dict[int, str] = {}
    for person in items(sent, "ATTENDEE_LIST"):
        if not isinstance(person, dict):
            raise Rejected(f"ATTENDEE_LIST: {shown(person)} is no attendee")
        user_id = to_key(person.get("id", person.get("ID")), "ATTENDEE_LIST.id")
        status = to_text(person.get("status", person.get("STATUS")), "ATTENDEE_LIST.status") or ""
        attendees.setdefault(user_id, clean(status))
    return list(attendees.items())


def other_id(value: int | None, own_id: int) -> int | None:
    """The ID of another event; none where it is 0 or the event's own."""
    return value if value and value != own_id else None
