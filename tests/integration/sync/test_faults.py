"""Whatever a portal answers: never fewer rows without saying so, nothing deleted, and the next healthy run is right."""

from collections.abc import Iterator

import pytest

from tests.integration.mirror import OK, Mirror, Stage, shown_once, statuses
from worker.emulator import Portal
from worker.sync.report import Mode

LISTS = {
    "tasks": "tasks.task.list",
    "users": "user.get",
}
CALENDAR = {"sections": "calendar.section.get", "events": "calendar.event.get"}
if not shown_once():  # else a series tells by itself where it begins
    CALENDAR["series"] = "calendar.event.getbyid"
METHODS = {**LISTS, **CALENDAR, "planner": "task.planner.getlist"}
RESOURCE = {"tasks": "tasks", "users": "users", "planner": "planner"}
WHOLE_REQUEST = ["html", "empty", "cut", "broken_json", "wrong_shape", "rate_limit", "internal_error"]


@pytest.fixture(scope="module")
def portal(stage: Stage) -> Portal:
    """Several pages of tasks and of users."""
    return stage.portal(tasks=130, events=24, users=55)


@pytest.fixture
def mirror(stage: Stage, portal: Portal) -> Iterator[Mirror]:
    """An empty mirror of the one portal of this file."""
    mirror = stage.mirror(portal)
    yield mirror
    portal.faults.clear()


def deleted_rows(mirror: Mirror) -> list[dict]:
    tables = ("tasks", "users", "calendar_sections", "calendar_events")
    return [row for table in tables for row in mirror.rows(table, deleted=True) if row["deleted_at"]]


def lost(mirror: Mirror) -> list[str]:
    return [text for text in mirror.differences() if text.endswith(": lost")]


def then_healthy(mirror: Mirror, *, full: bool = False) -> None:
    """Nothing was deleted, and a run without trouble makes the mirror right."""
    assert deleted_rows(mirror) == []
    mirror.portal.faults.clear()
    mirror.portal.operating = type(mirror.portal.operating)(480.0)
    mirror.clock.advance(900)
    mirror.connect(mirror.portal.admin_id)
    assert statuses(mirror.sync(Mode.FULL if full else None)) == OK
    assert mirror.differences() == []


@pytest.mark.parametrize("times", [1, 8])
@pytest.mark.parametrize("part", METHODS)
@pytest.mark.parametrize("kind", ["sub_error", "sub_missing"])
def test_a_call_that_fails_inside_a_batch_is_made_good_or_told(mirror: Mirror, kind: str, part: str, times: int):
    """Once: a listing asks again; in three batches in a row: the run says that it is not whole."""
    mirror.portal.faults.add(kind, method=METHODS[part], times=times)
    reports = mirror.sync()
    name = RESOURCE.get(part, "calendar")
    resumed = part in LISTS and times == 1
    assert (statuses(reports)[name] == "ok") is resumed
    if name in LISTS:
        assert (mirror.cursor(name).cursor_at is not None) is resumed
    if statuses(reports) == OK:
        assert mirror.differences() == []
    others = statuses(reports)
    del others[name]
    assert set(others.values()) == {"ok"}, "one resource's trouble is not another's"
    then_healthy(mirror)


@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("part", LISTS)
@pytest.mark.parametrize("kind", ["page_repeat", "page_fall", "lost_rows", "doubled_rows"])
def test_a_first_listing_with_wrong_pages_is_never_believed(mirror: Mirror, kind: str, part: str, after: int):
    """IDs that fall or repeat, and a count that disagrees: not whole, no cursor, and the next run begins afresh."""
    mirror.portal.faults.add(kind, method=LISTS[part], after=after)
    reports = mirror.sync()
    if statuses(reports)[part] == "ok":  # the probe's own page, whose order nobody needs
        assert not lost(mirror)
    else:
        assert statuses(reports)[part] == "incomplete"
        assert mirror.cursor(part).cursor_at is None
    then_healthy(mirror)


@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("kind", ["page_repeat", "page_fall", "lost_rows", "doubled_rows"])
def test_an_incremental_listing_with_wrong_pages_is_never_believed(mirror: Mirror, kind: str, after: int):
    """A row that a page lost would else stay unread until somebody changes it again."""
    mirror.sync()
    mirror.clock.advance(3_600)
    for task_id in mirror.portal.world.task_ids[:120]:
        mirror.portal.update_task(task_id, priority=(mirror.portal.world.tasks[task_id].priority + 1) % 3)
    before = mirror.cursor("tasks").cursor_at
    mirror.portal.faults.add(kind, method="tasks.task.list", after=after)
    reports = mirror.sync()
    if statuses(reports)["tasks"] == "ok":
        assert mirror.differences() == []
    else:
        assert mirror.cursor("tasks").cursor_at == before
    then_healthy(mirror)


