"""Wall clocks and instants."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import Rejected
from worker.resources import times
from worker.resources.times import TaskClock, WallClock, formatted

BERLIN = ZoneInfo("Europe/Berlin")
WINTER = datetime(2026, 11, 23, 12, 0, tzinfo=timezone(timedelta(hours=2)))
SUMMER = datetime(2026, 7, 1, 12, 0, tzinfo=timezone(timedelta(hours=3)))


def wall(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[misc,arg-type]  # noqa: DTZ001  # a wall clock


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("today", "sent", "instant"),
    [
        # The digits are right for their date; the suffix is today's. Both seasons, dates of both seasons.
        (WINTER, "2026-11-20T18:00:00+01:00", utc(2026, 11, 20, 17)),
        (WINTER, "2026-07-20T18:00:00+01:00", utc(2026, 7, 20, 16)),
        (SUMMER, "2026-07-20T18:00:00+02:00", utc(2026, 7, 20, 16)),
        (SUMMER, "2026-11-20T18:00:00+02:00", utc(2026, 11, 20, 17)),
        # Any other suffix is trusted.
        (WINTER, "2026-07-20T18:00:00+02:00", utc(2026, 7, 20, 16)),
        (WINTER, "2026-07-20T18:00:00+05:30", utc(2026, 7, 20, 12, 30)),
        (WINTER, "2026-07-20T18:00:00Z", utc(2026, 7, 20, 18)),
        # Other spellings of the same.
        (WINTER, "2026-07-20T18:00:00+0100", utc(2026, 7, 20, 16)),
        (WINTER, "2026-07-20 18:00:00+01:00", utc(2026, 7, 20, 16)),
        (WINTER, " 2026-07-20T18:00:00+01:00 ", utc(2026, 7, 20, 16)),
        (WINTER, "2026-07-20T18:00:00", utc(2026, 7, 20, 16)),
        (WINTER, "2026-07-20", utc(2026, 7, 19, 22)),
        # The hour that never was goes forward, the one that was twice is the first.
        (WINTER, "2026-03-29T02:30:00+01:00", utc(2026, 3, 29, 1, 30)),
        (WINTER, "2026-10-25T02:30:00+01:00", utc(2026, 10, 25, 0, 30)),
        (WINTER, "2026-10-25T01:59:59+01:00", utc(2026, 10, 24, 23, 59, 59)),
        (WINTER, "2026-10-25T03:00:00+01:00", utc(2026, 10, 25, 2)),
    ],
)
def test_a_task_date_is_read_in_the_viewers_zone_where_the_suffix_is_todays(
    today: datetime, sent: str, instant: datetime
):
    read = TaskClock(BERLIN, today).instant(sent, "deadline")
    assert read == instant
    assert read is not None
    assert read.tzinfo is UTC


def test_the_same_task_has_the_same_dates_in_both_seasons():
    """A date's text moves twice a year; what it means does not."""
    winter = TaskClock(BERLIN, WINTER).instant("2026-05-04T09:30:00+01:00", "deadline")
    summer = TaskClock(BERLIN, SUMMER).instant("2026-05-04T09:30:00+02:00", "deadline")
    assert winter == summer == utc(2026, 5, 4, 7, 30)


def test_a_run_that_passes_a_clock_change_reads_both_suffixes():
    clock = TaskClock(BERLIN, utc(2026, 10, 25, 0, 59))  # a minute before the change
    before, after = (clock.instant(f"2026-07-01T12:00:00{suffix}", "x") for suffix in ("+02:00", "+01:00"))
    assert before == after == utc(2026, 7, 1, 10)


def test_without_a_zone_the_suffix_is_trusted():
    clock = TaskClock(None, WINTER)
    assert clock.instant("2026-07-20T18:00:00+01:00", "x") == utc(2026, 7, 20, 17)
    assert clock.instant("2026-07-20T18:00:00", "x") == utc(2026, 7, 20, 16)  # the server's clock


def test_a_zone_without_seasons_and_half_hours():
    clock = TaskClock(ZoneInfo("Asia/Kolkata"), WINTER)
    assert clock.instant("2026-07-20T18:00:00+05:30", "x") == utc(2026, 7, 20, 12, 30)
    assert TaskClock(ZoneInfo("America/St_Johns"), WINTER).instant("2026-07-20T18:00:00-03:30", "x") == utc(
        2026, 7, 20, 20, 30
    )


@pytest.mark.parametrize("sent", [None, ""])
def test_no_date_is_none(sent: str | None):
    assert TaskClock(BERLIN, WINTER).instant(sent, "x") is None


@pytest.mark.parametrize(
    "sent",
    ["soon", "0000-00-00T00:00:00+01:00", "-0001-11-30T00:00:00+01:00", "2026-02-30T00:00:00+01:00", "20260720",
     "1790000000", "2026-W30", "2026-07-20T25:00:00+01:00", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-23:00"],
)  # fmt: skip
def test_what_is_no_date_is_rejected_by_name_and_value(sent: str):
    with pytest.raises(Rejected, match=r"^deadline: '.*' is no date$"):
        TaskClock(BERLIN, WINTER).instant(sent, "deadline")


ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca", "UTC",
         "Asia/Kolkata", "Pacific/Apia"]  # fmt: skip


