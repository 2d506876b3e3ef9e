"""A deletion is believed when two questions agree, and never in bulk, and never by eyes that see less than before."""

import pytest

from tests.integration.mirror import OK, Mirror, Stage, statuses
from worker.sync.report import Mode, Report


@pytest.fixture
def mirror(stage: Stage) -> Mirror:
    mirror = stage.mirror(tasks=120, events=40)
    assert statuses(mirror.sync()) == OK
    mirror.clock.advance(3_600)
    mirror.portal.requests.reset()
    return mirror


def drop(mirror: Mirror, count: int) -> list[int]:
    """Tasks that vanish without a trace, children and all."""
    gone = mirror.portal.world.task_ids[5 : 5 + count]
    for task_id in gone:
        mirror.portal.world.drop_task(task_id)
    return gone


def test_missing_tasks_are_asked_for_by_id_before_they_are_marked(mirror: Mirror):
    """The listing alone proves nothing."""
    gone = drop(mirror, 10)
    reports = mirror.sync(Mode.RECONCILE)
    assert (reports["tasks"].deleted, reports["tasks"].mode) == (10, Mode.RECONCILE)
    assert mirror.portal.requests.calls["tasks.task.get"] == 10
    assert not set(gone) & mirror.ids("tasks")
    assert mirror.differences() == []


def test_a_task_that_the_listing_forgot_but_a_get_finds_stays(mirror: Mirror):
    """Both lists of the run leave it out: the sweep, and the reading of changes that has no reason to show it."""
    hidden = mirror.portal.world.task_ids[7]
    mirror.portal.world.task_ids.remove(hidden)
    reports = mirror.sync(Mode.RECONCILE)
    assert (statuses(reports)["tasks"], reports["tasks"].deleted) == ("ok", 0)
    assert hidden in mirror.ids("tasks")


def test_more_than_the_share_missing_is_guarded_until_an_operator_forces_it(mirror: Mirror):
    """Nothing is even asked for by ID; the sentence names the way out."""
    gone = drop(mirror, 30)
    for mode in (Mode.RECONCILE, Mode.FULL):
        reports = mirror.sync(mode)
        assert (statuses(reports)["tasks"], reports["tasks"].deleted) == ("guarded", 0)
        assert "30 of 120" in (reports["tasks"].error or "")
        assert "--force" in (reports["tasks"].error or "")
        assert set(gone) <= mirror.ids("tasks")
    assert mirror.portal.requests.calls["tasks.task.get"] == 0
    assert {status for name, status in statuses(reports).items() if name != "tasks"} == {"ok"}

    reports = mirror.sync(Mode.RECONCILE, resources=["tasks"], force=True)
    assert (statuses(reports), reports["tasks"].deleted) == ({"tasks": "ok"}, 30)
    assert mirror.differences("tasks") == []


def test_a_sweep_deletes_nothing_where_the_changes_could_not_be_read(mirror: Mirror):
    """A run is complete or it deletes nothing, though its other half was whole."""
    gone = drop(mirror, 2)
    for after in (0, 2, 4):  # the four calls of the reading of changes, in three batches; the sweep's pass between them
        mirror.portal.faults.add("sub_error", method="tasks.task.list", after=after, times=4)
    reports = mirror.sync(Mode.RECONCILE)
    assert (statuses(reports)["tasks"], reports["tasks"].deleted) == ("incomplete", 0)
    assert set(gone) <= mirror.ids("tasks")
    mirror.portal.faults.clear()
    assert mirror.sync(Mode.RECONCILE)["tasks"].deleted == 2


def test_an_empty_answer_where_rows_are_is_guarded(mirror: Mirror):
    """The classic catastrophe of a mirror."""
    drop(mirror, 120)
    mirror.portal.world.tasks.clear()
    mirror.portal.world.task_ids.clear()
    reports = mirror.sync(Mode.RECONCILE)
    assert statuses(reports)["tasks"] == "guarded"
    assert len(mirror.ids("tasks")) == 120


def test_two_empty_sides_are_no_alarm(stage: Stage):
    """A portal that nobody uses yet."""
    mirror = stage.mirror(tasks=0, events=0, users=1)
    for mode in (None, Mode.RECONCILE, Mode.FULL):
        assert statuses(mirror.sync(mode)) == OK
    assert mirror.rows("tasks") == []


def test_one_task_of_three_may_be_deleted_without_an_operator(stage: Stage):
    """On a small portal every deletion is a large share."""
    mirror = stage.mirror(tasks=3, events=0)
    mirror.sync()
    drop_one = mirror.portal.world.task_ids[0]
    mirror.portal.world.drop_task(drop_one)
    reports = mirror.sync(Mode.RECONCILE)
    assert (statuses(reports)["tasks"], reports["tasks"].deleted) == ("ok", 1)


def lose_rights(mirror: Mirror) -> None:
    """The account's user is no administrator any more, and sees a tenth of the tasks less."""
    admin = mirror.portal.admin_id
    mirror.portal.set_admin(admin, False)
    for number, task in enumerate(mirror.portal.world.tasks.values()):
        if number % 10:
            task.auditors = sorted({*task.auditors, admin})
        else:
            task.group_id, task.created_by, task.responsible = 0, 2, 2
            task.accomplices, task.auditors = [], []


def test_what_an_account_without_its_old_rights_misses_is_not_deleted(mirror: Mirror):
    """An administrator's mirror, read by somebody who is none."""
    lose_rights(mirror)
    reports = mirror.sync(Mode.RECONCILE, resources=["tasks"])
    assert statuses(reports) == {"tasks": "guarded"}
    assert "administrator" in (reports["tasks"].error or "")
    assert len(mirror.ids("tasks")) == 120

    mirror.portal.set_admin(mirror.portal.admin_id, True)
    reports = mirror.sync(Mode.RECONCILE)
    assert statuses(reports) == OK
    lose_rights(mirror)
    reports = mirror.sync(Mode.RECONCILE, resources=["tasks"], force=True)
    assert 0 < reports["tasks"].deleted <= 12


def test_calendars_of_others_that_cannot_be_seen_any_more_are_not_deleted(stage: Stage):
    """A hidden event answers like a deleted one."""
    mirror = stage.mirror(tasks=60, events=60, calendars="mine,everyone")
    mirror.sync()
    held = mirror.ids("calendar_events")
    admin = mirror.portal.admin_id
    theirs = [row["section_id"] for row in mirror.rows("calendar_sections") if row["owner_id"] != admin]
    for number, section_id in enumerate(theirs):
        mirror.portal.world.sections[section_id].others = "full" if number else "none"
    mirror.portal.set_admin(admin, False)

    report = mirror.sync(resources=["calendar"])["calendar"]
    assert (str(report.status), report.deleted) == ("guarded", 0)
    assert mirror.ids("calendar_events") == held
    mirror.portal.set_admin(admin, True)
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


def test_one_of_somebodys_calendars_that_cannot_be_seen_any_more_is_not_deleted(stage: Stage):
    """That its owner shows another one proves nothing to an account that lost its rights."""
    mirror = stage.mirror(tasks=3, events=0, calendars="mine,everyone")
    other = next(user_id for user_id in mirror.portal.world.users if user_id != mirror.portal.admin_id)
    hidden = mirror.portal.new_section("user", other, "Private", others="none")
    mirror.portal.new_section("user", other, "Public")
    mirror.sync()
    mirror.portal.set_admin(mirror.portal.admin_id, False)

    report = mirror.sync(resources=["calendar"])["calendar"]
    assert (str(report.status), report.deleted) == ("guarded", 0)
    assert hidden in mirror.ids("calendar_sections")
    report = mirror.sync(resources=["calendar"], force=True)["calendar"]
    assert (str(report.status), report.deleted > 0) == ("ok", True)
    assert hidden not in mirror.ids("calendar_sections")


def test_a_calendar_that_is_suddenly_empty_is_guarded_until_an_operator_forces_it(mirror: Mirror):
    """It is read whole in every run, and guarded in every run."""
    for event_id in mirror.ids("calendar_events"):
        mirror.portal.world.events.pop(event_id)
    for _ in range(2):
        report = mirror.sync()["calendar"]
        assert (str(report.status), report.deleted) == ("guarded", 0)
    report = mirror.sync(Mode.RECONCILE, resources=["calendar"], force=True)["calendar"]
    assert (str(report.status), report.deleted > 0) == ("ok", True)
    assert mirror.differences() == []


def test_a_lost_scope_is_guarded_as_lost_rights_are(mirror: Mirror):
    """Fewer scopes at the same listing: what is missing may be what they hid."""
    drop(mirror, 3)
    mirror.portal.scope = "task,user"
    mirror.connect(mirror.portal.admin_id)
    reports = mirror.sync(Mode.RECONCILE)
    assert statuses(reports)["tasks"] == "guarded"
    assert "calendar" in (reports["tasks"].error or "")
    assert reports["tasks"].deleted == 0


def test_a_sweep_costs_its_listing_and_a_batch_for_fifty_missing_or_new(stage: Stage):
    """200 tasks are four pages; 30 vanished and 60 came back make two batches more."""
    mirror = stage.mirror(tasks=260, events=10)
    for task_id in mirror.portal.world.task_ids[:60]:
        mirror.portal.delete_task(task_id)
    mirror.sync()
    mirror.clock.advance(3_600)
    for task_id in list(mirror.portal.world.bin):
        mirror.portal.restore_task(task_id)
    for task_id in mirror.portal.world.task_ids[-30:]:
        mirror.portal.world.drop_task(task_id)
    mirror.portal.requests.reset()
    reports: dict[str, Report] = mirror.sync(Mode.RECONCILE)
    assert (reports["tasks"].inserted, reports["tasks"].deleted) == (60, 30)
    assert mirror.portal.requests.http <= 4
    assert mirror.portal.requests.calls["tasks.task.get"] == 90


def test_new_tasks_that_the_reading_of_changes_brought_are_not_asked_for_again(mirror: Mirror):
    """The sweep waits for it."""
    for _ in range(70):
        mirror.portal.create_task()
    reports = mirror.sync(Mode.RECONCILE)
    assert reports["tasks"].inserted == 70
    assert mirror.portal.requests.calls["tasks.task.get"] == 0
    assert mirror.differences() == []


def test_a_sweep_is_due_by_itself_and_so_is_a_full_reading(mirror: Mirror):
    """Once a day and once a week."""
    modes = []
    for _ in range(8):
        mirror.clock.advance(86_400)
        mirror.connect(mirror.portal.admin_id)
        modes.append(str(mirror.sync()["tasks"].mode))
        assert str(mirror.sync()["tasks"].mode) == "incremental"
    assert modes[:6] == ["reconcile"] * 6
    assert "full" in modes[6:]


def test_users_are_swept_too(mirror: Mirror):
    """An account that was removed for good."""
    last = max(mirror.portal.world.users)
    del mirror.portal.world.users[last]
    reports = mirror.sync(Mode.RECONCILE)
    assert reports["users"].deleted == 1
    assert last not in mirror.ids("users")
