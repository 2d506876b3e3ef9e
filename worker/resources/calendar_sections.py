"""Calendars ("sections"; vendor: calendar/calendar-section-get.md)."""

from typing import Any, NamedTuple

from msgspec import Raw, Struct

from worker.errors import Rejected
from worker.resources.calendar_calls import SECTIONS, Owner
from worker.resources.fields import text_or_none, title_or_none, to_key
from worker.resources.hashing import content_hash
from worker.resources.records import Key, Number, Reader, Reject, Text, parsed, payload_text, rows_of


class Section(Struct, rename="upper"):
    """The fields of a calendar that have a column."""

    id: Key
    cal_type: Text = None
    owner_id: Number = None
    name: Text = None
    description: Text = None
    color: Text = None
    text_color: Text = None


class SectionsRead(NamedTuple):
    """What an answer holds: rows, and records that cannot become one."""

    rows: list[dict[str, Any]]
    rejects: list[Reject]


_reader = Reader(Section)


def read_sections(raw: Raw, owner: Owner) -> SectionsRead:
    """The calendars in one answer. Raises BadAnswer when it is no list."""
    read = SectionsRead([], [])
    for record in rows_of(raw, SECTIONS):
        try:
            read.rows.append(_row(record, owner))
        except Rejected as error:
            read.rejects.append(Reject(record_key(record, "section"), payload_text(record), str(error)))
    return read


def _row(raw: Raw, owner: Owner) -> dict[str, Any]:
    section = _reader.read(raw)
    row: dict[str, Any] = {
        "section_id": section.id,
        "calendar_type": text_or_none(section.cal_type) or owner.type,
        "owner_id": owner.id if section.owner_id is None else section.owner_id,
        "name": title_or_none(section.name),
        "description": text_or_none(section.description),
        "color": text_or_none(section.color),
        "text_color": text_or_none(section.text_color),
    }
    row["content_hash"] = content_hash(row.values())
    row["raw"] = payload_text(raw)
    return row


def record_key(raw: Raw, kind: str) -> str:
    """What a rejected record of the calendar is filed under: `event:880`, or the hash of one without an ID."""
    try:
        return f"{kind}:{to_key(parsed(raw).get('ID'), 'ID')}"
    except Rejected:
        return f"{kind}:?{content_hash([payload_text(raw)])}"
