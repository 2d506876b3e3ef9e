"""A comment moves one date of a task and not the other: an ordinary run asks for both, each by itself."""

import msgspec
import pytest

from tests.integration.mirror import ENTITIES, OK, Mirror, Stage, statuses
from tests.integration.statements import counted_writes
from worker.storage.cursors import update_cursor
from worker.sync import engine
from worker.sync.plan import Bookmark
from worker.sync.report import Mode

TASKS = 300


@pytest.fixture
def mirror(stage: Stage) -> Mirror:
    """A portal that was read once; an hour later."""
    mirror = stage.mirror(tasks=TASKS, events=4, users=5, calendars="mine")
    assert statuses(mirror.sync()) == OK
    mirror.clock.advance(3_600)
    mirror.portal.requests.reset()
    return mirror


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BATCH_CALLS", 3)


def life(mirror: Mirror) -> None:
    """150 tasks change, 150 are commented on, 50 of them both."""
    ids = mirror.portal.world.task_ids
    for task_id in ids[:150]:
        mirror.portal.update_task(task_id, priority=2)
    mirror.clock.advance(60)
    for task_id in ids[100:250]:
        mirror.portal.comment_task(task_id)


def silent(mirror: Mirror) -> None:
    """Hours pass in which nothing happens; the first run after them still reads what the cursor's overlap holds."""
    mirror.clock.advance(3_600)
    assert statuses(mirror.sync()) == OK
    mirror.clock.advance(3_600)
    with counted_writes() as writes:
        reports = mirror.sync()
    assert statuses(reports) == OK
    assert reports["tasks"].fetched == 0
    assert not writes.keys() & set(ENTITIES)
    assert mirror.differences("tasks") == []


def test_a_quiet_cycle_is_one_request_and_two_passes(mirror: Mirror):
    """The first pages of both are in the batch that everything else is in."""
    assert statuses(mirror.sync()) == OK
    assert mirror.portal.requests.http == 1
    assert mirror.portal.requests.calls["tasks.task.list"] == 4  # each: the count, and the page that proves it
    assert mirror.portal.requests.calls["user.get"] == 2


@pytest.mark.parametrize("mode", [None, Mode.RECONCILE])
def test_a_comment_is_found_by_the_next_run(mirror: Mirror, mode: Mode | None):
    """Of that task nothing but the date of activity changes; a run that also sweeps the IDs moves the cursor too."""
    task_id = mirror.portal.world.task_ids[5]
    before = mirror.row("tasks", task_id)
    mirror.portal.comment_task(task_id)

    reports = mirror.sync(mode)
    assert statuses(reports) == OK
    assert (reports["tasks"].fetched - (TASKS if mode else 0), reports["tasks"].updated) == (1, 1)
    after = mirror.row("tasks", task_id)
    own = {"activity_at", "content_hash", "updated_at", "raw"}
    assert {name for name in after if after[name] != before[name]} == own
    assert mirror.differences("tasks") == []
    silent(mirror)


def test_a_task_met_by_both_passes_is_read_twice_and_written_once(mirror: Mirror):
    """Any change moves both dates."""
    mirror.portal.update_task(mirror.portal.world.task_ids[7], title="Changed")
    mirror.portal.create_task(title="New")
    with counted_writes() as writes:
        tasks = mirror.sync()["tasks"]
    assert (tasks.fetched, tasks.inserted, tasks.updated, tasks.rejected) == (4, 1, 1, 0)
    assert writes["tasks"] == 2
    assert mirror.portal.requests.http == 1
    silent(mirror)


