"""Celery's face: the jobs as functions, and what they do with failures. No broker but the one in memory."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Retry
from kombu.exceptions import OperationalError
from sqlalchemy import select, update

from tests.conftest import app_settings
from worker.celery import create_app
from worker.config import Settings
from worker.emulator import Emulator, Portal, PortalSpec
from worker.schedule import MAINTAIN, RENEW, SYNC, TICK
from worker.storage import portals
from worker.storage.models import OAuthToken, SyncCursor, SyncRun
from worker.storage.models import Portal as PortalRow
from worker.wiring import Wiring


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def portal(emulator: Emulator) -> Portal:
    return emulator.add_portal(PortalSpec(tasks=10, events=4, users=3, limits=False))


@pytest.fixture
def app(emulator: Emulator, portal: Portal, tmp_path: Path) -> Iterator[Celery]:
    settings = Settings.load(
        {
            "B24SYNC_DATA_DIR": str(tmp_path),
            **app_settings(emulator, portal),
        }
    )
    wiring = Wiring(settings)
    wiring.connector.with_tokens(portal.issue_tokens(portal.admin_id))
    app = create_app(wiring)
    app.loader.import_default_modules()
    yield app
    wiring.close()
    app.close()


def run(app: Celery, name: str, *args: int, retries: int = 0) -> None:
    """Run a job's function as a worker would, without a broker for the job itself."""
    job = app.tasks[name]
    job.push_request(
        id="job", args=args, kwargs={}, retries=retries, called_directly=False, is_eager=False, delivery_info={}
    )
    try:
        job.run(*args)
    finally:
        job.pop_request()


def rows(app: Celery, model: type[Any]) -> list[Any]:
    with app.wiring.ready_database.read() as session:
        return list(session.scalars(select(model)))


def messages(app: Celery) -> list[Any]:
    """What waits in the queue; read, not run."""
    found = []
    with app.connection_for_read() as connection, connection.SimpleQueue(app.conf.task_default_queue) as queue:
        while queue.qsize():
            message = queue.get_nowait()
            found.append((message.headers["task"], message.payload[0]))
            message.ack()
    return found


def test_tick_sends_one_job_for_a_portal_that_is_due(app: Celery):
    """And none the second time: the portal is claimed until the message expires."""
    run(app, TICK)
    run(app, TICK)

    assert messages(app) == [(SYNC, [1])]


def test_portal_whose_message_could_not_be_sent_is_due_at_the_next_tick(app: Celery, monkeypatch: pytest.MonkeyPatch):
    """A broker that is down costs one tick, not one interval."""

    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("the broker is down")

    with monkeypatch.context() as patch:
        patch.setattr(app.tasks[SYNC], "apply_async", refuse)
        run(app, TICK)
    run(app, TICK)

    assert messages(app) == [(SYNC, [1])]


def test_sync_job_mirrors_its_portal(app: Celery):
    """One job, one run row for each resource."""
    run(app, SYNC, 1)

    assert sorted((one.resource, one.status) for one in rows(app, SyncRun)) == [
        ("calendar", "ok"),
        ("planner", "ok"),
        ("tasks", "ok"),
        ("users", "ok"),
    ]


def test_job_run_twice_reads_once(app: Celery):
    """A redelivered message finds nothing due."""
    run(app, SYNC, 1)
    run(app, SYNC, 1)

    assert len(rows(app, SyncRun)) == 4


@pytest.fixture
def impatient(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses take no time."""
    monkeypatch.setattr(app.wiring.clock, "sleep", lambda _seconds: None)


@pytest.mark.usefixtures("impatient")
def test_token_rejected_even_when_new_repeats_the_job_later(app: Celery, portal: Portal):
    """Not before 5 seconds, and the resources are due with it."""
    portal.faults.add("expired_token", times=50)

    with pytest.raises(Retry) as retry:
        run(app, SYNC, 1)

    assert retry.value.when >= 5
    due = {cursor.next_run_at for cursor in rows(app, SyncCursor)}
    assert min(due) >= app.wiring.clock.now() + timedelta(seconds=retry.value.when - 5)
    portal.faults.clear()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["rate_limit", "html"])
def test_portal_without_an_answer_comes_again_when_its_breaker_says_so(app: Celery, portal: Portal, kind: str):
    """No message waits for that: what is due stands in the database, whoever dies meanwhile."""
    messages(app)  # the broker in memory outlives an app: whatever another test left
    portal.faults.add(kind, times=50)
    run(app, SYNC, 1)

    (row,) = rows(app, PortalRow)
    assert row.breaker_failures == 1
    assert row.next_run_at == row.breaker_until > app.wiring.clock.now()
    assert {cursor.next_run_at for cursor in rows(app, SyncCursor)} == {row.breaker_until}
    run(app, TICK)
    assert messages(app) == []
    portal.faults.clear()


@pytest.mark.usefixtures("impatient")
def test_a_job_is_not_repeated_for_ever(app: Celery, portal: Portal):
    """After the last attempt the portal waits for its interval."""
    portal.faults.add("expired_token", times=50)

    run(app, SYNC, 1, retries=10)

    assert {one.status for one in rows(app, SyncRun)} == {"failed"}
    portal.faults.clear()


@pytest.mark.parametrize("fate", ["paused", "closed", "removed"])
def test_job_that_comes_late_does_nothing(app: Celery, portal: Portal, fate: str):
    """Its portal was due when the message was sent, and is nobody's business now."""
    with app.wiring.ready_database.write() as session:
        if fate == "removed":
            portals.remove_portal(session, 1)
        else:
            portals.set_portal_status(session, 1, fate)
    asked = portal.requests.http
    run(app, SYNC, 1)

    assert rows(app, SyncRun) == []
    assert portal.requests.http == asked


def test_two_deliveries_at_once_make_one_turn(app: Celery, portal: Portal):
    """The lease lets one in; the other one's job ends at once, and asks the portal nothing."""
    portal.faults.add("hang", seconds=0.5)
    turns = app.wiring.sync  # made here, not in two threads at once
    start = threading.Barrier(2)

    def deliver() -> None:
        start.wait()
        turns.run(1)

    threads = [threading.Thread(target=deliver) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(one.resource for one in rows(app, SyncRun)) == ["calendar", "planner", "tasks", "users"]


def test_one_rejected_token_costs_one_refresh_and_no_failure(app: Celery, portal: Portal):
    """`expired_token` once: one refresh, the same call again."""
    portal.faults.add("expired_token", times=1)

    run(app, SYNC, 1)

    assert {one.status for one in rows(app, SyncRun)} == {"ok"}
    assert sum(one.refreshes for one in rows(app, SyncRun)) == 1


def test_renewal_job_leaves_a_fresh_token_alone(app: Celery):
    """Nothing is renewed on a bare timer."""
    run(app, RENEW)

    assert [token.version for token in rows(app, OAuthToken)] == [1]


def test_renewal_job_renews_a_token_that_the_next_run_would_meet_expired(app: Celery):
    """Once: the second tick finds it fresh."""
    with app.wiring.ready_database.write() as session:
        session.execute(update(OAuthToken).values(access_expires_at=app.wiring.clock.now() + timedelta(seconds=30)))
    run(app, RENEW)
    run(app, RENEW)

    assert [token.version for token in rows(app, OAuthToken)] == [2]


def test_maintenance_runs_on_an_empty_and_on_a_used_database(app: Celery):
    """It loses no recent run."""
    run(app, MAINTAIN)
    run(app, SYNC, 1)
    run(app, MAINTAIN)

    assert len(rows(app, SyncRun)) == 4
