"""`b24sync run`: one process that keeps the mirror fresh."""

import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from worker.storage.models import Task

if TYPE_CHECKING:
    from tests.e2e.conftest import Stage

pytestmark = pytest.mark.e2e

RESOURCES = {"users", "tasks", "planner", "calendar"}


def whole(stage: "Stage") -> bool:
    return {run.resource for run in stage.runs() if run.status == "ok"} == RESOURCES


def test_daemon_mirrors_a_portal_and_keeps_it_fresh(stage: Callable):
    """What happens on the portal is in the mirror one interval later."""
    here = stage()
    here.connect()
    with here.process("worker", "run"):
        here.wait(lambda: whole(here))
        made = here.portal.create_task(title="Written while the daemon ran")
        here.wait(lambda: here.read(lambda s: s.scalar(select(Task.title).where(Task.task_id == made))))

        assert here.read(lambda s: s.scalar(select(Task.title).where(Task.task_id == made))) == (
            "Written while the daemon ran"
        )
    events = [json.loads(line) for line in here.logs().splitlines() if line.startswith("{")]
    told = [event for event in events if "run" in event]
    runs = {run.id for run in here.runs()}
    assert {line["run"] for line in told} < runs, "quiet runs are not told"
    assert all(line["inserted"] + line["updated"] + line["deleted"] for line in told)
    assert {line["portal"] for line in told} == {here.portal.member_id}


def test_daemon_takes_up_a_portal_connected_while_it_runs(stage: Callable):
    """Connecting needs no restart."""
    here = stage()
    with here.process("worker", "run"):
        here.connect()
        here.wait(lambda: whole(here))


@pytest.mark.parametrize("hang", [0.0, 30.0])
def test_sigterm_ends_the_daemon_within_ten_seconds(stage: Callable, hang: float):
    """Also while a portal does not answer; the exit code is 0."""
    here = stage()
    here.connect()
    if hang:
        here.portal.faults.add("hang", times=5, seconds=hang)
        here.portal.requests.reset()
    with here.process("worker", "run") as daemon:
        here.wait(lambda: here.portal.requests.http if hang else whole(here))
        began = time.monotonic()
        daemon.send_signal(signal.SIGTERM)

        assert daemon.wait(timeout=15) == 0
        assert time.monotonic() - began < 10


def tokens_die_and_nothing_is_lost(stage: Callable, *, life: int, interval: int, seconds: float) -> None:
    here = stage(B24SYNC_SYNC_INTERVAL=str(interval))
    here.emulator.token_server.lifetime = life
    here.connect()
    made: list[int] = []
    with here.process("worker", "run"):
        here.wait(lambda: whole(here))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            made.append(here.portal.create_task(title=f"Task {len(made)}"))
            time.sleep(1)
        here.wait(lambda: here.read(lambda s: s.scalar(select(Task).where(Task.task_id == made[-1]))))
    refreshes = [grant for grant in here.emulator.token_server.log if grant.grant_type == "refresh_token"]
    used = Counter(grant.token_sha for grant in refreshes)
    born = [grant.at for grant in refreshes]

    assert set(made) <= set(here.read(lambda s: s.scalars(select(Task.task_id))))
    assert {run.status for run in here.runs()} == {"ok"}
    assert len(refreshes) >= seconds / life - 1
    assert {grant.outcome for grant in refreshes} == {"ok"}
    assert set(used.values()) == {1}
    assert all(later - earlier <= timedelta(seconds=life) for earlier, later in pairwise(born))


def test_tokens_that_die_are_renewed_before_their_end_and_once(stage: Callable):
    """Tokens of 6 seconds: no run fails, no pair is refreshed twice, none is let run out."""
    tokens_die_and_nothing_is_lost(stage, life=6, interval=2, seconds=15)


@pytest.mark.long
def test_tokens_of_fifteen_seconds_for_two_minutes(stage: Callable):
    """The same for two minutes with tokens of 15 seconds."""
    tokens_die_and_nothing_is_lost(stage, life=15, interval=5, seconds=120)


@pytest.mark.redis
def test_separate_worker_and_beat_on_redis_mirror_a_portal(stage: Callable, redis_broker: str):
    """With a broker the parts run as Celery's own commands."""
    worker_and_beat(stage, redis_broker)


@pytest.mark.rabbitmq
def test_separate_worker_and_beat_on_rabbitmq_mirror_a_portal(stage: Callable, rabbitmq_broker: str):
    """The same, with quorum queues."""
    worker_and_beat(stage, rabbitmq_broker)


def worker_and_beat(stage: Callable, broker: str) -> None:
    here = stage(CELERY_BROKER_URL=broker)
    here.connect()
    worker = ("celery", "-A", "worker", "worker", "--pool", "threads", "--concurrency", "2", "--loglevel", "INFO")
    with here.process(*worker), here.process("celery", "-A", "worker", "beat"):
        here.wait(lambda: whole(here))


@pytest.mark.redis
def test_sigterm_ends_a_prefork_worker_after_the_request_that_is_under_way(stage: Callable, redis_broker: str):
    """Celery waits for the job without limit and tells its children nothing: the job must see the stop by itself."""
    here = stage(CELERY_BROKER_URL=redis_broker)
    here.connect()
    here.portal.faults.add("hang", times=1000, seconds=3)
    here.portal.requests.reset()
    prefork = ("celery", "-A", "worker", "worker", "--pool", "prefork", "--concurrency", "1")
    with here.process("celery", "-A", "worker", "beat"), here.process(*prefork) as worker:
        here.wait(lambda: here.portal.requests.http)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=60) == 0
    assert here.portal.requests.http == 1
    assert "incomplete" in {run.status for run in here.runs()}
    here.portal.faults.clear()
