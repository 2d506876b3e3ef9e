"""Whose turn it is: plans of the user's day, two accounts, two turns at once, two portals, and when it is due again."""

import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import delete, select, update

from tests.integration.mirror import INTERVALS, OK, Mirror, Stage, statuses
from tests.integration.statements import counted_writes
from worker.errors import NeedsReauth
from worker.storage import portals
from worker.storage.models import Account, OAuthToken, SyncRun
from worker.sync.lease import LeaseKeeper
from worker.sync.portal import Wish
from worker.sync.report import Mode


def small(stage: Stage, **more: object) -> Mirror:
    return stage.mirror(tasks=30, events=12, users=5, **more)


def plan_of(mirror: Mirror, user_id: int) -> dict[date, list[int]]:
    rows = sorted(mirror.rows("planner_tasks"), key=lambda row: row["position"])
    plans: dict[date, list[int]] = {}
    for row in rows:
        if row["user_id"] == user_id:
            plans.setdefault(row["planned_on"], []).append(row["task_id"])
    return plans


@pytest.mark.parametrize("as_texts", [False, True])
@pytest.mark.parametrize(
    ("zone", "now", "today"),
    [
        ("Asia/Vladivostok", datetime(2026, 11, 23, 13, 59, tzinfo=UTC), date(2026, 11, 23)),
        ("Asia/Vladivostok", datetime(2026, 11, 23, 14, 1, tzinfo=UTC), date(2026, 11, 24)),
        ("America/New_York", datetime(2026, 11, 24, 4, 59, tzinfo=UTC), date(2026, 11, 23)),
        ("America/New_York", datetime(2026, 11, 24, 5, 1, tzinfo=UTC), date(2026, 11, 24)),
    ],
)
def test_a_plan_is_of_the_users_day(own_stage: Stage, zone: str, now: datetime, today: date, as_texts: bool):
    """By the portal's clock, in the user's zone; the list may come as an object of texts."""
    own_stage.clock.advance((now - own_stage.clock.now()).total_seconds() - 60)
    mirror = small(own_stage, user_zone=zone, planner_texts=as_texts)
    admin = mirror.portal.admin_id
    planned = mirror.portal.world.task_ids[3:0:-1]
    mirror.portal.set_planner(admin, planned)
    assert statuses(mirror.sync()) == OK
    assert plan_of(mirror, admin) == {today: planned}


def test_a_plan_is_written_once_and_yesterdays_stays(own_stage: Stage):
    """The portal keeps one list; the days are ours."""
    mirror = small(own_stage)
    admin, ids = mirror.portal.admin_id, mirror.portal.world.task_ids
    mirror.portal.set_planner(admin, ids[:4])
    mirror.sync()
    with counted_writes() as writes:
        report = mirror.sync()["planner"]
    assert (report.changes, writes["planner_tasks"]) == (0, 0)

    mirror.clock.advance(86_400)
    mirror.portal.set_planner(admin, [ids[5], ids[0]])
    mirror.sync()
    mirror.portal.set_planner(admin, [])
    mirror.clock.advance(86_400)
    mirror.sync()
    assert plan_of(mirror, admin) == {date(2026, 11, 23): ids[:4], date(2026, 11, 24): [ids[5], ids[0]]}


@pytest.fixture
def pair(stage: Stage) -> tuple[Mirror, int]:
    """A portal read by its administrator and by a colleague."""
    portal = stage.portal(tasks=30, events=60, users=6)
    colleague = sorted(user.user_id for user in portal.world.users.values() if user.active)[1]
    portal.set_planner(portal.admin_id, portal.world.task_ids[:2])
    mine = [task.task_id for task in portal.world.tasks.values() if colleague in task.members]
    portal.set_planner(colleague, mine[:2])
    return stage.mirror(portal, accounts=[portal.admin_id, colleague]), colleague


def test_each_account_reads_its_own_plan_and_calendar_and_only_the_primary_lists_tasks(pair: tuple[Mirror, int]):
    """A colleague's authorization adds what only the colleague may see."""
    mirror, colleague = pair
    mirror.portal.requests.reset()
    assert statuses(mirror.sync()) == OK
    assert mirror.portal.requests.calls["profile"] == 2
    assert sum("tasks.task.list" in request for request in mirror.portal.requests.requests) == 1
    assert len(plan_of(mirror, mirror.portal.admin_id)) == len(plan_of(mirror, colleague)) == 1
    owners = {row["owner_id"] for row in mirror.rows("calendar_sections") if row["calendar_type"] == "user"}
    assert owners == {mirror.portal.admin_id, colleague}
    assert mirror.differences("tasks", "users", "planner_tasks") == []
    with counted_writes() as writes:
        assert statuses(mirror.sync()) == OK
    assert not {"tasks", "planner_tasks", "calendar_events", "event_attendees"} & writes.keys()


