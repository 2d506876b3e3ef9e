"""What happened lately to the portals of a page."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.conftest import FakeClock
from tests.integration.web.fleet import add_portals, well
from worker.storage import history, runs
from worker.storage.cursors import update_cursor
from worker.storage.rejected import put_rejected
from worker.storage.runs import last_errors
from worker.storage.session import Database

Run = Callable[..., None]


@pytest.fixture
def portals(database: Database, clock: FakeClock) -> list[int]:
    """Three, each resource of which was read once."""
    with database.write() as session:
        return add_portals(session, clock.now(), well, well, well)


@pytest.fixture
def run(database: Database, clock: FakeClock) -> Run:
    """Notes a run of the tasks, so many seconds from now."""

    def note(portal_id: int, after: int, **told: object) -> None:
        at = clock.now() + timedelta(seconds=after)
        report = {"portal_id": portal_id, "resource": "tasks", "mode": "incremental", "status": "ok", **told}
        with database.write() as session:
            runs.add_run(session, {**report, "started_at": at, "finished_at": at})

    return note


def test_the_last_runs_of_each_resource_are_told_the_oldest_first(database: Database, portals: list[int], run: Run):
    one, other, strange = portals
    for portal_id in (one, strange):
        for number in (2, 1, 4, 3):
            run(portal_id, number, inserted=10 * number)
    with database.read() as session:
        found = history.last_runs(session, [one, other], limit=3)

    assert {key[0] for key in found} == {one, other}
    assert [it.inserted for it in found[one, "tasks"]] == [20, 30, 40]
    assert [it.inserted for it in found[other, "tasks"]] == [1]
    assert len(found) == 8


def test_of_runs_that_began_together_no_more_are_told(database: Database, portals: list[int], run: Run):
    for number in range(5):
        run(portals[0], 7, inserted=number)
    with database.read() as session:
        found = history.last_runs(session, portals, limit=2)

    assert [it.inserted for it in found[portals[0], "tasks"]] == [3, 4]


def test_only_changes_of_the_portals_are_told(database: Database, clock: FakeClock, portals: list[int], run: Run):
    one, other, _ = portals
    run(one, 1, inserted=2, updated=3)
    run(one, 2)
    run(other, 3, deleted=1)
    with database.read() as session:
        sums = history.sums_since(session, [one], clock.now())
        latest = history.latest_changes(session, [one], clock.now(), limit=2)

    assert (sums[0].resource, sums[0].inserted, sums[0].updated) == ("tasks", 3, 3)
    assert len(sums) == 4
    assert [(it.inserted, it.deleted) for it in latest] == [(2, 0), (1, 0)]


def test_of_each_portal_the_latest_rejected_records_are_told(database: Database, clock: FakeClock, portals: list[int]):
    with database.write() as session:
        for number, portal_id in enumerate(portals):
            for key in range(number * 2):
                at = clock.now() + timedelta(seconds=key)
                put_rejected(session, portal_id, "tasks", str(key), payload="{}", reason="odd", now=at)
    with database.read() as session:
        found = history.latest_rejected(session, portals[:2], limit=1)
        more = history.latest_rejected(session, portals, limit=3)

    assert {portal_id: [it.record_key for it in some] for portal_id, some in found.items()} == {portals[1]: ["1"]}
    assert [it.record_key for it in more[portals[2]]] == ["3", "2", "1"]


def test_what_went_wrong_is_told_of_the_last_run_alone(database: Database, portals: list[int], run: Run):
    healed, sick, other = portals
    for portal_id, *errors in ((healed, "first", None), (sick, "first", "second"), (other, "first", "second")):
        for after, error in enumerate(errors, start=1):
            run(portal_id, after, status="failed" if error else "ok", error=error)
        with database.write() as session:
            update_cursor(session, portal_id, "tasks", last_status="failed" if errors[-1] else "ok")
    with database.read() as session:
        assert last_errors(session, [healed, sick]) == {(sick, "tasks"): "second"}
        assert set(last_errors(session)) == {(sick, "tasks"), (other, "tasks")}
