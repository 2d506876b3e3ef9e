"""A series that the portal shows once: whether its row is the series itself, and the instances that it then stands for.

Whether a portal shows instances is probed, and looked at here for each series again: several rows of one ID are
instances whatever the probe found, and a single row is believed to be the series only where it begins with it.
"""

from collections.abc import Sequence
from datetime import date, timedelta

from worker.errors import Rejected
from worker.resources.calendar_calls import Window
from worker.resources.calendar_record import EventRecord, Span, span_of, wall_from
from worker.resources.expansion import days
from worker.resources.recurrence import Rule
from worker.resources.viewer import Viewer

_NEAR = timedelta(hours=3)
"""Two instances are further apart, whatever the zones; a stamp of another season is an hour off."""

_EDGE = timedelta(days=2)
"""Between a day on the wall and the same day in UTC lies one at most."""


def is_whole(record: EventRecord, span: Span, viewer: Viewer, rows: int) -> bool:
    """Whether the only row of a series is the series itself and not one of its instances.

    Raises Rejected where it should be and is not: a rule that is counted from another day has other instances.
    """
    if viewer.series_expanded or rows > 1:
        return False
    begins = _begins(record, span, viewer)
    if viewer.series_expanded is None:
        return begins is True
    if begins is False:
        raise Rejected("DATE_FROM_TS_UTC: the portal shows this series once, and not where it begins")
    return True


def _begins(record: EventRecord, span: Span, viewer: Viewer) -> bool | None:
    """Whether a row is where its series begins, by the stamp that is the series' in every row; None: there is none.

    The stamp is off by the server's offset where the server is not in UTC (calendar_record.py).
    """
    if record.date_from_ts_utc is None:
        return None
    off = timedelta(seconds=span.starts_at.timestamp() - record.date_from_ts_utc)
    return min(abs(off), abs(off - viewer.server_offset)) < _NEAR


def instances_of(
    record: EventRecord, rule: Rule, excluded: Sequence[date], viewer: Viewer, window: Window
) -> list[Span]:
    """The instances around the window, from the series' own row. Raises Rejected.

    An hour on the wall stays what it is, whatever the season.
    """
    own = span_of(record, viewer)
    first = wall_from(record).date()
    start = (window.start - (own.ends_at - own.starts_at) - _EDGE).date()
    wanted = days(rule, first, start, (window.end + _EDGE).date())
    return [span_of(record, viewer, day) for day in wanted if day not in excluded]