def test_an_account_has_no_part_in_a_run_of_what_it_does_not_read(pair: tuple[Mirror, int]):
    """Nothing is asked for it."""
    mirror, _ = pair
    mirror.sync()
    mirror.portal.requests.reset()
    mirror.sync(resources=["tasks"])
    assert mirror.portal.requests.calls["profile"] == 1


@pytest.mark.parametrize("which", ["primary", "colleague"])
def test_an_account_that_must_be_authorized_again_fails_its_part_and_the_other_goes_on(
    pair: tuple[Mirror, int], which: str
):
    """Exit 3, told in the reports of what it reads."""
    mirror, colleague = pair
    user_id = mirror.portal.admin_id if which == "primary" else colleague
    with mirror.database.write() as session:
        accounts = portals.list_accounts(session, mirror.portal_id)
        (account,) = (account for account in accounts if account.user_id == user_id)
        portals.set_account_status(session, account.id, "needs_reauth", "the refresh token is dead")
    reports = mirror.sync()
    failed = {name for name, report in reports.items() if isinstance(report.failure, NeedsReauth)}
    assert failed == ({"users", "tasks", "planner", "calendar"} if which == "primary" else {"planner", "calendar"})
    other = colleague if which == "primary" else mirror.portal.admin_id
    assert plan_of(mirror, other)
    assert "the refresh token is dead" in (reports["planner"].error or "")


def test_a_user_who_was_dismissed_puts_the_account_into_needs_reauth(pair: tuple[Mirror, int]):
    """The portal says it, the row keeps it, and the next run does not ask again."""
    mirror, colleague = pair
    mirror.sync()
    mirror.portal.dismiss_user(colleague)
    reports = mirror.sync()
    assert isinstance(reports["planner"].failure, NeedsReauth)
    assert str(reports["tasks"].status) == "ok"
    mirror.portal.requests.reset()
    mirror.sync()
    assert mirror.portal.requests.http == 1


def test_a_resource_that_no_account_reads_has_failed(pair: tuple[Mirror, int]):
    """Nothing read is no success."""
    mirror, _ = pair
    mirror.sync()
    with mirror.database.write() as session:
        primary = portals.primary_account(session, mirror.portal_id)
        assert primary is not None
        session.execute(delete(OAuthToken).where(OAuthToken.account_id == primary.id))
        session.execute(delete(Account).where(Account.id == primary.id))
    reports = mirror.sync()
    assert statuses(reports) == {"users": "failed", "tasks": "failed", "planner": "ok", "calendar": "ok"}
    assert isinstance(reports["tasks"].failure, NeedsReauth)


def test_a_secret_that_cannot_be_read_is_one_accounts_trouble(pair: tuple[Mirror, int]):
    """The turn is closed in order, and the lease is given back."""
    mirror, colleague = pair
    with mirror.database.write() as session:
        theirs = (
            select(Account.id)
            .where(Account.portal_id == mirror.portal_id, Account.user_id == colleague)
            .scalar_subquery()
        )
        session.execute(
            update(OAuthToken).where(OAuthToken.account_id == theirs).values(access_token_encrypted="rubbish")
        )
    reports = mirror.sync()
    assert statuses(reports) == {"users": "ok", "tasks": "ok", "planner": "failed", "calendar": "failed"}
    assert mirror.engine().run(mirror.portal_id, Wish(at_once=True)) is not None


def test_the_second_of_two_turns_at_once_gets_nothing(stage: Stage):
    """While the first one is in the middle."""
    mirror = small(stage)
    second: list[object] = []

    def meanwhile() -> bool:
        if not second:
            other = LeaseKeeper(mirror.database, mirror.clock, "another process")
            second.append(mirror.engine(leases=other).run(mirror.portal_id, Wish(at_once=True)))
            other.stop()
        return False

    assert mirror.engine(stopping=meanwhile).run(mirror.portal_id, Wish(at_once=True)) is not None
    assert second == [None]
    assert mirror.differences() == []


