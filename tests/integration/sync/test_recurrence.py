"""Series in the mirror: their instances are those that python-dateutil computes from the mirror's own rows.

On a portal that shows every instance, and on one that shows a series once: there b24sync itself makes them.
"""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from tests.integration.mirror import OK, Mirror, Stage, statuses
from tests.integration.oracle import expected, held
from worker.emulator.world.recurrence import WEEK, Rule

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


class Season(NamedTuple):
    """The changes of clocks by zone, and a day from which they lie within the window."""

    today: datetime
    changes: dict[str, date]


SEASONS = {
    "spring": Season(datetime(2026, 12, 10, 12, tzinfo=UTC), {BERLIN: date(2027, 3, 28), NEW_YORK: date(2027, 3, 14)}),
    "autumn": Season(datetime(2027, 9, 15, 12, tzinfo=UTC), {BERLIN: date(2027, 10, 31), NEW_YORK: date(2027, 11, 7)}),
}


def agrees(mirror: Mirror) -> None:
    """A run is ok, equal to the truth, and every event's instances are those of its rule."""
    assert statuses(mirror.sync()) == OK
    assert mirror.differences("calendar_events", "calendar_occurrences") == []
    assert held(mirror) == expected(mirror)


@pytest.fixture(scope="module", params=SEASONS)
def season(request: pytest.FixtureRequest) -> Season:
    return SEASONS[request.param]


@pytest.fixture(scope="module")
def stage(season: Season, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Everybody's clock shows a day from which the changes lie within the window."""
    with Stage(tmp_path_factory.mktemp("stage")) as stage:
        stage.clock.advance((season.today - stage.clock.now()).total_seconds())
        yield stage


@pytest.fixture(params=["expanded", "once"])
def mirror(stage: Stage, request: pytest.FixtureRequest) -> Mirror:
    """Where the portal's server has neither zone."""
    return stage.mirror(
        tasks=5, events=60, users=4, calendars="mine,company", server_zone="Asia/Vladivostok", series=request.param
    )


def series(mirror: Mirror, first: datetime, rule: Rule, *, hours: float = 1, **values: Any) -> int:  # noqa: ANN401 - fields of Event
    ends = first if values.get("all_day") else first + timedelta(hours=hours)
    return mirror.portal.create_event(mirror.portal.admin_id, first, values.pop("ends", ends), rule=rule, **values)


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute))


def rules(change: date) -> dict[str, Rule]:
    """Every frequency, ended in every way around the change."""
    later = change + timedelta(days=9)
    return {
        "daily-endless": Rule("DAILY"),
        "every-third-day-count": Rule("DAILY", 3, count=40),
        "daily-until": Rule("DAILY", until=change),
        "weekly-count": Rule("WEEKLY", count=30),
        "weekly-by-day-endless": Rule("WEEKLY", 1, ("MO", "WE", "SU")),
        "fortnightly-by-day-until": Rule("WEEKLY", 2, ("SA", "SU"), until=later),
        "fortnightly-by-day-count": Rule("WEEKLY", 2, ("TU", "SU", "FR"), count=17),
        "monthly-endless": Rule("MONTHLY"),
        "every-second-month-count": Rule("MONTHLY", 2, count=9),
        "monthly-until": Rule("MONTHLY", until=later),
        "yearly-endless": Rule("YEARLY"),
        "yearly-count": Rule("YEARLY", count=3),
        "yearly-until": Rule("YEARLY", until=change),
    }


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
def test_every_frequency_falls_on_the_days_of_its_rule_across_the_change_of_clocks(
    mirror: Mirror, season: Season, zone: str
):
    """At hours that the change skips or repeats, and at harmless ones; begun before the window and inside it."""
    change = season.changes[zone]
    made = []
    for rule in rules(change).values():
        for hour, minute in ((1, 30), (2, 30), (23, 30)):
            for days in (40, 366):
                first = at(change - timedelta(days=days), hour, minute)
                made.append(series(mirror, first, rule, zone=zone))
    agrees(mirror)
    instances = held(mirror)
    assert sum(bool(instances.get(event_id)) for event_id in made) > len(made) // 2
    around = [instance.starts_at.astimezone(ZoneInfo(zone)) for one in made for instance in instances.get(one, ())]
    assert {change, change + timedelta(days=1)} <= {moment.date() for moment in around}


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
def test_an_hour_on_the_wall_stays_the_same_over_the_change(mirror: Mirror, season: Season, zone: str):
    """Nine o'clock is nine o'clock in winter and in summer; in UTC it moves by an hour."""
    change = season.changes[zone]
    first = at(change - timedelta(days=20), 9)
    event_id = series(mirror, first, Rule("DAILY", count=60), zone=zone)
    agrees(mirror)
    starts = [instance.starts_at for instance in held(mirror)[event_id]]
    assert len(starts) == 60
    assert {moment.astimezone(ZoneInfo(zone)).time() for moment in starts} == {time(9)}
    assert len({moment.time() for moment in starts}) == 2


def test_whole_days_and_several_of_them_know_no_clock(mirror: Mirror, season: Season):
    """A day is a day, also the one that has 23 or 25 hours."""
    change = season.changes[BERLIN]
    for days in (1, 3, 8):
        for rule in rules(change).values():
            first = at(change - timedelta(days=30), 0)
            series(mirror, first, rule, all_day=True, ends=first + timedelta(days=days - 1))
    agrees(mirror)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
def test_an_instance_over_several_days_lasts_as_long_as_the_first_one(mirror: Mirror, season: Season, zone: str):
    """Nights and weekends, also over the change itself and over the edges of the window."""
    change = season.changes[zone]
    for hours in (0, 8, 24, 60):
        for rule in (Rule("DAILY", 4), Rule("WEEKLY", 1, ("SA",)), Rule("MONTHLY")):
            series(mirror, at(change - timedelta(days=80), 22), rule, hours=hours, zone=zone)
    agrees(mirror)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
