"""Expands the series of a mirror anew, from nothing but its own rows.

The portal expands a series, the mirror keeps both the rule and the instances. So whoever expands the rule by himself
(wall clock in the event's zone, then UTC) must find the instances of `calendar_occurrences`, and no others.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from tests.integration.mirror import Mirror

_MANY = 20_000
"""More instances than any series of the tests has up to the end of its window."""


class Instance(NamedTuple):
    """One instance, as `calendar_occurrences` has it."""

    starts_at: datetime
    ends_at: datetime
    starts_on: date | None
    ends_on: date | None


def held(mirror: Mirror) -> dict[int, set[Instance]]:
    """The instances of the mirror, by event."""
    found: dict[int, set[Instance]] = {event_id: set() for event_id in mirror.ids("calendar_events")}
    for row in mirror.rows("calendar_occurrences"):
        instance = Instance(*(row[name] for name in Instance._fields))
        assert instance not in found[row["event_id"]]
        found[row["event_id"]].add(instance)
    return found


def expected(mirror: Mirror) -> dict[int, set[Instance]]:
    """What dateutil makes of the events of the mirror."""
    own_zone = mirror.portal.world.zone_of(mirror.portal.admin_id)
    return {row["event_id"]: set(expanded(row, own_zone, mirror.window())) for row in mirror.rows("calendar_events")}


def expanded(row: dict[str, Any], own_zone: str, window: tuple[datetime, datetime]) -> Iterator[Instance]:
    """The instances of one event that overlap the window; an event without a zone goes by the reader's."""
    zone = ZoneInfo("UTC" if row["all_day"] else row["time_zone"] or own_zone)
    first = row["starts_at"].astimezone(zone).replace(tzinfo=None)
    starts = [first] if row["recurrence_rule"] is None else walls(row["recurrence_rule"], first, zone, window[1])
    excluded = {date.fromisoformat(day) for day in json.loads(row["excluded_dates"] or "[]")}
    for wall in starts:
        begin = wall.replace(tzinfo=zone).astimezone(UTC)
        end = begin + (row["ends_at"] - row["starts_at"])
        if row["recurrence_rule"] is not None and wall.date() in excluded:
            continue
        if begin < window[1] and (end > window[0] or begin >= window[0] or (row["all_day"] and end >= window[0])):
            yield Instance(begin, end, *((begin.date(), end.date()) if row["all_day"] else (None, None)))


def walls(rule: str, first: datetime, zone: ZoneInfo, end: datetime) -> Iterator[datetime]:
    """Wall clocks of a series, until it ends or the window does.

    Where a month lacks the day the portal shows the first of the next one; dateutil, which has none there, is asked for
    the months alone.
    """
    parts = dict(part.split("=") for part in rule.split(";"))
    latest = min(end.replace(tzinfo=None) + timedelta(days=2), _last(parts.pop("UNTIL", None), zone))
    by_month = parts["FREQ"] in {"MONTHLY", "YEARLY"}
    begin = first.replace(day=1) if by_month else first
    series = rrulestr(";".join(f"{name}={value}" for name, value in parts.items()), dtstart=begin)
    found = series.xafter(begin, count=_MANY, inc=True)
    yield from takewhile(
        lambda wall: wall <= latest, (_in_month(wall, first.day) if by_month else wall for wall in found)
    )


def _last(until: str | None, zone: ZoneInfo) -> datetime:
    """UNTIL on the clock of the series."""
    if until is None:
        return datetime.max  # noqa: DTZ901 - a wall clock
    if until.endswith("Z"):
        last = datetime.strptime(until, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).astimezone(zone)
        return last.replace(tzinfo=None)
    return datetime.combine(datetime.strptime(until, "%Y%m%d").replace(tzinfo=UTC).date(), datetime.max.time())


def _in_month(month: datetime, day: int) -> datetime:
    found = month + timedelta(days=day - 1)
    return found if found.month == month.month else found.replace(day=1)
