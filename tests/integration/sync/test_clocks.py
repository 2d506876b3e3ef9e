"""Wrong clocks: ours a day off, the portal's an hour off, either set back between two runs or during one.

Whatever they do: no row is lost, nothing waits for a date that a wrong clock wrote, no lease stays.
"""

from contextlib import nullcontext
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from tests.conftest import FakeClock
from tests.integration.mirror import INTERVALS, OK, Mirror, Stage, statuses
from worker.errors import LeaseLost
from worker.storage import leases
from worker.storage.budget import SqlBudgetStore
from worker.storage.cipher import Cipher
from worker.storage.models import Account, OAuthToken, Portal
from worker.storage.session import Database
from worker.storage.tokens import SqlTokenStore
from worker.sync import engine
from worker.sync.portal import Wish
from worker.sync.report import Mode
from worker.tokens import Grant

DAY, HOUR = 86_400.0, 3_600.0


@pytest.fixture
def mirror(own_stage: Stage) -> Mirror:
    return own_stage.mirror(tasks=120, events=20, users=6, intervals=INTERVALS)


@pytest.fixture
def token_store(database: Database, account: Account, clock: FakeClock) -> SqlTokenStore:
    """With a pair of the account in it."""
    store = SqlTokenStore(database, Cipher([Fernet.generate_key().decode()]))
    with database.write() as session:
        store.save_new(session, account.id, Grant("access", "refresh", 3600, clock.now()))
    return store


def set_ours(stage: Stage, seconds: float) -> None:
    """Our clock is set; the portal's goes on as it was."""
    stage.clock.set(seconds)
    stage.skew -= timedelta(seconds=seconds)


def set_portals(stage: Stage, seconds: float) -> None:
    stage.skew += timedelta(seconds=seconds)


def run_due(mirror: Mirror) -> dict[str, str]:
    """What the daemon would do now."""
    return statuses({report.resource: report for report in mirror.turn().reports})


@pytest.mark.parametrize("seconds", [-DAY, DAY], ids=["back", "forward"])
def test_our_clock_is_set_by_a_day_and_the_next_run_finds_all(own_stage: Stage, mirror: Mirror, seconds: float):
    """It is due at once, not a day later, and the cursor is the portal's."""
    assert run_due(mirror) == OK
    set_ours(own_stage, seconds)
    mirror.clock.advance(30)
    mirror.portal.create_task(title="Made after the clock was set")
    mirror.portal.update_task(mirror.portal.world.task_ids[0], title="Changed after the clock was set")
    mirror.clock.advance(300)

    if seconds > 0:  # as if the portal's had been set back: one wider reading
        assert set(run_due(mirror).values()) == {"incomplete"}
    assert run_due(mirror) == OK
    assert mirror.differences() == []
    mirror.clock.advance(300)
    assert run_due(mirror) == OK


@pytest.mark.parametrize("seconds", [-DAY, -HOUR, DAY], ids=["a day back", "an hour back", "a day forward"])
def test_our_clock_is_set_during_a_run_and_nothing_is_lost(
    own_stage: Stage, monkeypatch: pytest.MonkeyPatch, seconds: float
):
    """Neither a row nor a record that was kept aside in that run, after the clock was set."""
    monkeypatch.setattr(engine, "BATCH_CALLS", 3)  # so that pages follow
    mirror = own_stage.mirror(tasks=400, events=20, users=6, intervals=INTERVALS)
    task_id = mirror.portal.world.task_ids[60]
    was_set: list[bool] = []

    def meanwhile() -> bool:
        if mirror.ids("tasks") and not was_set:
            was_set.append(True)
            set_ours(own_stage, seconds)
            mirror.portal.update_task(task_id, title="Changed while the clock was set")
            mirror.portal.faults.add("junk_field", times=2, method="tasks.task.list")
        return False

    lost = pytest.raises(LeaseLost) if seconds > 0 else nullcontext()  # by the new clock its lease ran out
    outcome = None
    with lost:
        outcome = mirror.engine(stopping=meanwhile).run(mirror.portal_id, Wish(at_once=True))
    if outcome is not None:
        assert {str(report.status) for report in outcome.reports} == {"ok"}
        kept = {record.record_key for record in mirror.rejected("tasks")}
        assert mirror.portal.spoiled
        assert kept == set(mirror.portal.spoiled), "a record that was kept aside in this run is gone"
    assert was_set
    mirror.portal.faults.clear()
    mirror.clock.advance(400)
    if seconds > 0:  # as if the portal's had been set back: one wider reading
        assert set(statuses(mirror.sync()).values()) == {"incomplete"}
    assert statuses(mirror.sync(Mode.FULL)) == OK
    assert mirror.differences() == []
    assert mirror.rejected() == []


