"""What a portal tells by itself: a deletion is known one turn later, and no crash on the way loses or doubles any."""

import contextlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.integration.conftest import SERVED, empty_database
from tests.integration.mirror import ENTITIES, OK, Mirror, Stage, statuses
from tests.integration.statements import counted_writes
from worker.resources.events import CALENDAR_EVENTS, TASK_EVENTS
from worker.storage import portals
from worker.storage.models import Portal as PortalRow
from worker.sync import events as events_pull
from worker.sync.events import EventsPull
from worker.sync.plan import Intervals
from worker.sync.portal import PortalSync, Wish
from worker.sync.report import Mode, Report

RARELY = Intervals(sync=timedelta(minutes=5), reconcile=timedelta(days=90), full=timedelta(days=90))
"""So that no sweep finds what the events are to tell."""
DAY = 86_400


def fresh(stage: Stage, **spec: object) -> Mirror:
    values = {"tasks": 60, "events": 30, "users": 5, "offline_events": True, "intervals": RARELY}
    mirror = stage.mirror(**(values | spec))
    for task in mirror.portal.world.tasks.values():
        task.parent_id = 0  # the children of a deleted task move silently, and no event tells it
    return mirror


@pytest.fixture
def mirror(stage: Stage) -> Mirror:
    """Read once, events bound, an hour ago."""
    mirror = fresh(stage)
    assert statuses(mirror.sync()) == OK
    mirror.clock.advance(600)
    mirror.portal.requests.reset()
    return mirror


def bindings(mirror: Mirror) -> list[str]:
    return sorted(bound.event for bound in mirror.portal.queue.bindings)


def asked(mirror: Mirror) -> int:
    """Calls about events."""
    return sum(count for name, count in mirror.portal.requests.calls.items() if name.startswith(("event.", "feature.")))


def ids(mirror: Mirror) -> Sequence[int]:
    return mirror.portal.world.task_ids


def turn_of(process: PortalSync, mirror: Mirror) -> dict[str, Report]:
    """A turn of a process that lives on."""
    mirror.clock.advance(60)
    outcome = process.run(mirror.portal_id, Wish(at_once=True))
    assert outcome is not None
    return {report.resource: report for report in outcome.reports}


# What is bound, and when it is asked.


def test_the_first_run_binds_every_event_once(stage: Stage):
    """And the second one, which asks nothing more about it, is one request and writes no entity row."""
    mirror = fresh(stage)
    assert statuses(mirror.sync()) == OK
    assert bindings(mirror) == sorted(TASK_EVENTS + CALENDAR_EVENTS)
    assert mirror.standing().events_mode == "confirm"

    mirror.clock.advance(600)
    mirror.portal.requests.reset()
    with counted_writes() as writes:
        reports = mirror.sync()
    assert statuses(reports) == OK
    assert reports["tasks"].mode is Mode.INCREMENTAL
    assert mirror.portal.requests.http == 1
    assert mirror.portal.requests.calls["event.offline.get"] == 1
    assert not {"event.get", "feature.get", "event.bind", "event.offline.clear"} & mirror.portal.requests.calls.keys()
    assert not writes.keys() & set(ENTITIES)


def test_a_changed_task_that_the_listing_brings_is_not_asked_for_again(mirror: Mirror):
    """One batch reads queue and changes, one confirms."""
    mirror.clock.advance(600)
    for task_id in mirror.portal.world.task_ids[:5]:
        mirror.portal.update_task(task_id, title="Changed")
    mirror.portal.requests.reset()
    assert statuses(mirror.sync()) == OK
    assert mirror.portal.requests.http == 2
    assert mirror.portal.requests.calls["tasks.task.get"] == 0
    assert mirror.portal.queue.rows == []
    assert mirror.differences("tasks") == []


def test_after_a_batch_that_was_sent_anew_every_task_of_the_queue_is_asked_for(mirror: Mirror):
    """Its listing may be older than its queue."""
    mirror.clock.advance(600)
    mirror.portal.update_task(mirror.portal.world.task_ids[0], title="Changed")
    mirror.portal.faults.add("sub_error", method="event.offline.get", code="expired_token")
    mirror.portal.requests.reset()
    assert statuses(mirror.sync()) == OK
    assert mirror.portal.requests.calls["tasks.task.get"] == 1
    assert mirror.differences("tasks") == []


