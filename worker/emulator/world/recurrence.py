"""Which days a series falls on: RFC 5545 as far as the portal speaks it (FREQ, INTERVAL, BYDAY, COUNT, UNTIL).

In one thing the portal does otherwise: where a month lacks the day it shows the first of the next month, where the RFC
has no instance (read in the vendor's PHP).
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from worker.emulator.world.zones import FAR

WEEK = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@dataclass(frozen=True)
class Rule:
    freq: Literal["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]
    interval: int = 1
    byday: tuple[str, ...] = ()
    """Weekly only."""
    count: int | None = None
    until: date | None = None
    """Last day, inclusive, on the event's own calendar."""

    def days(self, first: date) -> Iterator[date]:
        """The days of a series from its first one, exceptions included (they count for COUNT)."""
        for made, day in enumerate(self._endless(first)):
            if day >= FAR or (self.count is not None and made >= self.count):
                return
            if self.count is None and self.until is not None and day > self.until:
                return
            yield day

    def last_day(self, first: date) -> date:
        """What the portal keeps as UNTIL: also for a series by COUNT; 2038 for an endless one."""
        if self.count is None:
            return self.until or FAR
        last = first
        for last in self.days(first):  # noqa: B007  the last one is wanted
            pass
        return last

    def _endless(self, first: date) -> Iterator[date]:
        if self.freq == "DAILY":
            while True:
                yield first
                first += timedelta(days=self.interval)
        if self.freq == "WEEKLY":
            yield from self._weekly(first)
        months = self.interval * (12 if self.freq == "YEARLY" else 1)
        step = 0
        while True:
            total = first.year * 12 + first.month - 1 + step * months
            year, month = divmod(total, 12)
            if year > FAR.year:
                return
            short = first.day > calendar.monthrange(year, month + 1)[1]
            yield date(year, month + 2, 1) if short else date(year, month + 1, first.day)
            step += 1

    def _weekly(self, first: date) -> Iterator[date]:
        wanted = sorted(WEEK.index(day) for day in self.byday) or [first.weekday()]
        monday = first - timedelta(days=first.weekday())
        while True:
            for weekday in wanted:
                day = monday + timedelta(days=weekday)
                if day >= first:
                    yield day
            monday += timedelta(weeks=self.interval)

    def text(self) -> str:
        """RFC 5545 without UNTIL: its spelling needs the event's zone."""
        parts = [f"FREQ={self.freq}"]
        if self.interval > 1:
            parts.append(f"INTERVAL={self.interval}")
        if self.count is not None:
            parts.append(f"COUNT={self.count}")
        return ";".join(parts)
