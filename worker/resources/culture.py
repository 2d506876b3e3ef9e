"""Dates in the portal's culture: `11/23/2026 03:00:00 pm` or `23.11.2026 15:00:00`, and nothing says which.

`EXDATE` and `RRULE.UNTIL` come in no other form. The order of day and month is learnt from the rows themselves:
`DATE_FROM` has the culture's form and `DATE_FROM_FORMATTED` says the same day in a fixed one.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import Enum

from worker.errors import Rejected
from worker.resources.fields import shown

_DATE = re.compile(r"(\d{1,4})([./\-\s])\s?(\d{1,2})\2\s?(\d{1,4})(?:\D.*)?", re.DOTALL)
_MERIDIEM = re.compile(r"\d\s*[ap]\.?m\.?", re.IGNORECASE)
_YEAR_DIGITS = 4
_MONTHS = 12
_CLOCK_CHANGE = timedelta(hours=1)
_NEAR = timedelta(days=1)


class Order(Enum):
    """Which of the first two numbers of a date is the day; a year in front leaves no doubt."""

    DAY_FIRST = "day first"
    MONTH_FIRST = "month first"


class Culture:
    """How one answer writes its dates.

    Args:
        order: The order of day and month.
        proven: Whether the rows showed it, rather than the separators hinting at it.
    """

    def __init__(self, order: Order = Order.MONTH_FIRST, *, proven: bool = False) -> None:
        self.order = order
        self.proven = proven

    def read(self, text: str, name: str) -> date:
        """The day a text means. Raises Rejected when it is no date."""
        day = self._reading(text, self.order) or self._reading(text, _other(self.order))
        if day is None:
            raise Rejected(f"{name}: {shown(text)} is no date")
        return day

    def read_near(self, text: str, name: str, hint: date | None) -> date:
        """As `read`, but a hint (correct to a day) decides between two possible readings."""
        day = self.read(text, name)
        if hint is not None and abs(day - hint) > _NEAR and not self.proven:
            other = self._reading(text, _other(self.order))
            if other is not None and abs(other - hint) <= _NEAR:
                return other
        return day

    @staticmethod
    def _reading(text: str, order: Order) -> date | None:
        match = _DATE.fullmatch(text.strip())
        if match is None:
            return None
        first, second, third = int(match[1]), int(match[3]), int(match[4])
        if len(match[1]) == _YEAR_DIGITS:
            year, month, day = first, second, third
        elif order is Order.DAY_FIRST:
            year, month, day = third, second, first
        else:
            year, month, day = third, first, second
        try:
            return date(year, month, day)
        except ValueError:
            return None


def _other(order: Order) -> Order:
    return Order.MONTH_FIRST if order is Order.DAY_FIRST else Order.DAY_FIRST


def learn(pairs: Iterable[tuple[str, datetime]], texts: Iterable[str] = ()) -> Culture:
    """The culture of an answer.

    Args:
        pairs: Texts in the culture's form, each with the wall clock it means.
        texts: More texts in that form, whose meaning is unknown: a number above 12 gives the day away.
    """
    seen: list[str] = []
    votes = {Order.DAY_FIRST: 0, Order.MONTH_FIRST: 0}
    for text, wall in pairs:
        seen.append(text)
        if order := _shown_by(text, wall):
            votes[order] += 1
    for text in texts:
        seen.append(text)
        if not any(votes.values()) and (order := _given_away_by(text)):
            return Culture(order, proven=True)
    if any(votes.values()):
        return Culture(max(votes, key=lambda order: votes[order]), proven=True)
    return Culture(_hinted_by(seen))


def _shown_by(text: str, wall: datetime) -> Order | None:
    match = _DATE.fullmatch(text.strip())
    if match is None or wall.day == wall.month:
        return None
    numbers = int(match[1]), int(match[3])
    if numbers == (wall.day, wall.month):
        return Order.DAY_FIRST
    return Order.MONTH_FIRST if numbers == (wall.month, wall.day) else None


def _given_away_by(text: str) -> Order | None:
    match = _DATE.fullmatch(text.strip())
    if match is None or len(match[1]) == _YEAR_DIGITS:
        return None
    if int(match[1]) > _MONTHS >= int(match[3]):
        return Order.DAY_FIRST
    return Order.MONTH_FIRST if int(match[3]) > _MONTHS >= int(match[1]) else None


def _hinted_by(texts: Iterable[str]) -> Order:
    """Slashes with am and pm are the United States; dots, dashes, and slashes with 24 hours are not."""
    order = None
    for text in texts:
        match = _DATE.fullmatch(text.strip())
        if match is None:
            continue
        if match[2] != "/":
            return Order.DAY_FIRST
        if _MERIDIEM.search(text):
            return Order.MONTH_FIRST
        if ":" in text:
            order = Order.DAY_FIRST
    return order or Order.MONTH_FIRST


def day_of_timestamp(timestamp: int, server_offset: timedelta) -> date | None:
    """The day whose midnight on the server the timestamp is.

    The offset is the one of now; at the other side of a clock change midnight shows as 23:00 or 01:00: hence the hour.
    """
    try:
        return (datetime(1970, 1, 1) + timedelta(seconds=timestamp) + server_offset + _CLOCK_CHANGE).date()  # noqa: DTZ001
    except OverflowError:
        return None
