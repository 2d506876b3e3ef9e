"""The demo, as a stranger meets it: by the address that it prints, in a browser, in well under two minutes."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", "demo", "--by-hand", "--once", "--tasks", "20"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(110, process.kill)
    watchdog.start()
    yield process
    watchdog.cancel()
    process.terminate()
    process.communicate(timeout=30)


def connect(browser: OpenerDirector, address: str) -> str:
    """Send the form that lies behind the address, and go where the page leads."""
    page = browser.open(address, timeout=20).read().decode()
    portal = re.search(r'name="portal" value="([^"]+)"', page)
    assert portal is not None
    parts = urlsplit(address)
    origin = f"{parts.scheme}://{parts.netloc}"
    form = urlencode({"portal": portal[1]}).encode()
    with browser.open(Request(f"{origin}/connect", form, {"Origin": origin}), timeout=20) as going:  # noqa: S310
        leads_to = going.headers["Refresh"].partition("url=")[2]
    with browser.open(leads_to, timeout=20) as back:
        return str(back.read().decode())


@pytest.mark.e2e
def test_a_stranger_connects_the_invented_portal_by_hand(demo: subprocess.Popen[str]):
    assert demo.stderr is not None
    address = next(
        found[0] for line in demo.stderr if (found := re.search(r"http://\S+/connect\?portal=[\d.:]+", line))
    )
    page = connect(build_opener(HTTPCookieProcessor()), address)
    rest = demo.stderr.read()

    assert "<h1>Connected</h1>" in page
    assert "The state of the mirror: http://127.0.0.1:" in rest
    assert "The mirror is a SQLite file" in rest
    assert demo.wait(30) == 0
