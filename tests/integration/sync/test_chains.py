"""Several ranges of one listing at the same time: the mirror is the same, whatever cuts or befalls the run."""

import pytest

from tests.integration.mirror import OK, Mirror, Stage, statuses
from worker.errors import LeaseLost
from worker.storage import leases
from worker.sync import chains, engine
from worker.sync.plan import Bookmark
from worker.sync.report import Mode

TASKS = 1000


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BATCH_CALLS", 4)
    monkeypatch.setattr(chains, "WORTH", 50)


@pytest.fixture
def mirror(stage: Stage) -> Mirror:
    mirror = stage.mirror(tasks=TASKS, events=2, users=4, calendars="mine")
    mirror.chains = 3
    return mirror


def test_a_first_run_in_chains_reads_everything_and_counts_once(mirror: Mirror):
    reports = mirror.sync()
    assert statuses(reports) == OK
    assert reports["tasks"].inserted == TASKS
    assert mirror.differences() == []
    assert mirror.cursor("tasks").bookmark is None


def test_a_full_reading_in_chains_finds_what_vanished(mirror: Mirror):
    """In the first range, in the last one, and at the very end."""
    mirror.sync()
    known = mirror.portal.world.task_ids
    for task_id in (known[3], known[400], known[-1]):
        mirror.portal.delete_task(task_id)
    reports = mirror.sync(Mode.FULL)
    assert reports["tasks"].deleted == 3
    assert mirror.differences() == []


@pytest.mark.parametrize("batches", [2, 3, 4])
def test_a_run_in_chains_that_is_stopped_resumes_every_one(mirror: Mirror, batches: int):
    """In chains again, or in one."""
    reports = mirror.sync(stop_after=batches, resources=["tasks"])
    assert str(reports["tasks"].status) == "incomplete"
    held = len(mirror.ids("tasks"))
    bookmark = Bookmark.load(mirror.cursor("tasks").bookmark)
    assert bookmark
    assert 0 < held < TASKS

    mirror.chains = 1 if batches % 2 else 3
    mirror.portal.requests.reset()
    reports = mirror.sync(resources=["tasks"])
    assert reports["tasks"].inserted == TASKS - held
    assert reports["tasks"].unchanged < 50, "but for a page that was not full, and may have lost a row"
    assert mirror.cursor("tasks").cursor_at == bookmark.cursor
    assert mirror.differences("tasks") == []


@pytest.mark.parametrize("write", [3, 4, 5])
def test_a_lost_lease_amid_chains_leaves_a_bookmark_that_is_true(
    mirror: Mirror, write: int, monkeypatch: pytest.MonkeyPatch
):
    """Batches were under way when it was lost: what they brought is read again."""
    checks = 0
    check_fence = leases.check_fence

    def lose(*args: object, **kwargs: object) -> None:
        nonlocal checks
        checks += 1
        if checks > write:
            raise LeaseLost("taken over")
        check_fence(*args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("worker.sync.turn.check_fence", lose)
        with pytest.raises(LeaseLost):
            mirror.sync(resources=["tasks"])
    mirror.clock.advance(61)
    assert str(mirror.sync(resources=["tasks"])["tasks"].status) == "ok"
    assert mirror.differences("tasks") == []


@pytest.mark.parametrize("kind", ["lost_rows", "sub_error", "sub_missing"])
def test_what_befalls_one_chain_is_made_good_or_told(mirror: Mirror, kind: str):
    mirror.portal.faults.add(kind, times=2, after=6, method="tasks.task.list")
    reports = mirror.sync(resources=["tasks"])
    if str(reports["tasks"].status) != "ok":
        assert mirror.cursor("tasks").cursor_at is None
        mirror.portal.faults.clear()
        reports = mirror.sync(resources=["tasks"])
    assert str(reports["tasks"].status) == "ok"
    assert mirror.differences("tasks") == []
