"""Masked events: what a mask hides stays as it is known, what it shows follows, and no two accounts quarrel."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.integration.conftest import SERVED, empty_database
from tests.integration.mirror import ALL_CALENDARS, MONDAY, OK, Mirror, Stage, statuses
from tests.integration.statements import counted_writes
from tests.integration.sync.conftest import attendees, starts
from worker.emulator import Portal
from worker.emulator.world.recurrence import Rule
from worker.storage.portals import list_accounts

MIDNIGHT = MONDAY.replace(hour=0)
ALL_DAY = {"all_day": True, "zone_from": "", "zone_to": "", "starts": MIDNIGHT, "ends": MIDNIGHT}
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
HIDDEN = ("name", "description", "location", "private", "color", "raw")


def host_of(portal: Portal) -> int:
    return max(user.user_id for user in portal.world.users.values() if user.active)


def secret(portal: Portal, starts: datetime = MONDAY, **values: Any) -> int:  # noqa: ANN401 - fields of Event
    """A surgery in the host's calendar, shown to everybody until somebody makes it private."""
    told: dict[str, Any] = {"name": "Surgery", "description": "At nine", "location": "Ward 3", "zone": "Europe/Berlin"}
    return portal.create_event(host_of(portal), starts, starts + HOUR, **told | values)


def move(portal: Portal, event_id: int, starts: datetime, **values: Any) -> None:  # noqa: ANN401 - fields of Event
    portal.update_event(event_id, starts=starts, ends=starts + HOUR, **values)


@pytest.fixture
def portal(stage: Stage) -> Portal:
    return stage.portal(tasks=60, events=20, users=6, groups=2)  # groups are known by their tasks


@pytest.fixture
def alone(stage: Stage, portal: Portal) -> Mirror:
    """An administrator who reads everybody's calendar."""
    mirror = stage.mirror(portal, calendars=ALL_CALENDARS)
    assert statuses(mirror.sync()) == OK
    return mirror


@pytest.fixture
def both(stage: Stage, portal: Portal) -> Mirror:
    """The same, and the host, who sees in the own calendar what is hidden from the administrator."""
    mirror = stage.mirror(portal, calendars=ALL_CALENDARS, accounts=[portal.admin_id, host_of(portal)])
    assert statuses(mirror.sync()) == OK
    return mirror


def let_the_others_wait(mirror: Mirror) -> None:
    """All accounts but the primary one must be authorized again."""
    with mirror.database.write() as session:
        for account in list_accounts(session, mirror.portal_id):
            account.status = "ok" if account.is_primary else "needs_reauth"


def event(mirror: Mirror, event_id: int) -> dict[str, Any]:
    return mirror.row("calendar_events", event_id)


def settled(mirror: Mirror) -> None:
    """One run, and another one that finds nothing to write and nothing to ask by ID."""
    assert statuses(mirror.sync()) == OK
    mirror.portal.requests.reset()
    with counted_writes() as writes:
        assert statuses(mirror.sync()) == OK
    assert not {table for table in writes if table.startswith(("calendar_", "event_"))}
    assert mirror.portal.requests.calls["calendar.event.getbyid"] == 0


def test_the_times_of_a_masked_event_follow_and_its_title_stays(alone: Mirror):
    """What was known before it became private is known for good."""
    event_id = secret(alone.portal)
    settled(alone)
    before = event(alone, event_id)
    assert (before["name"], before["masked"], before["starts_at"]) == (
        "Surgery",
        False,
        MONDAY.replace(hour=9, tzinfo=UTC),
    )

    alone.portal.update_event(event_id, private=True)
    settled(alone)
    assert event(alone, event_id) == before

    move(alone.portal, event_id, MONDAY + WEEK)
    settled(alone)
    after = event(alone, event_id)
    assert {name: after[name] for name in HIDDEN} == {name: before[name] for name in HIDDEN}
    assert (after["masked"], after["title_masked"]) == (False, False)
    assert after["starts_at"] == before["starts_at"] + WEEK
    assert after["ends_at"] == before["ends_at"] + WEEK
    assert starts(alone, event_id) == [after["starts_at"]]


