"""On which days a series falls: tables of known days, and python-dateutil wherever the portal keeps to RFC 5545."""

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from dateutil.rrule import DAILY, MONTHLY, WEEKLY, YEARLY, rrule
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import Rejected
from worker.resources.expansion import days
from worker.resources.recurrence import ENDLESS, WEEK, Rule

FREQUENCIES = {"DAILY": DAILY, "WEEKLY": WEEKLY, "MONTHLY": MONTHLY, "YEARLY": YEARLY}
EVER = date(2999, 1, 1)


def texts(rule: Rule, first: str, start: str = "2000-01-01", end: str = "2037-12-31") -> list[str]:
    found = days(rule, date.fromisoformat(first), date.fromisoformat(start), date.fromisoformat(end))
    return [f"{day}" for day in found]


@pytest.mark.parametrize(
    ("rule", "first", "expected"),
    [
        (Rule("DAILY", count=3), "2026-11-29", ["2026-11-29", "2026-11-30", "2026-12-01"]),
        (Rule("DAILY", 10, last_day=date(2026, 12, 9)), "2026-11-19", ["2026-11-19", "2026-11-29", "2026-12-09"]),
        (Rule("WEEKLY", count=2), "2026-11-25", ["2026-11-25", "2026-12-02"]),
        (Rule("WEEKLY", by_day=("MO", "FR"), count=3), "2026-11-25", ["2026-11-27", "2026-11-30", "2026-12-04"]),
        (Rule("WEEKLY", 2, by_day=("MO", "SU"), count=3), "2026-11-29", ["2026-11-29", "2026-12-07", "2026-12-13"]),
        (Rule("MONTHLY", 3, count=3), "2026-11-15", ["2026-11-15", "2027-02-15", "2027-05-15"]),
        (Rule("MONTHLY", count=4), "2026-12-31", ["2026-12-31", "2027-01-31", "2027-03-01", "2027-03-31"]),
        (Rule("MONTHLY", count=3), "2028-01-30", ["2028-01-30", "2028-03-01", "2028-03-30"]),
        (Rule("MONTHLY", count=2), "2028-01-29", ["2028-01-29", "2028-02-29"]),
        (Rule("MONTHLY", last_day=date(2027, 2, 28)), "2027-01-31", ["2027-01-31"]),
        (Rule("YEARLY", 2, count=3), "2026-11-25", ["2026-11-25", "2028-11-25", "2030-11-25"]),
        (Rule("YEARLY", count=3), "2028-02-29", ["2028-02-29", "2029-03-01", "2030-03-01"]),
        (Rule("DAILY"), "2037-12-30", ["2037-12-30", "2037-12-31"]),
    ],
)  # fmt: skip
def test_known_days(rule: Rule, first: str, expected: list[str]):
    """Counted with a calendar on the wall. A day that a month lacks is the first of the next, as the portal has it."""
    assert texts(rule, first) == expected


@pytest.mark.parametrize(("start", "expected"), [("2027-02-28", "2027-03-01"), ("2027-03-02", "2027-03-31")])
def test_a_day_that_moved_over_the_edge_is_found(start: str, expected: str):
    assert texts(Rule("MONTHLY"), "2020-01-31", start)[0] == expected


def drawn() -> st.SearchStrategy[Rule]:
    return st.builds(
        Rule,
        st.sampled_from(sorted(FREQUENCIES)),
        interval=st.integers(1, 5),
        count=st.none() | st.integers(1, 300),
        last_day=st.none() | st.dates(date(2000, 1, 1), date(2037, 12, 31)),
        by_day=st.sets(st.sampled_from(WEEK)).map(lambda found: tuple(sorted(found, key=WEEK.index))),
    )


@given(
    rule=drawn(),
    first=st.dates(date(2000, 1, 1), date(2036, 1, 1)),
    skip=st.integers(-400, 4000),
    span=st.integers(0, 300),
)
def test_days_are_those_of_dateutil(rule: Rule, first: date, skip: int, span: int):
    """Wherever the look at the series begins, and where no month lacks the day."""
    first = first.replace(day=min(first.day, 28))
    start = first + timedelta(days=skip)
    end = start + timedelta(days=span)
    theirs: dict[str, Any] = {"freq": FREQUENCIES[rule.frequency], "interval": rule.interval}
    if rule.frequency == "WEEKLY" and rule.by_day:
        theirs["byweekday"] = [WEEK.index(day) for day in rule.by_day]
    until = min(end, ENDLESS - timedelta(days=1))
    if rule.count is None and rule.last_day:
        until = min(until, rule.last_day)
    series = rrule(dtstart=datetime.combine(first, time()), count=rule.count, **theirs)
    known = series.between(datetime.combine(start, time()), datetime.combine(until, time()), inc=True)

    found = days(
        rule if rule.count is None else Rule(rule.frequency, rule.interval, rule.count, None, rule.by_day),
        first,
        start,
        end,
    )

    assert found == [moment.date() for moment in known]


@pytest.mark.parametrize("frequency", ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])
def test_an_absurd_interval_leads_nowhere(frequency: str):
    assert days(Rule(frequency, 10**12), date(2026, 11, 25), date(2000, 1, 1), EVER) == [date(2026, 11, 25)]


def test_a_frequency_that_no_portal_has_is_no_guess():
    with pytest.raises(Rejected, match="HOURLY"):
        days(Rule("HOURLY"), date(2026, 11, 25), date(2000, 1, 1), EVER)
