"""The stage of programs and pages: an emulated portal, settings for it, and `b24sync` in this process or another."""

import atexit
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlsplit
from urllib.request import HTTPRedirectHandler, build_opener, urlopen

from click.testing import CliRunner, Result

from tests.conftest import app_settings
from tests.ports import free_port
from worker.cli import program
from worker.config import Settings
from worker.emulator import Emulator, Portal, PortalSpec
from worker.storage import schema
from worker.storage.models import Base
from worker.storage.session import Database
from worker.wiring import Wiring

SMALL = PortalSpec(users=3, tasks=12, events=4, groups=1, limits=False)
ROOT = Path(__file__).parents[2]


@cache
def _migrated() -> Path:
    """An empty, migrated SQLite, made once: migrating it for each test would be most of their time."""
    file = Path(tempfile.mkdtemp(prefix="b24sync-test-")) / "b24sync.db"
    atexit.register(shutil.rmtree, file.parent, ignore_errors=True)
    database = Database(f"sqlite:///{file}")
    schema.ensure(database)
    database.dispose()
    return file


@dataclass
class Stage:
    """One portal and one empty data folder."""

    emulator: Emulator
    portal: Portal
    folder: Path
    port: int = field(default_factory=free_port)
    environ: dict[str, str] = field(init=False)
    programs: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        shutil.copy(_migrated(), self.folder / "b24sync.db")
        callback = f"http://127.0.0.1:{self.port}/oauth/callback"
        self.portal.register_app(callback)
        self.environ = {
            "B24SYNC_DATA_DIR": str(self.folder),
            **app_settings(self.emulator, self.portal),
            "B24SYNC_WEB_LISTEN": f"127.0.0.1:{self.port}",
            "B24SYNC_REDIRECT_URI": callback,
        }

    def invoke(self, *arguments: str, stdin: str | None = None) -> Result:
        """`b24sync` in this process."""
        root = logging.getLogger()
        before = root.handlers[:], root.level
        try:
            return CliRunner(env=self.environ).invoke(program, list(arguments), input=stdin, prog_name="b24sync")
        finally:
            root.handlers[:], root.level = before  # the program's own writes to a stream that is gone

    def json(self, *arguments: str) -> dict[str, Any]:
        """What a command that must go well prints as JSON."""
        result = self.invoke(*arguments)
        assert result.exit_code == 0, result.output
        return dict(json.loads(result.stdout))

    def connect(self) -> None:
        """Connect the portal by its administrator's tokens."""
        answer = json.dumps(self.portal.issue_tokens(self.portal.admin_id))
        result = self.invoke("connect", "--tokens", "-", stdin=answer)
        assert result.exit_code == 0, result.output

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """`b24sync` as a program of its own."""
        process = start(*arguments, environ={**self.environ, **more}, folder=self.folder)
        self.programs.append(process)
        return process

    def close(self) -> None:
        """End what a failed test has left behind, and leave the emulator as it was."""
        for process in self.programs:
            process.kill()
            with suppress(ValueError):
                process.communicate()
        self.portal.stop()
        self.emulator.portals.remove(self.portal)
        self.emulator.token_server._portals.remove(self.portal)

    @contextmanager
    def wiring(self, **more: str) -> Iterator[Wiring]:
        """The parts of a process with these settings."""
        wiring = Wiring(Settings.load({**self.environ, **more}))
        try:
            yield wiring
        finally:
            wiring.close()

    def rows(self) -> dict[str, int]:
        """How many rows each table holds, those without any left out."""
        with self.wiring() as wiring, wiring.ready_database.read() as session:
            counts = {table.name: len(session.execute(table.select()).all()) for table in Base.metadata.sorted_tables}
        return {name: count for name, count in counts.items() if count}


def start(*arguments: str, environ: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    """`python -m worker` with nothing of our environment but what a program needs to run at all."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "worker", *arguments],
        env={**kept, "PYTHONPATH": str(ROOT), **environ},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], *, seconds: float = 30) -> tuple[int, str, str]:
    """Exit code, stdout, stderr; a program that does not end is killed, and that is a failure."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it did not end within {seconds} s: {out}{err}") from None
    return process.returncode, out, err


def read_until(process: subprocess.Popen[str], word: str, *, on: str = "stderr", seconds: float = 20) -> str:
    """The line of a running program's output that holds `word`; one that is silent for too long is killed."""
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.start()
    try:
        for line in getattr(process, on):
            if word in line:
                return str(line).strip()
    finally:
        watchdog.cancel()
    raise AssertionError(f"it ended without a word of {word!r}")


def browse(address: str) -> str:
    """Open an address as a browser does: redirects are followed."""
    with urlopen(address, timeout=20) as page:  # noqa: S310 - loopback
        return str(page.read().decode())


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def consent(address: str) -> dict[str, str]:
    """Click "allow" on the portal, and return the query that it sends the browser back with."""
    try:
        build_opener(_Stay).open(address, timeout=20)
    except HTTPError as moved:
        with moved:
            return dict(parse_qsl(urlsplit(moved.headers["Location"]).query))
    raise AssertionError(f"{address} leads nowhere")


def interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
