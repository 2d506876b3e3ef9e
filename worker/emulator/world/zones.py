"""Zones: wall clocks and the instants they mean."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

FAR = date(2038, 1, 1)
"""The end of an endless series."""


@lru_cache(maxsize=512)
def zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def offset(name: str, at: datetime) -> int:
    """Seconds that a zone is ahead of UTC at an instant."""
    shift = at.astimezone(zone(name)).utcoffset()
    return int(shift.total_seconds()) if shift is not None else 0


def instant(wall: datetime, zone_name: str) -> datetime:
    """The UTC instant of a wall clock; a time that never was goes forward, one that was twice is the first."""
    return wall.replace(tzinfo=zone(zone_name)).astimezone(UTC)


def midnight(day: date) -> datetime:
    """A day as a wall clock."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).replace(tzinfo=None)


def told_apart(at: datetime, zone_names: Collection[str]) -> datetime:
    """The instant, or an hour later if some zone's clock shows there, for the second time, what it has shown before."""
    while any(at.astimezone(zone(name)).fold for name in zone_names):
        at += timedelta(hours=1)
    return at