@given(st.sampled_from(ZONES), st.datetimes(wall(1975, 1, 1), wall(2037, 12, 31)))
def test_the_offsets_kept_per_day_change_no_reading(name: str, shown: datetime):
    """A day without a clock change has one offset; the others are asked for each time."""
    zone = ZoneInfo(name)
    clock = times.wall_clock(zone)
    assert clock.utc(shown) == shown.replace(tzinfo=zone).astimezone(UTC)
    now = datetime(2026, 1, 15, 12, tzinfo=UTC).astimezone(zone)
    reader = TaskClock(zone, now)
    for moment in (shown, shown.replace(hour=3, minute=59), shown):
        printed = moment.isoformat(timespec="seconds") + now.isoformat()[-6:]
        # A text does not say which of two equal hours it means; the first is taken.
        instant = clock.utc(moment.replace(microsecond=0, fold=0))
        assert reader.instant(printed, "deadline") == instant
        assert reader.text(printed, "deadline") == instant.strftime("%Y-%m-%dT%H:%M:%SZ")


@given(
    st.sampled_from(ZONES),
    st.lists(st.datetimes(wall(1995, 1, 1), wall(2037, 12, 31)), min_size=2, max_size=8),
    st.sampled_from(["", "Z", "+01:00", "+02:00", "+05:30", "-03:00", ".5+01:00", "+0100"]),
)
def test_what_is_kept_of_earlier_dates_changes_no_text(name: str, shown: list[datetime], suffix: str):
    """Each hour is combined with each rest of an hour: a text is that of its own instant, whatever came before."""
    zone = ZoneInfo(name)
    now = datetime(2026, 1, 15, 12, tzinfo=UTC).astimezone(zone)
    reader = TaskClock(zone, now)
    hours = [moment.strftime("%Y-%m-%dT%H") for moment in shown]
    rests = [moment.strftime(":%M:%S") + ending for moment in shown for ending in (now.isoformat()[-6:], suffix)]
    for _ in range(2):
        for sent in (hour + rest for hour in hours for rest in rests):
            read = reader.instant(sent, "deadline")
            assert read is not None
            assert reader.text(sent, "deadline") == read.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("sent", ["2026-07-20T18:60:00+01:00", "2026-07-20T18:0000+01:00", "2026-07-32T18:00:00+01:00"])
def test_a_text_that_is_no_date_is_none_beside_good_ones(sent: str):
    clock = TaskClock(BERLIN, WINTER)
    for good in ("2026-07-20T18:00:00+01:00", "2026-07-20T18:59:59+01:00"):
        clock.text(good, "deadline")

    with pytest.raises(Rejected, match="is no date"):
        clock.text(sent, "deadline")


def test_the_kept_hours_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(times, "_CACHED_HOURS", 10)
    clock = TaskClock(BERLIN, WINTER)
    for hour in range(100):
        clock.text(f"{wall(2026, 1, 1) + timedelta(hours=hour):%Y-%m-%dT%H:%M:%S}+01:00", "deadline")

    assert len(clock._hours) <= 10
    assert len(clock._rests) == 1


def test_the_kept_offsets_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(times, "_CACHED_DAYS", 10)
    clock = WallClock(BERLIN)
    for day in range(100):
        clock.utc(wall(2026, 1, 1) + timedelta(days=day))
    assert len(clock._days) <= 10


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Mon Nov 23 2026 15:00:00", wall(2026, 11, 23, 15)),
        ("Sun Mar 1 2026 09:05:07", wall(2026, 3, 1, 9, 5, 7)),
        ("Sun Mar 01 2026", wall(2026, 3, 1)),
        ("Fri May 29 2026 23:59", wall(2026, 5, 29, 23, 59)),
    ],
)
def test_the_formatted_form_is_read_in_any_locale(text: str, shown: datetime):
    assert formatted(text, "DATE_FROM_FORMATTED") == shown


@pytest.mark.parametrize(
    "text",
    ["", "never", "Пн Ноя 23 2026", "Mon Foo 23 2026", "Mon Feb 30 2026", "Mon Nov 23 2026 25:00:00", "2026-11-23"],
)
def test_another_form_is_rejected(text: str):
    with pytest.raises(Rejected, match=r"^DATE_FROM_FORMATTED: "):
        formatted(text, "DATE_FROM_FORMATTED")


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("Europe/Berlin", BERLIN), ("UTC", ZoneInfo("UTC")), ("+03:00", timezone(timedelta(hours=3))),
        ("-0330", timezone(-timedelta(hours=3, minutes=30))), ("Mars/Olympus", None), ("../../etc/passwd", None),
        ("Europe", None), ("a\x00b", None), ("+99:00", None),
    ],
)  # fmt: skip
def test_zones_are_found_by_name_or_offset(name: str, zone: tzinfo | None):
    assert times.find_zone(name) == zone


def test_utc_text_has_no_plus():
    assert times.utc_text(WINTER) == "2026-11-23T10:00:00Z"


def test_a_date_at_the_end_of_time_is_a_rejection():
    with pytest.raises(Rejected, match="outside of the calendar"):
        times.instant_of(times.wall_clock(BERLIN), wall(1, 1, 1), "DATE_FROM_FORMATTED")
