"""One portal's trouble never delays another's: a daemon with sick portals of every kind, and many healthy ones."""

import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from worker.emulator import Portal, PortalSpec
from worker.overview import PortalState, look
from worker.storage.models import Portal as PortalRow

if TYPE_CHECKING:
    from tests.e2e.conftest import Stage

pytestmark = pytest.mark.e2e

FOR_EVER = 1_000_000


def sicken(portals: dict[str, Portal]) -> None:
    portals["hangs"].faults.add("hang", times=FOR_EVER, seconds=100)
    portals["is away"].faults.add("html", times=FOR_EVER, status=503)
    portals["is busy"].faults.add("rate_limit", times=FOR_EVER)
    portals["is dead"].stop()


def healthy_stay_fresh(
    stage: Callable, *, healthy: int, interval: int, concurrency: int, rounds: int, patient: bool
) -> None:
    here: Stage = stage(
        PortalSpec(name="h0", seed=1, tasks=20, events=5, users=4),
        B24SYNC_SYNC_INTERVAL=str(interval),
        B24SYNC_CONCURRENCY=str(concurrency),
    )
    here.connect()
    sick: dict[str, Portal] = {}
    for number, name in enumerate([f"h{n}" for n in range(1, healthy)] + ["hangs", "is away", "is busy", "is dead"]):
        spec = PortalSpec(name=name, seed=number + 2, tasks=20, events=5, users=4)
        portal = here.emulator.add_portal(spec, application_of=here.portal)
        here.wiring.connector.with_tokens(portal.issue_tokens(portal.admin_id))
        if not name.startswith("h") or name == "hangs":
            sick[name] = portal
    member_ids = {portal.member_id: name for name, portal in sick.items()}
    sicken(sick)

    def states() -> list[PortalState]:
        return list(look(here.wiring.ready_database, here.wiring.clock.now()).portals)

    def well() -> list[PortalState]:
        return [state for state in states() if state.member_id not in member_ids]

    def oldest() -> float:
        ages = [resource.fresh_seconds for state in well() for resource in state.resources]
        return max(float("inf") if age is None else age for age in ages)

    with here.process("worker", "run"):
        here.wait(lambda: oldest() < float("inf"), seconds=120)
        ages = []
        end = time.monotonic() + rounds * interval
        while time.monotonic() < end:
            ages.append(oldest())
            time.sleep(1)
        told = set(sick) if patient else {"is away", "is dead"}  # the others take a minute to be given up
        here.wait(lambda: all(s.breaker.failures for s in states() if member_ids.get(s.member_id) in told), seconds=90)
        found = states()  # while it runs: a turn that the end of the daemon cuts is no failure

    assert max(ages) <= 2 * interval, f"the healthy ones were {max(ages):g} s old, the interval is {interval} s"
    for state in found:
        assert state.member_id in member_ids or state.breaker.state == "closed"
        if (name := member_ids.get(state.member_id)) in told:
            assert state.breaker.failures >= 1, name
            assert state.breaker.reason, name
            assert all(resource.last_status == "failed" for resource in state.resources), name


def test_four_kinds_of_sick_portals_delay_no_healthy_one(stage: Callable):
    """One hangs, one answers 503, one is dead, one says that we ask too much; four threads for all."""
    healthy_stay_fresh(stage, healthy=5, interval=6, concurrency=4, rounds=2, patient=False)


@pytest.mark.long
def test_four_kinds_of_sick_portals_delay_none_of_fifty(stage: Callable):
    """The same with fifty, and the daemon's own number of threads."""
    healthy_stay_fresh(stage, healthy=50, interval=20, concurrency=16, rounds=3, patient=True)


@pytest.mark.long
def test_portals_known_to_be_silent_hold_a_quarter_of_the_threads(stage: Callable):
    """Ten that hang, four threads: once each is known to be silent, the healthy ones have three threads for good."""
    here: Stage = stage(
        PortalSpec(name="h0", seed=1, tasks=20, events=5, users=4),
        B24SYNC_SYNC_INTERVAL="6",
        B24SYNC_CONCURRENCY="4",
    )
    here.connect()
    deaf = socket.create_server(("127.0.0.1", 0), backlog=100)
    for number in range(10):
        spec = PortalSpec(name=f"p{number}", seed=number + 2, tasks=2, events=1, users=3)
        portal = here.emulator.add_portal(spec, application_of=here.portal)
        connected = here.wiring.connector.with_tokens(portal.issue_tokens(portal.admin_id))
        with here.wiring.ready_database.write() as session:
            values = {"rest_url": f"http://127.0.0.1:{deaf.getsockname()[1]}/rest/", "breaker_failures": 1}
            session.execute(update(PortalRow).where(PortalRow.id == connected.portal_id).values(**values))
    ages = []
    with deaf, here.process("worker", "run"):
        here.wait(here.runs, seconds=60)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            (first, *_) = look(here.wiring.ready_database, here.wiring.clock.now()).portals
            ages.append(max(resource.fresh_seconds or 0 for resource in first.resources))
            time.sleep(1)

    assert max(ages) <= 12