@pytest.mark.parametrize(
    ("changes", "column", "value"),
    [
        ({"zone_from": "Asia/Tokyo", "zone_to": "Asia/Tokyo"}, "time_zone", "Asia/Tokyo"),
        ({"accessibility": "absent"}, "accessibility", "absent"),
        ({"importance": "high"}, "importance", "high"),
        ({"rule": Rule("DAILY", count=3)}, "recurrence_rule", "FREQ=DAILY;COUNT=3"),
        (ALL_DAY, "starts_on", date(2026, 11, 30)),
    ],
    ids=["zone", "accessibility", "importance", "rule", "days"],
)  # fmt: skip
def test_whatever_a_mask_shows_follows(alone: Mirror, changes: dict[str, Any], column: str, value: object):
    """And nothing that it hides."""
    event_id = secret(alone.portal)
    settled(alone)
    alone.portal.update_event(event_id, private=True, **changes)
    settled(alone)
    row = event(alone, event_id)
    assert row[column] == value
    assert (row["name"], row["description"], row["location"]) == ("Surgery", "At nine", "Ward 3")
    truth = alone.truth(alone.window())["calendar_occurrences"]
    assert starts(alone, event_id) == sorted(one["starts_at"] for one in truth if one["event_id"] == event_id)


def test_an_event_moved_to_another_calendar_under_its_mask_is_found_there(alone: Mirror):
    event_id = secret(alone.portal)
    settled(alone)
    section = alone.portal.new_section("user", host_of(alone.portal), "Side project")
    alone.portal.update_event(event_id, private=True, section_id=section)
    settled(alone)
    assert (event(alone, event_id)["section_id"], event(alone, event_id)["name"]) == (section, "Surgery")


def test_an_event_first_seen_masked_is_filled_in_when_it_is_shown(alone: Mirror):
    """And named by its stand-in until then."""
    event_id = secret(alone.portal, private=True)
    settled(alone)
    row = event(alone, event_id)
    assert (row["name"], row["description"], row["masked"], row["title_masked"]) == ("[Busy]", None, True, True)
    alone.portal.update_event(event_id, accessibility="free")
    settled(alone)
    assert alone.differences() == []

    alone.portal.update_event(event_id, private=False)
    settled(alone)
    row = event(alone, event_id)
    assert (row["name"], row["description"], row["masked"], row["title_masked"]) == ("Surgery", "At nine", False, False)
    assert alone.differences() == []


@pytest.mark.parametrize("rule", [None, Rule("WEEKLY", 1, ("MO",), count=20)], ids=["single", "series"])
def test_two_accounts_with_different_rights_do_not_quarrel(both: Mirror, rule: Rule | None):
    """Turn by turn they read the same row; whoever sees it tells the content, and a quiet run writes nothing."""
    event_id = secret(both.portal, MONDAY - 10 * WEEK if rule else MONDAY, private=True, rule=rule)
    settled(both)
    row = event(both, event_id)
    assert (row["name"], row["description"], row["masked"]) == ("Surgery", "At nine", False)

    both.portal.update_event(event_id, name="Check-up")
    settled(both)
    assert event(both, event_id)["name"] == "Check-up"
    move(both.portal, event_id, MONDAY, accessibility="absent", description="At ten")
    settled(both)
    row = event(both, event_id)
    assert (row["starts_at"], row["description"], row["accessibility"]) == (
        MONDAY.replace(hour=9, tzinfo=UTC),
        "At ten",
        "absent",
    )
    assert len(starts(both, event_id)) == (20 if rule else 1)


def test_two_accounts_read_a_meeting_each_from_its_own_side(both: Mirror):
    """Every participant's status stands in a row of its own, and the list is the parent's."""
    portal = both.portal
    host, guest = host_of(portal), portal.admin_id
    parent = secret(portal, attendees={guest: "Q"})
    settled(both)
    portal.update_event(parent, private=True)
    settled(both)
    (copy,) = [row["event_id"] for row in both.rows("calendar_events") if row["parent_event_id"] == parent]
    portal.update_event(copy, status="Y")
    settled(both)
    assert attendees(both, parent) == {host: "H", guest: "Y"}


