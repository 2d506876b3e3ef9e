"""A calendar that says again what the mirror holds is not read; whatever could make that untrue has it read."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from tests.integration.conftest import SERVED, empty_database
from tests.integration.mirror import MONDAY, OK, Mirror, Stage, statuses
from tests.integration.statements import noted_statements
from tests.integration.sync.conftest import lose_lease
from worker.emulator.world.recurrence import Rule
from worker.storage.cursors import update_cursor
from worker.storage.models import CalendarEvent, RememberedAnswer, User
from worker.storage.portals import list_accounts, remove_portal
from worker.storage.rejected import put_rejected
from worker.sync.report import Mode

DAY = 86_400


@pytest.fixture
def mirror(stage: Stage) -> Mirror:
    """A portal whose calendars the mirror knows: nothing of them was read in the last run."""
    return known(stage.mirror(tasks=5, events=30, users=4))


def known(mirror: Mirror) -> Mirror:
    for _ in range(2):
        assert statuses(mirror.sync()) == OK
    with noted_statements() as statements:
        assert statuses(mirror.sync()) == OK
    assert not about_calendars(statements)
    return mirror


def about_calendars(statements: list[str]) -> list[str]:
    """Those that have to do with rows of a calendar."""
    tables = "calendar_events ", "calendar_occurrences ", "event_attendees "
    return [statement for statement in statements if any(name in statement for name in tables)]


def is_read(mirror: Mirror, mode: Mode | None = None, *, force: bool = False) -> bool:
    with noted_statements() as statements:
        assert statuses(mirror.sync(mode, force=force)) == OK
    return bool(about_calendars(statements))


def digests(mirror: Mirror) -> dict[tuple[str, int], str]:
    """What is remembered, by owner."""
    with mirror.database.read() as session:
        rows = select(RememberedAnswer).where(RememberedAnswer.portal_id == mirror.portal_id)
        return {(row.calendar_type, row.owner_id): row.digest for row in session.scalars(rows)}


def remembered(mirror: Mirror) -> int:
    return len(digests(mirror))


def create(mirror: Mirror, **values: Any) -> int:  # noqa: ANN401 - fields of Event
    return mirror.portal.create_event(mirror.portal.admin_id, MONDAY, MONDAY + timedelta(hours=1), **values)


def test_a_calendar_that_was_not_read_is_counted_as_if_it_were(mirror: Mirror):
    read = mirror.sync(Mode.FULL)["calendar"]
    not_read = mirror.sync()["calendar"]
    assert read.fetched > 0
    assert (read.fetched, read.unchanged) == (not_read.fetched, not_read.unchanged)
    assert mirror.differences() == []


def test_what_changed_is_read_and_forgets_what_was_known(mirror: Mirror):
    """Until a run that wrote nothing has held every answer against the mirror."""
    create(mirror, name="New")
    assert is_read(mirror)
    assert remembered(mirror) == 0
    assert is_read(mirror)
    assert remembered(mirror) == 2, "the user's and the company's"
    assert not is_read(mirror)
    assert mirror.differences() == []


def test_news_of_one_calendar_has_all_of_them_read(stage: Stage):
    """Rows of one owner's calendar may depend on another's: the copies of a meeting on its parent."""
    mirror = known(stage.mirror(tasks=5, events=30, users=4, calendars="mine,everyone"))
    owners = remembered(mirror)
    assert owners > 2
    create(mirror, name="New")
    assert is_read(mirror)
    assert remembered(mirror) == 0
    assert is_read(mirror)
    assert remembered(mirror) == owners


def test_more_than_one_transaction_holds_are_remembered_turn_by_turn(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.storage.remembered.AT_ONCE", 2)
    mirror = stage.mirror(tasks=5, events=30, users=4, calendars="mine,everyone")
    for _ in range(5):
        assert statuses(mirror.sync()) == OK
    assert len(mirror.ids("users")) == remembered(mirror) > 2


def test_what_was_read_beside_news_is_not_remembered(stage: Stage):
    mirror = known(stage.mirror(tasks=5, events=30, users=4, calendars="mine,everyone"))
    create(mirror, name="New")
    assert is_read(mirror, Mode.FULL)
    assert remembered(mirror) == 0


def test_the_portals_midnight_moves_the_window_though_the_same_days_are_asked_for(stage: Stage, mirror: Mirror):
    """Our clock says noon; the portal's says that it is tomorrow."""
    stage.skew = timedelta(hours=13)
    try:
        assert is_read(mirror)
    finally:
        stage.skew = timedelta(0)


