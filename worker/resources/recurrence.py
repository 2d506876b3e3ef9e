"""The rule of a series as RFC 5545 text (vendor: calendar/_includes/calendar_event_fields.md, RRULE)."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from worker.errors import Rejected
from worker.resources.culture import Culture, day_of_timestamp
from worker.resources.fields import is_nothing, shown, to_int
from worker.resources.times import WallClock, instant_of

WEEK = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
ENDLESS = date(2038, 1, 1)
"""The last day the portal knows: an UNTIL there means that the series has no end."""

_FREQUENCIES = frozenset({"SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"})
_BYDAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_ORDINAL = re.compile(r"[+-]?\d{1,2}")
_LAST_SECOND = time(23, 59, 59)


@dataclass(frozen=True, slots=True)
class Rule:
    """How a series recurs.

    Args:
        frequency: As RFC 5545 names it.
        interval: Every so many of its days, weeks, months, years.
        count: After so many instances it ends, those that were deleted included.
        last_day: Else its last day, on its own calendar; None: it has no end.
        by_day: The days in the order of the week, ordinals (`-1FR`) kept.
    """

    frequency: str
    interval: int = 1
    count: int | None = None
    last_day: date | None = None
    by_day: tuple[str, ...] = ()

    def text(self, *, all_day: bool, clock: WallClock) -> str:
        """RFC 5545. Raises Rejected.

        Args:
            all_day: Whether UNTIL is a plain day.
            clock: The event's clock: a timed series ends with the last second of the last day on it.
        """
        parts = [f"FREQ={self.frequency}"]
        if self.interval > 1:
            parts.append(f"INTERVAL={self.interval}")
        if self.count:
            parts.append(f"COUNT={self.count}")
        elif self.last_day:
            parts.append(f"UNTIL={_until(self.last_day, all_day=all_day, clock=clock)}")
        if self.by_day:
            parts.append(f"BYDAY={','.join(self.by_day)}")
        return ";".join(parts)


def read_rule(rule: object, *, culture: Culture, server_offset: timedelta) -> Rule | None:
    """The rule of a record, None for a single event. Raises Rejected.

    Args:
        rule: RRULE as decoded: a map, a text, or one of PHP's nothings.
        culture: How the answer writes its dates.
        server_offset: The portal server's offset, for UNTIL_TS.
    """
    if is_nothing(rule):
        return None
    parts = _parts(rule)
    frequency = str(parts.get("FREQ") or "").strip().upper()
    if frequency in {"", "NONE"}:
        return None
    if frequency not in _FREQUENCIES:
        raise Rejected(f"RRULE.FREQ: {shown(parts['FREQ'])} is no frequency")
    count = to_int(parts.get("COUNT"), "RRULE.COUNT") or None
    return Rule(
        frequency,
        interval=max(1, to_int(parts.get("INTERVAL"), "RRULE.INTERVAL") or 1),
        count=count,  # the portal fills UNTIL as well then; RFC 5545 allows only one of them
        last_day=None if count else _last_day(parts, culture, server_offset),
        by_day=tuple(_by_day(parts.get("BYDAY"))),
    )


def _parts(rule: object) -> dict[str, Any]:
    if isinstance(rule, dict):
        return rule
    if isinstance(rule, str):
        pairs = (part.partition("=") for part in rule.removeprefix("RRULE:").split(";"))
        return {name.strip().upper(): value.strip() for name, _, value in pairs}
    raise Rejected(f"RRULE: {shown(rule)} is no rule")


def _last_day(parts: dict[str, Any], culture: Culture, server_offset: timedelta) -> date | None:
    """The last day of the series, None for an endless one."""
    timestamp = to_int(parts.get("UNTIL_TS"), "RRULE.UNTIL_TS")
    hint = day_of_timestamp(timestamp, server_offset) if timestamp else None
    text = parts.get("UNTIL")
    if is_nothing(text):
        day = hint
    else:
        try:
            day = culture.read_near(str(text), "RRULE.UNTIL", hint)
        except Rejected:
            if hint is None:
                raise
            day = hint
    return day if day is not None and day < ENDLESS else None


def _until(day: date, *, all_day: bool, clock: WallClock) -> str:
    if all_day:
        return f"{day:%Y%m%d}"
    last = instant_of(clock, datetime.combine(day, _LAST_SECOND), "RRULE.UNTIL")
    return f"{last.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _by_day(sent: object) -> list[str]:
    """The days in the order of the week, ordinals (`-1FR`) kept.

    As a map the portal writes `{"MO": "MO"}`, with an ordinal `{"FR": "-1"}`; to calendar-event-add.md it is a list.
    """
    if is_nothing(sent):
        return []
    if isinstance(sent, dict):
        words = [f"{value}{day}" if _ORDINAL.fullmatch(str(value)) else str(value) for day, value in sent.items()]
    else:
        words = sent if isinstance(sent, list) else str(sent).split(",")
    days = {_day(word) for word in words}
    return [f"{ordinal}{WEEK[number]}" for number, _, ordinal in sorted(days)]


def _day(word: object) -> tuple[int, int, str]:
    match = _BYDAY.fullmatch(str(word).strip().upper())
    if match is None:
        raise Rejected(f"RRULE.BYDAY: {shown(word)} is no day of the week")
    ordinal = (match[1] or "").removeprefix("+")
    return WEEK.index(match[2]), int(ordinal or 0), ordinal


def excluded_days(sent: object, culture: Culture) -> list[date]:
    """The days of EXDATE, ascending: texts in the portal's culture, divided by `;`. Raises Rejected."""
    if is_nothing(sent):
        return []
    words = sent if isinstance(sent, list) else str(sent).split(";")
    return sorted({culture.read(str(word), "EXDATE") for word in words if str(word).strip()})