def test_many_threads_on_one_portal_are_one_turn_at_a_time(stage: Stage):
    """Nothing is doubled, whoever comes first."""
    mirror = small(stage)
    outcomes: list[object] = []

    def turn() -> None:
        keeper = LeaseKeeper(mirror.database, mirror.clock, threading.current_thread().name)
        outcomes.append(mirror.engine(leases=keeper).run(mirror.portal_id, Wish(at_once=True)))
        keeper.stop()

    threads = [threading.Thread(target=turn, name=f"thread {number}") for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(outcome is not None for outcome in outcomes)
    assert mirror.differences() == []


def test_two_portals_in_one_database_do_not_disturb_each_other(stage: Stage):
    """The same IDs, other rows; one that is away does not delay the other."""
    one = small(stage)
    other_portal = stage.portal(tasks=40, events=12, users=5, seed=1)
    other = stage.mirror(other_portal)
    assert one.portal_id != other.portal_id
    one.portal.faults.add("html", times=50)
    assert set(statuses(one.sync()).values()) == {"failed"}
    assert statuses(other.sync()) == OK
    assert other.differences() == []
    one.portal.faults.clear()
    assert statuses(one.sync()) == OK
    assert one.differences() == []
    other.portal.world.drop_task(other.portal.world.task_ids[0])
    other.sync(Mode.RECONCILE)
    assert one.differences() == []


def test_what_is_not_due_is_not_read(stage: Stage):
    """A turn without a wish reads what its interval says, and the portal is due with its first resource."""
    mirror = small(stage, intervals=INTERVALS)
    assert {report.resource for report in mirror.turn().reports} == set(OK)
    mirror.clock.advance(299)
    mirror.portal.requests.reset()
    assert mirror.turn().reports == []
    assert mirror.portal.requests.http == 0
    mirror.clock.advance(2)
    assert {report.resource for report in mirror.turn().reports} == set(OK)
    portal = mirror.standing()
    assert portal.next_run_at == mirror.clock.now() + INTERVALS.sync
    assert (portal.lease_owner, portal.lease_until) == (None, None)


def test_a_paused_portal_is_left_alone(stage: Stage):
    """Even when an operator wants it at once."""
    mirror = small(stage)
    with mirror.database.write() as session:
        portals.set_portal_status(session, mirror.portal_id, "paused")
    mirror.portal.requests.reset()
    assert mirror.turn(Wish(at_once=True)).reports == []
    assert mirror.portal.requests.http == 0


def test_a_job_whose_token_is_rejected_is_tried_again_after_growing_pauses_and_then_in_its_interval(stage: Stage):
    """Bounded; and what did not fail keeps its own time."""
    mirror = small(stage, intervals=INTERVALS)
    pauses = []
    for attempt in range(1, 7):
        mirror.portal.faults.add("expired_token", times=30)
        outcome = mirror.turn(Wish(at_once=True), attempt=attempt)
        pauses.append(outcome.retry_after)
        mirror.portal.faults.clear()
        due = mirror.cursor("tasks").next_run_at
        assert due is not None
        expected = timedelta(seconds=outcome.retry_after or 300)
        assert abs(due - mirror.clock.now() - expected) < timedelta(milliseconds=1)
    assert pauses[-1] is None
    tried = [pause for pause in pauses if pause is not None]
    assert len(tried) == 5
    assert max(tried) <= 120


def test_a_turn_out_of_time_is_due_at_once_and_goes_on(stage: Stage):
    """Twenty minutes are the longest turn."""
    mirror = small(stage, intervals=INTERVALS)

    assert mirror.engine()._halted(mirror.clock.monotonic() - 1)() is not None
    outcome = mirror.turn(Wish(at_once=True), stop_after=0)
    assert {str(report.status) for report in outcome.reports} == {"incomplete"}
    assert outcome.retry_after is None
    assert mirror.cursor("tasks").next_run_at == mirror.clock.now()
    assert {report.resource for report in mirror.turn().reports} == set(OK)
    assert mirror.differences() == []


def test_a_run_leaves_its_figures(stage: Stage):
    """One row for each resource, with what `sync --json` prints."""
    mirror = small(stage)
    reports = mirror.sync()
    with mirror.database.read() as session:
        rows = session.scalars(select(SyncRun).where(SyncRun.portal_id == mirror.portal_id))
        held = {row.resource: (row.mode, row.status, row.inserted, row.http_requests) for row in rows}
    assert held == {
        name: (str(report.mode), str(report.status), report.inserted, report.http_requests)
        for name, report in reports.items()
    }
    assert sum(report.http_requests for report in reports.values()) == 2