def test_attendees_that_a_mask_hides_stay_known(alone: Mirror):
    """Nobody the administrator can see takes part."""
    host = host_of(alone.portal)
    others = [
        i for i, user in alone.portal.world.users.items() if user.active and i not in {host, alone.portal.admin_id}
    ]
    parent = secret(alone.portal, attendees={others[0]: "Y"})
    settled(alone)
    known = attendees(alone, parent)
    assert known == {host: "H", others[0]: "Y"}
    alone.portal.update_event(parent, private=True)
    for copy in alone.portal.world.copies(parent):
        copy.private = True
    move(alone.portal, parent, MONDAY + WEEK)
    settled(alone)
    assert attendees(alone, parent) == known
    assert event(alone, parent)["is_meeting"]


def test_an_event_moved_back_under_its_mask_is_right_when_it_is_shown_again(alone: Mirror):
    """Its content is then what it was at first, but the row is not."""
    event_id = secret(alone.portal)
    settled(alone)
    before = event(alone, event_id)
    move(alone.portal, event_id, MONDAY + WEEK, private=True)
    settled(alone)
    move(alone.portal, event_id, MONDAY, private=False)
    settled(alone)
    after = event(alone, event_id)
    assert after["starts_at"] == before["starts_at"]
    assert after["content_hash"] == before["content_hash"]
    assert alone.differences() == []


@pytest.mark.first_world  # a series that is shown once tells it by itself
def test_a_masked_series_asks_for_its_first_instance_once_per_change(alone: Mirror):
    """Not in every run, though its content never matches the one that is known."""
    series = [secret(alone.portal, MONDAY - 10 * WEEK + n * HOUR, rule=Rule("WEEKLY", 1, ("MO",))) for n in range(5)]
    settled(alone)
    for event_id in series:
        alone.portal.update_event(event_id, private=True)
    settled(alone)
    alone.portal.requests.reset()
    alone.portal.delete_occurrence(series[0], date(2026, 12, 7))
    move(alone.portal, series[1], MONDAY - 9 * WEEK)
    assert statuses(alone.sync()) == OK
    assert alone.portal.requests.calls["calendar.event.getbyid"] == 2
    settled(alone)
    rows = {event_id: event(alone, event_id) for event_id in series}
    assert rows[series[0]]["excluded_dates"] == '["2026-12-07"]'
    assert rows[series[1]]["starts_at"] == datetime(2026, 9, 28, 8, 0, tzinfo=UTC)
    assert {row["name"] for row in rows.values()} == {"Surgery"}


@pytest.mark.parametrize("dead", [False, True], ids=["both well", "the owner's waits"])
def test_a_calendar_that_is_hidden_from_one_account_is_left_to_its_owners(stage: Stage, portal: Portal, dead: bool):
    """Else the one would delete, and the other revive, turn by turn; and what nobody can see any more stays."""
    host = host_of(portal)
    viewer = next(i for i, user in portal.world.users.items() if user.active and not user.admin and i != host)
    stays, goes = secret(portal), secret(portal, MONDAY + WEEK)
    section = portal.world.sections[portal.world.events[stays].section_id]
    portal.world.sections[section.section_id] = replace(section, others="none")
    mirror = stage.mirror(portal, calendars=ALL_CALENDARS, accounts=[viewer, host])
    settled(mirror)
    assert {stays, goes} <= mirror.ids("calendar_events")

    if dead:
        let_the_others_wait(mirror)
    portal.delete_event(goes)
    reports = mirror.sync()
    assert reports["calendar"].deleted == (0 if dead else 1)
    assert stays in mirror.ids("calendar_events")
    assert section.section_id in mirror.ids("calendar_sections")
    assert (goes in mirror.ids("calendar_events")) is dead


def test_an_administrator_judges_for_an_account_that_waits(both: Mirror):
    """Nothing is hidden from it but content."""
    event_id = secret(both.portal)
    settled(both)
    let_the_others_wait(both)
    both.portal.delete_event(event_id)
    both.sync()
    assert event(both, event_id)["deleted_at"]


def test_what_only_an_account_that_waits_is_shown_has_the_mask_that_the_other_one_sees(both: Mirror):
    """The run says that it failed; its content is told as soon as its owner's account reads again."""
    let_the_others_wait(both)
    event_id = secret(both.portal, private=True)
    assert statuses(both.sync()) == OK | {"planner": "failed", "calendar": "failed"}
    row = event(both, event_id)
    assert (row["name"], row["masked"]) == ("[Busy]", True)

    both.connect(host_of(both.portal))
    settled(both)
    row = event(both, event_id)
    assert (row["name"], row["masked"]) == ("Surgery", False)


