"""A run may be cut anywhere: what was read stays, the bookmark resumes, and in the end nothing is missing."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.integration.mirror import OK, Mirror, Stage, statuses
from worker.errors import LeaseLost
from worker.storage import leases
from worker.sync.plan import Bookmark
from worker.sync.portal import Wish
from worker.sync.report import Mode

TASKS = 300
BATCHES = 4
"""Of a first run: one of lists, one for the rest of a batch, and the masters of series in between."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


def narrow(mirror: Mirror) -> None:
    """IDs so far apart that a probe cannot guess; nothing else needs preparing."""
    mirror.portal.requests.reset()


@pytest.mark.parametrize("batches", range(1, BATCHES))
def test_a_run_stopped_between_two_batches_goes_on_from_its_bookmark(stage: Stage, batches: int):
    """The stop is told as incomplete, due at once; the next run reads only the rest and then all is there."""
    mirror = stage.mirror(tasks=4_000 if batches > 1 else TASKS, events=20, users=5)
    reports = mirror.sync(stop_after=batches)

    assert str(reports["tasks"].status) == "incomplete"
    cursor = mirror.cursor("tasks")
    assert (cursor.cursor_at, cursor.next_run_at) == (None, mirror.clock.now())
    held = mirror.ids("tasks")
    bookmark = Bookmark.load(cursor.bookmark)
    assert bookmark is not None
    assert bookmark.last_id == max(held, default=0)

    mirror.portal.requests.reset()
    assert statuses(mirror.sync()) == OK
    assert mirror.portal.requests.calls["tasks.task.list"] <= (len(mirror.ids("tasks")) - len(held)) // 50 + 3
    assert mirror.differences() == []
    cursor = mirror.cursor("tasks")
    assert cursor.bookmark is None
    assert cursor.cursor_at == bookmark.cursor if bookmark.last_id else cursor.cursor_at


@pytest.mark.parametrize("batch", range(3))
def test_a_run_whose_account_fails_at_a_batch_loses_nothing(stage: Stage, batch: int):
    """No answer after all retries ends everything that is not done yet; the cursor stays where it was."""
    mirror = stage.mirror(tasks=4_000, events=20, users=5)
    mirror.portal.faults.add("html", times=4, after=batch, status=502)
    reports = mirror.sync()

    assert str(reports["tasks"].status) == "failed"
    assert mirror.cursor("tasks").cursor_at is None
    assert not [row for row in mirror.rows("tasks", deleted=True) if row["deleted_at"]]
    mirror.portal.faults.clear()
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


def test_a_full_reading_stitched_from_two_runs_deletes_nothing(stage: Stage):
    """What vanished between its halves was never looked for; the reconciliation that follows finds it."""
    mirror = stage.mirror(tasks=4_000, events=5, users=5)
    mirror.sync()
    mirror.clock.advance(8 * 86_400)  # the weekly full reading is due
    mirror.connect(mirror.portal.admin_id)
    early, late = mirror.portal.world.task_ids[3], mirror.portal.world.task_ids[-3]

    reports = mirror.sync(stop_after=2)
    assert (reports["tasks"].mode, str(reports["tasks"].status)) == (Mode.FULL, "incomplete")
    mirror.portal.delete_task(early)
    mirror.portal.delete_task(late)
    reports = mirror.sync()
    assert (reports["tasks"].mode, reports["tasks"].deleted, str(reports["tasks"].status)) == (Mode.FULL, 0, "ok")
    assert {early, late} <= mirror.ids("tasks")

    reports = mirror.sync()
    assert (reports["tasks"].mode, reports["tasks"].deleted) == (Mode.RECONCILE, 2)
    mirror.sync(Mode.FULL)
    assert mirror.differences() == []


def test_changes_behind_the_bookmark_of_a_cut_run_are_found_by_the_next_one(stage: Stage):
    """The cursor that a stitched run earns is that of its first page."""
    mirror = stage.mirror(tasks=4_000, events=5, users=5)
    mirror.sync(stop_after=2)
    assert 0 < len(mirror.ids("tasks")) < 4_000
    mirror.clock.advance(7_200)
    mirror.portal.update_task(mirror.portal.world.task_ids[0], title="Changed meanwhile")
    mirror.sync()
    mirror.clock.advance(7_200)
    reports = mirror.sync()
    assert reports["tasks"].updated == 1
    assert mirror.differences() == []


def test_an_incremental_run_resumes_too(stage: Stage):
    """Many rows changed: the bookmark remembers since when."""
    mirror = stage.mirror(tasks=4_000, events=5, users=5)
    mirror.sync()
    mirror.clock.advance(3_600)
    for task_id in mirror.portal.world.task_ids[:3_500]:
        mirror.portal.update_task(task_id, priority=2)
    before = mirror.cursor("tasks").cursor_at
    reports = mirror.sync(stop_after=2)
    assert (reports["tasks"].mode, str(reports["tasks"].status)) == (Mode.INCREMENTAL, "incomplete")
    assert mirror.cursor("tasks").cursor_at == before

    done = reports["tasks"].updated
    assert 0 < done < 3_500
    mirror.clock.advance(3_600)
    reports = mirror.sync()
    assert reports["tasks"].updated == 3_500 - done
    assert mirror.differences() == []


@pytest.mark.parametrize("batches", [1, 2])
def test_a_lease_lost_in_the_middle_commits_no_further_row(stage: Stage, batches: int):
    """Another process took over: nothing more is written, not even a report; the new owner goes on."""
    mirror = stage.mirror(tasks=4_000, events=5, users=5)
    written: list[int] = []

    def taken_over() -> bool:
        """Looked at between two batches: a good moment to be robbed."""
        if mirror.portal.requests.http >= batches and not written:
            written.append(len(mirror.ids("tasks")))
            with mirror.database.write() as session:
                now = mirror.clock.now() + timedelta(minutes=5)
                assert leases.take_lease(session, mirror.portal_id, owner="thief", now=now, ttl=timedelta(seconds=60))
        return False

    mirror.portal.requests.reset()
    with pytest.raises(LeaseLost):
        mirror.engine(stopping=taken_over).run(mirror.portal_id, Wish(at_once=True))
    assert written == [len(mirror.ids("tasks"))]
    assert mirror.cursor("tasks").last_run_at is None

    mirror.clock.advance(600)
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


def test_a_lease_that_ran_out_while_the_portal_was_silent_commits_nothing(stage: Stage):
    """Though nobody took it: the process cannot know."""
    mirror = stage.mirror(tasks=50)

    def slept() -> bool:
        if mirror.portal.requests.http:
            mirror.clock.advance(61)
        return False

    mirror.portal.requests.reset()
    mirror.portal.faults.add("sub_error", method="profile", code="QUERY_LIMIT_EXCEEDED")
    with pytest.raises(LeaseLost):
        mirror.engine(stopping=slept).run(mirror.portal_id, Wish(at_once=True))


def test_what_changes_during_a_first_run_is_found_by_the_second(stage: Stage):
    """The cursor lies before the first page, so a row that was read before it changed is read again."""
    mirror = stage.mirror(tasks=4_000, events=5, users=5)
    changed: list[int] = []

    def meanwhile() -> bool:
        held = mirror.ids("tasks")
        if held and not changed:
            changed.append(min(held))
            mirror.clock.advance(1)
            mirror.portal.update_task(changed[0], title="Changed while it was read")
            mirror.portal.create_task(title="Came while it was read")
        return False

    mirror.engine(stopping=meanwhile).run(mirror.portal_id, Wish(at_once=True))
    assert changed
    mirror.clock.advance(1_000)
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []
