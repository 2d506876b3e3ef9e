"""Dates in the portal's many spellings."""

import re
from datetime import UTC, datetime, timedelta

from worker.emulator.world.zones import zone

EPOCH = datetime.fromtimestamp(0, UTC)

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?\s?(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE
)
_DAY_FIRST = re.compile(r"(\d\d?)\.(\d\d?)\.(\d{4})(?: (\d\d?):(\d\d)(?::(\d\d))?)?")
_US = re.compile(r"(\d\d?)/(\d\d?)/(\d{4})(?: (\d\d?):(\d\d)(?::(\d\d))?(?: ([ap]m))?)?", re.IGNORECASE)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def suffix(seconds: int) -> str:
    sign, seconds = ("-", -seconds) if seconds < 0 else ("+", seconds)
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}"


def iso(at: datetime, zone_name: str) -> str:
    return at.astimezone(zone(zone_name)).replace(microsecond=0).isoformat()


def formatted(wall: datetime, *, date_only: bool) -> str:
    """The fixed English form, whatever the portal's language (calendar-event-get.md, DATE_FROM_FORMATTED)."""
    day = f"{_DAYS[wall.weekday()]} {_MONTHS[wall.month - 1]} {wall.day:02d} {wall.year}"
    return day if date_only else f"{day} {wall:%H:%M:%S}"


def cultured(wall: datetime, culture: str, *, date_only: bool) -> str:
    """The portal's own format (calendar-event-get.md, DATE_FROM)."""
    if culture == "day_first":
        return f"{wall:%d.%m.%Y}" if date_only else f"{wall:%d.%m.%Y %H:%M:%S}"
    return f"{wall:%m/%d/%Y}" if date_only else f"{wall:%m/%d/%Y %I:%M:%S} {'am' if wall.hour < 12 else 'pm'}"


def parse(text: str, server_zone: str) -> datetime | None:
    """What a date sent by a client means; without an offset it is the server's clock. None: not a date.

    A blank before the offset (a `+` that was decoded) makes it no date at all.
    """
    text = text.strip()
    try:
        if found := _ISO.fullmatch(text):
            return _from_iso(found, text, server_zone)
        if found := _DAY_FIRST.fullmatch(text):
            day, month, year, hour, minute, second = (int(part or 0) for part in found.groups())
            return _made(server_zone, year, month, day, hour, minute, second)
        if found := _US.fullmatch(text):
            month, day, year, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
            if found[7]:
                hour = hour % 12 + (12 if found[7].lower() == "pm" else 0)
            return _made(server_zone, year, month, day, hour, minute, second)
    except (ValueError, OverflowError):
        return None
    return None


def _from_iso(found: re.Match[str], text: str, server_zone: str) -> datetime | None:
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    tail = found[7]
    if tail is None:
        return _made(server_zone, year, month, day, hour, minute, second)
    if not text[: found.start(7)][-1].isdigit():
        return None
    if tail in "Zz":
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    shift = timedelta(hours=int(tail[1:3]), minutes=int(tail[-2:]))
    at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return at + shift if tail[0] == "-" else at - shift


def _made(server_zone: str, *parts: int) -> datetime:
    year, month, day, hour, minute, second = parts
    return datetime(year, month, day, hour, minute, second, tzinfo=zone(server_zone)).astimezone(UTC)
