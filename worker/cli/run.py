"""`b24sync run`: worker, beat and web in one process.

The worker runs on threads, beat in one more thread: with the in-process broker a forked beat would send its ticks into
its own memory (measured: no tick arrives, and nothing says so).
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Protocol

import click
from celery import Celery
from celery.beat import EmbeddedService
from celery.concurrency import get_implementation
from celery.signals import worker_ready, worker_shutting_down

from worker import log as logs
from worker.celery import Ticker, create_app
from worker.cli.console import App, pass_app
from worker.cli.run_checks import run_checks
from worker.web.app import create_app as create_web
from worker.web.context import Check
from worker.web.server import WebServer
from worker.wiring import Wiring

log = logging.getLogger(__name__)

GRACE_SECONDS = 7.0
"""How long jobs may take to reach the end of their page after SIGTERM. Whatever is cut then is safe: rows and cursor of
a page are one transaction, and the leases are given back first."""

GIVE_BACK_SECONDS = 1.5
"""For that; where the database does not answer they run out by themselves."""


@click.command()
@pass_app
def run(program: App) -> None:
    r"""Keep the mirror fresh until stopped.

    Worker, beat and web in one process; the log goes to stderr, as JSON where that is no terminal.

    \b
    Example:
      b24sync run
    """
    for number in (signal.SIGTERM, signal.SIGINT):  # until the worker has its own handlers
        signal.signal(number, lambda *_: sys.exit(0))
    logs.set_up(min(logging.getLogger().level, logging.INFO))  # without -v a daemon still tells what it does
    stop, wiring = program.stop, program.wiring
    wiring.ready_database  # noqa: B018 - a schema that is behind must be told before anything starts
    app = create_app(wiring)
    web = _start_web(wiring, run_checks(app))
    worker = app.Worker(
        pool_cls=get_implementation("threads"),
        concurrency=wiring.settings.concurrency,
        hostname=f"b24sync@{os.getpid()}",
        loglevel=logging.INFO,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    _end_within(wiring, GRACE_SECONDS)
    beat = _start_beat_when_ready(app)
    log.info("b24sync is running; %d portals may be read at once", wiring.settings.concurrency)
    try:
        worker.start()
    finally:
        stop.set()
        if beat.is_alive():
            beat.stop()
        if web is not None:
            web.close()
        log.info("b24sync has stopped")


def _start_web(wiring: Wiring, checks: Mapping[str, Check]) -> WebServer | None:
    """The web pages; without them the mirror is kept all the same."""
    host, port = wiring.settings.web_listen
    try:
        web = WebServer(create_web(wiring, checks), host, port)
    except OSError as error:
        log.warning("the web pages are not served: %s:%d cannot be listened on (%s)", host, port, error.strerror)
        return None
    web.start()
    log.info("web pages on http://%s:%d", host, port)
    return web


class _Beat(Protocol):
    """Celery's beat thread, as far as we use it."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def is_alive(self) -> bool: ...


def _start_beat_when_ready(app: Celery) -> _Beat:
    """The embedded service does not read `beat_scheduler`: ours is named here too."""
    beat: _Beat = EmbeddedService(app, max_interval=1, thread=True, scheduler_cls=Ticker)
    worker_ready.connect(lambda **_: beat.start(), weak=False)
    return beat


def _end_within(wiring: Wiring, seconds: float) -> None:
    """On SIGTERM or Ctrl-C: no new pages, then the worker's warm shutdown, and an end in any case.

    Celery waits for running jobs without limit, and a request may hang for 65 s. Leaving in the middle loses nothing.
    """

    def end(**_: object) -> None:
        wiring.stop.set()
        watchdog = threading.Timer(seconds, _leave, [wiring])
        watchdog.daemon = True
        watchdog.start()

    worker_shutting_down.connect(end, weak=False)


def _leave(wiring: Wiring) -> None:
    log.info("b24sync stops in the middle of a page; the next start goes on from there")
    giving_back = threading.Thread(target=wiring.abandon, daemon=True)
    giving_back.start()
    giving_back.join(GIVE_BACK_SECONDS)
    logging.shutdown()
    os._exit(0)
