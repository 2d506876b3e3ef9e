"""Whole programs, as an operator meets them: signals, pipes, ports, and Celery's own command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.integration.stage import ROOT, Stage, browse, finish, interrupt, read_until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_web_serves_until_it_is_told_to_stop(stage: Stage, number: signal.Signals):
    process = stage.start("web")
    address = read_until(process, "web pages on").split("web pages on ")[1].split(";")[0]
    assert '"service":"b24sync"' in browse(f"{address}/healthz").replace(" ", "")
    process.send_signal(number)

    assert finish(process)[0] == 0
    with pytest.raises(URLError):
        browse(f"{address}/healthz")


def test_watching_ends_with_ctrl_c(stage: Stage):
    process = stage.start("status", "--watch")
    read_until(process, "No portal is connected", on="stdout")
    read_until(process, "No portal is connected", on="stdout")
    interrupt(process)
    code, _, err = finish(process)

    assert code == 130
    assert "Traceback" not in err


def test_ctrl_c_ends_a_sync_at_its_next_page_and_gives_the_lease_back(stage: Stage):
    stage.connect()
    stage.portal.requests.reset()
    stage.portal.faults.add("hang", seconds=1.5)
    process = stage.start("sync")
    while not stage.portal.requests.http:
        assert process.poll() is None
        time.sleep(0.05)
    interrupt(process)
    code, _, err = finish(process)

    assert code == 130, err
    assert "Traceback" not in err
    started = time.monotonic()
    assert stage.invoke("sync").exit_code == 0
    assert time.monotonic() - started < 30


def test_giving_up_a_login_is_no_failure_of_ours(stage: Stage):
    process = stage.start("connect", stage.portal.domain, "--no-browser")
    read_until(process, "Waiting for your consent")
    time.sleep(0.2)
    interrupt(process)
    code, _, err = finish(process)

    assert code == 130
    assert "Traceback" not in err


def test_a_reader_that_goes_away_is_no_failure(stage: Stage):
    stage.connect()
    process = stage.start("methods", "1")
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=20)

    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert process.returncode == 141


def test_env_files_are_read_and_the_environment_comes_first(stage: Stage):
    (stage.folder / ".env").write_text("B24SYNC_SYNC_INTERVAL=soon\nB24SYNC_CHAINS=many\n")
    code, _, err = finish(stage.start("status", B24SYNC_CHAINS="2"))

    assert code == 2
    assert "B24SYNC_SYNC_INTERVAL" in err
    assert "B24SYNC_CHAINS" not in err


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_a_separate_celery_needs_a_broker_and_says_so(role: str, tmp_path: Path):
    """Celery alone would take amqp on localhost, and here there may well be one."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    end = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", role],
        env={**kept, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert end.returncode == 2, end.stderr
    assert end.stderr.startswith("b24sync: CELERY_BROKER_URL is not set")
    assert "Traceback" not in end.stderr
