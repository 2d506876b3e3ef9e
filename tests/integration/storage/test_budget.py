"""The bucket is counted right, by everybody at once."""

import threading
from datetime import timedelta

import pytest

from tests.conftest import FakeClock
from tests.integration.conftest import connect
from worker.errors import LeaseLost
from worker.storage import portals
from worker.storage.budget import SqlBudgetStore, prune_closed_methods
from worker.storage.models import RequestBudget
from worker.storage.session import Database


@pytest.fixture
def budget(database: Database) -> SqlBudgetStore:
    return SqlBudgetStore(database)


def test_what_fits_goes_at_once_and_the_rest_waits(budget: SqlBudgetStore, portal_id: int, clock: FakeClock):
    """48 of 50 at once, then 2 a second; who reserves waits for those before."""
    waits = [budget.reserve(portal_id, 20, now=clock.now(), patience=60) for _ in range(4)]

    assert waits == pytest.approx([0.0, 0.0, 6.0, 16.0])


def test_the_bucket_empties(budget: SqlBudgetStore, portal_id: int, clock: FakeClock):
    """By two a second, and never below nothing."""
    assert budget.reserve(portal_id, 48, now=clock.now(), patience=0) == 0.0
    clock.advance(3)
    assert budget.reserve(portal_id, 6, now=clock.now(), patience=0) == 0.0
    assert budget.reserve(portal_id, 1, now=clock.now(), patience=9) == pytest.approx(0.5)
    clock.advance(3600)
    assert budget.reserve(portal_id, 48, now=clock.now(), patience=0) == 0.0
    assert budget.reserve(portal_id, 1, now=clock.now(), patience=9) == pytest.approx(0.5)


def test_parts_of_a_second_count(budget: SqlBudgetStore, portal_id: int, clock: FakeClock):
    """A bucket asked often empties as fast as one asked rarely."""
    assert budget.reserve(portal_id, 48, now=clock.now(), patience=0) == 0.0
    for _ in range(10):
        clock.advance(0.05)
        budget.reserve(portal_id, 0, now=clock.now(), patience=0)
    assert budget.reserve(portal_id, 1, now=clock.now(), patience=0) == pytest.approx(0.0, abs=1e-4)


def test_beyond_patience_nothing_is_reserved(budget: SqlBudgetStore, portal_id: int, clock: FakeClock):
    """The wait is told, and the next one does not wait for what was not taken."""
    budget.reserve(portal_id, 48, now=clock.now(), patience=0)

    assert budget.reserve(portal_id, 20, now=clock.now(), patience=9.9) == pytest.approx(10.0)
    assert budget.reserve(portal_id, 20, now=clock.now(), patience=10.0) == pytest.approx(10.0)
    assert budget.reserve(portal_id, 20, now=clock.now(), patience=10.0) == pytest.approx(20.0)


def test_a_clock_behind_empties_nothing(budget: SqlBudgetStore, portal_id: int, clock: FakeClock):
    """Another host's clock may be a little slow."""
    budget.reserve(portal_id, 48, now=clock.now(), patience=0)
    slow = clock.now() - timedelta(seconds=10)

    assert budget.reserve(portal_id, 2, now=slow, patience=9) == pytest.approx(1.0)
    assert budget.reserve(portal_id, 2, now=clock.now(), patience=9) == pytest.approx(2.0)


def test_a_full_bucket_is_full_for_all(budget: SqlBudgetStore, portal_id: int, clock: FakeClock):
    """The portal knows of requests that we do not; a bucket that overflows already is not emptied by it."""
    budget.fill(portal_id, now=clock.now())
    assert budget.reserve(portal_id, 2, now=clock.now(), patience=60) == pytest.approx(4.0)
    budget.reserve(portal_id, 18, now=clock.now(), patience=60)
    budget.fill(portal_id, now=clock.now())
    assert budget.reserve(portal_id, 0, now=clock.now(), patience=60) == pytest.approx(22.0)


