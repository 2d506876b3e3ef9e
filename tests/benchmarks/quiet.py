"""What one turn costs of a portal that has no news, on each database."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import certifi
from harness import HERE, ROOT, certificate
from requests import adapters
from sqlalchemy import Engine, create_engine, event, make_url, text, update
from sqlalchemy.exc import OperationalError

from worker.config import Settings
from worker.storage import migrate
from worker.storage.connections import register_account
from worker.storage.models import RequestBudget
from worker.storage.session import Database
from worker.sync.portal import Wish
from worker.tokens import Grant
from worker.wiring import Wiring

SERVERS = {
    "SQLite": "",
    "PostgreSQL": "postgresql://postgres@127.0.0.1:5432/postgres",
    "MariaDB": "mysql://root@127.0.0.1:3306/mysql",
}
WORLD = {"tasks": 1000, "events": 200, "users": 20}
TURNS, ROUNDS = 20, 5


@contextmanager
def portals(number: int, spec: dict[str, int]) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """So many portals that answer from memory, and where they listen."""
    command = [sys.executable, HERE / "many.py", str(number), str(certificate()), json.dumps(spec)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.stdin.close()


@contextmanager
def database(server: str, folder: Path) -> Iterator[str]:
    """The address of a new, migrated database; dropped at the end."""
    if not server:
        url = f"sqlite:///{folder / 'b24sync.db'}"
        migrate.upgrade(Database(url))
        yield url
        return
    name = f"b24sync_bench_{secrets.token_hex(4)}"
    engine = create_engine(Database(server).url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        url = make_url(server).set(database=name).render_as_string(hide_password=False)
        migrate.upgrade(Database(url))
        yield url
    finally:
        with engine.connect() as connection:
            force = " WITH (FORCE)" if engine.dialect.name == "postgresql" else ""
            connection.execute(text(f"DROP DATABASE {name}{force}"))
        engine.dispose()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@cache
def bundle() -> Path:
    """The certificates that a machine trusts, and ours: to load them is part of what a new connection costs."""
    path = certificate() / "bundle.pem"
    path.write_text(Path(certifi.where()).read_text() + (certificate() / "cert.pem").read_text())
    return path


def settings_for(url: str, folder: Path, oauth_port: int, **more: str) -> dict[str, str]:
    return {
        "DATABASE_URL": url,
        "B24SYNC_DATA_DIR": str(folder),
        "B24SYNC_CLIENT_ID": "bench",
        "B24SYNC_CLIENT_SECRET": "bench",
        "B24SYNC_OAUTH_URL": f"https://127.0.0.1:{oauth_port}",
        "REQUESTS_CA_BUNDLE": str(bundle()),
        **more,
    }


def connect(wiring: Wiring, ports: Sequence[int], user_id: int) -> list[int]:
    """Register a portal for each port, with tokens of every age."""
    now = datetime.now(UTC)
    ids = []
    with wiring.ready_database.write() as session:
        for number, port in enumerate(ports):
            account = register_account(
                session,
                member_id=f"{number:032x}",
                domain=f"127.0.0.1:{port}",
                rest_url=f"https://127.0.0.1:{port}/rest/",
                oauth_url=None,
                user_id=user_id,
                kind="oauth",
                scope="calendar,task,user",
                is_admin=True,
                time_zone="Europe/Berlin",
                now=now,
            )
            age = timedelta(seconds=3600 * number / len(ports))
            wiring.token_store.save_new(session, account.id, Grant("a", "r", 3600, now - age * 0.9))
            ids.append(account.portal_id)
    return ids


@contextmanager
def wired(environ: dict[str, str]) -> Iterator[Wiring]:
    """The parts of our own process, which trusts the portals' certificate as the daemon does."""
    before, adapters.DEFAULT_CA_BUNDLE_PATH = adapters.DEFAULT_CA_BUNDLE_PATH, str(bundle())
    wiring = Wiring(Settings.load(environ))
    try:
        yield wiring
    finally:
        wiring.close()
        adapters.DEFAULT_CA_BUNDLE_PATH = before


@dataclass
class Turn:
    """What one turn without news costs, in milliseconds and numbers."""

    cpu: float
    wall: float
    statements: int
    transactions: int
    requests: int


def one_turn(server: str) -> Turn:
    """In a process that has run a few turns before, as a daemon's has."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="b24sync-bench-")))
        process, told = stack.enter_context(portals(1, WORLD))
        url = stack.enter_context(database(server, folder))
        environ = settings_for(url, folder, told["ports"][0])
        wiring = stack.enter_context(wired(environ))
        (portal_id,) = connect(wiring, told["ports"], told["user"])
        with wiring.ready_database.write() as session:
            session.execute(update(RequestBudget).values(burst=10**6))  # the measure is no five minutes long

        def turns(number: int) -> None:
            for _ in range(number):
                outcome = wiring.sync.run(portal_id, Wish(at_once=True))
                assert outcome is not None
                assert {str(report.status) for report in outcome.reports} == {"ok"}, outcome.reports

        turns(6)
        counts = {"statements": 0, "transactions": 0}
        listeners = (("before_cursor_execute", "statements"), ("begin", "transactions"))
        counters = {name: _counter(counts, of) for name, of in listeners}
        for name, counter in counters.items():
            event.listen(Engine, name, counter)
        before = asked_of(process)["requests"]
        turns(1)
        requests = asked_of(process)["requests"] - before
        for name, counter in counters.items():
            event.remove(Engine, name, counter)
        spent = []
        for _ in range(ROUNDS):
            cpu, wall = time.process_time(), time.monotonic()
            turns(TURNS)
            spent.append((time.process_time() - cpu, time.monotonic() - wall))
        cpu, wall = (min(column) / TURNS * 1000 for column in zip(*spent, strict=True))
        return Turn(cpu, wall, counts["statements"], counts["transactions"], requests)


def _counter(counts: dict[str, int], of: str) -> Any:  # noqa: ANN401 - any event's listener
    def count(*event: Any) -> None:  # noqa: ANN401
        if not (len(event) > 2 and str(event[2]).startswith("BEGIN")):
            counts[of] += 1

    return count


def asked_of(process: subprocess.Popen[str]) -> dict[str, int]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("asked\n")
    process.stdin.flush()
    return dict(json.loads(process.stdout.readline()))


def quiet() -> str:
    lines = ["| database | CPU ms | wall ms | requests | SQL statements | transactions |", "|---|---|---|---|---|---|"]
    for name, server in SERVERS.items():
        try:
            turn = one_turn(server)
        except OperationalError:
            lines.append(f"| {name} | no server here | | | | |")
            continue
        figures = f"{turn.cpu:.1f} | {turn.wall:.1f} | {turn.requests} | {turn.statements} | {turn.transactions}"
        lines.append(f"| {name} | {figures} |")
    return "\n".join(lines)
