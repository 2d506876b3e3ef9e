"""A portal that does not answer is left alone for growing pauses, asked by a probe, and never delays another."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.conftest import FakeClock
from tests.integration.conftest import connect
from tests.integration.mirror import INTERVALS, OK, Mirror, Stage, statuses
from tests.integration.sync.conftest import AWAY, due_in, seen
from worker.errors import Interrupted
from worker.overview import look
from worker.storage import leases, portals
from worker.storage.models import Portal
from worker.storage.session import Database
from worker.sync.portal import Wish


@pytest.fixture
def mirror(own_stage: Stage) -> Mirror:
    return own_stage.mirror(tasks=30, events=12, users=5, intervals=INTERVALS)


@pytest.mark.parametrize("kind", ["reset", "rate_limit"])
def test_pauses_of_a_portal_that_stays_away_grow_and_one_request_probes_it(mirror: Mirror, kind: str):
    """The turn that finds it away tries in full; each later one costs one request until it answers."""
    assert statuses(mirror.sync()) == OK
    mirror.clock.advance(300)
    mirror.portal.faults.add(kind, times=AWAY)
    pauses, requests = [], []
    for _ in range(8):
        mirror.portal.requests.reset()
        assert set(statuses({one.resource: one for one in mirror.turn().reports}).values()) == {"failed"}
        requests.append(mirror.portal.requests.http)
        pauses.append(due_in(mirror))
        assert seen(mirror).breaker.state == "open"
        mirror.clock.advance(pauses[-1] / 2)
        assert mirror.turn().reports == [], "asked while it is left alone"
        mirror.clock.advance(pauses[-1] / 2 + 0.001)
        assert seen(mirror).breaker.state == "half_open"

    assert pauses == [10, 20, 40, 80, 160, 320, 640, 900]
    assert requests[0] > 1
    assert requests[1:] == [1] * 7

    mirror.portal.faults.clear()
    mirror.portal.create_task(title="Made while it was away")
    assert statuses({one.resource: one for one in mirror.turn().reports}) == OK
    assert (seen(mirror).breaker.state, seen(mirror).breaker.failures) == ("closed", 0)
    assert due_in(mirror) == 300
    assert mirror.differences() == []


def test_a_probe_that_is_answered_is_not_yet_a_portal_that_is_well(mirror: Mirror):
    """It hangs on what is large: the next pause is longer all the same."""
    mirror.sync()
    for failures in (1, 2, 3):
        mirror.clock.advance(900)
        mirror.portal.faults.add("html", times=AWAY, method="batch")
        mirror.turn()
        assert seen(mirror).breaker.failures == failures
        mirror.portal.faults.clear()


def test_the_state_is_told_with_its_reason(mirror: Mirror):
    mirror.portal.faults.add("html", times=AWAY, status=503)
    mirror.turn()
    told = look(mirror.database, mirror.clock.now()).as_dict()["portals"][0]["breaker"]

    assert told["state"] == "open"
    assert told["failures"] == 1
    assert told["until"].endswith("Z")
    assert "503" in told["reason"]


def test_an_operator_asks_at_once_whatever_the_breaker_says(mirror: Mirror):
    """And what he finds counts."""
    mirror.portal.faults.add("html", times=AWAY)
    mirror.turn()
    mirror.portal.faults.clear()

    assert {str(report.status) for report in mirror.turn(Wish(at_once=True)).reports} == {"ok"}
    assert seen(mirror).breaker.state == "closed"


@pytest.mark.parametrize("act", ["connect", "resume"])
def test_a_portal_that_a_person_touched_is_asked_at_once(mirror: Mirror, act: str):
    mirror.portal.faults.add("html", times=AWAY)
    mirror.turn()
    mirror.portal.faults.clear()
    if act == "connect":
        mirror.connect(mirror.portal.admin_id)
    else:
        with mirror.database.write() as session:
            portals.set_portal_status(session, mirror.portal_id, "active")

    assert seen(mirror).breaker.state == "closed"


def test_trouble_of_one_method_opens_no_breaker(mirror: Mirror):
    """The portal answers; one of its methods is closed."""
    mirror.portal.faults.add("operation_time_limit", method="tasks.task.list", times=50, seconds=900)
    mirror.turn()

    assert seen(mirror).breaker.state == "closed"


def test_a_stop_says_nothing_of_the_portal(mirror: Mirror):
    """Neither that it answers nor that it does not."""
    mirror.portal.faults.add("html", times=AWAY)
    mirror.turn()
    mirror.clock.advance(20)
    outcome = mirror.turn(stop_after=0)

    assert {type(report.failure) for report in outcome.reports} == {Interrupted}
    assert seen(mirror).breaker.failures == 1


def test_silence_to_one_account_spares_the_others(own_stage: Stage):
    """Each would hold the thread until its own request times out."""
    portal = own_stage.portal(tasks=30, events=12, users=6)
    users = sorted(user.user_id for user in portal.world.users.values() if user.active)[:4]
    mirror = own_stage.mirror(portal, accounts=users, intervals=INTERVALS)
    mirror.portal.faults.add("html", times=AWAY)
    mirror.portal.requests.reset()
    reports = mirror.turn().reports

    assert {str(report.status) for report in reports} == {"failed"}
    assert mirror.portal.requests.http <= 4


def test_a_request_gives_up_within_a_minute_whatever_its_attempts_cost(mirror: Mirror):
    """A portal that lets us hang is tried once; four attempts of 65 s would hold the thread for minutes."""
    taken = mirror.wiring.transport._send
    mirror.wiring.transport._send = lambda *a, **k: (mirror.clock.advance(29), taken(*a, **k))[1]
    mirror.portal.faults.add("html", times=AWAY)
    mirror.portal.requests.reset()
    began = mirror.clock.monotonic()
    mirror.turn()

    assert mirror.portal.requests.http == 2
    assert mirror.clock.monotonic() - began < 90


def claim(database: Database, clock: FakeClock, *, sick_limit: int, limit: int = 100) -> list[int]:
    with database.write() as session:
        wait = timedelta(minutes=1)
        return leases.claim_due(session, now=clock.now(), enqueued_for=wait, limit=limit, sick_limit=sick_limit)


def test_portals_that_do_not_answer_are_claimed_a_few_at_a_time(database: Database, clock: FakeClock):
    """Whatever their number, they never hold more threads than that; the healthy ones are claimed all."""
    with database.write() as session:
        made = [
            connect(session, clock.now(), member_id=f"m{number}", domain=f"p{number}.example").portal_id
            for number in range(12)
        ]
        sick, healthy = set(made[:8]), set(made[8:])
        session.execute(update(Portal).where(Portal.id.in_(sick)).values(breaker_failures=3))

    first = set(claim(database, clock, sick_limit=2))
    assert healthy <= first
    assert len(first & sick) == 2
    assert claim(database, clock, sick_limit=2) == []

    with database.write() as session:  # one of them is at work now, the other's message was lost
        leases.take_lease(session, min(first & sick), owner="a", now=clock.now(), ttl=timedelta(minutes=2))
    clock.advance(61)
    later = set(claim(database, clock, sick_limit=2))
    assert len(later & sick) == 1
    assert min(first & sick) not in later