@pytest.mark.parametrize("kind", ["page_repeat", "page_fall", "lost_rows", "doubled_rows"])
def test_a_sweep_with_wrong_pages_deletes_nothing(mirror: Mirror, kind: str):
    """What a page lost is not gone."""
    mirror.sync()
    mirror.clock.advance(3_600)
    mirror.portal.faults.add(kind, method="tasks.task.list", after=1, times=4)
    reports = mirror.sync(Mode.RECONCILE)
    assert reports["tasks"].deleted == 0
    then_healthy(mirror)


@pytest.mark.parametrize("kind", ["page_fall", "lost_rows", "doubled_rows", "page_repeat"])
@pytest.mark.parametrize("part", ["sections", "events"])
def test_a_calendar_with_wrong_rows_deletes_nothing(mirror: Mirror, kind: str, part: str):
    """It has no count, but what the mirror knows contradicts such an answer: it is asked for once more."""
    mirror.sync()
    mirror.portal.faults.add(kind, method=CALENDAR[part])
    assert statuses(mirror.sync()) == OK
    assert deleted_rows(mirror) == []
    assert mirror.differences() == []
    mirror.portal.faults.clear()
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("kind", WHOLE_REQUEST)
def test_an_answer_that_is_none_is_asked_for_again_or_told(mirror: Mirror, kind: str, times: int):
    """One gateway page costs a pause; a portal that stays away ends the run as failed."""
    mirror.portal.faults.add(kind, times=times if kind != "rate_limit" else times * 2, after=1)
    reports = mirror.sync()
    if times == 1:
        assert statuses(reports) == OK
        assert sum(report.retries for report in reports.values()) >= 1
        assert mirror.differences() == []
    else:
        assert statuses(reports)["tasks"] == "failed"
        assert mirror.cursor("tasks").cursor_at is None
        assert reports["tasks"].error
    then_healthy(mirror)


@pytest.mark.parametrize("part", METHODS)
def test_a_method_whose_operating_time_is_used_up_waits_and_the_others_go_on(mirror: Mirror, part: str):
    """The run is not whole, the resource is due when the method opens again, and nobody is asked before."""
    mirror.portal.faults.add("operation_time_limit", method=METHODS[part], times=50, seconds=900)
    reports = mirror.sync()
    name = RESOURCE.get(part, "calendar")
    assert statuses(reports)[name] in {"incomplete", "failed"}
    assert {status for other, status in statuses(reports).items() if other != name} == {"ok"}
    due = mirror.cursor(name).next_run_at
    assert due is not None
    assert due - mirror.clock.now() >= mirror._intervals.sync

    mirror.portal.requests.reset()
    mirror.sync(resources=[name])
    assert mirror.portal.requests.calls[METHODS[part]] == 0, "a closed method is not asked"
    then_healthy(mirror)


@pytest.mark.parametrize("kind", ["expired_token", "invalid_token"])
def test_a_token_rejected_on_the_way_costs_one_refresh(mirror: Mirror, kind: str):
    """In the middle of a listing too; a second rejection ends the run."""
    mirror.portal.faults.add(kind, after=1)
    reports = mirror.sync()
    assert statuses(reports) == OK
    assert sum(report.refreshes for report in reports.values()) == 1
    assert mirror.differences() == []

    mirror.portal.faults.add(kind, times=2)
    reports = mirror.sync()
    assert set(statuses(reports).values()) == {"failed"}
    then_healthy(mirror)


def test_a_lost_scope_fails_its_resources_and_lets_no_other_delete(stage: Stage):
    """It will not pass by itself: failed, not incomplete; and where rights were lost nothing is deleted."""
    mirror = stage.mirror(tasks=20, events=10)
    mirror.sync()
    mirror.portal.scope = "calendar,user"
    mirror.connect(mirror.portal.admin_id)
    reports = mirror.sync(Mode.RECONCILE)
    assert statuses(reports) == {"users": "guarded", "tasks": "failed", "planner": "failed", "calendar": "guarded"}
    assert deleted_rows(mirror) == []
    assert len(mirror.rows("tasks")) == 20


def test_a_portal_that_was_deleted_is_left_alone_for_a_day(mirror: Mirror):
    """Nobody but a person can mend it."""
    mirror.sync()
    mirror.portal.faults.add("portal_deleted", times=5)
    reports = mirror.sync()
    assert set(statuses(reports).values()) == {"failed"}
    due = mirror.cursor("tasks").next_run_at
    assert due is not None
    assert (due - mirror.clock.now()).total_seconds() == 86_400
    then_healthy(mirror)


def test_a_portal_that_sends_us_away_is_a_failure_and_no_crash(mirror: Mirror):
    """A redirect that leads nowhere."""
    mirror.portal.faults.add("redirect", times=3, location="https://example.com/")
    reports = mirror.sync()
    assert set(statuses(reports).values()) == {"failed"}
    then_healthy(mirror)