@pytest.mark.parametrize("pause", [300.0, 2 * HOUR], ids=["soon", "later than the step"])
def test_the_portals_clock_is_set_back_by_an_hour_and_no_change_is_lost(own_stage: Stage, mirror: Mirror, pause: float):
    """What changed after that bears dates before the cursor: it is read from so much earlier."""
    set_portals(own_stage, HOUR)
    assert statuses(mirror.sync()) == OK
    set_portals(own_stage, -HOUR)
    mirror.clock.advance(1)
    mirror.portal.create_task(title="Made after the portal's clock was set back")
    mirror.portal.update_task(mirror.portal.world.task_ids[0], title="Changed after that")
    mirror.clock.advance(pause)

    run_due(mirror)
    run_due(mirror)
    assert mirror.differences() == []


def test_the_portals_clock_is_set_back_during_a_run_and_no_change_is_lost(own_stage: Stage, mirror: Mirror):
    set_portals(own_stage, HOUR)
    was_set: list[bool] = []

    def meanwhile() -> bool:
        if mirror.ids("tasks") and not was_set:
            was_set.append(True)
            set_portals(own_stage, -HOUR)
            mirror.clock.advance(1)
            mirror.portal.update_task(min(mirror.ids("tasks")), title="Changed while the clock was set")
        return False

    mirror.engine(stopping=meanwhile).run(mirror.portal_id, Wish(at_once=True))
    assert was_set
    mirror.clock.advance(2 * HOUR)
    run_due(mirror)
    run_due(mirror)
    assert mirror.differences() == []


def test_a_cursor_is_taken_back_once_for_one_step(own_stage: Stage, mirror: Mirror):
    """And the mode stays what it was: the rest of the portal is not read again."""
    set_portals(own_stage, HOUR)
    mirror.sync()
    before = mirror.cursor("tasks").cursor_at
    assert before is not None
    set_portals(own_stage, -HOUR)
    mirror.clock.advance(300)
    assert set(run_due(mirror).values()) == {"incomplete"}
    after = mirror.cursor("tasks").cursor_at
    assert after is not None
    assert abs((before - after).total_seconds() - HOUR) < 60
    for _ in range(3):
        report = next(report for report in mirror.turn(Wish(at_once=True)).reports if report.resource == "tasks")
        assert (report.mode, str(report.status)) == (Mode.INCREMENTAL, "ok")
        mirror.clock.advance(300)


def test_a_token_granted_by_a_wrong_clock_costs_one_refresh(own_stage: Stage, mirror: Mirror):
    """Its life counts from receipt, by our clock: set back, we learn from the portal that it is over."""
    assert statuses(mirror.sync()) == OK
    set_ours(own_stage, -DAY)
    mirror.clock.advance(2 * HOUR)
    reports = mirror.sync()

    assert statuses(reports) == OK
    assert sum(report.refreshes for report in reports.values()) == 1


@pytest.mark.parametrize("at_work", [True, False], ids=["leased", "enqueued"])
def test_a_lease_or_a_message_of_a_wrong_clock_does_not_stay(
    database: Database, portal_id: int, clock: FakeClock, at_work: bool
):
    """A process died, and the clock by which it had taken the portal was a day ahead."""
    minute = timedelta(minutes=1)
    with database.write() as session:
        if at_work:
            leases.take_lease(session, portal_id, owner="dead", now=clock.now() + timedelta(days=1), ttl=minute)
        else:
            ahead = clock.now() + timedelta(days=1)
            leases.claim_due(session, now=ahead, enqueued_for=minute, limit=9, sick_limit=9)
    with database.write() as session:
        claimed = leases.claim_due(session, now=clock.now(), enqueued_for=minute, limit=9, sick_limit=9)
        taken = leases.take_lease(session, portal_id, owner="alive", now=clock.now(), ttl=minute)

    assert claimed == [portal_id]
    assert taken is not None


