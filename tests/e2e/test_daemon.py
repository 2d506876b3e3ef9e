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
from sqlalchemy import delete, select

from worker.emulator import PortalSpec
from worker.storage.models import PortalCapability, Task

if TYPE_CHECKING:
    import subprocess

    from tests.e2e.conftest import Stage

pytestmark = pytest.mark.e2e

RESOURCES = {"users", "tasks", "planner", "calendar"}


def whole(stage: "Stage") -> bool:
    return {run.resource for run in stage.runs() if run.status == "ok"} == RESOURCES


def ended(daemon: "subprocess.Popen[bytes]") -> float:
    """SIGTERM: seconds to its end, which is no failure."""
    began = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=15) == 0
    return time.monotonic() - began


def test_daemon_takes_up_a_portal_connected_while_it_runs_and_keeps_it_fresh(stage: Callable):
    """Without a restart; what happens on the portal is in the mirror one interval later. A stop takes seconds."""
    here = stage()
    with here.process("worker", "run") as daemon:
        here.wait(lambda: "b24sync is running" in here.logs())
        here.connect()
        here.wait(lambda: whole(here))
        made = here.portal.create_task(title="Written while the daemon ran")
        here.wait(lambda: here.read(lambda s: s.scalar(select(Task.title).where(Task.task_id == made))))

        assert here.read(lambda s: s.scalar(select(Task.title).where(Task.task_id == made))) == (
            "Written while the daemon ran"
        )
        assert ended(daemon) < 10
    events = [json.loads(line) for line in here.logs().splitlines() if line.startswith("{")]
    told = [event for event in events if "run" in event]
    runs = {run.id for run in here.runs()}
    assert {line["run"] for line in told} < runs, "quiet runs are not told"
    assert all(line["inserted"] + line["updated"] + line["deleted"] for line in told)
    assert {line["portal"] for line in told} == {here.portal.member_id}


def test_sigterm_ends_the_daemon_within_ten_seconds_while_a_portal_hangs(stage: Callable):
    """And leaves no lease of the turn that it cut, and no claim of a portal whose turn never came."""
    here = stage(B24SYNC_CONCURRENCY="1")
    here.connect()
    other = here.emulator.add_portal(PortalSpec(name="other", seed=2), application_of=here.portal)
    here.wiring.connector.with_tokens(other.issue_tokens(other.admin_id))
    for portal in (here.portal, other):
        portal.faults.add("hang", times=5, seconds=30)
        portal.requests.reset()
    with here.process("worker", "run") as daemon:
        here.wait(lambda: here.portal.requests.http + other.requests.http)
        assert len(here.left_behind()) == 2
        assert ended(daemon) < 10
    assert here.left_behind() == []


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
    assert len(refreshes) >= max(2, seconds / life - 1)
    assert {grant.outcome for grant in refreshes} == {"ok"}
    assert set(used.values()) == {1}
    assert all(later - earlier <= timedelta(seconds=life) for earlier, later in pairwise(born))


def test_tokens_that_die_are_renewed_before_their_end_and_once(stage: Callable):
    """Tokens of 10 seconds: no run fails, no pair is refreshed twice, none is let run out."""
    tokens_die_and_nothing_is_lost(stage, life=10, interval=2, seconds=18)


@pytest.mark.long
def test_tokens_of_fifteen_seconds_for_two_minutes(stage: Callable):
    """The same for two minutes with tokens of 15 seconds."""
    tokens_die_and_nothing_is_lost(stage, life=15, interval=5, seconds=120)


@pytest.mark.long  # `make test` kills such ones
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


POOLS = ["prefork", *(pytest.param(pool, marks=pytest.mark.long) for pool in ("threads", "solo"))]


@pytest.mark.redis
@pytest.mark.parametrize("pool", POOLS)
def test_sigterm_ends_a_worker_after_the_request_that_is_under_way(stage: Callable, redis_broker: str, pool: str):
    """Celery waits for the job without limit and tells forked children nothing: the job must see the stop by itself.

    The first turn probes the portal, which is five requests.
    """
    here = stage(CELERY_BROKER_URL=redis_broker)
    here.connect()
    with here.wiring.ready_database.write() as session:
        session.execute(delete(PortalCapability))
    here.portal.faults.add("hang", times=1000, seconds=3)
    here.portal.requests.reset()
    worker = ("celery", "-A", "worker", "worker", "--pool", pool, "--concurrency", "1")
    with here.process("celery", "-A", "worker", "beat"), here.process(*worker) as process:
        here.wait(lambda: here.portal.requests.http)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert here.portal.requests.http == 1
    assert "incomplete" in {run.status for run in here.runs()}
    assert here.left_behind() == []
    here.portal.faults.clear()
