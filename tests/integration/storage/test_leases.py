"""One job per portal, and who lost the lease writes nothing."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import FakeClock
from tests.integration.conftest import connect
from worker.errors import LeaseLost
from worker.storage import leases, portals
from worker.storage.models import Portal
from worker.storage.session import Database

MINUTE = timedelta(minutes=1)
NOW = FakeClock().now()


def raced(count: int, act: Callable[[int], object]) -> list[object]:
    """What `count` threads got that did it at once."""
    start = threading.Barrier(count)
    results: list[object] = []

    def run(number: int) -> None:
        start.wait()
        try:
            results.append(act(number))
        except Exception as error:  # noqa: BLE001 - told to the test
            results.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def take(database: Database, portal_id: int, owner: str, clock: FakeClock) -> int | None:
    with database.write() as session:
        return leases.take_lease(session, portal_id, owner=owner, now=clock.now(), ttl=MINUTE)


def claim(database: Database, clock: FakeClock, limit: int = 100) -> list[int]:
    with database.write() as session:
        return leases.claim_due(session, now=clock.now(), enqueued_for=MINUTE, limit=limit, sick_limit=limit)


def test_of_eight_threads_one_gets_the_lease(database: Database, portal_id: int, clock: FakeClock):
    """The others get nothing, and no error."""
    got = raced(8, lambda number: take(database, portal_id, f"worker {number}", clock))

    assert sorted(got, key=str) == [1, *[None] * 7]


def test_a_lease_is_taken_again_when_it_ran_out(database: Database, portal_id: int, clock: FakeClock):
    """Each time with a higher fence; the same owner is no exception."""
    assert take(database, portal_id, "a", clock) == 1
    assert take(database, portal_id, "a", clock) is None
    clock.advance(59.999)
    assert take(database, portal_id, "b", clock) is None
    clock.advance(0.001)
    assert take(database, portal_id, "b", clock) == 2


def test_a_removed_portal_has_no_lease(database: Database, portal_id: int, clock: FakeClock):
    """A job may be late."""
    assert take(database, portal_id + 1000, "a", clock) is None


def test_renewing_keeps_the_lease(database: Database, portal_id: int, clock: FakeClock):
    """And tells which leases are not ours any more."""
    fence = take(database, portal_id, "a", clock)
    assert fence is not None
    clock.advance(45)
    held = {portal_id: ("a", fence), portal_id + 1000: ("a", 1)}
    with database.write() as session:
        assert leases.renew_leases(session, owner_fences=held, now=clock.now(), ttl=MINUTE) == {portal_id}
    clock.advance(45)
    assert take(database, portal_id, "b", clock) is None
    clock.advance(30)
    assert take(database, portal_id, "b", clock) == 2
    with database.write() as session:
        assert leases.renew_leases(session, owner_fences=held, now=clock.now(), ttl=MINUTE) == set()


def test_who_lost_the_lease_commits_nothing(database: Database, portal_id: int, clock: FakeClock):
    """The fence is checked in the transaction of the rows: they are rolled back."""
    fence = take(database, portal_id, "a", clock)
    assert fence is not None
    with database.write() as session:
        leases.check_fence(session, portal_id, owner="a", fence=fence, now=clock.now())
    clock.advance(61)
    assert take(database, portal_id, "b", clock) == 2

    def write_late() -> None:
        with database.write() as session:
            session.get_one(Portal, portal_id).domain = "late.example"
            leases.check_fence(session, portal_id, owner="a", fence=fence, now=clock.now())

    with pytest.raises(LeaseLost):
        write_late()
    with database.read() as session:
        assert session.get_one(Portal, portal_id).domain == "one.example"


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"owner": "b"}, id="another owner"),
        pytest.param({"fence": 2}, id="another fence"),
        pytest.param({"now": NOW + MINUTE}, id="ran out"),
    ],
)
def test_a_lease_that_is_not_ours_is_refused(
    database: Database, portal_id: int, clock: FakeClock, asked: dict[str, Any]
):
    """In every way in which it may not be ours."""
    assert clock.now() == NOW
    assert take(database, portal_id, "a", clock) == 1
    with pytest.raises(LeaseLost), database.write() as session:
        leases.check_fence(session, portal_id, **({"owner": "a", "fence": 1, "now": NOW} | asked))


def test_nobody_takes_the_lease_between_check_and_commit(database: Database, portal_id: int, clock: FakeClock):
    """The taker waits for the transaction that has checked."""
    assert take(database, portal_id, "a", clock) == 1
    later = FakeClock(clock.now())
    later.advance(61)
    order: list[str] = []

    def steal() -> None:
        take(database, portal_id, "b", later)
        order.append("taken")

    thief = threading.Thread(target=steal)
    with database.write() as session:
        leases.check_fence(session, portal_id, owner="a", fence=1, now=clock.now())
        thief.start()
        thief.join(0.3)
        order.append("committed")
    thief.join()

    assert order == ["committed", "taken"]


def test_releasing_sets_the_next_run(database: Database, portal_id: int, clock: FakeClock):
    """Only the holder releases, and only once."""
    assert take(database, portal_id, "a", clock) == 1
    due = clock.now() + MINUTE
    with database.write() as session:
        assert not leases.release_lease(session, portal_id, owner="b", fence=1, next_run_at=None, now=clock.now())
        assert leases.release_lease(session, portal_id, owner="a", fence=1, next_run_at=due, now=clock.now())
        assert not leases.release_lease(session, portal_id, owner="a", fence=1, next_run_at=None, now=clock.now())

    assert claim(database, clock) == []
    clock.advance(60)
    assert claim(database, clock) == [portal_id]


def test_due_portals_are_claimed_once(database: Database, portal_id: int, clock: FakeClock):
    """A portal under way is not sent again, until its message must have got lost."""
    assert claim(database, clock) == [portal_id]
    assert claim(database, clock) == []
    clock.advance(60)
    assert claim(database, clock) == [portal_id]

    assert take(database, portal_id, "a", clock) == 1
    assert claim(database, clock) == []
    clock.advance(60)
    assert claim(database, clock) == [portal_id]


def test_a_claim_that_could_not_be_sent_is_undone(database: Database, portal_id: int, clock: FakeClock):
    """The broker was away: the next tick tries again."""
    claimed = claim(database, clock)
    with database.write() as session:
        leases.unclaim(session, claimed)

    assert claim(database, clock) == [portal_id]


def test_only_active_portals_are_due_and_the_longest_waiting_first(database: Database, clock: FakeClock):
    """Who was never read comes first; paused, closed and later ones do not come."""
    now = clock.now()
    with database.write() as session:
        numbers = []
        for name, wait in [("late", -5), ("later", -60), ("future", 1), ("paused", -5), ("closed", -5), ("new", None)]:
            number = connect(session, now, member_id=name, domain=f"{name}.example").portal_id
            session.get_one(Portal, number).next_run_at = None if wait is None else now + timedelta(seconds=wait)
            if name in {"paused", "closed"}:
                session.get_one(Portal, number).status = name
            session.flush()
            numbers.append(number)
    late, later, _, _, _, new = numbers

    assert claim(database, clock, limit=2) == [new, later]
    assert claim(database, clock, limit=2) == [late]


def test_two_dispatchers_never_claim_one_portal_twice(database: Database, clock: FakeClock):
    """Six beats at once, forty portals: each portal is claimed by one of them."""
    with database.write() as session:
        numbers = {
            connect(session, clock.now(), member_id=f"m{number}", domain=f"{number}.example").portal_id
            for number in range(40)
        }

    claims = [one for found in raced(6, lambda _: claim(database, clock)) for one in found]  # type: ignore[attr-defined]
    claims += claim(database, clock)  # what was passed over because another had it locked

    assert sorted(claims) == sorted(numbers)


def test_a_removed_portal_ends_its_run(database: Database, portal_id: int, clock: FakeClock):
    """Whoever still works on it is told at the next commit."""
    assert take(database, portal_id, "a", clock) == 1
    with database.write() as session:
        portals.remove_portal(session, portal_id)
    with pytest.raises(LeaseLost), database.write() as session:
        leases.check_fence(session, portal_id, owner="a", fence=1, now=clock.now())
