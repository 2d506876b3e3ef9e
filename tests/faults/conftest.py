"""A mirror whose database is reached by a wire that a test can cut."""

from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from tests.e2e.conftest import rabbitmq_broker, redis_broker
from tests.faults.proxy import Proxy
from tests.integration.conftest import DIALECTS, MARIADB, POSTGRES, empty_database, empty_url, server_database
from tests.integration.mirror import Mirror, Stage
from tests.integration.sync.conftest import stage
from worker.storage import migrate
from worker.storage.session import Database
from worker.sync import engine

__all__ = ["empty_url", "rabbitmq_broker", "redis_broker", "stage"]

TASKS = 300
CALLS = 3
"""In a batch, instead of 50: so a small portal takes many, and each has its transaction."""

SERVERS = [
    pytest.param(POSTGRES, id="postgresql", marks=pytest.mark.postgres),
    pytest.param(MARIADB, id="mysql", marks=pytest.mark.mariadb),
]


def upgraded(url: str) -> str:
    """The same address; no connection is left open there."""
    database = Database(url)
    migrate.upgrade(database)
    database.dispose()
    return url


@pytest.fixture(scope="module", params=SERVERS)
def direct(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database, past the wire that is cut."""
    with server_database(request.param) as url:
        yield url


@pytest.fixture(scope="module", params=DIALECTS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a migrated database, for processes that meet there."""
    with empty_database(request.param, tmp_path_factory.mktemp("database")) as url:
        yield upgraded(url)


@pytest.fixture(scope="module")
def wire(direct: str) -> Iterator[Proxy]:
    """Mended after each test, with `mirror`."""
    with Proxy(make_url(direct).port or 0) as wire:
        yield wire


@pytest.fixture
def mirror(stage: Stage, direct: str, wire: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Connected, not read yet; its process reaches the database by the wire alone."""
    monkeypatch.setattr(engine, "BATCH_CALLS", CALLS)
    url = make_url(direct).set(port=wire.port).render_as_string(hide_password=False)
    with stage.lent_mirror(url=url, seed=1, tasks=TASKS, events=6, users=4, calendars="mine") as mirror:
        yield mirror
        wire.on_sent = wire.on_answered = None
        wire.reset()
        wire.mend()
