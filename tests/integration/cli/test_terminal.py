"""What a person sees on a terminal of 80 columns."""

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from datetime import UTC, datetime, timedelta

from rich.console import Console

from tests.integration.stage import ROOT, Stage
from worker.cli.status import picture
from worker.overview import AccountState, BreakerView, Overview, PortalState, ResourceState

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def on_terminal(stage: Stage, *arguments: str, until: str, columns: int = 80) -> tuple[int, str]:
    """Run `b24sync` on a terminal until it has written `until`, then press Ctrl-C. Exit code, and all that it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", *arguments],
        env={**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **stage.environ},
        cwd=stage.folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written, asked = b"", False
    try:
        while chunk := _read(ours):
            written += chunk
            if until.encode() in written and not asked:
                asked = True
                process.send_signal(signal.SIGINT)
        return process.wait(timeout=20), written.decode()
    finally:
        process.kill()
        os.close(ours)


def _read(terminal: int) -> bytes:
    assert select.select([terminal], [], [], 60)[0], "it neither wrote nor ended within a minute"
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux: the other side is closed
        return b""


def test_watching_draws_in_place_and_gives_the_screen_back(stage: Stage):
    stage.connect()
    code, written = on_terminal(stage, "status", "--watch", until="Ctrl-C ends")

    assert code == 130
    assert stage.portal.domain in written
    assert written.index("\x1b[?1049h") < written.index("\x1b[?1049l")
    assert "Traceback" not in written


def test_a_run_shows_its_progress_and_its_table(stage: Stage):
    stage.connect()
    code, written = on_terminal(stage, "sync", until="never printed")

    assert code == 0
    assert re.search(
        rf"{re.escape(stage.portal.domain)} tasks +\d+ rows", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)
    )
    assert "resource" in written


def test_the_log_of_a_daemon_is_for_people_there(stage: Stage):
    code, written = on_terminal(stage, "run", until="b24sync is running")

    assert code == 0
    assert re.search(r"\d\d:\d\d:\d\d INFO +b24sync is running", written)
    assert '{"time"' not in written


def test_the_state_of_a_portal_fits_into_80_columns():
    """With the longest words that there are; only sentences may go on in the next line."""
    resource = ResourceState("calendar", NOW - timedelta(days=100), "incomplete", 8_640_000, 12_345_678, None, None)
    account = AccountState(123_456, "webhook", True, "payment_required", "task,calendar,user", None, None)
    oauth = AccountState(1, "oauth", False, "ok", "task", NOW + timedelta(hours=1), NOW + timedelta(days=180))
    breaker = BreakerView("closed", 0, None, None)
    portal = PortalState(
        "m1",
        "a-rather-long-name.bitrix24.com",
        "active",
        [account, oauth],
        [resource],
        1_000,
        "hints",
        breaker,
        drift=0,
    )
    console = Console(file=io.StringIO(), width=80)
    console.print(picture(Overview([portal], "0001"), NOW))
    shown = console.file.getvalue()  # type: ignore[attr-defined]

    assert max(map(len, shown.splitlines())) <= 80
    assert "  calendar  100 d ago  incomplete  100 d ago   12,345,678  now" in shown
    assert "    access token 60 min left, refresh token 180 d left\n" in shown
    assert "…" not in shown
