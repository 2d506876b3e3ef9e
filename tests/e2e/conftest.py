"""Whole programs: the daemon as a process of its own, beside an emulated portal."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.conftest import app_settings
from tests.faults.brokers import NoneFree, redis_database
from tests.ports import free_port
from worker.config import Settings
from worker.emulator import Emulator, PortalSpec
from worker.emulator import Portal as Emulated
from worker.storage.models import OAuthToken, Portal, SyncRun
from worker.wiring import Wiring

T = TypeVar("T")


@dataclass
class Stage:
    """A folder, settings, an emulated portal, and what runs on them."""

    folder: Path
    emulator: Emulator
    portal: Emulated
    more: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ours = {
            "B24SYNC_DATA_DIR": str(self.folder / "data"),
            **app_settings(self.emulator, self.portal),
            "B24SYNC_SYNC_INTERVAL": "2",
            "B24SYNC_WEB_LISTEN": f"127.0.0.1:{free_port()}",
            **self.more,
        }
        self.settings = Settings.load(self.ours, dotenv=self.folder / ".env")
        self.wiring = Wiring(self.settings)

    def connect(self) -> int:
        tokens = self.portal.issue_tokens(self.portal.admin_id)
        return self.wiring.connector.with_tokens(tokens).portal_id

    @contextmanager
    def process(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """A program of ours with these settings; ended at the end whatever happens."""
        log = self.folder / f"{command[-1]}-{time.monotonic_ns()}.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("B24SYNC_")}
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], env={**kept, **self.ours}, cwd=self.folder, stdout=out, stderr=out
            )
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    raise

    def runs(self) -> list[SyncRun]:
        with self.wiring.ready_database.read() as session:
            return list(session.scalars(select(SyncRun).order_by(SyncRun.id)))

    def read(self, question: Callable[[Session], T]) -> T:
        with self.wiring.ready_database.read() as session:
            return question(session)

    def left_behind(self) -> list[object]:
        """Leases and claims that stand in the database."""
        with self.wiring.ready_database.read() as session:
            held = (Portal.lease_owner, Portal.enqueued_until, OAuthToken.lease_owner)
            return [one for column in held for one in session.scalars(select(column)) if one is not None]

    def wait(self, reached: Callable[[], object], seconds: float = 60.0) -> None:
        """Until `reached` is true; fails with the logs when it does not become so."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if reached():
                return
            time.sleep(0.1)
        logs = "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in self.folder.glob("*.log"))
        pytest.fail(f"it did not happen within {seconds:g} s\n{logs}")

    def logs(self) -> str:
        return "\n".join(log.read_text() for log in self.folder.glob("*.log"))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Makes stages: `stage(spec, NAME="value")`."""
    made: list[Stage] = []

    def make(spec: PortalSpec | None = None, **settings: str) -> Stage:
        emulator = Emulator()
        portal = emulator.add_portal(spec or PortalSpec(tasks=60, events=20, users=8))
        emulator.start()
        made.append(Stage(tmp_path, emulator, portal, settings))
        return made[-1]

    yield make
    for one in made:
        one.wiring.close()
        one.emulator.stop()


def _skip_unless_up(name: str, port: int) -> None:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        pytest.skip(f"{name} does not answer on 127.0.0.1:{port}")


@pytest.fixture
def redis_broker() -> Iterator[str]:
    """A database of Redis for this test alone, emptied at the end. Tests at the same time take others."""
    _skip_unless_up("Redis", 6379)
    with ExitStack() as taken:
        try:
            url = taken.enter_context(redis_database())
        except NoneFree as error:
            pytest.skip(f"needs a Redis database that nobody else uses on 127.0.0.1:6379: {error}")
        yield url


@pytest.fixture
def rabbitmq_broker() -> Iterator[str]:
    """A virtual host of RabbitMQ for this test alone, removed at the end."""
    _skip_unless_up("RabbitMQ", 5672)
    if shutil.which("rabbitmqctl") is None:
        pytest.skip("rabbitmqctl is not there to make a virtual host")
    name = f"b24sync_test_{os.getpid()}_{time.monotonic_ns()}"
    control = ["rabbitmqctl", "--quiet"]
    subprocess.run([*control, "add_vhost", name], check=True, timeout=60)
    subprocess.run([*control, "set_permissions", "-p", name, "guest", ".*", ".*", ".*"], check=True, timeout=60)
    yield f"amqp://guest:guest@127.0.0.1:5672/{name}"
    subprocess.run([*control, "delete_vhost", name], check=True, timeout=60)