def a_day_later(mirror: Mirror) -> None:
    mirror.clock.advance(DAY)


def a_narrower_window(mirror: Mirror) -> None:
    mirror._settings = replace(mirror._settings, calendar_past_days=29)


def a_user_who_moved(mirror: Mirror) -> None:
    mirror.portal.update_user(mirror.portal.admin_id, zone="Asia/Tokyo")


def a_record_kept_aside(mirror: Mirror) -> None:
    with mirror.database.write() as session:
        now, no_date = mirror.clock.now(), "no date"
        put_rejected(session, mirror.portal_id, "calendar", "event:1", payload="{}", reason=no_date, now=now)


def a_series_in_doubt(mirror: Mirror) -> None:
    text = f'{{"1":"{mirror.clock.now().isoformat()}"}}'
    with mirror.database.write() as session:
        update_cursor(session, mirror.portal_id, "calendar", bookmark=text)


REASONS = [a_day_later, a_narrower_window, a_user_who_moved, a_record_kept_aside, a_series_in_doubt]


@pytest.mark.parametrize("happens", REASONS, ids=lambda one: one.__name__)
def test_an_equal_answer_is_read_where_it_may_mean_something_else(mirror: Mirror, happens: Callable[[Mirror], None]):
    happens(mirror)
    assert is_read(mirror)


@pytest.mark.parametrize(("mode", "force"), [(Mode.FULL, False), (Mode.RECONCILE, False), (None, True)])
def test_an_operator_has_it_read(mirror: Mirror, mode: Mode | None, force: bool):
    assert is_read(mirror, mode, force=force)
    assert not is_read(mirror), "and the daemon need not, after that"