def test_a_day_without_news_costs_no_request_more(mirror: Mirror):
    """What is bound is asked for in the batch that is sent anyway."""
    mirror.clock.advance(DAY)
    mirror.connect(mirror.portal.admin_id)
    mirror.sync()
    mirror.clock.advance(DAY)
    mirror.sync()
    mirror.portal.requests.reset()
    mirror.clock.advance(1_800)
    mirror.sync()
    assert mirror.portal.requests.http == 1


def test_bindings_that_vanished_are_bound_again_within_a_day(mirror: Mirror):
    """An update of the application removes them (event-bind.md)."""
    mirror.portal.queue.forget()
    mirror.sync()
    assert bindings(mirror) == []
    mirror.clock.advance(DAY)
    mirror.sync()
    assert bindings(mirror) == sorted(TASK_EVENTS + CALENDAR_EVENTS)


def test_a_new_connection_binds_at_once(mirror: Mirror):
    """Whoever installs the application again authorizes again."""
    mirror.portal.queue.forget()
    mirror.connect(mirror.portal.admin_id)
    mirror.sync()
    assert bindings(mirror) == sorted(TASK_EVENTS + CALENDAR_EVENTS)
    assert mirror.portal.requests.calls["event.get"] == 1


def test_only_what_is_missing_is_bound(mirror: Mirror):
    """Binding twice is an error."""
    del mirror.portal.queue.bindings[2]
    mirror.clock.advance(DAY)
    mirror.sync()
    assert mirror.portal.requests.calls["event.bind"] == 1
    assert bindings(mirror) == sorted(TASK_EVENTS + CALENDAR_EVENTS)


def test_without_the_calendars_scope_the_tasks_events_are_bound(stage: Stage):
    """Others would be ERROR_EVENT_NOT_FOUND."""
    mirror = fresh(stage, scope="task,user")
    mirror.sync()
    assert bindings(mirror) == sorted(TASK_EVENTS)


# Who gets none.


@pytest.mark.parametrize("who", ["colleague", "webhook"])
def test_who_may_not_have_events_polls_and_asks_nothing(stage: Stage, who: str):
    """No failure, noted once."""
    portal = stage.portal(tasks=30, events=10, users=5, offline_events=True)
    mirror = stage.mirror(portal, accounts=[sorted(portal.world.users)[1]], intervals=RARELY)
    if who == "webhook":
        with mirror.database.write() as session:
            portals.remove_portal(session, mirror.portal_id)
        mirror.portal_id = mirror.wiring.connector.with_webhook(portal.webhook_url(portal.admin_id)).portal_id
    at_connect = asked(mirror)
    for _ in range(3):
        assert statuses(mirror.sync()) == OK
        mirror.clock.advance(1_000)
    assert asked(mirror) == at_connect
    assert mirror.standing().events_mode == "polling"
    noted = mirror.standing().events_checked_at
    mirror.sync()
    assert mirror.standing().events_checked_at == noted


def test_a_portal_without_events_is_not_asked_for_them(stage: Stage):
    """The probe has found that there are none; when it finds some, they are bound in the same turn."""
    mirror = fresh(stage, offline_events=False)
    for _ in range(3):
        assert statuses(mirror.sync()) == OK
    assert mirror.portal.requests.calls["event.get"] == 0
    assert mirror.standing().events_mode == "polling"
    object.__setattr__(mirror.portal.spec, "offline_events", True)
    mirror.clock.advance(7 * DAY)
    mirror.sync()
    assert mirror.standing().events_mode == "confirm"


def test_an_administrator_who_is_none_any_more_polls(mirror: Mirror):
    """The queue says ACCESS_DENIED; rights that come back are noticed within a day."""
    mirror.portal.set_admin(mirror.portal.admin_id, False)
    assert statuses(mirror.sync())["planner"] == "ok"
    assert mirror.standing().events_mode == "polling"
    mirror.portal.requests.reset()
    mirror.sync()
    assert asked(mirror) == 0
    mirror.portal.set_admin(mirror.portal.admin_id, True)
    mirror.clock.advance(DAY)
    mirror.connect(mirror.portal.admin_id)
    mirror.sync()
    assert mirror.standing().events_mode == "confirm"


def test_what_was_queued_while_the_account_had_no_rights_is_read_one_turn_after_they_are_back(mirror: Mirror):
    """A task is deleted meanwhile: the first turn finds the events in force again, and the next one reads the queue."""
    mirror.portal.set_admin(mirror.portal.admin_id, False)
    mirror.connect(mirror.portal.admin_id)
    mirror.sync()
    gone = ids(mirror)[0]
    mirror.portal.delete_task(gone)
    assert mirror.portal.queue.rows
    mirror.portal.set_admin(mirror.portal.admin_id, True)
    mirror.connect(mirror.portal.admin_id)

    assert statuses(mirror.sync()) == OK
    assert gone in mirror.ids("tasks")
    assert mirror.standing().events_mode == "confirm"
    assert mirror.sync()["tasks"].deleted == 1
    assert gone not in mirror.ids("tasks")
    assert mirror.portal.queue.rows == []


# What events tell.


def test_a_deleted_task_is_gone_one_turn_later_without_a_sweep(mirror: Mirror):
    """The portal said so: no share is asked for, though it is half of all tasks."""
    gone = list(ids(mirror)[::2])
    for task_id in gone:
        mirror.portal.delete_task(task_id)
    report = mirror.sync()["tasks"]
    assert (str(report.status), report.mode, report.deleted) == ("ok", Mode.EVENTS, len(gone))
    assert not set(gone) & mirror.ids("tasks")
    assert mirror.portal.queue.rows == []
    assert mirror.standing().events_process_id is None
    assert mirror.sync()["tasks"].mode is Mode.INCREMENTAL


def test_the_guard_does_not_wonder_about_tasks_that_the_portal_called_deleted(mirror: Mirror):
    """In a turn that sweeps too."""
    gone = list(ids(mirror)[::2])
    for task_id in gone:
        mirror.portal.delete_task(task_id)
    for mode in (Mode.RECONCILE, Mode.FULL):
        report = mirror.sync(mode)["tasks"]
        assert (str(report.status), report.mode) == ("ok", mode)
    assert not set(gone) & mirror.ids("tasks")


def test_restored_and_silently_changed_tasks_wait_for_the_sweep_and_the_full_reading(mirror: Mirror):
    """Neither fires an event, nor moves a date: this is what those two are for."""
    restored, silent = ids(mirror)[3], ids(mirror)[7]
    mirror.portal.delete_task(restored)
    mirror.sync()
    mirror.portal.restore_task(restored)
    mirror.portal.silent_change_task(silent, title="Nobody saw it")
    mirror.clock.advance(3_600)
    mirror.connect(mirror.portal.admin_id)
    assert mirror.sync()["tasks"].changes == 0
    assert restored not in mirror.ids("tasks")
    assert mirror.sync(Mode.RECONCILE)["tasks"].revived == 1
    mirror.sync(Mode.FULL)
    assert mirror.differences() == []


def test_a_task_deleted_and_restored_before_the_turn_stays(mirror: Mirror):
    """The order of what happened does not matter: the task is read again."""
    task_id = ids(mirror)[3]
    mirror.portal.delete_task(task_id)
    mirror.portal.restore_task(task_id)
    report = mirror.sync()["tasks"]
    assert (report.mode, report.deleted) == (Mode.EVENTS, 0)
    assert mirror.differences("tasks") == []


def test_added_updated_and_deleted_in_one_turn_only_what_the_listing_lacks_is_asked_for(mirror: Mirror):
    """Once: duplicates collapse."""
    created, changed = mirror.portal.create_task(title="A"), ids(mirror)[0]
    for title in "xyz":
        mirror.portal.update_task(created, title=title)
        mirror.portal.update_task(changed, title=title)
    passing = mirror.portal.create_task(title="B")
    mirror.portal.delete_task(passing)
    report = mirror.sync()["tasks"]
    assert mirror.portal.requests.calls["tasks.task.get"] == 1
    assert (report.inserted, report.updated, report.deleted) == (1, 1, 0)
    assert mirror.differences("tasks") == []


def test_a_task_that_the_account_cannot_see_proves_nothing(mirror: Mirror):
    """Events are not filtered by rights; only a deletion that was told is believed."""
    hidden = ids(mirror)[4]
    mirror.portal.queue.happened(
        "ONTASKUPDATE", {"FIELDS_BEFORE": {"ID": hidden}, "FIELDS_AFTER": {"ID": hidden}}, 1, mirror.now
    )
    mirror.portal.queue.happened("ONTASKUPDATE", {"FIELDS_AFTER": {"ID": 999_999}}, 1, mirror.now)
    task = mirror.portal.world.tasks.pop(hidden)
    mirror.portal.world.task_ids.remove(hidden)
    report = mirror.sync()["tasks"]
    assert (str(report.status), report.deleted) == ("ok", 0)
    assert hidden in mirror.ids("tasks")
    assert mirror.portal.queue.rows == []
    mirror.portal.world.put_task(task)
    assert mirror.differences("tasks") == []


def test_odd_rows_are_ignored_and_cleared(mirror: Mirror):
    """EVENT_DATA may be false (event-offline-get.md, the sample)."""
    for number, data in enumerate(
        (False, [], "undefined", {"FIELDS_AFTER": "undefined"}, {"FIELDS_AFTER": {"ID": "x"}})
    ):
        mirror.portal.queue.happened("ONTASKUPDATE", {"n": number}, 1, mirror.now)
        mirror.portal.queue.rows[-1].data = data  # type: ignore[assignment]
    mirror.portal.queue.rows[-1].event = "ONSOMETHINGELSE"
    assert statuses(mirror.sync()) == OK
    assert mirror.portal.queue.rows == []
    assert mirror.differences() == []


def test_a_deleted_meeting_takes_its_copies_instances_and_attendees_along(stage: Stage):
    """Its copies vanish without an event of their own."""
    mirror = fresh(stage, calendars="mine,company,everyone")
    mirror.sync()
    world = mirror.portal.world
    parents = {row.parent_id for row in world.events.values() if row.parent_id != row.event_id}
    held = mirror.ids("calendar_events")
    parent = min(parents & held)
    family = {row.event_id for row in world.events.values() if row.parent_id == parent} | {parent}
    assert len(family & held) > 1
    mirror.portal.delete_event(parent)
    for method in ("calendar.event.get", "calendar.section.get"):  # so that the windows say nothing
        mirror.portal.faults.add("sub_error", times=500, method=method)
    report = mirror.sync()["calendar"]
    mirror.portal.faults.clear()
    assert report.deleted == len(family & held)
    assert not family & mirror.ids("calendar_events")
    for table in ("calendar_occurrences", "event_attendees"):
        assert not family & {row["event_id"] for row in mirror.rows(table)}
    assert mirror.portal.queue.rows == []
    mirror.sync()
    assert mirror.differences() == []


# Much of it, and trouble on the way.


def test_six_hundred_events_are_worked_off_in_one_turn(stage: Stage):
    """In two packages, 50 tasks a request."""
    mirror = fresh(stage, tasks=620, events=5, limits=False)
    mirror.sync()
    mirror.portal.requests.reset()
    for task_id in ids(mirror)[:600]:
        mirror.portal.update_task(task_id, title="Again")
    gone = list(ids(mirror)[610:615])
    for task_id in gone:
        mirror.portal.delete_task(task_id)
    report = mirror.sync()["tasks"]
    assert (str(report.status), report.mode, report.deleted) == ("ok", Mode.EVENTS, 5)
    assert mirror.portal.queue.rows == []
    assert mirror.portal.requests.calls["event.offline.get"] == 3, "until it is empty: a portal may cap the limit"
    assert mirror.portal.requests.calls["event.offline.clear"] == 2
    assert mirror.portal.requests.http <= 20
    assert mirror.differences("tasks") == []


def test_an_endless_queue_does_not_hold_the_turn(mirror: Mirror, monkeypatch: pytest.MonkeyPatch):
    """What is left waits for the next one."""
    monkeypatch.setattr(events_pull, "PACKAGES", 3)
    again = EventsPull._cleared

    def busy(self: EventsPull, outcome: object) -> None:
        for number in range(60):
            mirror.portal.queue.happened(
                "ONTASKUPDATE", {"FIELDS_AFTER": {"ID": ids(mirror)[number % 9]}, "n": number}, 1, mirror.now
            )
        again(self, outcome)  # type: ignore[arg-type]

    monkeypatch.setattr(EventsPull, "_cleared", busy)
    for number in range(60):
        mirror.portal.queue.happened(
            "ONTASKUPDATE", {"FIELDS_AFTER": {"ID": ids(mirror)[0]}, "n": number}, 1, mirror.now
        )
    assert statuses(mirror.sync()) == OK
    assert mirror.portal.requests.calls["event.offline.get"] == 3


def test_without_the_plan_events_are_hints(stage: Stage):
    """Rows are gone once they are handed out."""
    mirror = fresh(stage, offline_extended=False)
    mirror.sync()
    assert mirror.standing().events_mode == "hints"
    task_id = ids(mirror)[2]
    mirror.portal.delete_task(task_id)
    report = mirror.sync()["tasks"]
    assert (report.mode, report.deleted) == (Mode.EVENTS, 1)
    assert mirror.portal.requests.calls["event.offline.clear"] == 0
    assert mirror.portal.queue.rows == []


def test_a_plan_that_ends_leaves_hints(mirror: Mirror):
    """WRONG_LICENSE is no failure."""
    object.__setattr__(mirror.portal.spec, "offline_extended", False)
    mirror.portal.delete_task(ids(mirror)[2])
    assert statuses(mirror.sync()) == OK
    assert mirror.standing().events_mode == "hints"
    assert mirror.sync()["tasks"].deleted == 1
    mirror.clock.advance(DAY)
    mirror.connect(mirror.portal.admin_id)
    mirror.sync()
    assert mirror.standing().events_mode == "hints"


def test_a_plan_that_begins_is_found_by_the_next_probe(stage: Stage):
    """And believed at once."""
    mirror = fresh(stage, offline_extended=False)
    mirror.sync()
    object.__setattr__(mirror.portal.spec, "offline_extended", True)
    mirror.connect(mirror.portal.admin_id)
    mirror.portal.delete_task(ids(mirror)[2])
    assert mirror.sync()["tasks"].deleted == 1
    assert mirror.standing().events_mode == "confirm"
    assert mirror.portal.requests.calls["event.offline.clear"] == 1


class Killed(BaseException):
    """As by kill -9: nothing catches it."""


@pytest.mark.parametrize("where", ["_begin", "_store", "_write", "_cleared"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_dies_anywhere_loses_nothing_and_doubles_nothing(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, where: str, when: str
):
    """After the answer, after the process is stored, after the rows are written, before and after it is cleared."""
    gone, changed = ids(mirror)[2], ids(mirror)[9]
    mirror.portal.delete_task(gone)
    mirror.portal.silent_change_task(changed, title="Only the event tells it")
    mirror.portal.queue.happened("ONTASKUPDATE", {"FIELDS_AFTER": {"ID": changed}}, 1, mirror.now)
    step = getattr(EventsPull, where)

    def dies(self: EventsPull, *arguments: object) -> None:
        if when == "after":
            step(self, *arguments)
        raise Killed

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(EventsPull, where, dies)
        mirror.sync()
        raise AssertionError("it was to die")
    mirror.clock.advance(120)  # its lease runs out
    mirror.sync()
    assert mirror.differences("tasks") == []
    assert mirror.row("tasks", gone)["deleted_at"] is not None
    assert mirror.portal.queue.rows == []
    assert mirror.standing().events_process_id is None
    assert mirror.sync()["tasks"].mode is Mode.INCREMENTAL


@pytest.mark.parametrize("fault", ["reset", "html", "cut"])
def test_an_answer_that_is_lost_on_the_way_is_asked_for_again(mirror: Mirror, fault: str):
    """The portal may have marked rows for it: the same process looks for them in its next turn."""
    process = mirror.engine()
    turn_of(process, mirror)
    task_id = ids(mirror)[5]
    mirror.portal.delete_task(task_id)
    mirror.portal.queue.rows[0].process_id = "marked for an answer that nobody got"
    mirror.portal.faults.add(fault)
    assert turn_of(process, mirror)["tasks"].deleted == 0
    assert turn_of(process, mirror)["tasks"].deleted == 1
    assert mirror.portal.queue.rows == []


def test_marked_rows_that_nobody_knows_of_are_looked_for_once_a_day(mirror: Mirror):
    """In the first turn of a process, and then no more."""
    process = mirror.engine()
    for _ in range(3):
        turn_of(process, mirror)
    assert mirror.portal.requests.calls["event.offline.list"] == 1
    mirror.clock.advance(DAY)
    mirror.connect(mirror.portal.admin_id)
    for _ in range(3):
        turn_of(process, mirror)
    assert mirror.portal.requests.calls["event.offline.list"] == 2


def test_a_token_that_expires_in_the_middle_costs_one_refresh(mirror: Mirror):
    """Between the answer of the queue and the tasks that it names."""
    mirror.portal.delete_task(ids(mirror)[2])
    mirror.portal.faults.add("expired_token", after=1)
    reports = mirror.sync()
    assert statuses(reports) == OK
    assert (reports["tasks"].deleted, reports["tasks"].refreshes) == (1, 1)
    assert mirror.portal.queue.rows == []


def test_a_task_that_cannot_be_asked_for_keeps_its_event(mirror: Mirror):
    """The run says that it is not whole; the next one asks again under the same process."""
    mirror.portal.delete_task(ids(mirror)[2])
    mirror.portal.faults.add("sub_error", method="tasks.task.get", times=9)
    assert statuses(mirror.sync())["tasks"] == "incomplete"
    assert mirror.standing().events_process_id == mirror.portal.queue.rows[0].process_id
    mirror.portal.faults.clear()
    reports = mirror.sync()
    assert (statuses(reports), reports["tasks"].deleted) == (OK, 1)


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("event.offline.get", "INTERNAL_SERVER_ERROR"),
        ("event.offline.get", "insufficient_scope"),
        ("event.offline.clear", "INTERNAL_SERVER_ERROR"),
        ("event.offline.clear", "ACCESS_DENIED"),
        ("event.offline.list", "insufficient_scope"),
    ],
)
def test_a_queue_that_fails_is_no_failure_of_the_run(mirror: Mirror, method: str, code: str):
    """What it would have told comes later, by it or by the sweep."""
    mirror.portal.delete_task(ids(mirror)[2])
    mirror.portal.faults.add("sub_error", method=method, code=code)
    assert statuses(mirror.sync()) == OK
    mirror.portal.faults.clear()
    mirror.clock.advance(DAY)
    mirror.connect(mirror.portal.admin_id)
    for _ in range(2):
        assert statuses(mirror.sync()) == OK
    assert mirror.differences("tasks") == []
    assert mirror.portal.queue.rows == []


def test_a_stop_in_the_middle_goes_on_with_the_same_process(stage: Stage):
    """What was read stays written."""
    mirror = fresh(stage, tasks=150, limits=False)
    mirror.sync()
    for task_id in list(ids(mirror)[:120]):
        mirror.portal.delete_task(task_id)
    assert statuses(mirror.sync(stop_after=2))["tasks"] == "incomplete"
    assert mirror.standing().events_process_id is not None
    mirror.sync()
    assert mirror.portal.queue.rows == []
    assert mirror.differences("tasks") == []


def test_a_mode_of_another_program_is_asked_again(mirror: Mirror):
    """A downgrade must not stop the turns."""
    with mirror.database.write() as session:
        session.execute(
            update(PortalRow)
            .where(PortalRow.id == mirror.portal_id)
            .values(events_mode="later", events_checked_at=None)
        )
    assert statuses(mirror.sync()) == OK
    assert mirror.standing().events_mode == "confirm"


@pytest.mark.parametrize("method", ["event.get", "feature.get", "event.bind"])
@pytest.mark.parametrize("code", ["INTERNAL_SERVER_ERROR", "ERROR_CORE", "ACCESS_DENIED", "ERROR_EVENT_NOT_FOUND"])
def test_a_first_run_succeeds_whatever_the_portal_says_of_events(stage: Stage, method: str, code: str):
    """And a day later at the latest all are bound."""
    mirror = fresh(stage, tasks=10, events=5, users=3)
    mirror.portal.faults.add("sub_error", method=method, code=code, times=4)
    assert statuses(mirror.sync()) == OK
    mirror.portal.faults.clear()
    mirror.clock.advance(DAY)
    mirror.connect(mirror.portal.admin_id)
    assert statuses(mirror.sync()) == OK
    assert bindings(mirror) == sorted(TASK_EVENTS + CALENDAR_EVENTS)
    assert mirror.standing().events_mode == "confirm"


@pytest.mark.parametrize("dialect", SERVED)
def test_events_work_on_the_other_databases(stage: Stage, dialect: str, tmp_path: Path):
    """What is kept of them is three columns."""
    with empty_database(dialect, tmp_path) as url:
        mirror = fresh(stage, url=url, tasks=20, events=5)
        try:
            mirror.sync()
            mirror.portal.delete_task(ids(mirror)[3])
            reports = mirror.sync()
            assert (statuses(reports), reports["tasks"].deleted, reports["tasks"].mode) == (OK, 1, Mode.EVENTS)
            assert mirror.standing().events_process_id is None
            assert mirror.differences() == []
        finally:
            mirror.close()
