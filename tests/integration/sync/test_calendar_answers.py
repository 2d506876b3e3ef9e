"""A calendar's answer has no count: what is new is believed when two answers say it, and what cannot be true is not."""

from datetime import timedelta

import pytest

from tests.integration.mirror import MONDAY, OK, Mirror, Stage, statuses
from tests.integration.statements import counted_writes
from tests.integration.sync.conftest import starts
from worker.emulator.world.recurrence import Rule

EVENTS, SECTIONS = "calendar.event.get", "calendar.section.get"


@pytest.fixture
def mirror(stage: Stage) -> Mirror:
    return stage.mirror(tasks=5, events=24, users=4)


def series(mirror: Mirror) -> int:
    """Ten days at ten, in the administrator's calendar."""
    ends = MONDAY + timedelta(hours=1)
    return mirror.portal.create_event(mirror.portal.admin_id, MONDAY, ends, name="Daily", rule=Rule("DAILY", count=10))


def lose_instances_of(mirror: Mirror, event_id: int, *, answers: int) -> None:
    """So many answers leave the series' last instances out, and nothing else."""
    mirror.portal.faults.add("lost_instances", times=answers, method=EVENTS, event_id=event_id)


@pytest.mark.parametrize("kind", ["lost_rows", "page_repeat", "doubled_rows", "page_fall"])
@pytest.mark.parametrize("method", [EVENTS, SECTIONS])
def test_a_first_answer_that_lost_a_row_is_repaired_in_its_run(mirror: Mirror, method: str, kind: str):
    mirror.portal.faults.add(kind, method=method)
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


def test_a_new_event_that_one_answer_leaves_out_is_in_the_mirror_after_that_run(mirror: Mirror):
    mirror.sync()
    event_id = mirror.portal.create_event(mirror.portal.admin_id, MONDAY, MONDAY + timedelta(hours=1), name="New")
    other = mirror.portal.create_event(mirror.portal.admin_id, MONDAY, MONDAY + timedelta(hours=2), name="Other")
    mirror.portal.faults.add("lost_instances", method=EVENTS, event_id=event_id, leave=0)
    assert statuses(mirror.sync()) == OK
    assert {event_id, other} <= mirror.ids("calendar_events")
    assert mirror.differences() == []


def test_a_calendar_without_news_is_asked_once(mirror: Mirror):
    """Also where it holds a record that cannot be read: it is known."""
    mirror.portal.faults.add("junk_field", times=10**6, method=EVENTS, field="DATE_FROM_FORMATTED", value="someday")
    mirror.sync()
    mirror.sync()
    mirror.portal.requests.reset()
    with counted_writes() as writes:
        assert statuses(mirror.sync()) == OK
    assert mirror.portal.requests.http == 1
    assert mirror.portal.requests.calls[SECTIONS] == 2, "the user's and the company's"
    assert not {name for name in writes if name.startswith(("calendar_", "event_"))}


def test_a_change_costs_a_second_question_for_its_own_calendar_only(mirror: Mirror):
    mirror.sync()
    series(mirror)
    mirror.portal.requests.reset()
    assert statuses(mirror.sync()) == OK
    assert mirror.portal.requests.calls[SECTIONS] == 3
    assert mirror.portal.requests.http == 2


@pytest.mark.first_world  # they disagree about instances
def test_three_answers_that_disagree_make_the_run_incomplete(mirror: Mirror):
    """Nothing of that calendar is written; the next run makes it right."""
    mirror.sync()
    event_id = series(mirror)
    # The first of three slices is spoiled each time; beside the first answer the company's three go by.
    for passing, leave in ((0, 3), (5, 4), (7, 5)):
        mirror.portal.faults.add("lost_instances", method=EVENTS, after=passing, event_id=event_id, leave=leave)
    report = mirror.sync()["calendar"]
    assert report.status == "incomplete"
    assert "say different things" in (report.error or "")
    assert event_id not in mirror.ids("calendar_events")

    mirror.portal.faults.clear()
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


@pytest.mark.first_world  # where a series is one row, no answer can lose some of its instances
class TestFewerInstancesThanCanBeTrue:
    """The rule, the exceptions and the beginning are the same: no person can have taken an instance out."""

    @pytest.fixture
    def event_id(self, mirror: Mirror) -> int:
        event_id = series(mirror)
        mirror.sync()
        assert len(starts(mirror, event_id)) == 10
        lose_instances_of(mirror, event_id, answers=10**6)
        return event_id

    def test_the_run_is_incomplete_and_the_instances_stay(self, mirror: Mirror, event_id: int):
        report = mirror.sync()["calendar"]
        assert report.status == "incomplete"
        assert f"event {event_id}" in (report.error or "")
        assert mirror.differences() == []

    def test_it_is_over_with_the_next_true_answer(self, mirror: Mirror, event_id: int):
        mirror.sync()
        mirror.portal.faults.clear()
        assert statuses(mirror.sync()) == OK
        mirror.clock.advance(25 * 3_600)
        mirror.connect(mirror.portal.admin_id)
        lose_instances_of(mirror, event_id, answers=10**6)
        assert statuses(mirror.sync())["calendar"] == "incomplete", "an old doubt is no reason to believe a new one"

    def test_a_portal_that_insists_for_a_day_is_believed(self, mirror: Mirror, event_id: int):
        mirror.sync()
        mirror.clock.advance(23 * 3_600)
        mirror.connect(mirror.portal.admin_id)
        assert statuses(mirror.sync())["calendar"] == "incomplete"
        mirror.clock.advance(2 * 3_600)
        assert statuses(mirror.sync()) == OK
        assert len(starts(mirror, event_id)) < 10

    def test_an_operator_may_believe_it_at_once(self, mirror: Mirror, event_id: int):
        assert statuses(mirror.sync(force=True)) == OK
        assert len(starts(mirror, event_id)) < 10

    def test_a_day_that_a_person_took_out_is_believed_at_once(self, mirror: Mirror, event_id: int):
        mirror.portal.faults.clear()
        mirror.portal.delete_occurrence(event_id, (MONDAY + timedelta(days=2)).date())
        assert statuses(mirror.sync()) == OK
        assert mirror.differences() == []


def test_an_event_without_a_zone_is_when_its_owner_has_it_whoever_reads(stage: Stage):
    """Else two accounts would move it to and fro between their zones."""
    mirror = stage.mirror(tasks=2, events=4, users=4, calendars="mine,company,everyone", user_zone="Europe/Berlin")
    portal = mirror.portal
    owner = next(
        user.user_id for user in portal.world.users.values() if user.zone == "America/New_York" and user.active
    )
    event_id = portal.create_event(owner, MONDAY, MONDAY + timedelta(hours=1), name="Floating", zone="")
    mirror.sync()
    mirror.connect(owner)
    assert statuses(mirror.sync()) == OK
    held = mirror.row("calendar_events", event_id)
    assert held["starts_at"].isoformat() == "2026-11-30T15:00:00+00:00"
    assert held["time_zone"] is None

    with counted_writes() as writes:
        assert statuses(mirror.sync()) == OK
    assert not writes.keys() & {"calendar_events", "calendar_occurrences"}
    assert mirror.differences("calendar_occurrences") == []