def test_a_title_is_not_covered_by_less_and_follows_when_it_is_shown(stage: Stage):
    """An account that is shown titles, then nothing, then titles again."""
    portal = stage.portal(tasks=5, events=5, users=6)
    viewer = next(
        i for i, user in portal.world.users.items() if user.active and not user.admin and i != host_of(portal)
    )
    event_id = secret(portal)
    section = portal.world.sections[portal.world.events[event_id].section_id]
    mirror = stage.mirror(portal, calendars=ALL_CALENDARS, accounts=[viewer])

    def shown(level: str) -> tuple[str, bool, bool, datetime]:
        portal.world.sections[section.section_id] = replace(section, others=level)
        settled(mirror)
        row = event(mirror, event_id)
        return row["name"], row["masked"], row["title_masked"], row["starts_at"]

    first, later = MONDAY.replace(hour=9, tzinfo=UTC), (MONDAY + WEEK).replace(hour=9, tzinfo=UTC)
    assert shown("time") == ("[Busy]", True, True, first)
    assert shown("title") == ("Surgery [Busy]", True, False, first)
    assert shown("time") == ("Surgery [Busy]", True, False, first)
    move(portal, event_id, MONDAY + WEEK, name="Check-up")
    assert shown("time") == ("Surgery [Busy]", True, False, later)
    assert shown("title") == ("Check-up [Busy]", True, False, later)
    assert shown("full") == ("Check-up", False, False, later)
    portal.update_event(event_id, name="Party")
    assert shown("title") == ("Check-up", False, False, later)


def test_an_event_that_comes_back_behind_a_mask_is_revived_with_its_title(alone: Mirror):
    """Deleted for us, because it was not shown at all; its times are those of today."""
    event_id = secret(alone.portal)
    settled(alone)
    gone = alone.portal.world.events.pop(event_id)
    settled(alone)
    assert event(alone, event_id)["deleted_at"]

    alone.portal.world.events[event_id] = replace(gone, private=True)
    move(alone.portal, event_id, MONDAY + WEEK)
    assert alone.sync()["calendar"].revived == 1
    settled(alone)
    row = event(alone, event_id)
    assert (row["deleted_at"], row["name"], row["masked"]) == (None, "Surgery", False)
    assert row["starts_at"] == (MONDAY + WEEK).replace(hour=9, tzinfo=UTC)


@pytest.mark.parametrize("days", [60, 300], ids=["in the window", "out of it"])
def test_a_masked_event_that_leaves_the_window_keeps_its_title(alone: Mirror, days: int):
    """It is asked for by its ID then; that answer wears the mask too."""
    event_id = secret(alone.portal)
    series = secret(alone.portal, rule=Rule("DAILY", count=3))
    settled(alone)
    for moved in (event_id, series):
        move(alone.portal, moved, MONDAY + timedelta(days=days), private=True)
    settled(alone)
    for moved in (event_id, series):
        row = event(alone, moved)
        assert (row["deleted_at"], row["name"]) == (None, "Surgery")
        assert row["starts_at"].date() == (MONDAY + timedelta(days=days)).date()
        assert bool(starts(alone, moved)) is (days == 60)


@pytest.mark.parametrize("dialect", SERVED)
def test_the_other_databases_keep_both_halves(
    stage: Stage, portal: Portal, dialect: str, tmp_path_factory: pytest.TempPathFactory
):
    """Instants, days and hashes compare equal there too."""
    with empty_database(dialect, tmp_path_factory.mktemp("database")) as url:
        accounts = [portal.admin_id, host_of(portal)]
        mirror = stage.mirror(portal, url=url, calendars=ALL_CALENDARS, accounts=accounts)
        try:
            event_id = secret(portal, private=True)
            settled(mirror)
            move(portal, event_id, MONDAY + WEEK)
            settled(mirror)
            assert event(mirror, event_id)["name"] == "Surgery"
            assert event(mirror, event_id)["starts_at"] == (MONDAY + WEEK).replace(hour=9, tzinfo=UTC)
        finally:
            mirror.close()