def test_a_record_that_cannot_be_read_is_rejected_once(mirror: Mirror):
    """Though both passes bring it."""
    bad, task_id = mirror.portal.world.task_ids[7:9]
    mirror.portal.update_task(bad, title="Changed")
    mirror.portal.update_task(task_id, title="Changed")
    mirror.portal.faults.add("junk_field", method="tasks.task.list", times=4, field="status", value="nonsense", at=0)
    tasks = mirror.sync()["tasks"]
    assert tasks.rejected == len(mirror.rejected("tasks")) == 1
    assert tasks.updated == 1


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("batches", range(1, 5))
def test_a_cut_run_goes_on_in_both_passes(mirror: Mirror, batches: int):
    """The cursor waits for the later one; what was read is not read again."""
    life(mirror)
    cursor_at = mirror.cursor("tasks").cursor_at

    cut = mirror.sync(stop_after=batches, resources=["tasks"])["tasks"]
    assert (cut.mode, str(cut.status)) == (Mode.INCREMENTAL, "incomplete")
    assert mirror.cursor("tasks").cursor_at == cursor_at
    bookmark = Bookmark.load(mirror.cursor("tasks").bookmark)

    mirror.clock.advance(600)
    rest = mirror.sync(resources=["tasks"])["tasks"]
    assert str(rest.status) == "ok"
    assert cut.fetched + rest.fetched == 150 + 250  # a change moves the date of activity as well
    assert cut.updated + rest.updated >= 250
    cursor = mirror.cursor("tasks")
    assert cursor.bookmark is None
    if bookmark:
        assert cursor.cursor_at == bookmark.cursor
    assert mirror.differences("tasks") == []


@pytest.mark.usefixtures("small_batches")
def test_changes_and_comments_behind_the_bookmark_are_found_by_the_run_after(mirror: Mirror):
    """The cursor that two stitched runs earn is that of their first page."""
    life(mirror)
    mirror.sync(stop_after=4, resources=["tasks"])
    mirror.clock.advance(3_600)
    mirror.portal.comment_task(mirror.portal.world.task_ids[0])
    mirror.portal.comment_task(mirror.portal.world.task_ids[120])
    mirror.portal.update_task(mirror.portal.world.task_ids[1], title="Changed meanwhile")
    assert statuses(mirror.sync()) == OK
    mirror.clock.advance(3_600)
    assert mirror.sync()["tasks"].updated >= 2
    assert mirror.differences("tasks") == []


def test_a_bookmark_of_a_program_that_knew_no_comments_is_taken_up(mirror: Mirror):
    """Its one pass goes on, the other begins at the start, both with the old lower bound."""
    life(mirror)
    cursor_at = mirror.cursor("tasks").cursor_at
    assert cursor_at is not None
    ids = mirror.portal.world.task_ids
    told = {"mode": "incremental", "since": cursor_at, "last_id": ids[149], "cursor": mirror.now}
    with mirror.database.write() as session:
        update_cursor(session, mirror.portal_id, "tasks", bookmark=msgspec.json.encode(told).decode())

    reports = mirror.sync()
    assert statuses(reports) == OK
    assert (reports["tasks"].fetched, reports["tasks"].updated) == (250, 250)
    assert mirror.differences("tasks") == []


@pytest.mark.parametrize("after", [0, 2], ids=["changes", "comments"])
def test_the_cursor_waits_for_the_pass_that_failed(mirror: Mirror, after: int):
    """The other one is read to its end and kept, and the next run finds the rest."""
    life(mirror)
    cursor_at = mirror.cursor("tasks").cursor_at
    mirror.portal.faults.add("sub_error", method="tasks.task.list", after=after, times=1, code="ACCESS_DENIED")

    reports = mirror.sync()
    assert str(reports["tasks"].status) == "failed"
    assert reports["tasks"].updated >= 150
    assert mirror.cursor("tasks").cursor_at == cursor_at
    assert statuses(mirror.sync()) == OK
    assert mirror.cursor("tasks").cursor_at != cursor_at
    assert mirror.differences("tasks") == []


@pytest.mark.parametrize("kind", ["page_fall", "page_repeat", "lost_rows"])
@pytest.mark.parametrize("after", [1, 3], ids=["changes", "comments"])
def test_a_spoiled_page_of_either_pass_loses_nothing(mirror: Mirror, kind: str, after: int):
    """The run says so, or asks once more; a comment that it missed is found by the next one."""
    life(mirror)
    mirror.portal.faults.add(kind, method="tasks.task.list", after=after)
    mirror.sync()
    mirror.clock.advance(600)
    assert statuses(mirror.sync()) == OK
    assert mirror.differences("tasks") == []
