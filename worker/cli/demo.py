"""`b24sync demo`: an invented portal, connected by the real code flow and mirrored by the real daemon.

The emulated portal lives in this process and people work on it; the daemon is `b24sync run` in a process of its own,
with a folder of its own. What is shown is read from the mirror's database.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import click
from rich.console import Console, RenderableType
from rich.live import Live

from worker.cli.demo_view import Glance, frame, glance, queries
from worker.config import Settings
from worker.emulator import Emulator, Life, Portal, PortalSpec
from worker.errors import B24SyncError
from worker.storage import portals
from worker.wiring import Wiring

FOLDER = Path("demo-data")
TOKEN_LIFE = 45
"""Seconds; a real portal's tokens live an hour, and nobody would see one renewed."""

PATIENCE = 120.0
"""Seconds that the first mirror may take before the demo says that something is wrong."""

ACTS_ONCE = 12


@click.command()
@click.option("--tasks", default=1000, show_default=True, type=click.IntRange(1, 100_000), help="How many tasks.")
@click.option("--once", is_flag=True, help="End after the first mirror and one incremental round.")
@click.option("--by-hand", is_flag=True, help="Leave the connecting to you, in your browser.")
def demo(*, tasks: int, once: bool, by_hand: bool) -> None:
    r"""Watch an invented portal being mirrored and kept fresh.

    \b
    Examples:
      b24sync demo
      b24sync demo --tasks 5000 --once
      b24sync demo --by-hand
    """
    console = Console(stderr=True)
    with Emulator() as emulator:
        emulator.token_server.lifetime = TOKEN_LIFE
        portal = emulator.add_portal(PortalSpec(name="acme", tasks=tasks))
        stage = _set_up(emulator, portal)
        console.print(f"An invented Bitrix24 portal with {tasks} tasks answers on [bold]{portal.url}[/]")
        with _daemon(stage) as daemon:
            host, port = stage.settings.web_listen
            _wait_for(f"http://{host}:{port}/healthz", stage, daemon)
            if by_hand:
                _let_connect(console, stage, portal, daemon)
            else:
                _connect(console, stage, portal)
            console.print(f"The state of the mirror: [bold]http://{host}:{port}/[/]\n")
            show = Show(stage, portal, Life(portal, seed=7), daemon)
            if once:
                show.once(console)
            else:
                show.forever(console)
        _farewell(console, stage)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays: the daemon's environment and the same settings, read."""

    environment: dict[str, str]
    settings: Settings
    wiring: Wiring
    log_file: Path


def _set_up(emulator: Emulator, portal: Portal) -> Stage:
    """A folder of its own, empty at each start, and settings that make minutes out of days."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    web = f"127.0.0.1:{_free_port()}"
    portal.register_app(f"http://{web}/oauth/callback")
    ours = {
        "B24SYNC_DATA_DIR": str(FOLDER),
        "B24SYNC_CLIENT_ID": portal.client_id,
        "B24SYNC_CLIENT_SECRET": portal.client_secret,
        "B24SYNC_OAUTH_URL": emulator.auth_url,
        "B24SYNC_REDIRECT_URI": f"http://{web}/oauth/callback",
        "B24SYNC_WEB_LISTEN": web,
        "B24SYNC_SYNC_INTERVAL": "3",
        "B24SYNC_RECONCILE_INTERVAL": "15",
        "B24SYNC_FULL_INTERVAL": "300",
        "B24SYNC_CALENDARS": "mine,company,groups,everyone",
        "B24SYNC_CONCURRENCY": "4",
    }
    settings = Settings.load(ours, dotenv=FOLDER / ".env")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("B24SYNC_", "DATABASE_", "CELERY_"))
    }
    return Stage({**kept, **ours}, settings, Wiring(settings), FOLDER / "daemon.log")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _daemon(stage: Stage) -> Iterator[subprocess.Popen[bytes]]:
    """`b24sync run` beside us, ended with us."""
    # The settings come from the environment alone: a developer's own .env must not reach the demo.
    environment = {**stage.environment, "B24SYNC_DATA_DIR": str(FOLDER.resolve())}
    with stage.log_file.open("wb") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "worker", "run"], env=environment, cwd=FOLDER, stdout=log, stderr=log
        )
        try:
            yield daemon
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(timeout=15)
            stage.wiring.close()


def _let_connect(console: Console, stage: Stage, portal: Portal, daemon: subprocess.Popen[bytes]) -> None:
    """Wait until the person has connected the portal in a browser."""
    host, port = stage.settings.web_listen
    console.print(f"Open [bold]http://{host}:{port}/connect?portal={portal.domain}[/] and go on.", soft_wrap=True)
    console.print("It allows the application by itself: you are signed in there as its administrator. Ctrl-C gives up.")
    with console.status("Waiting for you …"):
        while daemon.poll() is None:
            with stage.wiring.ready_database.read() as session:
                if portals.find_portal(session, portal.member_id) is not None:
                    console.print("Connected. The daemon reads everything now.")
                    return
            time.sleep(0.5)
    raise _trouble(stage, "the daemon ended")


def _connect(console: Console, stage: Stage, portal: Portal) -> None:
    """The code flow as a person goes through it: the portal's page, "allow", and back to the daemon's callback."""
    address, state = stage.wiring.connector.begin(portal.domain)
    console.print(f"Connecting it as its administrator would: {address.split('?')[0]} … allow … back to the daemon")
    with urlopen(address, timeout=30) as page:  # noqa: S310 - the emulator's own address
        page.read()
    login = stage.wiring.connector.outcome(state)
    if login is None or login.outcome != "connected":
        raise B24SyncError(f"the demo's portal could not be connected: {login.error if login else 'no login'}")
    console.print("Connected. The daemon reads everything now.")


def _wait_for(url: str, stage: Stage, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and daemon.poll() is None:
        try:
            with urlopen(url, timeout=5):  # noqa: S310 - loopback
                return
        except URLError:
            time.sleep(0.1)
    raise _trouble(stage, "the daemon did not start")


def _trouble(stage: Stage, what: str) -> B24SyncError:
    tail = "\n".join(map(_readable, stage.log_file.read_text(errors="replace").splitlines()[-15:]))
    return B24SyncError(f"{what}; the end of {stage.log_file}:\n{tail}")


def _readable(line: str) -> str:
    """A line of the daemon's log for a person: what it says, and the traceback."""
    try:
        event = json.loads(line)
        return "\n".join([f"{event['level']}: {event['message']}", *filter(None, [event.get("exception")])])
    except (ValueError, TypeError, KeyError):
        return line  # not ours


