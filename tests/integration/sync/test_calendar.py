"""Calendars: every window is read whole in every run, so every change is found by the next one."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.mirror import ALL_CALENDARS, MONDAY, OK, Mirror, Stage, statuses
from tests.integration.statements import counted_writes
from tests.integration.sync.conftest import attendees, starts
from worker.emulator.world.recurrence import Rule


@pytest.fixture
def mirror(stage: Stage) -> Mirror:
    """A portal whose calendars were all read once; each group has a task, for by these groups are known."""
    mirror = stage.mirror(tasks=60, events=40, groups=2, calendars=ALL_CALENDARS)
    assert statuses(mirror.sync()) == OK
    return mirror


def event(mirror: Mirror, starts: datetime = MONDAY, **values: Any) -> int:  # noqa: ANN401 - fields of Event
    return mirror.portal.create_event(mirror.portal.admin_id, starts, starts + timedelta(hours=1), **values)


def synced(mirror: Mirror) -> None:
    """One more run makes the mirror right, and another one finds nothing to write."""
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []
    with counted_writes() as writes:
        assert statuses(mirror.sync()) == OK
    assert not {table for table in writes if table.startswith(("calendar_", "event_"))}


def test_created_moved_and_deleted_events_are_found(mirror: Mirror):
    """A change of time, of text, a deletion; the row of a deleted event keeps its last payload."""
    stays, moves, goes = event(mirror), event(mirror, name="Moves"), event(mirror, name="Goes")
    synced(mirror)
    mirror.portal.update_event(moves, starts=MONDAY + timedelta(days=3), ends=MONDAY + timedelta(days=3, hours=2))
    mirror.portal.update_event(stays, name="Планёрка 🎂", location="Room 3")
    mirror.portal.delete_event(goes)
    synced(mirror)
    assert mirror.row("calendar_events", goes)["deleted_at"] == mirror.clock.now() - timedelta(seconds=60)
    assert mirror.row("calendar_events", goes)["raw"]


@pytest.mark.parametrize("days", [182, 183, 400], ids=["into the padding", "over the padding", "far away"])
def test_an_event_moved_out_of_the_window_stays_without_instance(mirror: Mirror, days: int):
    """It is still there on the portal, so its row is brought up to date and not marked."""
    moves = event(mirror)
    synced(mirror)
    later = mirror.clock.now().replace(tzinfo=None) + timedelta(days=days)
    mirror.portal.update_event(moves, starts=later, ends=later)
    synced(mirror)
    assert starts(mirror, moves) == []
    assert mirror.row("calendar_events", moves)["deleted_at"] is None
    mirror.portal.update_event(moves, starts=MONDAY, ends=MONDAY)
    synced(mirror)
    assert len(starts(mirror, moves)) == 1


def test_instances_that_the_window_left_are_forgotten_and_their_events_stay(tmp_path: Path):
    """The window moves by a day every day; months later nothing of the first one is inside."""
    with Stage(tmp_path) as stage:
        mirror = stage.mirror(tasks=5, events=40)
        mirror.sync()
        for days in (1, 20, 60, 200):
            mirror.clock.advance(days * 86_400)
            mirror.connect(mirror.portal.admin_id)  # the refresh token would have been renewed by beat
            assert statuses(mirror.sync()) == OK
            assert mirror.differences() == []
        assert not [row for row in mirror.rows("calendar_events", deleted=True) if row["deleted_at"]]


def test_single_days_of_a_series_may_be_deleted_moved_and_the_rest_split_off(mirror: Mirror):
    """An edited day is an event of its own and an exception of the series; a split makes a second series."""
    series = event(mirror, rule=Rule("DAILY", count=20))
    synced(mirror)
    assert len(starts(mirror, series)) == 20
    mirror.portal.delete_occurrence(series, date(2026, 12, 2))
    synced(mirror)
    moved = mirror.portal.move_occurrence(series, date(2026, 12, 4), MONDAY.replace(month=12, day=4, hour=15))
    synced(mirror)
    assert mirror.row("calendar_events", moved)["recurrence_event_id"] == series
    mirror.portal.delete_event(moved)
    synced(mirror)
    new = mirror.portal.split_series(series, date(2026, 12, 10), name="From now on")
    synced(mirror)
    assert len(starts(mirror, series)) == 8
    assert len(starts(mirror, new)) == 10
    mirror.portal.delete_event(series)
    synced(mirror)
    assert starts(mirror, series) == []


def test_a_series_whose_days_were_all_deleted_has_no_instance(mirror: Mirror):
    """The master still names its first day, which is an exception like the others."""
    series = event(mirror, rule=Rule("DAILY", count=2))
    synced(mirror)
    for day in (date(2026, 11, 30), date(2026, 12, 1)):
        mirror.portal.delete_occurrence(series, day)
    synced(mirror)
    assert starts(mirror, series) == []
    assert mirror.row("calendar_events", series)["deleted_at"] is None


def test_a_series_keeps_its_first_instance_though_it_began_before_the_window(mirror: Mirror):
    """Its rows in the listing do not tell where it began."""
    series = event(mirror, MONDAY - timedelta(days=350), rule=Rule("WEEKLY", 1, ("MO",)))
    synced(mirror)
    starts_at = mirror.row("calendar_events", series)["starts_at"]
    assert starts_at == datetime(2025, 12, 15, 9, 0, tzinfo=UTC)


def test_attendees_stand_on_the_parent_and_a_deleted_meeting_takes_its_copies_along(mirror: Mirror):
    """Copies of a deleted meeting vanish without an event of their own."""
    guests = [user_id for user_id in mirror.portal.world.users if user_id != mirror.portal.admin_id][:2]
    meeting = event(mirror, attendees={guests[0]: "Y", guests[1]: "Q"})
    synced(mirror)
    copies = [row["event_id"] for row in mirror.rows("calendar_events") if row["parent_event_id"] == meeting]
    assert len(copies) == 2
    assert attendees(mirror, meeting) == {mirror.portal.admin_id: "H", guests[0]: "Y", guests[1]: "Q"}
    assert not attendees(mirror, copies[0])

    mirror.portal.update_event(copies[1], status="N")
    synced(mirror)
    assert attendees(mirror, meeting)[guests[1]] == "N"
    mirror.portal.delete_event(meeting)
    synced(mirror)
    assert not {meeting, *copies} & mirror.ids("calendar_events")
    assert not attendees(mirror, meeting)


def test_attendees_stand_on_the_copy_where_the_parent_is_not_mirrored(stage: Stage):
    """Somebody else's meeting, while only the own calendar is read."""
    mirror = stage.mirror(tasks=5, events=10, calendars="mine")
    host = max(user.user_id for user in mirror.portal.world.users.values() if user.active)
    parent = mirror.portal.create_event(host, MONDAY, MONDAY, attendees={mirror.portal.admin_id: "Y"})
    mirror.sync()
    (copy,) = [row["event_id"] for row in mirror.rows("calendar_events") if row["parent_event_id"] == parent]
    assert attendees(mirror, copy) == {host: "H", mirror.portal.admin_id: "Y"}
    assert mirror.differences() == []


