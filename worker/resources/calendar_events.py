"""Events: from the rows of one owner's answers to one row per event and one per instance.

The portal expands a series: each instance is a full row with the same ID, and only `DATE_FROM`, `DATE_TO`, their
`_FORMATTED` forms and `RINDEX` are the instance's own (vendor: calendar/calendar-event/calendar-event-get.md shows the
fields; that they repeat was read in the vendor's PHP). So a row of the listing does not tell where a series began: the
hash leaves that out, and `with_master` fills it in from `calendar.event.getbyid`. A portal that shows a series once
shows it where it began: calendar_series.py makes the instances then.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

from msgspec import Raw

from worker.errors import Rejected
from worker.resources.calendar_calls import EVENTS, Owner, Window
from worker.resources.calendar_mask import bare_title, visible_hash
from worker.resources.calendar_record import (
    EventRecord,
    Span,
    attendees_of,
    clock_from,
    other_id,
    reader,
    span_of,
)
from worker.resources.calendar_sections import record_key
from worker.resources.calendar_series import instances_of, is_whole
from worker.resources.culture import Culture, learn
from worker.resources.fields import is_nothing, json_dates, text_or_none, title_or_none, to_bool
from worker.resources.hashing import canonical_fields, content_hash
from worker.resources.records import Reject, payload_text, rows_of
from worker.resources.recurrence import Rule, excluded_days, read_rule
from worker.resources.times import formatted
from worker.resources.viewer import Viewer


@dataclass(frozen=True)
class EventSeen:
    """One event as an owner's answers showed it.

    Args:
        event_id: Its ID.
        row: The columns of calendar_events. For a series the four of its time are those of the first instance seen.
        is_series: Whether it recurs.
        needs_master: Whether an instance stands for the series: then only `with_master` makes its time right.
        occurrences: The columns of calendar_occurrences, for each instance that overlaps the window.
        attendees: User IDs and statuses, None where the portal did not tell.
        parent_event_id: The meeting's parent, where this is somebody's copy of it.
    """

    event_id: int
    row: dict[str, Any]
    is_series: bool
    needs_master: bool
    occurrences: list[dict[str, Any]]
    attendees: list[tuple[int, str]] | None
    parent_event_id: int | None


class EventsRead(NamedTuple):
    """What one owner's answers hold.

    Args:
        events: All of them, also those that show only in the padding around the window: these have no occurrences.
        rejects: Records that cannot become one.
    """

    events: list[EventSeen]
    rejects: list[Reject]


class _Instance(NamedTuple):
    record: EventRecord
    raw: Raw
    span: Span


def read_events(raws: Sequence[Raw], viewer: Viewer, window: Window, owner: Owner) -> EventsRead:
    """The events in the answers for one owner's slices. Raises BadAnswer when one is no list.

    An event with one unreadable row is rejected as a whole: half a series would look like one with deleted instances.
    """
    rejects: dict[str, Reject] = {}
    records = _records(raws, rejects)
    reading = _Reading(viewer, window, owner, _culture(record for record, _ in records))
    events = []
    for instances in _instances(records, viewer, rejects).values():
        try:
            events.append(_seen(instances, reading))
        except Rejected as error:
            _reject(rejects, instances[0].raw, error)
    return EventsRead(events, list(rejects.values()))


def _records(raws: Sequence[Raw], rejects: dict[str, Reject]) -> list[tuple[EventRecord, Raw]]:
    records = []
    for raw in _distinct(raws):
        try:
            record = reader.read(raw)
            if not record.is_deleted:
                records.append((record, raw))
        except Rejected as error:
            _reject(rejects, raw, error)
    return records


def _instances(
    records: Sequence[tuple[EventRecord, Raw]], viewer: Viewer, rejects: dict[str, Reject]
) -> dict[int, list[_Instance]]:
    """The rows of each event of which every row can be read."""
    found: dict[int, list[_Instance]] = {}
    for record, raw in records:
        try:
            found.setdefault(record.id, []).append(_Instance(record, raw, span_of(record, viewer)))
        except Rejected as error:
            _reject(rejects, raw, error)
    return {event_id: instances for event_id, instances in found.items() if _key(event_id) not in rejects}


def _key(event_id: int) -> str:
    return f"event:{event_id}"


def _distinct(raws: Sequence[Raw]) -> Iterator[Raw]:
    """The rows of all answers; one that two slices share is taken once."""
    seen: set[bytes] = set()
    for answer in raws:
        for raw in rows_of(answer, EVENTS):
            text = bytes(raw)
            if text not in seen:
                seen.add(text)
                yield raw


def _reject(rejects: dict[str, Reject], raw: Raw, error: Rejected) -> None:
    key = record_key(raw, "event")
    rejects.setdefault(key, Reject(key, payload_text(raw), str(error)))


def _culture(records: Iterator[EventRecord]) -> Culture:
    pairs, texts = [], []
    for record in records:
        if record.date_from and record.date_from_formatted:
            try:
                pairs.append((record.date_from, formatted(record.date_from_formatted, "")))
            except Rejected:
                continue  # told when its span is read
        if isinstance(record.exdate, str) and record.exdate:
            texts.extend(record.exdate.split(";"))
        if isinstance(record.rrule, dict) and not is_nothing(record.rrule.get("UNTIL")):
            texts.append(str(record.rrule["UNTIL"]))
    return learn(pairs, texts)


class _Reading(NamedTuple):
    """What an event's record is read with."""

    viewer: Viewer
    window: Window
    owner: Owner
    culture: Culture


