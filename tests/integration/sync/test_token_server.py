"""A token server that is down is no portal's sickness: who has a live token goes on, the others as soon as it is up."""

from tests.integration.mirror import INTERVALS, OK, Mirror, Stage, statuses
from tests.integration.sync.conftest import AWAY, due_in, seen
from worker.emulator import PortalSpec
from worker.sync.portal import Wish


def no_answer(mirror: Mirror, stage: Stage) -> None:
    """Its access token is not taken any more, and nobody gives it a new one."""
    stage.emulator.token_server.expire(mirror.portal)
    stage.emulator.token_server.faults.add("html", times=AWAY, status=503)


def test_it_opens_no_portals_breaker_and_all_is_well_when_it_is_back(own_stage: Stage):
    mirror = own_stage.mirror(tasks=30, events=12, users=5, intervals=INTERVALS)
    assert statuses(mirror.sync()) == OK
    no_answer(mirror, own_stage)
    for attempt in (1, 2, 3):
        mirror.clock.advance(300)
        reports = mirror.turn(attempt=attempt).reports
        assert {str(report.status) for report in reports} == {"failed"}
        assert own_stage.emulator.auth_url.removeprefix("http://") in (reports[0].error or "")
        assert seen(mirror).breaker.state == "closed"
        assert 0 < due_in(mirror) <= 300

    own_stage.emulator.token_server.faults.clear()
    mirror.clock.advance(due_in(mirror))
    assert statuses({one.resource: one for one in mirror.turn().reports}) == OK
    assert mirror.differences() == []


def test_a_portal_that_is_asked_again_and_has_no_token_is_not_asked_at_every_tick(own_stage: Stage):
    """Its breaker is as it was: neither longer open, nor closed."""
    mirror = own_stage.mirror(tasks=30, events=12, users=5, intervals=INTERVALS)
    mirror.sync()
    mirror.clock.advance(300)
    mirror.portal.faults.add("html", times=AWAY)
    mirror.turn()
    mirror.clock.advance(900)
    mirror.portal.faults.clear()
    no_answer(mirror, own_stage)
    mirror.turn()

    assert (seen(mirror).breaker.state, seen(mirror).breaker.failures) == ("half_open", 1)
    assert due_in(mirror) >= 5


def test_an_account_with_a_live_token_reads_its_part(own_stage: Stage):
    portal = own_stage.portal(tasks=30, events=12, users=6)
    users = sorted(user.user_id for user in portal.world.users.values() if user.active)[:2]
    mirror = own_stage.mirror(portal, accounts=users, intervals=INTERVALS)
    assert statuses(mirror.sync()) == OK
    no_answer(mirror, own_stage)
    mirror.connect(users[1])
    own_stage.emulator.token_server.faults.add("html", times=AWAY, status=503)
    mirror.clock.advance(300)
    reports = {report.resource: report for report in mirror.turn().reports}

    assert reports["tasks"].fetched == 0
    assert reports["planner"].fetched > 0
    assert seen(mirror).breaker.state == "closed"


def test_when_two_portals_got_no_answer_no_turn_asks_until_the_pause_is_over(own_stage: Stage):
    """So those without a token hold no threads. Then one request decides, and all read on."""
    mirror = own_stage.mirror(tasks=30, events=12, users=5, intervals=INTERVALS)
    other = own_stage.emulator.add_portal(PortalSpec(name="other", seed=9, tasks=9), application_of=mirror.portal)
    connected = mirror.wiring.connector.with_tokens(other.issue_tokens(other.admin_id))
    server = own_stage.emulator.token_server
    no_answer(mirror, own_stage)
    server.expire(other)
    asked = []
    for portal_id in (mirror.portal_id, connected.portal_id, mirror.portal_id, connected.portal_id):
        before = server.faults.met
        outcome = mirror.engine().run(portal_id, Wish(at_once=True))
        assert outcome is not None
        assert {str(report.status) for report in outcome.reports} == {"failed"}
        asked.append(server.faults.met - before)
    assert min(asked[:2]) >= 1
    assert asked[2:] == [0, 0]

    server.faults.clear()
    mirror.clock.advance(60)
    for portal_id in (mirror.portal_id, connected.portal_id):
        outcome = mirror.engine().run(portal_id, Wish(at_once=True))
        assert outcome is not None
        assert {str(report.status) for report in outcome.reports} == {"ok"}
