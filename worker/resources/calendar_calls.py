"""Whose calendars are read, over which days, with which calls.

Vendor: calendar/calendar-section-get.md; calendar/calendar-event/: calendar-event-get.md, calendar-event-get-by-id.md.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from msgspec import Raw

from worker.bitrix24.calls import Answer, Call, Outcome
from worker.resources.records import says_nothing
from worker.resources.times import midnight

SECTIONS = "calendar.section.get"
EVENTS = "calendar.event.get"
MASTER = "calendar.event.getbyid"

_PAD = timedelta(days=2)
_SPAN_DAYS = 90


class Owner(NamedTuple):
    """Whose calendars: (`user`, 7), (`group`, 12), (`company_calendar`, 0)."""

    type: str
    id: int


COMPANY = Owner("company_calendar", 0)


@dataclass(frozen=True)
class Window:
    """The time the mirror covers: from `start`, up to but without `end`. Both are midnight UTC."""

    start: datetime
    end: datetime

    def overlaps(self, starts_at: datetime, ends_at: datetime) -> bool:
        """Whether a timed instance touches the window; one without length counts where it starts."""
        return starts_at < self.end and (ends_at > self.start or starts_at >= self.start)

    def overlaps_days(self, starts_on: date, ends_on: date) -> bool:
        """Whether an all-day instance does; its last day is inclusive."""
        return starts_on < self.end.date() and ends_on >= self.start.date()


class Slice(NamedTuple):
    """The days of one call, both inclusive."""

    first: date
    last: date


def window(portal_now: datetime, past_days: int, future_days: int) -> Window:
    """The window around the portal's today (in UTC)."""
    today = midnight(portal_now.astimezone(UTC).date())
    return Window(today - timedelta(days=past_days), today + timedelta(days=future_days + 1))


def slices(window: Window) -> list[Slice]:
    """The calls' spans, at most about 90 days each: a longer answer is large, and an unbounded one runs to 2038.

    Padded by two days at both ends: the portal reads `from` and `to` in its server's zone, so the edges of its answers
    are blurred. Neighbours share a day; a row that comes twice is seen once.
    """
    first, last = (window.start - _PAD).date(), (window.end + _PAD).date()
    days = (last - first).days
    count = max(1, ceil(days / _SPAN_DAYS))
    edges = [first + timedelta(days=days * number // count) for number in range(count + 1)]
    return [Slice(start, end) for start, end in pairwise(edges)]


def section_call(key: str, owner: Owner) -> Call:
    """Asks for an owner's calendars."""
    return Call(key, SECTIONS, {"type": owner.type, "ownerId": owner.id})


def event_call(key: str, owner: Owner, days: Slice) -> Call:
    """Asks for an owner's events. Both dates always: a missing or unreadable one means "without bound".

    The page's own examples send `2024-06-20`, a form that does not depend on the portal's culture.
    """
    params = {"type": owner.type, "ownerId": owner.id, "from": days.first.isoformat(), "to": days.last.isoformat()}
    return Call(key, EVENTS, params)


def master_call(key: str, event_id: int) -> Call:
    """Asks for a series as it was set up: an expanded row does not tell its first instance."""
    return Call(key, MASTER, {"id": event_id})


def master_found(outcome: Outcome) -> Raw | None:
    """The row in an answer to `master_call`; None where the event is deleted, unknown or hidden. Raises a refusal."""
    if not isinstance(outcome, Answer):
        raise outcome
    return None if says_nothing(outcome.result) else outcome.result
