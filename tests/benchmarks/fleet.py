"""Thousands of portals every five minutes: one daemon, PostgreSQL and the portals on one machine."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness import HERE
from quiet import SERVERS, asked_of, connect, database, free_port, portals, settings_for, wired
from sqlalchemy import Connection, create_engine, func, insert, select, text, update
from sqlalchemy.exc import OperationalError

from worker.storage.models import Account, Base, OAuthToken, Portal, SyncRun
from worker.storage.session import Database
from worker.sync.portal import Wish
from worker.wiring import Wiring

SMALL = {"tasks": 30, "events": 20, "users": 6}
FLEET = 5000
INTERVAL = 300
WARM_UP, MEASURED = 30, 90


@dataclass
class Fleet:
    """What the daemon did while it was watched.

    Args:
        seconds: So long.
        turns: That began in this time.
        late: From being due to the begin, in seconds, ascending.
        failed: Runs that were not ok.
        cpu: Seconds, by program.
        peak_mb: The daemon's.
        asked: Of the portals.
        idle: CPU of what every tick does when nothing is due, in milliseconds.
    """

    seconds: float
    turns: int
    late: list[float]
    failed: int
    cpu: dict[str, float]
    peak_mb: float
    asked: dict[str, int]
    idle: dict[str, float]

    def share(self, program: str) -> float:
        """Of one core."""
        return self.cpu[program] / self.seconds


def fleet(number: int = FLEET, interval: int = INTERVAL) -> Fleet:
    """A daemon with so many portals, whose turns are spread over the interval as in a daemon that has run for long."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="b24sync-bench-")))
        process, told = stack.enter_context(portals(number, SMALL))
        url = stack.enter_context(database(SERVERS["PostgreSQL"], folder))
        more = {"B24SYNC_SYNC_INTERVAL": str(interval), "B24SYNC_WEB_LISTEN": f"127.0.0.1:{free_port()}"}
        environ = settings_for(url, folder, told["ports"][0], **more)
        wiring = stack.enter_context(wired(environ))
        (first,) = connect(wiring, told["ports"][:1], told["user"])
        for _ in range(4):
            wiring.sync.run(first, Wish(at_once=True))
        began = datetime.now(UTC) + timedelta(seconds=number / 100)
        with wiring.ready_database.write() as session:
            multiply(session.connection(), told["ports"], began, interval)
        analyze(url)
        idle = {"a look for what is due": idle_cost(wiring.claim_due), "a look at the tokens": idle_cost(_look(wiring))}
        out = stack.enter_context((folder / "daemon.log").open("w"))
        daemon = subprocess.Popen(
            [sys.executable, HERE / "ours.py", "run"], env={**os.environ, **environ}, cwd=folder, stdout=out, stderr=out
        )
        try:
            return Watch(daemon, process, wiring.ready_database, first, began, interval / number).fleet(idle)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)


def _look(wiring: Wiring) -> Callable[[], object]:
    """What the upkeep of tokens does where no token is to be renewed."""
    return lambda: list(wiring.renewal._due())


def idle_cost(work: Callable[[], object]) -> float:
    """Milliseconds of CPU of our own process."""
    work()
    cpu = time.process_time()
    for _ in range(10):
        work()
    return (time.process_time() - cpu) * 100


def multiply(connection: Connection, ports: Sequence[int], began: datetime, interval: int) -> None:
    """Make of the one portal as many as there are ports, each with its rows and with a token of another age."""
    tables = Base.metadata.tables
    now = datetime.now(UTC)
    (portal,) = connection.execute(select(tables["portals"])).mappings()
    (account,) = connection.execute(select(tables["accounts"])).mappings()
    (token,) = connection.execute(select(tables["oauth_tokens"])).mappings()
    numbers = range(1, len(ports))
    ids = [portal["id"] + number for number in numbers]
    rest = [{"rest_url": f"https://127.0.0.1:{port}/rest/", "domain": f"127.0.0.1:{port}"} for port in ports[1:]]
    connection.execute(
        insert(Portal),
        [{**portal, **where, "id": i, "member_id": f"{i:032x}"} for i, where in zip(ids, rest, strict=True)],
    )
    connection.execute(insert(Account), [{**account, "id": i, "portal_id": i} for i in ids])
    ages = [timedelta(seconds=3400 * (number * 7919 % len(ports)) / len(ports)) for number in numbers]
    dates = [{"access_expires_at": now + timedelta(hours=1) - age, "refresh_issued_at": now - age} for age in ages]
    connection.execute(
        insert(OAuthToken), [{**token, **date, "account_id": i} for i, date in zip(ids, dates, strict=True)]
    )
    for table in Base.metadata.sorted_tables:
        if "portal_id" not in table.c or table.name in {"accounts", "sync_runs"}:
            continue
        mine = {"portal_id": tables["portals"].c.id, "account_id": tables["portals"].c.id}
        columns = [mine.get(column.name, column) for column in table.c]
        rows = (
            select(*columns)
            .select_from(table.join(tables["portals"], tables["portals"].c.id != table.c.portal_id))
            .where(table.c.portal_id == portal["id"])
        )
        connection.execute(insert(table).from_select([column.name for column in table.c], rows))
    for number, i in enumerate([portal["id"], *ids]):
        due = began + timedelta(seconds=interval * number / len(ports))
        for table, key in (("portals", "id"), ("sync_cursors", "portal_id")):
            connection.execute(update(tables[table]).where(tables[table].c[key] == i).values(next_run_at=due))


