"""After a run the mirror is what the portal is: kinds of portals, kinds of changes, and what a run costs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.conftest import SERVED, empty_database
from tests.integration.mirror import ALL_CALENDARS, ENTITIES, OK, Stage, statuses
from tests.integration.statements import counted_writes
from worker.sync.report import Mode

BERLIN = {"user_zone": "Europe/Berlin", "server_zone": "UTC", "culture": "us"}
MOSCOW = {"user_zone": "Europe/Moscow", "server_zone": "Europe/Moscow", "culture": "day_first"}
NEW_YORK = {
    "user_zone": "America/New_York",
    "server_zone": "America/New_York",
    "other_zones": ("Europe/London", "Asia/Tokyo"),
}


@pytest.mark.parametrize("calendars", ["mine,company", ALL_CALENDARS])
@pytest.mark.parametrize("spec", [BERLIN, MOSCOW, NEW_YORK], ids=["berlin", "moscow", "new york"])
def test_after_a_first_run_the_mirror_is_the_portal(stage: Stage, spec: dict, calendars: str):
    """Whatever the zones of users and server, and the culture of the texts."""
    mirror = stage.mirror(calendars=calendars, events=150, **spec)

    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []
    assert min(len(mirror.rows(table)) for table in ENTITIES) > 0


@pytest.mark.parametrize("dialect", SERVED)
def test_the_mirror_is_the_portal_on_the_other_databases(stage: Stage, dialect: str, tmp_path: Path):
    """Emoji, instants, long texts and IDs beyond 2^31 survive each database."""
    with empty_database(dialect, tmp_path) as url:
        mirror = stage.mirror(url=url, calendars=ALL_CALENDARS, big_ids=True, long_description=True, **MOSCOW)
        try:
            assert statuses(mirror.sync()) == OK
            assert mirror.differences() == []
            with counted_writes() as writes:
                assert statuses(mirror.sync()) == OK
            assert not writes.keys() & set(ENTITIES)
            mirror.portal.delete_task(mirror.portal.world.task_ids[3])
            mirror.portal.create_task(title="New 🎂")
            assert statuses(mirror.sync(Mode.FULL)) == OK
            assert mirror.differences() == []
        finally:
            mirror.close()


def test_a_thousand_tasks_cost_two_requests_and_a_quiet_run_one(stage: Stage):
    """1,000 tasks, 200 events and 20 users; the second run reads little and writes no entity row."""
    mirror = stage.mirror(tasks=1000, events=200, users=20)
    mirror.portal.requests.reset()
    assert statuses(mirror.sync()) == OK
    assert mirror.portal.requests.http == 2
    assert len(mirror.rows("tasks")) == 1000

    mirror.clock.advance(600)
    mirror.portal.requests.reset()
    with counted_writes() as writes:
        reports = mirror.sync()
    assert statuses(reports) == OK
    assert mirror.portal.requests.http == 1
    assert not writes.keys() & set(ENTITIES)
    assert sum(report.changes for report in reports.values()) == 0
    assert mirror.differences() == []


def test_every_calendar_of_a_portal_costs_a_few_requests(stage: Stage):
    """Many owners share a batch; what is new in a calendar is asked for twice, beside the masters of its series."""
    mirror = stage.mirror(tasks=100, events=200, users=20, calendars=ALL_CALENDARS)
    mirror.portal.requests.reset()
    mirror.sync()
    assert mirror.portal.requests.http <= 10

    mirror.portal.requests.reset()
    with counted_writes() as writes:
        assert statuses(mirror.sync()) == OK
    assert mirror.portal.requests.http <= 3
    assert not writes.keys() & set(ENTITIES)


def test_what_people_do_with_tasks_and_users_is_found_by_an_ordinary_run(stage: Stage):
    """Created, changed, completed, a new and a dismissed colleague, another plan of the day."""
    mirror = stage.mirror()
    portal = mirror.portal
    mirror.sync()
    mirror.clock.advance(3600)

    first, second, third = portal.world.task_ids[:3]
    created = portal.create_task(title="Совсем новая 🎉", tags={7: "ёж"})
    portal.update_task(first, title="Renamed", deadline=datetime(2027, 1, 5, 9, 30, tzinfo=UTC))
    portal.update_task(second, status=5)
    colleague = portal.add_user(name="Zora")
    portal.dismiss_user(max(portal.world.users.keys() - {colleague}))
    portal.set_planner(portal.admin_id, [third, created])

    reports = mirror.sync()
    assert statuses(reports) == OK
    assert reports["tasks"].mode is Mode.INCREMENTAL
    assert (reports["tasks"].inserted, reports["tasks"].updated) == (1, 2)
    assert mirror.differences() == []


def test_a_silent_change_is_seen_by_a_full_reading_only(stage: Stage):
    """No date moves and no event fires: this is what the weekly full reading is for."""
    mirror = stage.mirror()
    mirror.sync()
    mirror.clock.advance(3600)
    parent_id, task_id = mirror.portal.world.task_ids[:2]
    mirror.portal.reparent(task_id, parent_id)

    for mode in (None, Mode.RECONCILE):
        mirror.sync(mode)
        assert [text.split(":")[0] for text in mirror.differences()] == [f"tasks ({task_id},).parent_id"]
    assert mirror.sync(Mode.FULL)["tasks"].updated == 1
    assert mirror.differences() == []


def test_tasks_deleted_and_restored_are_marked_and_revived(stage: Stage):
    """A restored task has its old ID and date: only the sweep of IDs finds it, and its row is the same one."""
    mirror = stage.mirror()
    portal = mirror.portal
    mirror.sync()
    mirror.clock.advance(3600)
    gone, back = portal.world.task_ids[10], portal.world.task_ids[20]
    before = mirror.row("tasks", back)

    portal.delete_task(gone)
    portal.delete_task(back)
    mirror.sync()
    assert {gone, back} <= mirror.ids("tasks"), "an ordinary run believes no deletion"
    reports = mirror.sync(Mode.RECONCILE)
    assert reports["tasks"].deleted == 2
    assert not {gone, back} & mirror.ids("tasks")
    assert mirror.row("tasks", gone)["raw"]

    mirror.clock.advance(3600)
    portal.restore_task(back)
    mirror.sync()
    assert back not in mirror.ids("tasks")
    reports = mirror.sync(Mode.RECONCILE)
    assert (reports["tasks"].revived, reports["tasks"].inserted, reports["tasks"].deleted) == (1, 0, 0)
    assert mirror.row("tasks", back)["first_seen_at"] == before["first_seen_at"]
    # Children of a deleted task are moved silently.
    mirror.sync(Mode.FULL)
    assert mirror.differences() == []


def test_a_year_of_office_life_is_mirrored(stage: Stage):
    """Two hundred acts of people, a run after each few of them, a reconciliation at the end."""
    from worker.emulator import Life  # noqa: PLC0415 - used here only

    mirror = stage.mirror(tasks=200, events=80, calendars=ALL_CALENDARS)
    life = Life(mirror.portal, seed=5)
    mirror.sync()
    for _ in range(10):
        for _ in range(20):
            mirror.clock.advance(97)
            life.step()
        assert statuses(mirror.sync()) == OK
    assert statuses(mirror.sync(Mode.FULL)) == OK
    assert mirror.differences() == []


@pytest.mark.parametrize("skew", [timedelta(hours=-1), timedelta(hours=1)], ids=["behind", "ahead"])
def test_the_portals_clock_may_be_an_hour_off(stage: Stage, skew: timedelta):
    """The cursor is the portal's time, so a change between two runs is found whatever our clock says."""
    stage.skew = skew
    try:
        mirror = stage.mirror()
        mirror.sync()
        cursor_at = mirror.cursor("tasks").cursor_at
        assert cursor_at is not None
        assert abs(mirror.now - cursor_at - timedelta(minutes=5)) < timedelta(seconds=5)
        mirror.clock.advance(30)
        mirror.portal.update_task(mirror.portal.world.task_ids[0], title="Changed at once")
        mirror.portal.create_task()
        assert statuses(mirror.sync()) == OK
        assert mirror.differences() == []
    finally:
        stage.skew = timedelta(0)


def test_our_clock_may_be_days_off(stage: Stage):
    """Then the window of the calendar is asked once more, by the portal's clock."""
    stage.skew = timedelta(days=-6)
    try:
        mirror = stage.mirror()
        assert statuses(mirror.sync()) == OK
        assert mirror.differences() == []
        mirror.portal.create_task()
        assert statuses(mirror.sync()) == OK
        assert mirror.differences() == []
    finally:
        stage.skew = timedelta(0)


def test_an_hour_that_comes_twice_is_one_hour_in_dates_of_tasks(stage: Stage):
    """Nobody can tell them apart: the portal prints the wall clock, and today's offset behind it."""
    mirror = stage.mirror(tasks=5, **NEW_YORK)
    first, second = datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    one = mirror.portal.create_task(deadline=first)
    other = mirror.portal.create_task(deadline=second)
    mirror.sync()

    assert mirror.row("tasks", one)["deadline"] == mirror.row("tasks", other)["deadline"]
    assert mirror.row("tasks", one)["deadline"] in {first, second}