def test_a_refusal_halves_the_rate_and_it_grows_back(budget: SqlBudgetStore, portal_id: int, clock: FakeClock):
    """Somebody else at our address takes the other half; requests that were refused together count once."""

    def pause() -> float:
        """Between two requests at the full bucket."""
        first, second = (budget.reserve(portal_id, 1, now=clock.now(), patience=999) for _ in range(2))
        return second - first

    budget.reserve(portal_id, 60, now=clock.now(), patience=60)
    assert pause() == pytest.approx(0.5)
    budget.fill(portal_id, now=clock.now())
    clock.advance(1)
    budget.fill(portal_id, now=clock.now())
    assert pause() == pytest.approx(1.0, abs=0.01)

    clock.advance(30)
    budget.fill(portal_id, now=clock.now())
    assert pause() == pytest.approx(1.8, abs=0.05)
    for _ in range(20):
        clock.advance(3)
        budget.fill(portal_id, now=clock.now())
    assert pause() == pytest.approx(8.0, abs=0.5)

    clock.advance(600)
    budget.reserve(portal_id, 60, now=clock.now(), patience=999)
    assert pause() == pytest.approx(0.5)


def test_an_enterprise_portal_has_more(database: Database, budget: SqlBudgetStore, portal_id: int, clock: FakeClock):
    """The rate is the portal's."""
    with database.write() as session:
        bucket = session.get_one(RequestBudget, portal_id)
        bucket.per_second, bucket.burst = 5, 250

    assert budget.reserve(portal_id, 240, now=clock.now(), patience=0) == 0.0
    assert budget.reserve(portal_id, 5, now=clock.now(), patience=9) == pytest.approx(1.0)


def test_portals_do_not_share_a_bucket(database: Database, budget: SqlBudgetStore, portal_id: int, clock: FakeClock):
    """One portal's traffic never delays another's."""
    with database.write() as session:
        other = connect(session, clock.now(), member_id="m2", domain="two.example").portal_id
    budget.reserve(portal_id, 48, now=clock.now(), patience=0)

    assert budget.reserve(other, 48, now=clock.now(), patience=0) == 0.0


def test_reservations_at_once_are_all_counted(budget: SqlBudgetStore, portal_id: int, clock: FakeClock):
    """Eight threads take one each ten times: together they have taken eighty."""
    waits: list[float] = []
    start = threading.Barrier(8)

    def run() -> None:
        start.wait()
        waits.extend(budget.reserve(portal_id, 1, now=clock.now(), patience=1000) for _ in range(10))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(waits) == pytest.approx([0.0] * 48 + [number / 2 for number in range(1, 33)])


def test_a_bucket_is_made_where_it_is_missing(
    database: Database, budget: SqlBudgetStore, portal_id: int, clock: FakeClock
):
    """Whichever of two threads comes first."""
    with database.write() as session:
        session.delete(session.get_one(RequestBudget, portal_id))
    start = threading.Barrier(4)
    waits: list[float] = []

    def run() -> None:
        start.wait()
        waits.append(budget.reserve(portal_id, 24, now=clock.now(), patience=1000))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(waits) == pytest.approx([0.0, 0.0, 12.0, 24.0])


def test_a_removed_portal_ends_its_run(database: Database, budget: SqlBudgetStore, portal_id: int, clock: FakeClock):
    """Whoever still works on it stops here, not at a foreign key."""
    with database.write() as session:
        portals.remove_portal(session, portal_id)

    with pytest.raises(LeaseLost, match="was removed"):
        budget.reserve(portal_id, 1, now=clock.now(), patience=0)
    with pytest.raises(LeaseLost, match="was removed"):
        budget.fill(portal_id, now=clock.now())
    budget.close_method(portal_id, "tasks.task.list", until=clock.now())


def test_a_closed_method_opens_by_itself(database: Database, budget: SqlBudgetStore, portal_id: int, clock: FakeClock):
    """Until then it is closed for everybody; the later date holds."""
    until = clock.now() + timedelta(minutes=5)
    assert budget.closed_methods(portal_id, now=clock.now()) == {}
    budget.close_method(portal_id, "tasks.task.list", until=until)
    budget.close_method(portal_id, "tasks.task.list", until=until - timedelta(minutes=1))
    budget.close_method(portal_id, "user.get", until=until - timedelta(minutes=1))

    assert budget.closed_methods(portal_id, now=until - timedelta(minutes=1)) == {"tasks.task.list": until}
    assert budget.closed_methods(portal_id, now=until) == {}
    with database.write() as session:
        assert prune_closed_methods(session, until) == 2
