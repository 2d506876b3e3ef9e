"""Two of everything: what comes of it is the same as with one."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import POSTGRES, server_database
from worker.storage import migrate
from worker.storage.session import Database

if TYPE_CHECKING:
    from tests.e2e.conftest import Stage

pytestmark = pytest.mark.e2e

INTERVAL = 2
LIFE = 6  # of an access token, in seconds
ROUNDS = 5


def as_with_one(here: "Stage", programs: Sequence[tuple[str, ...]]) -> None:
    """No turn beside another, no round too many, no refresh twice."""
    here.emulator.token_server.lifetime = LIFE
    here.connect()
    with ExitStack() as running:
        for program in programs:
            running.enter_context(here.process(*program))
        here.wait(lambda: Counter(run.resource for run in here.runs())["tasks"] >= ROUNDS)
    runs = here.runs()
    turns = [(run.started_at, run.finished_at) for run in runs if run.resource == "tasks"]
    refreshes = [grant for grant in here.emulator.token_server.log if grant.grant_type == "refresh_token"]

    assert all(later[0] >= earlier[1] for earlier, later in pairwise(sorted(turns)))
    assert all((later[0] - earlier[1]).total_seconds() >= INTERVAL - 0.1 for earlier, later in pairwise(sorted(turns)))
    assert "failed" not in {run.status for run in runs}
    assert set(Counter(grant.token_sha for grant in refreshes).values()) <= {1}
    assert {grant.outcome for grant in refreshes} <= {"ok"}


def test_two_daemons_on_one_database_are_as_one(stage: Callable):
    """Each with a beat, a worker and a broker of its own, on one SQLite."""
    as_with_one(stage(), [("worker", "run")] * 2)


@pytest.mark.long
@pytest.mark.redis
@pytest.mark.postgres
def test_two_beats_and_two_forking_workers_are_as_one(stage: Callable, redis_broker: str):
    """Every tick is sent twice, and taken by any of four processes."""
    with server_database(POSTGRES) as url:
        database = Database(url, connections=1)
        migrate.upgrade(database)
        database.dispose()
        here = stage(DATABASE_URL=url, CELERY_BROKER_URL=redis_broker)
        worker = ("celery", "-A", "worker", "worker", "--pool", "prefork", "--concurrency", "2")
        twins = ((*worker, "--hostname", f"{name}@%h") for name in ("one", "two"))
        as_with_one(here, [*twins, *[("celery", "-A", "worker", "beat")] * 2])
        here.wiring.close()