def test_a_portal_scheduled_by_a_clock_that_was_ahead_is_due(database: Database, portal_id: int, clock: FakeClock):
    minute, day = timedelta(minutes=1), timedelta(days=1)
    with database.write() as session:
        fence = leases.take_lease(session, portal_id, owner="a", now=clock.now() + day, ttl=minute)
        assert fence is not None
        then = clock.now() + day
        leases.release_lease(session, portal_id, owner="a", fence=fence, next_run_at=then + minute, now=then)
        assert leases.claim_due(session, now=clock.now(), enqueued_for=minute, limit=9, sick_limit=9) == [portal_id]


def test_two_hosts_whose_clocks_differ_a_little_do_not_rob_each_other(
    database: Database, portal_id: int, clock: FakeClock
):
    """Ten minutes are a wrong clock, not one that was set back."""
    minute = timedelta(minutes=1)
    with database.write() as session:
        leases.take_lease(session, portal_id, owner="ahead", now=clock.now() + timedelta(minutes=10), ttl=minute)
        assert leases.take_lease(session, portal_id, owner="behind", now=clock.now(), ttl=minute) is None


def test_the_right_to_refresh_of_a_wrong_clock_does_not_stay(
    database: Database, account: Account, clock: FakeClock, token_store: SqlTokenStore
):
    ahead, lease = clock.now() + timedelta(days=1), timedelta(seconds=30)
    assert token_store.claim_refresh(account.id, version=1, owner="dead", now=ahead, lease=lease)

    assert token_store.claim_refresh(account.id, version=1, owner="alive", now=clock.now(), lease=lease)
    assert not token_store.claim_refresh(account.id, version=1, owner="third", now=clock.now(), lease=lease)


def test_a_budget_filled_by_a_wrong_clock_empties(database: Database, portal_id: int, clock: FakeClock):
    """Else each request would wait for the day on which the clock was."""
    store = SqlBudgetStore(database)
    ahead = clock.now() + timedelta(days=1)
    store.reserve(portal_id, 50, now=ahead, patience=60)
    store.reserve(portal_id, 1, now=clock.now(), patience=60)
    clock.advance(60)

    assert store.reserve(portal_id, 1, now=clock.now(), patience=60) == 0


def test_a_method_closed_by_a_wrong_clock_opens(database: Database, portal_id: int, clock: FakeClock):
    store = SqlBudgetStore(database)
    store.close_method(portal_id, "tasks.task.list", until=clock.now() + timedelta(days=1))

    assert store.closed_methods(portal_id, now=clock.now()) == {}


def test_sweeps_and_full_readings_of_a_future_that_never_came_are_due(own_stage: Stage, mirror: Mirror):
    """A machine without a battery woke in another year, and was read from then."""
    set_ours(own_stage, 400 * DAY)
    mirror.connect(mirror.portal.admin_id)
    assert statuses(mirror.sync()) == OK
    set_ours(own_stage, -400 * DAY)
    mirror.connect(mirror.portal.admin_id)
    mirror.clock.advance(300)
    modes = {report.resource: report.mode for report in mirror.turn().reports}

    assert modes["tasks"] is Mode.FULL


def test_what_the_portal_says_of_its_clock_is_kept_once(own_stage: Stage, mirror: Mirror):
    """A quiet run does not write it again."""
    mirror.sync()
    ahead = mirror.standing().clock_ahead_seconds
    assert ahead is not None
    assert abs(ahead) < 2
    with mirror.database.read() as session:
        assert session.scalar(select(Portal.scheduled_at)) is not None
        assert session.scalar(select(OAuthToken.version)) == 1
