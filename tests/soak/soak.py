"""The soak: many living portals, two daemons that are killed at random, faults all the time; then nothing differs.

The portals, their token server and the people on them live in this process; the daemons are programs of their own.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select, update

from tests.conftest import app_settings
from tests.integration.mirror import Mirror
from tests.ports import free_port
from worker.config import Settings
from worker.emulator import Emulator, Life, Portal, PortalSpec
from worker.emulator.faults import Fault
from worker.overview import look
from worker.storage import migrate, portals
from worker.storage.models import Account, OAuthToken, SyncRun
from worker.storage.models import Portal as PortalRow
from worker.storage.session import Database
from worker.wiring import Wiring

ROOT = Path(__file__).parents[2]
PORTAL_FAULTS = [
    Fault(kind)
    for kind in (
        "html",
        "empty",
        "cut",
        "broken_json",
        "wrong_shape",
        "reset",
        "rate_limit",
        "internal_error",
        "expired_token",
    )
] + [Fault("hang", options={"seconds": 3})]
TOKEN_FAULTS = [Fault("html"), Fault("server_error"), Fault("hang", options={"seconds": 2})]
"""Without the one that loses an answer: a lost pair needs a person (a kill may lose one, and that is counted)."""


@dataclass(frozen=True)
class Plan:
    """What is soaked, and for how long. Times in seconds.

    Args:
        portals: How many.
        seconds: Of life, faults and kills; the quiet end comes on top.
        interval: B24SYNC_SYNC_INTERVAL.
        token_life: Of access tokens.
        fault_share: Of all requests to portals and token server, 0..1.
        kill_every: Between two kills.
        acts_per_second: Of people, over all portals.
        database_url: Of the mirror.
        broker_url: None: each daemon has its own, in its memory.
        spared: Part of the time, at the end, in which only the second daemon is killed: the first one's memory is
            watched then.
        hasten: Leases of a killed daemon run out at once, not after their minute.
    """

    portals: int
    seconds: float
    interval: int
    token_life: int
    fault_share: float
    kill_every: float
    acts_per_second: float
    database_url: str
    broker_url: str | None = None
    spared: float = 0.35
    hasten: bool = False


@dataclass
class Figures:
    """What came of it."""

    seconds: float = 0.0
    kills: int = 0
    acts: int = 0
    requests: int = 0
    faults: int = 0
    token_requests: int = 0
    refreshed: int = 0
    double_refreshes: int = 0
    lost_pairs: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    rows_written: int = 0
    oldest: float = 0.0
    settled_after: float = 0.0
    differences: list[str] = field(default_factory=list)
    leases_left: int = 0
    tracebacks: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    @property
    def memory_grown(self) -> float:
        """From the first to the last third of the watched daemon's samples, as a share of the first."""
        third = len(self.memory) // 3
        if not third:
            return 0.0
        first, last = ([size for _, size in part] for part in (self.memory[:third], self.memory[-third:]))
        return (sum(last) / third) / (sum(first) / third) - 1


class Copy(Mirror):
    """A mirror that the daemons keep; here it is only compared."""

    def __init__(self, portal: Portal, database: Database, portal_id: int, settings: Settings) -> None:
        self.portal = portal
        self.database = database
        self.portal_id = portal_id
        self._settings = settings


