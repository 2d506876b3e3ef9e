"""A forked worker process has connections of its own: two that read one socket read nonsense, or for ever."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import SERVERS, upgraded
from tests.integration.conftest import server_database
from tests.unit.bitrix24.fakes import Handler, ok, serving

ROOT = Path(__file__).parents[2]

PROGRAM = """
import os, sys
from celery.signals import worker_process_init
from sqlalchemy import text
from worker.celery import create_app
from worker.config import Settings
from worker.wiring import Wiring

url, address, told = sys.argv[1:]
wiring = Wiring(Settings.load({"DATABASE_URL": url}))
create_app(wiring)
ask = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}[wiring.database.dialect]

def mine():
    with wiring.ready_database.read() as session:
        database = session.scalar(text(ask))
    portal = wiring.transport.post_json(address, {}).headers["port"]
    print(database, portal, wiring._owner, flush=True)

mine()
for _ in range(3):
    if (child := os.fork()) == 0:
        if told == "told":
            worker_process_init.send(sender=None)
        mine()
        mine()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
mine()
"""


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with server_database(request.param) as url:
        yield upgraded(url)


def forked(url: str, folder: Path, *, told: bool) -> list[tuple[str, str, str]]:
    """Database connection, port and owner's name: the parent's, three children's (twice each), the parent's again."""

    def respond(handler: Handler) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = ok(None)
        return status, {**headers, "port": str(handler.client_address[1])}, body

    with serving(respond) as address:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, url, address, "told" if told else "not told"],
            cwd=folder,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    return [(database, port, owner) for database, port, owner in lines]


def test_every_fork_makes_its_connections_anew_and_leaves_its_parents_alone(url: str, tmp_path: Path):
    """Celery tells a child that it is one; each then has its own name in the leases, too."""
    before, *children, after = forked(url, tmp_path, told=True)

    assert before == after
    for kind in range(3):
        first, second = [line[kind] for line in children[::2]], [line[kind] for line in children[1::2]]
        assert first == second
        assert len({before[kind], *first}) == 4


def test_a_fork_that_is_not_told_shares_its_parents_database_connection(url: str, tmp_path: Path):
    """Else the test above would prove nothing."""
    lines = forked(url, tmp_path, told=False)

    assert len({database for database, _, _ in lines}) == 1