class Show:
    """Lets people work on the portal and shows what the mirror makes of it."""

    def __init__(self, stage: Stage, portal: Portal, life: Life, daemon: subprocess.Popen[bytes]) -> None:
        self._stage = stage
        self._portal = portal
        self._life = life
        self._daemon = daemon
        self._acts: list[tuple[datetime, str]] = []
        self._renewals: list[datetime] = []
        self._pair: int | None = None

    def forever(self, console: Console) -> None:
        """Until Ctrl-C."""
        console.print("People work on the portal now; Ctrl-C ends the demo.")
        try:
            with Live(console=console, refresh_per_second=4) as live:
                while self._daemon.poll() is None:
                    if self._look().mirrored:
                        self._act()
                    live.update(self._frame())
                    time.sleep(1)
        except KeyboardInterrupt:
            return
        raise _trouble(self._stage, "the daemon ended")

    def once(self, console: Console) -> None:
        """The whole mirror, some acts of people, and the incremental round that brings them in."""
        self._wait(console, "the first whole mirror", lambda seen: seen.mirrored)
        console.print(self._frame())
        for _ in range(ACTS_ONCE):
            self._act()
        acted_at = datetime.now(UTC)
        console.print(f"\n{ACTS_ONCE} things happen on the portal; the next round brings them in …\n")
        self._wait(console, "the incremental round", lambda seen: seen.incremental_since(acted_at))
        console.print(self._frame())

    def _wait(self, console: Console, what: str, reached: Callable[[Glance], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        with console.status(f"Waiting for {what} …"):
            while time.monotonic() < deadline and self._daemon.poll() is None:
                if reached(self._look()):
                    return
                time.sleep(0.2)
        raise _trouble(self._stage, f"{what} did not come to its end")

    def _look(self) -> Glance:
        return glance(self._stage.wiring.ready_database)

    def _frame(self) -> RenderableType:
        seen = self._look()
        pair = seen.token.version if seen.token else None
        if self._pair is not None and pair != self._pair:
            self._renewals.append(datetime.now(UTC))
        self._pair = pair
        return frame(seen, self._acts, self._renewals)

    def _act(self) -> None:
        self._acts.append((datetime.now(UTC), self._life.step()))
        del self._acts[:-8]


def _farewell(console: Console, stage: Stage) -> None:
    console.print(f"\nThe mirror is a SQLite file: [bold]{FOLDER / 'b24sync.db'}[/]. Three queries to try:\n")
    queries(console, Wiring(stage.settings).ready_database)
    console.print("Your own portal: [bold]b24sync connect your-portal.bitrix24.com[/] (see README.md)")