def test_another_program_or_other_rules_of_time_zones_read_it(mirror: Mirror, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.sync.calendar_memory.edition", lambda: "another")
    assert is_read(mirror)
    assert not is_read(mirror)
    monkeypatch.undo()
    assert is_read(mirror)


def test_a_colleague_who_moved_has_the_calendar_read_in_the_other_zone(stage: Stage):
    """Events without a zone are when their owner has them, and the answer does not tell where that is."""
    mirror = known(stage.mirror(tasks=5, events=30, users=4, calendars="mine,everyone"))
    colleague = next(i for i in sorted(mirror.portal.world.users) if i != mirror.portal.admin_id)
    with mirror.database.write() as session:
        session.execute(User.__table__.update().where(User.user_id == colleague).values(time_zone="Asia/Tokyo"))
    assert is_read(mirror)


def test_series_that_are_shown_once_have_new_instances_though_their_calendar_says_nothing_new(stage: Stage):
    """They are made here, day by day, from one row that stays what it is."""
    mirror = stage.mirror(tasks=5, events=30, users=4, series="once")
    create(mirror, name="Daily", rule=Rule("DAILY"))
    known(mirror)
    for _ in range(2):
        mirror.clock.advance(DAY)
        assert statuses(mirror.sync()) == OK
        assert mirror.differences() == []


def test_an_account_that_judges_from_now_on_reads_again(stage: Stage):
    """Who may take for gone what an answer lacks is part of what the answer means."""
    portal = stage.portal(tasks=5, events=20, users=6)
    other = next(i for i, user in portal.world.users.items() if user.active and i != portal.admin_id)
    mirror = known(stage.mirror(portal, calendars="mine,everyone", accounts=[portal.admin_id, other]))
    with mirror.database.write() as session:
        for account in list_accounts(session, mirror.portal_id):
            account.status = "ok" if account.is_primary else "needs_reauth"
    with noted_statements() as statements:
        mirror.sync()
    assert about_calendars(statements)


def test_an_event_wrongly_told_deleted_comes_back_though_its_calendar_says_nothing_new(stage: Stage):
    """The queue names it deleted, and its calendar shows it as before."""
    mirror = known(stage.mirror(tasks=5, events=30, users=4, offline_events=True))
    event_id = min(row["event_id"] for row in mirror.rows("calendar_events"))
    there = dict(mirror.portal.world.events)
    mirror.portal.delete_event(event_id)
    mirror.portal.world.events.update(there)
    mirror.sync()
    assert event_id in mirror.ids("calendar_events")
    assert mirror.differences() == []


@pytest.mark.first_world  # a series that is shown once is in every slice: an answer that lost it in one says the same
@pytest.mark.parametrize("method", ["calendar.event.get", "calendar.section.get"])
def test_an_answer_that_lost_a_row_is_never_remembered(stage: Stage, method: str):
    """Neither where the first whole one would be, nor later."""
    whole = digests(known(stage.mirror(tasks=5, events=30, users=4)))
    mirror = stage.mirror(stage.emulator.portals[-1])
    for _ in range(4):
        mirror.portal.faults.add("lost_rows", method=method)
        assert statuses(mirror.sync()) == OK
        assert digests(mirror).items() <= whole.items()
        assert mirror.differences() == []


def test_an_answer_with_a_record_that_cannot_be_read_is_never_remembered(mirror: Mirror):
    before = digests(mirror)
    create(mirror, name="Odd")
    mirror.portal.faults.add(
        "junk_field", times=10**6, method="calendar.event.get", field="DATE_FROM_FORMATTED", value="?"
    )
    for _ in range(3):
        assert mirror.sync()["calendar"].rejected > 0
        assert digests(mirror).items() <= before.items()
    mirror.portal.faults.clear()
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


@pytest.mark.first_world  # where a series is one row, no answer can lose some of its instances
def test_an_answer_that_shows_too_few_instances_is_never_remembered(mirror: Mirror):
    series = create(mirror, name="Daily", rule=Rule("DAILY", count=10))
    known(mirror)
    mirror.portal.faults.add("lost_instances", times=10**6, method="calendar.event.get", event_id=series)
    for _ in range(3):
        assert mirror.sync()["calendar"].status == "incomplete"
        assert remembered(mirror) == 0 or is_known_without(mirror, series)
    mirror.portal.faults.clear()
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


def is_known_without(mirror: Mirror, series: int) -> bool:
    """What is remembered is of before: the answers of now are others."""
    return sum(row["event_id"] == series for row in mirror.rows("calendar_occurrences")) == 10


def test_a_turn_whose_lease_is_lost_remembers_nothing(stage: Stage):
    mirror = stage.mirror(tasks=5, events=30, users=4)
    mirror.sync()
    lose_lease(mirror)
    assert remembered(mirror) == 0


def test_a_removed_portal_takes_what_it_answered_along(mirror: Mirror):
    with mirror.database.write() as session:
        remove_portal(session, mirror.portal_id)
    assert remembered(mirror) == 0


@pytest.mark.parametrize("dialect", SERVED)
def test_the_other_databases_remember_too(stage: Stage, dialect: str, tmp_path: Path):
    with empty_database(dialect, tmp_path) as url:
        mirror = known(stage.mirror(tasks=5, events=30, users=4, url=url))
        try:
            create(mirror, name="New")
            assert is_read(mirror)
            assert is_read(mirror)
            assert not is_read(mirror)
            assert mirror.differences() == []
        finally:
            mirror.close()


def test_a_row_that_somebody_took_out_of_the_mirror_is_back_within_a_day(mirror: Mirror):
    """Nobody should; until the window moves the answer says nothing that would have it looked for."""
    with mirror.database.write() as session:
        session.execute(delete(CalendarEvent).where(CalendarEvent.portal_id == mirror.portal_id))
    mirror.clock.advance(DAY)
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []
