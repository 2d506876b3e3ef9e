"""Wall clocks and instants: what the digits of a portal's date mean.

Two rules, both from how the portal writes (design: times are UTC, aware and right):

- A task's date shows the clock of the token's user, correct for that date, but its suffix is that user's offset
  *today*. So where the suffix is today's offset of the user's zone the digits are read in that zone; any other suffix
  is trusted.
- An event's instant is `DATE_FROM_FORMATTED` read in `TZ_FROM`, in a fixed English form.

Digits that a zone's clock never showed (spring) move forward, digits that it showed twice (autumn) mean the first time:
so PHP reads them, and so does Python with `fold=0`.
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from worker.errors import Rejected
from worker.resources.fields import shown

_DAY = timedelta(days=1)
_CACHED_DAYS = 20_000  # 54 years of days; a bound, not a size that is reached
_CACHED_HOURS = 20_000
_ONE_HOUR = timedelta(hours=1)
_HOUR, _SECONDS = 13, 19  # the lengths of 2026-11-23T12 and 2026-11-23T12:00:00
_WALL = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_RUN = timedelta(hours=2)  # longer than any run: one that passes a clock change meets both offsets
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?")
_FORMATTED = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d{1,2}) (\d{4})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?)?")
_MONTHS = {
    name: number
    for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)  # noqa: SIM905
}


class WallClock:
    """The clock on the wall of one zone.

    Asking a ZoneInfo for each date costs several times more than all the rest of a row. Nearly every day has one offset
    from midnight to midnight, so the offset is kept per day; the few days with a change ask the zone each time.
    """

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._days: dict[int, timedelta | None] = {}

    def utc(self, wall: datetime) -> datetime:
        """The instant at which this clock showed `wall` (naive). Raises OverflowError outside the years 1 to 9999."""
        offset = self.offset_on(wall)
        if offset is None:
            return wall.replace(tzinfo=self.zone).astimezone(UTC)
        return wall.replace(tzinfo=UTC) - offset  # a subtraction keeps the label

    def offset_on(self, wall: datetime) -> timedelta | None:
        """The offset of that whole day, None where it changes."""
        ordinal = wall.toordinal()
        try:
            return self._days[ordinal]
        except KeyError:
            return self._learn(ordinal)

    def _learn(self, ordinal: int) -> timedelta | None:
        midnight = datetime.fromordinal(ordinal).replace(tzinfo=self.zone)
        offset = midnight.utcoffset()
        if (midnight + _DAY).utcoffset() != offset or midnight.replace(fold=1).utcoffset() != offset:
            offset = None
        if len(self._days) >= _CACHED_DAYS:
            self._days.clear()
        self._days[ordinal] = offset
        return offset


@lru_cache(maxsize=1024)
def find_zone(name: str) -> tzinfo | None:
    """The zone of that name, as PHP knows them (names and plain offsets), or None."""
    if match := _OFFSET.fullmatch(name):
        size = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return timezone(-size if match[1] == "-" else size) if size < _DAY else None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; not a key; a folder of the zone files
        return None


@lru_cache(maxsize=1024)
def wall_clock(zone: tzinfo) -> WallClock:
    """The clock of a zone, with what it has learnt so far."""
    return WallClock(zone)


@lru_cache(maxsize=1024)
def clock_of(name: str) -> WallClock | None:
    """The clock of the zone of that name, or None for an unknown one."""
    zone = find_zone(name)
    return wall_clock(zone) if zone else None


class TaskClock:
    """Reads the dates of tasks for one viewer.

    Args:
        zone: The zone of the token's user, where it is known.
        portal_now: The portal's clock: "today" in the rule above.
    """

    def __init__(self, zone: tzinfo | None, portal_now: datetime) -> None:
        self._clock = wall_clock(zone) if zone else None
        self._bare = wall_clock(zone or portal_now.tzinfo or UTC)
        self._offsets = _offsets(zone, portal_now) if zone else set()
        self._suffixes = {_suffix(offset) for offset in self._offsets}
        self._hours: dict[str, str] = {}  # `2026-11-23T12` on the wall: the same in UTC
        self._rests: dict[str, str] = {}  # `:34:56+02:00`, with the suffix that means the wall: `:34:56Z`

    def text(self, sent: str | None, name: str) -> str | None:
        """The instant as it is stored (`2026-11-23T10:34:56Z`), None where there is none. Raises Rejected.

        Text to text, by two look-ups: to make a datetime of it and a text of that again takes six times as long, for
        half a dozen dates in every row. An hour is looked up where its whole day has one offset of whole hours.
        """
        if not sent:
            return None
        try:
            return self._hours[sent[:_HOUR]] + self._rests[sent[_HOUR:]]
        except KeyError:
            return self._learn(sent, name)

    def _learn(self, sent: str, name: str) -> str | None:
        moment = self.instant(sent, name)
        if moment is None:
            return None
        text = stored_text(moment)
        if self._clock and sent[_SECONDS:] in self._suffixes and _WALL.fullmatch(sent, 0, _SECONDS):
            offset = self._clock.offset_on(datetime.fromisoformat(sent[:_SECONDS]))
            if offset is not None and not offset % _ONE_HOUR:
                if len(self._hours) >= _CACHED_HOURS:
                    self._hours.clear()
                self._hours[sent[:_HOUR]] = text[:_HOUR]
                self._rests[sent[_HOUR:]] = text[_HOUR:]
        return text

    @property
    def offsets(self) -> tuple[timedelta, ...]:
        """The offsets of today, which mean the zone's own clock; two on a day that changes it."""
        return tuple(sorted(self._offsets))

    def instant(self, text: str | None, name: str) -> datetime | None:
        """The instant in UTC, None where there is none. Raises Rejected when the text is no date."""
        if not text:
            return None
        try:
            if self._clock is None or text[_SECONDS:] not in self._suffixes:
                return self._odd(text)
            return self._clock.utc(datetime.fromisoformat(text[:_SECONDS] + "+00:00").replace(tzinfo=None))
        except (ValueError, OverflowError) as error:
            raise Rejected(f"{name}: {shown(text)} is no date") from error

    def _odd(self, text: str) -> datetime:
        """A foreign suffix, another spelling (`Z`, `+0200`), or none at all."""
        if not _DATE.match(text.strip()):
            raise ValueError  # week dates and bare digits are ISO 8601 too, but no portal means them
        moment = datetime.fromisoformat(text.strip())
        wall = moment.replace(tzinfo=None)
        if moment.tzinfo is None:
            return self._bare.utc(wall)
        if self._clock and moment.utcoffset() in self._offsets:
            return self._clock.utc(wall)
        return moment.astimezone(UTC)


