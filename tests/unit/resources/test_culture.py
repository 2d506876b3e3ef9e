"""The portal's culture, learnt from what it prints."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import Rejected
from worker.resources.culture import Culture, Order, day_of_timestamp, learn


def wall(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[misc,arg-type]  # noqa: DTZ001  # a wall clock


US = "%m/%d/%Y"
FORMATS = {
    US: Order.MONTH_FIRST,
    "%d.%m.%Y": Order.DAY_FIRST,
    "%d/%m/%Y": Order.DAY_FIRST,
    "%d-%m-%Y": Order.DAY_FIRST,
    "%m-%d-%Y": Order.MONTH_FIRST,
}
DATES = st.dates(date(1980, 1, 1), date(2037, 12, 31))


@given(st.sampled_from([*FORMATS, "%Y-%m-%d", "%Y/%m/%d"]), DATES, DATES.filter(lambda day: day.day != day.month))
def test_one_telling_pair_is_enough_for_every_date(form: str, day: date, shown: date):
    pair = (shown.strftime(form), wall(shown.year, shown.month, shown.day))
    assert learn([pair]).read(day.strftime(form), "EXDATE") == day


@pytest.mark.parametrize(
    ("text", "shown", "order"),
    [
        ("11/05/2026 03:00:00 pm", wall(2026, 11, 5, 15), Order.MONTH_FIRST),
        ("05.11.2026 15:00:00", wall(2026, 11, 5, 15), Order.DAY_FIRST),
        ("05/11/2026 15:00:00", wall(2026, 11, 5, 15), Order.DAY_FIRST),
    ],
)
def test_a_pair_proves_the_order(text: str, shown: datetime, order: Order):
    culture = learn([(text, shown)])
    assert culture.order is order
    assert culture.proven


@pytest.mark.parametrize(
    ("texts", "order"),
    [
        (["05/05/2026 03:00:00 pm"], Order.MONTH_FIRST),
        (["05/05/2026 3:00 PM"], Order.MONTH_FIRST),
        (["05/05/2026 15:00:00"], Order.DAY_FIRST),
        (["05.05.2026 15:00:00"], Order.DAY_FIRST),
        (["05.05.2026"], Order.DAY_FIRST),
        (["05-05-2026"], Order.DAY_FIRST),
        (["05/05/2026"], Order.MONTH_FIRST),
        ([], Order.MONTH_FIRST),
    ],
)
def test_ambiguous_rows_are_decided_by_the_separator(texts: list[str], order: Order):
    culture = learn([(text, wall(2026, 5, 5)) for text in texts])
    assert culture.order is order
    assert not culture.proven


def test_a_number_above_twelve_gives_the_day_away():
    assert learn([], ["04/05/2026", "28/11/2026"]).order is Order.DAY_FIRST
    assert learn([], ["04.05.2026", "11.28.2026"]).order is Order.MONTH_FIRST


def test_a_hint_that_fits_neither_reading_changes_nothing():
    assert Culture(Order.MONTH_FIRST).read_near("04/05/2026", "UNTIL", date(2026, 9, 9)) == date(2026, 4, 5)


def test_rubbish_teaches_nothing():
    assert learn([("soon", wall(2026, 5, 5)), ("05.05.2026", wall(2026, 5, 5))]).order is Order.DAY_FIRST


def test_pairs_outvote_a_stray_one():
    pairs = [("05.11.2026", wall(2026, 11, 5)), ("06.11.2026", wall(2026, 11, 6))]
    assert learn([("11.05.2026", wall(2026, 11, 5)), *pairs]).order is Order.DAY_FIRST


def test_an_impossible_reading_gives_way_to_the_possible_one():
    assert Culture(Order.DAY_FIRST).read("11/28/2026", "EXDATE") == date(2026, 11, 28)
    assert Culture(Order.MONTH_FIRST).read("28.11.2026", "EXDATE") == date(2026, 11, 28)
    assert Culture(Order.DAY_FIRST).read("2026-11-28", "EXDATE") == date(2026, 11, 28)


@pytest.mark.parametrize("text", ["", "never", "13/13/2026", "11/28", "11.28/2026"])
def test_what_is_no_date_is_rejected(text: str):
    with pytest.raises(Rejected, match=r"^EXDATE: "):
        Culture().read(text, "EXDATE")


def test_a_hint_decides_only_where_nothing_is_proven():
    hint = date(2026, 5, 4)
    assert Culture(Order.MONTH_FIRST).read_near("04/05/2026", "UNTIL", hint) == hint
    assert Culture(Order.MONTH_FIRST, proven=True).read_near("04/05/2026", "UNTIL", hint) == date(2026, 4, 5)
    assert Culture(Order.MONTH_FIRST).read_near("04/05/2026", "UNTIL", None) == date(2026, 4, 5)


@pytest.mark.parametrize("server", [-5, 0, 3])
@pytest.mark.parametrize("change", [-1, 0, 1])
def test_a_timestamp_names_its_day_through_a_clock_change(server: int, change: int):
    """UNTIL_TS is midnight on the server; the offset known is the one of now."""
    stamp = 1734998400 - server * 3600  # midnight of 2024-12-24 there
    assert day_of_timestamp(stamp, timedelta(hours=server + min(change, 0))) == date(2024, 12, 24)
    assert day_of_timestamp(stamp, timedelta(hours=server + max(change, 0))) == date(2024, 12, 24)


def test_a_timestamp_beyond_the_calendar_is_none():
    assert day_of_timestamp(10**18, timedelta()) is None