@dataclass
class Daemon:
    """`b24sync run`, started again as often as it is killed."""

    environ: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "worker", "run"], env=self.environ, cwd=self.log.parent, stdout=out, stderr=out
            )
        self.since = time.monotonic()

    def kill(self) -> int:
        """As a machine dies: no handler runs. Returns whose leases are left."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        return self.process.pid

    def stop(self) -> None:
        """As an operator stops it."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def megabytes(self) -> float:
        """Resident memory now."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Soak:
    """One soak, in a folder of its own."""

    def __init__(self, plan: Plan, folder: Path, *, tell: Callable[[str], None] = lambda _text: None) -> None:
        self.plan = plan
        self.figures = Figures()
        self._folder = folder
        self._tell = tell
        self._dice = random.Random(7)
        self._emulator = Emulator()
        self._emulator.token_server.lifetime = plan.token_life
        self._portals: list[Portal] = []
        for number in range(plan.portals):
            spec = PortalSpec(name=f"soak{number}", seed=number + 1, tasks=60, events=20, users=6)
            first = self._portals[0] if self._portals else None
            self._portals.append(self._emulator.add_portal(spec, application_of=first))
        self._lives = [Life(portal, seed=number) for number, portal in enumerate(self._portals)]
        self._environ = {
            "DATABASE_URL": plan.database_url,
            "B24SYNC_DATA_DIR": str(folder / "data"),
            **app_settings(self._emulator, self._portals[0]),
            "B24SYNC_SYNC_INTERVAL": str(plan.interval),
            "B24SYNC_RECONCILE_INTERVAL": str(plan.interval * 3),
            "B24SYNC_FULL_INTERVAL": str(plan.interval * 8),
            "B24SYNC_CONCURRENCY": "8",
        } | ({"CELERY_BROKER_URL": plan.broker_url} if plan.broker_url else {})
        self._settings = Settings.load(self._environ, dotenv=folder / ".env")
        self._wiring = Wiring(self._settings)
        migrate.upgrade(self._wiring.database)
        self._copies: list[Copy] = []

    def run(self) -> Figures:
        """Everything, to the last comparison."""
        began = time.monotonic()
        with self._emulator:
            try:
                with self._daemons() as daemons:
                    self._live(daemons)
                    self._settle()
                self._look_back()
            finally:
                self._wiring.close()
        self.figures.seconds = time.monotonic() - began
        return self.figures

    @contextmanager
    def _daemons(self) -> Iterator[Sequence[Daemon]]:
        for portal in self._portals:
            connected = self._wiring.connector.with_tokens(portal.issue_tokens(portal.admin_id))
            self._copies.append(Copy(portal, self._wiring.database, connected.portal_id, self._settings))
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        daemons = []
        for number in range(2):
            web = {"B24SYNC_WEB_LISTEN": f"127.0.0.1:{free_port()}", "PYTHONPATH": str(ROOT)}
            daemons.append(Daemon({**kept, **self._environ, **web}, self._folder / f"daemon{number}.log"))
            daemons[-1].start()
        try:
            yield daemons
        finally:
            for daemon in daemons:
                daemon.stop()

    def _live(self, daemons: Sequence[Daemon]) -> None:
        """People act, requests go wrong, daemons die."""
        share, plan = self.plan.fault_share, self.plan
        for number, portal in enumerate(self._portals):
            portal.faults.by_chance(share, PORTAL_FAULTS, seed=number)
        self._emulator.token_server.faults.by_chance(share, TOKEN_FAULTS, seed=99)
        began = time.monotonic()
        next_kill, next_look = began + plan.kill_every, began
        while (passed := time.monotonic() - began) < plan.seconds:
            self._dice.choice(self._lives).step()
            self.figures.acts += 1
            if time.monotonic() >= next_kill:
                spared = passed > plan.seconds * (1 - plan.spared)
                self._kill(daemons[1] if spared else self._dice.choice(daemons))
                next_kill += plan.kill_every
            if time.monotonic() >= next_look:
                self._look(daemons[0], passed)
                next_look = time.monotonic() + max(1.0, plan.interval / 3)
            time.sleep(1 / plan.acts_per_second)

    def _kill(self, daemon: Daemon) -> None:
        dead = daemon.kill()
        if self.plan.hasten:
            with self._wiring.database.write() as session:
                for table in (PortalRow, OAuthToken):
                    held = update(table).where(table.lease_owner.like(f"%:{dead}:%"))
                    session.execute(held.values(lease_until=datetime.now(UTC)))
        daemon.start()
        self.figures.kills += 1
        self._tell(f"kill {self.figures.kills}; oldest row {self.figures.oldest:.0f} s")

    def _look(self, watched: Daemon, passed: float) -> None:
        """How fresh everything is, who waits for a person, and how much memory the spared daemon has."""
        if (
            passed > self.plan.seconds * (1 - self.plan.spared)
            and time.monotonic() - watched.since > self.plan.interval
        ):
            self.figures.memory.append((passed, watched.megabytes()))
        ages = [
            resource.fresh_seconds
            for portal in look(self._wiring.database, datetime.now(UTC)).portals
            for resource in portal.resources
            if resource.fresh_seconds is not None
        ]
        self.figures.oldest = max(self.figures.oldest, *ages, 0)
        self._authorize_again()

    def _authorize_again(self) -> None:
        """What an operator does for an account whose pair died with a daemon, between the answer and the commit."""
        with self._wiring.database.read() as session:
            waiting = session.scalars(select(Account.portal_id).where(Account.status == "needs_reauth")).all()
        for copy in self._copies:
            if copy.portal_id in waiting:
                self.figures.lost_pairs += 1
                self._wiring.connector.with_tokens(copy.portal.issue_tokens(copy.portal.admin_id))

    def _settle(self) -> None:
        """Nobody acts and nothing goes wrong any more: until nothing differs, for a few sweeps at most."""
        self.figures.faults = sum(portal.faults.met for portal in self._portals)
        self.figures.faults += self._emulator.token_server.faults.met
        for portal in self._portals:
            portal.faults.clear()
        self._emulator.token_server.faults.clear()
        began = time.monotonic()
        while True:
            self._authorize_again()
            self.figures.differences = [
                f"{copy.portal.spec.name}: {text}" for copy in self._copies for text in copy.differences()
            ]
            self.figures.settled_after = time.monotonic() - began
            if not self.figures.differences or self.figures.settled_after > max(120, self.plan.interval * 10):
                return
            time.sleep(1)

    def _look_back(self) -> None:
        figures, log = self.figures, self._emulator.token_server.log
        refreshes = [grant for grant in log if grant.grant_type == "refresh_token"]
        figures.requests = sum(portal.requests.http for portal in self._portals)
        figures.token_requests = len(refreshes)
        figures.refreshed = sum(grant.outcome == "ok" for grant in refreshes)
        used: set[str] = set()
        for grant in refreshes:  # in the order of time
            figures.double_refreshes += grant.token_sha in used
            if grant.outcome == "ok":
                used.add(grant.token_sha)
        figures.double_refreshes -= figures.lost_pairs
        with self._wiring.database.read() as session:
            counts = session.execute(select(SyncRun.status, func.sum(SyncRun.folded)).group_by(SyncRun.status))
            figures.runs = Counter({status: int(count) for status, count in counts})
            written = SyncRun.inserted + SyncRun.updated + SyncRun.deleted + SyncRun.revived
            figures.rows_written = int(session.scalar(select(func.sum(written))) or 0)
            held = select(func.count()).select_from(PortalRow).where(PortalRow.lease_until > datetime.now(UTC))
            figures.leases_left = session.scalar(held) or 0
            assert len(portals.list_portals(session)) == self.plan.portals
        for file in self._folder.glob("daemon*.log"):
            figures.tracebacks += [line for line in file.read_text().splitlines() if line.startswith("Traceback")]