def _offsets(zone: tzinfo, portal_now: datetime) -> set[timedelta]:
    moments = (portal_now.astimezone(zone), (portal_now + _RUN).astimezone(zone))
    return {offset for moment in moments if (offset := moment.utcoffset()) is not None}


def _suffix(offset: timedelta) -> str:
    minutes = int(offset.total_seconds()) // 60
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def formatted(text: str, name: str) -> datetime:
    """`Mon Nov 23 2026 15:00:00`, or without the time of day: the naive wall clock. Raises Rejected for another form.

    The form is English on every portal (vendor: calendar-event/calendar-event-get.md, its sample), so the month names
    stand here instead of in a locale.
    """
    match = _FORMATTED.fullmatch(text.strip())
    month = _MONTHS.get(match[1]) if match else None
    if match is None or month is None:
        raise Rejected(f"{name}: {shown(text)} is no date")
    try:
        return datetime(  # noqa: DTZ001  # a wall clock: its zone comes with another field
            int(match[3]), month, int(match[2]), int(match[4] or 0), int(match[5] or 0), int(match[6] or 0)
        )
    except ValueError as error:
        raise Rejected(f"{name}: {shown(text)} is no date") from error


def instant_of(clock: WallClock, wall: datetime, name: str) -> datetime:
    """As WallClock.utc, but a date at the end of time is a rejection."""
    try:
        return clock.utc(wall)
    except OverflowError as error:
        raise Rejected(f"{name}: {wall} is outside of the calendar") from error


def midnight(day: date) -> datetime:
    """Midnight UTC of a day: what stands for an all-day date where an instant is asked for."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def stored_text(moment: datetime) -> str:
    """`2026-11-23T10:34:56Z`, with the microseconds where there are any: what a column of instants takes as a text."""
    text: str = msgspec.to_builtins(moment.astimezone(UTC))
    return text


def offset_text(moment: datetime) -> str:
    """`2026-11-23T09:00:00+00:00`: the same for a portal that does not understand `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def utc_text(moment: datetime) -> str:
    """`2026-11-23T09:00:00Z`: without a `+`, which some decoder may turn into a space.

    Tasks: the portal takes an unreadable date for 1970, which matches everything.
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