def _seen(instances: list[_Instance], reading: _Reading) -> EventSeen:
    """One event from its rows. The same instance in two slices has one start."""
    by_start = {instance.span.starts_at: instance for instance in reversed(instances)}
    first = by_start[min(by_start)]
    viewer, culture = reading.viewer, reading.culture
    rule = read_rule(first.record.rrule, culture=culture, server_offset=viewer.server_offset)
    excluded = excluded_days(first.record.exdate, culture)
    row = _row(first, reading, rule, excluded)
    spans = [by_start[start].span for start in sorted(by_start)]
    is_master = rule is not None and is_whole(first.record, first.span, viewer, len(spans))
    if rule is not None and is_master:
        spans = instances_of(first.record, rule, excluded, viewer, reading.window)
    attendees = attendees_of(first.record)
    return EventSeen(
        event_id=first.record.id,
        row=row,
        is_series=rule is not None,
        needs_master=rule is not None and not is_master,
        occurrences=[
            {"event_id": first.record.id, "all_day": row["all_day"], **span._asdict()}
            for span in spans
            if _in_window(span, reading.window)
        ],
        attendees=None if row["masked"] and not attendees else attendees,
        parent_event_id=row["parent_event_id"],
    )


def _in_window(span: Span, window: Window) -> bool:
    if span.starts_on is not None and span.ends_on is not None:
        return window.overlaps_days(span.starts_on, span.ends_on)
    return window.overlaps(span.starts_at, span.ends_at)


def _row(first: _Instance, reading: _Reading, rule: Rule | None, excluded: list[date]) -> dict[str, Any]:
    record, raw, span = first
    is_meeting = to_bool(record.is_meeting, "IS_MEETING") or False
    content: dict[str, Any] = {
        "event_id": record.id,
        "section_id": record.section_id or record.sect_id or None,
        "parent_event_id": other_id(record.parent_id, record.id),
        "recurrence_event_id": record.recurrence_id or None,
        "calendar_type": text_or_none(record.cal_type) or reading.owner.type,
        "owner_id": reading.owner.id if record.owner_id is None else record.owner_id,
        "name": title_or_none(record.name),
        "description": text_or_none(record.description or None),
        "location": text_or_none(record.location or None),
        "all_day": record.all_day,
        "time_zone": None if record.all_day else text_or_none(record.tz_from),
        "recurrence_rule": rule and rule.text(all_day=record.all_day, clock=clock_from(record, reading.viewer)),
        "excluded_dates": json_dates(excluded),
        "meeting_host_id": (record.meeting_host or None) if is_meeting else None,
        "is_meeting": is_meeting,
        "importance": text_or_none(record.importance),
        "accessibility": text_or_none(record.accessibility),
        "private": to_bool(record.private_event, "PRIVATE_EVENT") or False,
        "color": text_or_none(record.color),
        "masked": record.is_masked,
        "title_masked": record.is_title_masked,
    }
    # An instance's own time is the event's only where there is one instance; a series has its limits instead.
    when = (record.date_from_ts_utc, record.date_to_ts_utc, record.dt_length) if rule else span
    custom = canonical_fields(reader.custom(raw), reading.viewer.tasks_clock)
    # A stand-in for the name is in the viewer's language. The status of a meeting is that of the row's owner, whoever
    # reads it: each participant has a row. What is the viewer's own (offsets, RINDEX) no hash covers.
    own = {**content, "name": bare_title(record.name)} if record.is_masked else content
    return {
        **content,
        **span._asdict(),
        "content_hash": content_hash([*own.values(), *when, text_or_none(record.meeting_status)], custom),
        "visible_hash": visible_hash(content, when),
        "raw": payload_text(raw),
    }


def with_master(seen: EventSeen, master: Raw | None, viewer: Viewer) -> EventSeen:
    """The series with the time of its first instance and the text of its master row; the hash stays.

    Raises Rejected when the row cannot be read. Without one (it was deleted in between) the first instance seen stands
    in.
    """
    if master is None:
        return seen
    record = reader.read(master)
    if record.id != seen.event_id:
        raise Rejected(f"ID: {record.id} came where {seen.event_id} was asked for")
    return replace(seen, row={**seen.row, **span_of(record, viewer)._asdict(), "raw": payload_text(master)})
