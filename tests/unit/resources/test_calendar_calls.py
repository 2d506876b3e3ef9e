"""Whose calendars, which days, which calls."""

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from worker.bitrix24.calls import Answer
from worker.errors import CallRefused
from worker.resources.calendar_calls import (
    COMPANY,
    Owner,
    Slice,
    Window,
    event_call,
    master_call,
    master_found,
    section_call,
    slices,
    window,
)


def test_the_window_is_whole_days_around_the_portals_today_in_utc():
    late_in_tokyo = datetime(2026, 11, 24, 3, tzinfo=timezone(timedelta(hours=9)))  # still the 23rd in UTC
    assert window(late_in_tokyo, 30, 180) == Window(
        datetime(2026, 10, 24, tzinfo=UTC), datetime(2027, 5, 23, tzinfo=UTC)
    )
    assert window(late_in_tokyo, 0, 0) == Window(datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC))


@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)), st.integers(0, 800), st.integers(0, 800))  # noqa: DTZ001
def test_the_slices_cover_the_padded_window_without_a_gap(now: datetime, past: int, future: int):
    span = window(now.replace(tzinfo=UTC), past, future)
    cut = slices(span)
    assert cut[0].first == span.start.date() - timedelta(days=2)
    assert cut[-1].last == span.end.date() + timedelta(days=2)
    assert all(before.last == after.first for before, after in pairwise(cut))
    assert all(0 < (days.last - days.first).days <= 90 for days in cut)


def test_the_default_window_is_three_calls():
    assert len(slices(window(datetime(2026, 11, 23, tzinfo=UTC), 30, 180))) == 3


@pytest.mark.parametrize(
    ("starts", "ends", "inside"),
    [
        ((2026, 11, 1), (2026, 11, 1), True),  # no length, exactly at the edge
        ((2026, 10, 31, 23), (2026, 11, 1), False),  # ends as the window begins
        ((2026, 10, 31, 23), (2026, 11, 1, 0, 1), True),
        ((2026, 10, 1), (2026, 12, 30), True),
        ((2026, 11, 30, 23, 59), (2026, 12, 1, 1), True),
        ((2026, 12, 1), (2026, 12, 1, 1), False),  # begins as the window ends
    ],
)
def test_a_timed_instance_is_cut_at_the_edges(starts: tuple[int, ...], ends: tuple[int, ...], inside: bool):
    span = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    assert span.overlaps(datetime(*starts, tzinfo=UTC), datetime(*ends, tzinfo=UTC)) is inside  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("starts", "ends", "inside"),
    [
        (date(2026, 10, 31), date(2026, 10, 31), False),
        (date(2026, 10, 30), date(2026, 11, 1), True),  # the last day is inclusive
        (date(2026, 11, 30), date(2026, 12, 5), True),
        (date(2026, 12, 1), date(2026, 12, 1), False),
    ],
)
def test_an_all_day_instance_is_cut_at_the_edges(starts: date, ends: date, inside: bool):
    span = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    assert span.overlaps_days(starts, ends) is inside


def test_both_dates_are_always_sent_in_a_form_of_no_culture():
    call = event_call("e0", Owner("user", 7), Slice(date(2026, 11, 3), date(2027, 1, 5)))
    assert (call.key, call.method) == ("e0", "calendar.event.get")
    assert call.params == {"type": "user", "ownerId": 7, "from": "2026-11-03", "to": "2027-01-05"}


def test_the_company_calendar_belongs_to_zero():
    assert section_call("s0", COMPANY).params == {"type": "company_calendar", "ownerId": 0}
    assert section_call("s0", COMPANY).method == "calendar.section.get"


def test_a_master_is_asked_for_by_id():
    call = master_call("m880", 880)
    assert (call.method, call.params) == ("calendar.event.getbyid", {"id": 880})
    assert master_found(Answer(call.method, Raw(b"null"))) is None
    found = Raw(b'{"ID":"880"}')
    assert master_found(Answer(call.method, found)) is found
    with pytest.raises(CallRefused):
        master_found(CallRefused())
