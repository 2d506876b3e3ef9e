"""Programs are killed with SIGKILL again and again, in the middle of what they do: in the end nothing is missing."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from tests.integration.conftest import POSTGRES, server_database
from tests.integration.mirror import Mirror
from worker.emulator import Life, PortalSpec
from worker.storage import migrate
from worker.storage.models import Account, OAuthToken, Portal
from worker.storage.session import Database
from worker.sync.plan import Intervals

if TYPE_CHECKING:
    from tests.e2e.conftest import Stage

pytestmark = pytest.mark.e2e

ALL_IN_ONE = {"all-in-one": ("worker", "run")}
APART = {
    "worker": ("celery", "-A", "worker", "worker", "--pool", "threads", "--concurrency", "2"),
    "beat": ("celery", "-A", "worker", "beat"),
}
SPEC = PortalSpec(tasks=300, events=30, users=6, limits=False)
MANY = pytest.param(25, id="many", marks=pytest.mark.long)
LOST = "the answer to a refresh was lost"


class Killing:
    """A portal that lives, and programs that do not."""

    def __init__(self, here: "Stage", programs: dict[str, tuple[str, ...]], seed: int) -> None:
        self.here = here
        self.dice = random.Random(seed)
        self.lost = 0
        self._programs = programs
        self._life = Life(here.portal, seed)
        intervals = Intervals(*[timedelta(days=1)] * 3)
        self._copy = Mirror(here.portal, here.settings, here.wiring.database, here.wiring.clock, intervals)
        self._copy.portal_id = here.connect()

    def run(self, kills: int) -> None:
        self.here.portal.faults.add("hang", times=10**6, seconds=0.05)  # so that a kill meets something under way
        with ExitStack() as running:
            started = {name: running.enter_context(self.here.process(*self._programs[name])) for name in self._programs}
            for _ in range(kills):
                victim = self.dice.choice(list(started))
                self._live()
                if victim != "beat":
                    self._until_busy()
                time.sleep(self.dice.uniform(0.0, 0.5))
                started[victim].kill()
                started[victim].wait()
                self._a_minute_later()
                started[victim] = running.enter_context(self.here.process(*self._programs[victim]))
            self.here.portal.faults.clear()
            self.here.wait(lambda: self._equal() and not self._leases(), 120)

    def _live(self) -> None:
        """People act, and every other time the access token dies."""
        for _ in range(5):
            self._life.step()
        if self.dice.random() < 0.5:
            self.here.portal.tokens.expire(self.here.portal)

    def _until_busy(self) -> None:
        asked = self.here.portal.requests.http
        self.here.wait(lambda: self._heal() or self.here.portal.requests.http > asked)

    def _a_minute_later(self) -> None:
        """What the killed one held runs out; waiting for that would only take time."""
        with self.here.wiring.database.write() as session:
            for table in (Portal, OAuthToken):
                held = update(table).where(table.lease_until.is_not(None))
                session.execute(held.values(lease_until=datetime.now(UTC)))
            session.execute(update(Portal).values(enqueued_until=None))

    def _heal(self) -> None:
        """A pair that died with its process is gone: a person must authorize again, and was told why."""
        account = self.here.read(lambda s: s.scalars(select(Account)).one())
        if account.status == "needs_reauth":
            assert LOST in (account.status_reason or "")
            self.lost += 1
            self.here.connect()

    def _equal(self) -> bool:
        self._heal()
        return not self._copy.differences()

    def _leases(self) -> list[object]:
        with self.here.wiring.database.read() as session:
            held = [*session.scalars(select(Portal.lease_owner)), *session.scalars(select(OAuthToken.lease_owner))]
        return [owner for owner in held if owner is not None]


@contextmanager
def scene(stage: Callable, programs: dict[str, tuple[str, ...]], **settings: str) -> Iterator[Killing]:
    here = stage(SPEC, B24SYNC_RECONCILE_INTERVAL="3", **settings)
    yield Killing(here, programs, seed=5)
    here.wiring.close()


@pytest.mark.parametrize("kills", [MANY])
def test_a_daemon_killed_at_random_converges(stage: Callable, kills: int):
    """All in one process, on SQLite: the mirror is equal in the end, and no lease stays. In short: tests/soak."""
    with scene(stage, ALL_IN_ONE) as killing:
        killing.run(kills)


@pytest.mark.redis
@pytest.mark.postgres
@pytest.mark.parametrize("kills", [pytest.param(4, id="a few"), MANY])
def test_workers_and_beats_killed_at_random_converge(stage: Callable, redis_broker: str, kills: int):
    """Apart, on Redis and PostgreSQL; messages of the dead are delivered again, or expire."""
    with server_database(POSTGRES) as url:
        database = Database(url, connections=1)
        migrate.upgrade(database)
        database.dispose()
        with scene(stage, APART, DATABASE_URL=url, CELERY_BROKER_URL=redis_broker) as killing:
            killing.run(kills)
