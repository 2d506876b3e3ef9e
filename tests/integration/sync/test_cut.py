"""A run may be cut anywhere: what was read stays, the bookmark resumes, and in the end nothing is missing."""

from datetime import timedelta

import pytest

from tests.integration.mirror import OK, Mirror, Stage, shown_once, statuses
from tests.integration.sync.conftest import lose_lease
from worker.errors import LeaseLost
from worker.storage import leases
from worker.sync import engine
from worker.sync.plan import Bookmark
from worker.sync.portal import Wish
from worker.sync.report import Mode

TASKS = 450
CALLS = 3
"""In a batch, instead of 50: so a small portal takes many."""
BATCHES = 8 if shown_once() else 9
"""Of a first run, then, or one more: how many series must be asked for differs from portal to portal."""


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BATCH_CALLS", CALLS)


@pytest.fixture
def mirror(stage: Stage) -> Mirror:
    return stage.mirror(tasks=TASKS, events=8, users=5, calendars="mine")


def test_a_first_run_takes_as_many_batches_as_this_file_cuts(mirror: Mirror):
    """Else the other tests would prove less than they say."""
    mirror.portal.requests.reset()
    assert statuses(mirror.sync()) == OK
    assert mirror.portal.requests.http in {BATCHES, BATCHES + 1}


@pytest.mark.parametrize("batches", range(1, BATCHES))
def test_a_run_stopped_between_two_batches_goes_on_from_its_bookmark(mirror: Mirror, batches: int):
    """The stop is told as incomplete, due at once; the next run reads only the rest and then all is there."""
    reports = mirror.sync(stop_after=batches)

    assert str(reports["tasks"].status) == "incomplete"
    cursor = mirror.cursor("tasks")
    assert (cursor.cursor_at, cursor.next_run_at) == (None, mirror.clock.now())
    held = mirror.ids("tasks")
    bookmark = Bookmark.load(cursor.bookmark)
    assert (bookmark.last_id if bookmark else 0) == max(held, default=0)

    mirror.portal.requests.reset()
    assert statuses(mirror.sync()) == OK
    assert mirror.portal.requests.calls["tasks.task.list"] <= (TASKS - len(held)) // 50 + 3
    assert mirror.differences() == []
    cursor = mirror.cursor("tasks")
    assert cursor.bookmark is None
    if bookmark and bookmark.last_id:
        assert cursor.cursor_at == bookmark.cursor


@pytest.mark.parametrize("batches", [3, 6, 7, 8])
@pytest.mark.parametrize("lossy", [1, 2, 4])
def test_a_run_that_is_cut_after_a_page_has_lost_a_row_reads_that_page_again(mirror: Mirror, lossy: int, batches: int):
    """Only the count at the end of the whole listing tells of a lost row, and a run that goes on counts the rest."""
    mirror.portal.faults.add("lost_rows", method="tasks.task.list", after=lossy)
    mirror.sync(stop_after=batches)
    mirror.portal.faults.clear()
    if statuses(mirror.sync()) != OK:
        assert statuses(mirror.sync()) == OK
    assert mirror.differences("tasks") == []


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_run_whose_account_fails_at_a_batch_loses_nothing(mirror: Mirror, batch: int):
    """No answer after all retries ends everything that is not done yet; the cursor stays where it was."""
    mirror.portal.faults.add("html", times=4, after=batch, status=502)
    reports = mirror.sync()

    assert str(reports["tasks"].status) == "failed"
    assert mirror.cursor("tasks").cursor_at is None
    assert mirror.cursor("calendar").last_status == str(reports["calendar"].status)
    assert not [row for row in mirror.rows("tasks", deleted=True) if row["deleted_at"]]
    mirror.portal.faults.clear()
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


def test_a_full_reading_stitched_from_two_runs_deletes_nothing(mirror: Mirror):
    """What vanished between its halves was never looked for; the reconciliation that follows finds it."""
    mirror.sync()
    mirror.clock.advance(8 * 86_400)  # the weekly full reading is due
    mirror.connect(mirror.portal.admin_id)
    early, late = mirror.portal.world.task_ids[3], mirror.portal.world.task_ids[-3]

    reports = mirror.sync(stop_after=3, resources=["tasks"])
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


def test_changes_behind_the_bookmark_of_a_cut_run_are_found_by_the_next_one(mirror: Mirror):
    """The cursor that a stitched run earns is that of its first page."""
    mirror.sync(stop_after=3, resources=["tasks"])
    assert 0 < len(mirror.ids("tasks")) < TASKS
    mirror.clock.advance(7_200)
    mirror.portal.update_task(mirror.portal.world.task_ids[0], title="Changed meanwhile")
    mirror.sync()
    mirror.clock.advance(7_200)
    reports = mirror.sync()
    assert reports["tasks"].updated == 1
    assert mirror.differences() == []


def test_an_incremental_run_resumes_too(mirror: Mirror):
    """Many rows changed: the bookmark remembers since when."""
    mirror.sync()
    mirror.clock.advance(3_600)
    for task_id in mirror.portal.world.task_ids[:250]:
        mirror.portal.update_task(task_id, priority=2)
    before = mirror.cursor("tasks").cursor_at
    reports = mirror.sync(stop_after=2, resources=["tasks"])
    assert (reports["tasks"].mode, str(reports["tasks"].status)) == (Mode.INCREMENTAL, "incomplete")
    assert mirror.cursor("tasks").cursor_at == before

    done = reports["tasks"].updated
    assert 0 < done < 250
    mirror.clock.advance(3_600)
    reports = mirror.sync()
    assert reports["tasks"].updated == 250 - done
    assert mirror.differences() == []


@pytest.mark.parametrize("batches", range(1, BATCHES))
def test_a_lease_lost_in_the_middle_commits_no_further_row(mirror: Mirror, batches: int):
    """Another process took over: nothing more is written, not even a report; the new owner goes on."""
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


def test_a_lease_that_ran_out_while_the_portal_was_silent_commits_nothing(mirror: Mirror):
    """Though nobody took it: the process cannot know. What it read in time stays, and the next run reads the rest."""
    held = lose_lease(mirror, after=7)
    assert 0 < len(held) < TASKS
    assert mirror.ids("tasks") == held
    assert mirror.cursor("tasks").cursor_at is None

    mirror.clock.advance(61)
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


def test_what_changes_during_a_first_run_is_found_by_the_second(mirror: Mirror):
    """The cursor lies before the first page, so a row that was read before it changed is read again."""
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
