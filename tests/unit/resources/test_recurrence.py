"""RRULE as RFC 5545 text. Shapes as calendar-event-get.md and calendar-event-add.md print them."""

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from worker.errors import Rejected
from worker.resources.culture import Culture, Order
from worker.resources.recurrence import excluded_days, read_rule
from worker.resources.times import wall_clock

BERLIN = wall_clock(ZoneInfo("Europe/Berlin"))
US = Culture(Order.MONTH_FIRST, proven=True)
ENDLESS: dict[str, Any] = {"UNTIL": "01/01/2038", "~UNTIL": "", "UNTIL_TS": 2145916800}


def text_of(rule: object, *, all_day: bool = False, culture: Culture = US, offset: int = 0) -> str | None:
    read = read_rule(rule, culture=culture, server_offset=timedelta(hours=offset))
    return read.text(all_day=all_day, clock=BERLIN) if read else None


@pytest.mark.parametrize("nothing", [None, "", [], {}, False, {"FREQ": "NONE"}, {"FREQ": ""}], ids=repr)
def test_a_single_event_has_no_rule(nothing: object):
    assert text_of(nothing) is None


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"FREQ": "DAILY", "INTERVAL": 1, **ENDLESS}, "FREQ=DAILY"),
        ({"FREQ": "DAILY", "INTERVAL": "3", **ENDLESS}, "FREQ=DAILY;INTERVAL=3"),
        ({"FREQ": "WEEKLY", "INTERVAL": 1, "BYDAY": {"WE": "WE", "MO": "MO"}, **ENDLESS}, "FREQ=WEEKLY;BYDAY=MO,WE"),
        ({"FREQ": "WEEKLY", "BYDAY": ["FR", "MO"]}, "FREQ=WEEKLY;BYDAY=MO,FR"),
        ({"FREQ": "WEEKLY", "BYDAY": "SU,SA"}, "FREQ=WEEKLY;BYDAY=SA,SU"),
        ({"FREQ": "WEEKLY", "BYDAY": []}, "FREQ=WEEKLY"),
        ({"FREQ": "MONTHLY", "BYDAY": {"FR": "-1"}}, "FREQ=MONTHLY;BYDAY=-1FR"),
        ({"FREQ": "MONTHLY", "BYDAY": {"MO": "+2"}}, "FREQ=MONTHLY;BYDAY=2MO"),
        ({"FREQ": "MONTHLY", "BYDAY": {"2MO": "2MO"}}, "FREQ=MONTHLY;BYDAY=2MO"),
        ({"FREQ": "MONTHLY", "BYDAY": ["3TU", "1TU", "-1MO"]}, "FREQ=MONTHLY;BYDAY=-1MO,1TU,3TU"),
        ({"FREQ": "MONTHLY", "INTERVAL": 2}, "FREQ=MONTHLY;INTERVAL=2"),
        ({"FREQ": "YEARLY", "INTERVAL": 1, **ENDLESS}, "FREQ=YEARLY"),
        ({"freq": "x", "FREQ": "weekly"}, "FREQ=WEEKLY"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE"),
    ],
    ids=repr,
)
def test_every_frequency_and_every_shape_of_its_days(rule: object, text: str):
    assert text_of(rule) == text


def test_a_count_wins_over_the_end_that_the_portal_fills_in():
    rule = {"FREQ": "DAILY", "INTERVAL": 1, "COUNT": 10, "UNTIL": "12/24/2024", "UNTIL_TS": 1734998400}
    assert text_of(rule) == "FREQ=DAILY;COUNT=10"
    assert text_of({**rule, "COUNT": "10", "BYDAY": {"MO": "MO"}}) == "FREQ=DAILY;COUNT=10;BYDAY=MO"
    assert text_of({**rule, "COUNT": ""}) == "FREQ=DAILY;UNTIL=20241224T225959Z"


@pytest.mark.parametrize(
    ("until", "all_day", "text"),
    [
        ("12/24/2024", True, "20241224"),
        ("12/24/2024", False, "20241224T225959Z"),  # 23:59:59 in Berlin's winter
        ("07/04/2024", False, "20240704T215959Z"),  # and in its summer
    ],
    ids=repr,
)
def test_the_last_day_is_inclusive(until: str, all_day: bool, text: str):
    assert text_of({"FREQ": "DAILY", "UNTIL": until}, all_day=all_day) == f"FREQ=DAILY;UNTIL={text}"


def test_the_text_is_preferred_to_the_timestamp():
    """The timestamp is midnight on a server whose offset of that day we do not know."""
    rule = {"FREQ": "DAILY", "UNTIL": "12/24/2024", "UNTIL_TS": 1734998400 + 26 * 3600}
    assert text_of(rule, all_day=True) == "FREQ=DAILY;UNTIL=20241224"


def test_the_timestamp_stands_in_for_a_missing_text_and_decides_an_ambiguous_one():
    stamp = 1714780800 - 3 * 3600  # midnight of 2024-05-04 three hours east
    assert text_of({"FREQ": "DAILY", "UNTIL_TS": stamp}, all_day=True, offset=3) == "FREQ=DAILY;UNTIL=20240504"
    assert text_of({"FREQ": "DAILY", "UNTIL": "?", "UNTIL_TS": str(stamp)}, all_day=True, offset=3) == (
        "FREQ=DAILY;UNTIL=20240504"
    )
    unsure = Culture(Order.MONTH_FIRST)
    rule = {"FREQ": "DAILY", "UNTIL": "04/05/2024", "UNTIL_TS": stamp}
    assert text_of(rule, all_day=True, culture=unsure, offset=3) == "FREQ=DAILY;UNTIL=20240504"


@pytest.mark.parametrize("offset", [-8, 0, 9], ids=repr)
def test_an_endless_series_is_endless_on_every_server(offset: int):
    stamp = 2145916800 - offset * 3600
    assert text_of({"FREQ": "DAILY", "UNTIL_TS": stamp}, offset=offset) == "FREQ=DAILY"
    assert text_of({"FREQ": "DAILY", "UNTIL": "01/01/2038", "UNTIL_TS": stamp}, offset=offset) == "FREQ=DAILY"


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"FREQ": "SOMETIMES"}, "RRULE.FREQ"),
        ({"FREQ": "DAILY", "INTERVAL": "abc"}, "RRULE.INTERVAL"),
        ({"FREQ": "DAILY", "COUNT": "many"}, "RRULE.COUNT"),
        ({"FREQ": "DAILY", "UNTIL": "some day"}, "RRULE.UNTIL"),
        ({"FREQ": "WEEKLY", "BYDAY": ["XX"]}, "RRULE.BYDAY"),
        ([1], "RRULE"),
    ],
    ids=repr,
)
def test_a_rule_that_cannot_be_read_is_rejected_by_field(rule: object, reason: str):
    with pytest.raises(Rejected, match=f"^{reason}: "):
        text_of(rule)


def test_excluded_days_are_sorted_and_told_once():
    assert excluded_days("12/05/2024;11/28/2024;12/05/2024;", US) == [date(2024, 11, 28), date(2024, 12, 5)]
    assert excluded_days(["28.11.2024 10:00:00"], Culture(Order.DAY_FIRST)) == [date(2024, 11, 28)]
    assert excluded_days("", US) == excluded_days(None, US) == excluded_days(False, US) == []


def test_an_excluded_day_that_is_no_date_is_rejected():
    with pytest.raises(Rejected, match=r"^EXDATE: 'soon'"):
        excluded_days("11/28/2024;soon", US)
