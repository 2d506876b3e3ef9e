"""The rule of a series as RFC 5545 text (vendor: calendar/_includes/calendar_event_fields.md, RRULE)."""

import re
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


def rule_text(
    rule: object, *, all_day: bool, clock: WallClock, culture: Culture, server_offset: timedelta
) -> str | None:
    """The rule as text, None for a single event. Raises Rejected.

    Args:
        rule: RRULE as decoded: a map, a text, or one of PHP's nothings.
        all_day: Whether UNTIL is a plain day.
        clock: The event's clock: a timed series ends with the last second of the last day on it.
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
    text = [f"FREQ={frequency}"]
    if (interval := to_int(parts.get("INTERVAL"), "RRULE.INTERVAL") or 1) > 1:
        text.append(f"INTERVAL={interval}")
    if count := to_int(parts.get("COUNT"), "RRULE.COUNT"):
        text.append(f"COUNT={count}")  # the portal fills UNTIL as well then; RFC 5545 allows only one of them
    elif last_day := _last_day(parts, culture, server_offset):
        text.append(f"UNTIL={_until(last_day, all_day=all_day, clock=clock)}")
    if days := _by_day(parts.get("BYDAY")):
        text.append(f"BYDAY={','.join(days)}")
    return ";".join(text)


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