def test_single_days_are_deleted_and_moved_and_the_rest_split_off(mirror: Mirror, season: Season, zone: str):
    """An exception counts for COUNT; a moved day is an event of its own; a split makes a second rule."""
    change = season.changes[zone]
    made: dict[int, list[date]] = {}
    for rule in rules(change).values():
        first = at(change - timedelta(days=40), 2, 30)
        near = takewhile(lambda day: day < change + timedelta(days=60), rule.days(first.date()))
        made[series(mirror, first, rule, zone=zone)] = list(near)
    agrees(mirror)
    for event_id, days in made.items():
        mirror.portal.delete_occurrence(event_id, days[len(days) // 2])
        mirror.portal.delete_occurrence(event_id, days[0])
    agrees(mirror)
    for event_id, days in made.items():
        moved = mirror.portal.move_occurrence(event_id, days[-1], at(change, 15))
        assert mirror.portal.world.events[moved].recurrence_id == event_id
    agrees(mirror)
    for event_id, days in made.items():
        if len(days) > 2:
            mirror.portal.split_series(event_id, days[len(days) * 2 // 3], name="From now on")
    agrees(mirror)
    mirror.portal.delete_event(next(iter(made)))
    agrees(mirror)


def test_a_series_that_is_changed_keeps_rule_and_instances_together(mirror: Mirror, season: Season):
    """Hour, zone, rule, length, whole days: each change is one run."""
    change = season.changes[BERLIN]
    first = at(change - timedelta(days=25), 9)
    event_id = series(mirror, first, Rule("WEEKLY", 1, ("MO", "SU")), zone=BERLIN)
    agrees(mirror)
    for values in (
        {"starts": first.replace(hour=2, minute=15), "ends": first.replace(hour=4)},
        {"zone_from": NEW_YORK, "zone_to": NEW_YORK},
        {"rule": Rule("DAILY", 2, count=33)},
        {"rule": Rule("DAILY", 2, until=change)},
        {"starts": first - timedelta(days=400), "ends": first - timedelta(days=399)},
        {"rule": Rule("MONTHLY")},
        {"all_day": True, "zone_from": "", "zone_to": "", "starts": at(first.date(), 0), "ends": at(first.date(), 0)},
        {"rule": None},
    ):
        mirror.portal.update_event(event_id, **values)
        agrees(mirror)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_any_series_agrees_with_its_rule(mirror: Mirror, season: Season, seed: int):
    """Drawn by lot, in zones with changes of an hour, of half an hour, and without; the window moves on over them."""
    change = season.changes[BERLIN]
    dice = random.Random(seed)
    zones = [BERLIN, NEW_YORK, "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", ""]
    for _ in range(60):
        first = at(change - timedelta(days=dice.randrange(500)), dice.randrange(24), dice.choice((0, 15, 30)))
        rule = drawn_rule(dice, change)
        all_day = dice.random() < 0.2
        first = at(first.date(), 0) if all_day else first
        ends = first + timedelta(days=dice.randrange(4)) if all_day else first + timedelta(minutes=dice.randrange(3000))
        clock = {"all_day": True} if all_day else {"zone": dice.choice(zones)}
        event_id = series(mirror, first, rule, ends=ends, **clock)
        for day in list(takewhile(lambda day: day < change, rule.days(first.date())))[-6:]:
            if dice.random() < 0.3:
                mirror.portal.delete_occurrence(event_id, day)
    agrees(mirror)
    mirror.clock.advance(86_400 * dice.randrange(1, 9))
    mirror.connect(mirror.portal.admin_id)
    agrees(mirror)


@pytest.mark.parametrize("shown", ["expanded", "once"])
def test_a_series_that_begins_in_an_hour_that_was_skipped_has_the_right_instances(tmp_path: Path, shown: str):
    """`starts_at` is an instant, so of such a first one it tells an hour later than the series has on the wall."""
    with Stage(tmp_path) as stage:
        mirror = stage.mirror(tasks=5, events=5, series=shown)
        skipped = series(mirror, at(date(2027, 3, 28), 2, 30), Rule("DAILY", count=3), hours=2, zone=BERLIN)
        assert statuses(mirror.sync()) == OK
        assert mirror.differences() == []
    walls = sorted(instance.starts_at.astimezone(ZoneInfo(BERLIN)) for instance in held(mirror)[skipped])
    assert [(wall.day, wall.hour) for wall in walls] == [(28, 3), (29, 2), (30, 2)]


def drawn_rule(dice: random.Random, around: date) -> Rule:
    freq: Literal["DAILY", "WEEKLY", "MONTHLY", "YEARLY"] = dice.choice(("DAILY", "WEEKLY", "MONTHLY", "YEARLY"))
    days = tuple(sorted(dice.sample(WEEK, dice.randrange(4)))) if freq == "WEEKLY" else ()
    end = dice.randrange(3)
    return Rule(
        freq,
        dice.choice((1, 1, 2, 3)),
        days,
        count=dice.randrange(1, 200) if end == 1 else None,
        until=around + timedelta(days=dice.randrange(-60, 60)) if end == 2 else None,
    )


def test_a_series_that_begins_in_the_hour_of_the_change_lasts_as_long_as_its_clock_shows(
    mirror: Mirror, season: Season
):
    """In spring its first instance begins where it would end: half past two is half past three."""
    first = datetime.combine(season.changes[BERLIN], time(2, 30))
    series(mirror, first, Rule("DAILY", count=4), hours=1, zone=BERLIN)
    assert statuses(mirror.sync()) == OK
    assert mirror.differences("calendar_events", "calendar_occurrences") == []
