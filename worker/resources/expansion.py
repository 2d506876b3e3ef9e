"""On which days a series falls: where the portal shows a series once, its instances are made here. Pure.

The arithmetic is the portal's own, and in one thing not that of RFC 5545: in a month that lacks the day, and in a year
without the 29th of February, the portal shows the first of the next month, where the RFC has no instance (read in the
vendor's PHP, of several years alike). So a library of the RFC would be wrong just there.
"""

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, timedelta

from worker.errors import Rejected
from worker.resources.fields import shown
from worker.resources.recurrence import ENDLESS, WEEK, Rule

_MONTHS = {"MONTHLY": 1, "YEARLY": 12}
_LAST = ENDLESS - timedelta(days=1)

Numbered = Iterator[tuple[int, date]]
"""The days of a series, ascending, each with the number of instances before it."""


def days(rule: Rule, first: date, start: date, end: date) -> list[date]:
    """The days of the series that begins on `first`, from `start` to `end` inclusive. Raises Rejected.

    Deleted days are among them: they count for COUNT too. Begins near `start`, so an old series costs no more.
    """
    last = min(end, rule.last_day or _LAST, _LAST)
    found: list[date] = []
    for number, day in _numbered(rule, first, max(first, start), last):
        if rule.count is not None and number >= rule.count:
            break
        if day >= start:
            found.append(day)
    return found


def _numbered(rule: Rule, first: date, start: date, last: date) -> Numbered:
    if rule.frequency == "DAILY":
        return _daily(rule.interval, first, start, last)
    if rule.frequency == "WEEKLY":
        return _weekly(rule, first, start, last)
    if rule.frequency in _MONTHS:
        return _monthly(rule.interval * _MONTHS[rule.frequency], first, start, last)
    raise Rejected(f"RRULE.FREQ: the instances of {shown(rule.frequency)} are not to be had")


def _daily(interval: int, first: date, start: date, last: date) -> Numbered:
    before = (start - first).days // interval
    for number, ordinal in enumerate(range(first.toordinal() + before * interval, last.toordinal() + 1, interval)):
        yield before + number, date.fromordinal(ordinal)


def _weekly(rule: Rule, first: date, start: date, last: date) -> Numbered:
    """The week begins on Monday; days of the first week before `first` are no instances."""
    weekdays = sorted({WEEK.index(day[-2:]) for day in rule.by_day}) or [first.weekday()]
    left_out = sum(weekday < first.weekday() for weekday in weekdays)
    monday = first.toordinal() - first.weekday()
    week = (start.toordinal() - monday) // 7 // rule.interval
    number = week * len(weekdays) - left_out
    for begin in range(monday + week * 7 * rule.interval, last.toordinal() + 1, 7 * rule.interval):
        for weekday in weekdays:
            if number >= 0 and begin + weekday <= last.toordinal():
                yield number, date.fromordinal(begin + weekday)
            number += 1


def _monthly(interval: int, first: date, start: date, last: date) -> Numbered:
    number = max(0, (_month(start) - _month(first)) // interval - 1)  # one earlier: its day may have moved into `start`
    for month in range(_month(first) + number * interval, _month(last) + 1, interval):
        day = _day_in(month, first.day)
        if day > last:
            return
        yield number, day
        number += 1


def _month(day: date) -> int:
    return day.year * 12 + day.month - 1


def _day_in(month: int, day: int) -> date:
    year, index = divmod(month, 12)
    if day <= monthrange(year, index + 1)[1]:
        return date(year, index + 1, day)
    return date(year, index + 2, 1)  # the last month of a year is a long one