def test_attendees_of_a_masked_parent_are_those_that_its_copy_shows(mirror: Mirror):
    """The host's private meeting is masked even for an administrator; the own copy of it is not."""
    host = max(user.user_id for user in mirror.portal.world.users.values() if user.active)
    parent = mirror.portal.create_event(host, MONDAY, MONDAY, attendees={mirror.portal.admin_id: "Y"})
    mirror.portal.update_event(parent, private=True)
    synced(mirror)
    assert mirror.row("calendar_events", parent)["masked"]
    assert attendees(mirror, parent) == {host: "H", mirror.portal.admin_id: "Y"}


def test_a_mask_never_covers_a_known_title(mirror: Mirror):
    """An event that becomes private keeps the title under which it was known."""
    host = max(user.user_id for user in mirror.portal.world.users.values() if user.active)
    secret = mirror.portal.create_event(host, MONDAY, MONDAY, name="Surgery", description="At nine")
    synced(mirror)
    mirror.portal.update_event(secret, private=True)
    assert statuses(mirror.sync()) == OK
    row = mirror.row("calendar_events", secret)
    assert (row["name"], row["description"], row["masked"]) == ("Surgery", "At nine", False)


def test_a_meeting_that_is_none_any_more_has_no_attendees(mirror: Mirror):
    """Its row says so, and comes without a list."""
    guest = max(user.user_id for user in mirror.portal.world.users.values() if user.active)
    meeting = event(mirror, attendees={guest: "Y"})
    synced(mirror)
    (copy,) = [row["event_id"] for row in mirror.rows("calendar_events") if row["parent_event_id"] == meeting]
    mirror.portal.delete_event(copy)
    mirror.portal.update_event(meeting, is_meeting=False, host=0, status="")
    synced(mirror)
    assert attendees(mirror, meeting) == {}


def test_a_group_without_tasks_and_a_portal_without_groups_are_no_trouble(stage: Stage):
    """There is simply nothing to read."""
    mirror = stage.mirror(tasks=5, events=5, groups=0, calendars="groups")
    assert statuses(mirror.sync()) == OK
    assert mirror.rows("calendar_events") == []


def test_new_and_renamed_and_vanished_sections_are_found(mirror: Mirror):
    """A section that disappears is marked as long as its owner shows another one."""
    section = mirror.portal.new_section("user", mirror.portal.admin_id, "Side project")
    synced(mirror)
    mirror.portal.world.sections[section].name = "Main project"
    synced(mirror)
    del mirror.portal.world.sections[section]
    synced(mirror)
    assert section not in mirror.ids("calendar_sections")