def analyze(url: str) -> None:
    """As the server does by itself with rows that came long ago."""
    engine = create_engine(Database(url).url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


@dataclass
class Watch:
    """Watches a daemon whose portals became due one after the other, `apart` seconds between them."""

    daemon: subprocess.Popen[bytes]
    process: subprocess.Popen[str]
    database: Database
    first: int
    began: datetime
    apart: float

    def fleet(self, idle: dict[str, float]) -> Fleet:
        time.sleep(max(0.0, (self.began - datetime.now(UTC)).total_seconds()) + WARM_UP)
        since, cpu, asked = datetime.now(UTC), _spent(self), asked_of(self.process)
        time.sleep(MEASURED)
        until, later, told = datetime.now(UTC), _spent(self), asked_of(self.process)
        if self.daemon.poll() is not None:
            raise SystemExit("the daemon has ended")
        in_time = SyncRun.started_at.between(since, until)
        begins = select(SyncRun.portal_id, func.min(SyncRun.started_at)).where(in_time).group_by(SyncRun.portal_id)
        with self.database.read() as session:
            starts = session.execute(begins).all()
            bad = select(func.count()).select_from(SyncRun).where(in_time, SyncRun.status != "ok")
            failed = session.scalar(bad) or 0
        status = Path(f"/proc/{self.daemon.pid}/status").read_text()
        return Fleet(
            seconds=(until - since).total_seconds(),
            turns=len(starts),
            late=sorted((at - self._due(portal_id)).total_seconds() for portal_id, at in starts),
            failed=failed,
            cpu={name: later[name] - cpu[name] for name in cpu},
            peak_mb=int(status.partition("VmHWM:")[2].split()[0]) / 1024,
            asked={name: told[name] - asked[name] for name in asked},
            idle=idle,
        )

    def _due(self, portal_id: int) -> datetime:
        return self.began + timedelta(seconds=self.apart * (portal_id - self.first))


def _spent(one: "Watch") -> dict[str, float]:
    """CPU seconds of the three programs so far; of PostgreSQL those of the processes that serve this database."""
    serving = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
    with one.database.read() as session:
        backends = sum(map(_cpu, session.scalars(serving)))
    return {"b24sync run": _cpu(one.daemon.pid), "PostgreSQL": backends, "the portals": _cpu(one.process.pid)}


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def many() -> str:
    try:
        one = fleet()
    except OperationalError:
        return "Not measured: no PostgreSQL here."
    late = [f"{one.late[min(len(one.late) - 1, int(len(one.late) * share))]:.1f}" for share in (0.5, 0.99, 1.0)]
    rows = {
        "turns a second: due / done": f"{FLEET / INTERVAL:.1f} / {one.turns / one.seconds:.1f}",
        "late by seconds: median / 99 of 100 / all (a tick is 15)": " / ".join(late),
        "runs that were not ok": one.failed,
        "requests / token renewals a second": " / ".join(f"{n / one.seconds:.1f}" for n in one.asked.values()),
        **{f"{name}, of one core": f"{one.share(name):.0%}" for name in one.cpu},
        "all together, CPU ms a turn (two cores have 120)": f"{sum(one.cpu.values()) / max(1, one.turns) * 1000:.0f}",
        **{f"{name}, nothing found, CPU ms a tick": f"{cost:.1f}" for name, cost in one.idle.items()},
        "peak memory of b24sync run, MB": f"{one.peak_mb:.0f}",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])
