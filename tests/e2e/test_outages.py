"""The broker or the database is away for a while: the daemon says so, keeps trying, and catches up by itself."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from redis import Redis
from sqlalchemy import make_url, select

from tests.faults.proxy import Proxy
from tests.integration.conftest import POSTGRES, server_database
from worker.storage import migrate
from worker.storage.models import Task
from worker.storage.session import Database

if TYPE_CHECKING:
    from tests.e2e.conftest import Stage

pytestmark = pytest.mark.e2e

LENGTHS = [
    pytest.param(3.0, id="seconds"),
    pytest.param(60.0, id="a minute", marks=pytest.mark.long),
]


def through(wire: Proxy, url: str) -> str:
    """The same server, reached by the wire."""
    return make_url(url).set(port=wire.port).render_as_string(hide_password=False)


def held(here: "Stage", task_id: int) -> bool:
    """Whether the mirror has this task."""
    return here.read(lambda s: s.scalar(select(Task.task_id).where(Task.task_id == task_id))) is not None


@contextmanager
def down(here: "Stage", wire: Proxy, sentences: list[str], seconds: float) -> Iterator[None]:
    """The wire is cut until the daemon has said each of `sentences`, and for `seconds` at least."""
    began = time.monotonic()
    wire.cut()
    for sentence in sentences:
        here.wait(lambda sentence=sentence: sentence in here.logs())
    yield
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    wire.mend()


def outlives_its_broker(stage: Callable, broker: str, seconds: float) -> None:
    with Proxy(make_url(broker).port or 0) as wire:
        here = stage(CELERY_BROKER_URL=through(wire, broker))
        here.connect()
        first = here.portal.world.task_ids[0]
        with here.process("worker", "run") as daemon:
            here.wait(lambda: held(here, first))
            here.portal.faults.add("hang", seconds=4)  # a job is under way when the broker goes, and ends without it
            asked = here.portal.requests.http
            here.wait(lambda: here.portal.requests.http > asked)
            with down(here, wire, ["the broker does not take messages", "Cannot connect to"], seconds):
                made = here.portal.create_task(title="Written while the broker was away")
            here.wait(lambda: held(here, made))
            here.wait(lambda: "the broker takes messages again" in here.logs())

            assert daemon.poll() is None
    assert "failed" not in {run.status for run in here.runs()}


@pytest.mark.redis
@pytest.mark.parametrize("seconds", LENGTHS)
def test_daemon_outlives_its_redis(stage: Callable, redis_broker: str, seconds: float):
    """And leaves no pile of ticks behind: those that were sent late were thrown away."""
    outlives_its_broker(stage, redis_broker, seconds)

    with Redis.from_url(redis_broker) as redis:
        assert redis.llen("b24sync") <= 3


@pytest.mark.long  # in short: tests/faults/test_broker_silent.py
@pytest.mark.rabbitmq
@pytest.mark.parametrize("seconds", [60.0])
def test_daemon_outlives_its_rabbitmq(stage: Callable, rabbitmq_broker: str, seconds: float):
    """The same, with quorum queues."""
    outlives_its_broker(stage, rabbitmq_broker, seconds)


@pytest.mark.postgres
@pytest.mark.parametrize("seconds", LENGTHS)
def test_daemon_outlives_its_database(stage: Callable, seconds: float):
    """Its jobs end with a sentence, and the next ticks find what is due."""
    with server_database(POSTGRES) as direct, Proxy(make_url(direct).port or 0) as wire:
        database = Database(direct, connections=1)
        migrate.upgrade(database)
        database.dispose()
        here = stage(DATABASE_URL=direct)
        here.connect()
        here.ours["DATABASE_URL"] = through(wire, direct)
        first = here.portal.world.task_ids[0]
        with here.process("worker", "run") as daemon:
            here.wait(lambda: held(here, first))
            here.portal.faults.add("hang", seconds=2)  # a turn is under way when the database goes
            asked = here.portal.requests.http
            here.wait(lambda: here.portal.requests.http > asked)
            with down(here, wire, ["the database cannot be used"], seconds):
                made = here.portal.create_task(title="Written while the database was away")
            here.wait(lambda: held(here, made), 30)  # not a lease of 60 s later

            assert daemon.poll() is None
        here.wiring.close()
    assert "Traceback" not in here.logs()


@pytest.mark.redis
def test_ticks_that_no_worker_took_in_time_are_thrown_away(stage: Callable, redis_broker: str):
    """Beat alone for a while, then a worker: it reads the portal once, not once for each tick."""
    here = stage(CELERY_BROKER_URL=redis_broker, B24SYNC_SYNC_INTERVAL="10")  # ticks of one second
    here.connect()
    with here.process("celery", "-A", "worker", "beat"), Redis.from_url(redis_broker) as redis:
        here.wait(lambda: redis.llen("b24sync") >= 6)
    worker = ("celery", "-A", "worker", "worker", "--pool", "threads", "--concurrency", "2", "--loglevel", "INFO")
    with here.process(*worker), Redis.from_url(redis_broker) as redis:
        here.wait(lambda: redis.llen("b24sync") == 0)
        here.wait(lambda: "Discarding revoked" in here.logs())
    assert here.runs() == []
