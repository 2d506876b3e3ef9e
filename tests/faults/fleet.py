"""Processes of a test: started from a clean one that has imported everything, so that many of them cost little."""

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.synchronize import Barrier
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event

from worker.bitrix24.client import Client
from worker.bitrix24.refresh import TokenKeeper
from worker.config import Settings
from worker.storage import migrate, portals
from worker.storage.session import Database
from worker.wiring import Wiring

if TYPE_CHECKING:
    from multiprocessing.queues import Queue


def context() -> ForkServerContext:
    """Forks of a process without threads and connections; a fork of the test itself would inherit its own."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload([__name__])
    return made


@contextmanager
def wiring(settings: Mapping[str, str], lease: float | None = None) -> Iterator[Wiring]:
    """The parts of a process with these settings; `lease` seconds for one refresh."""
    made = Wiring(Settings.load(settings))
    made.database = Database(made.settings.database_url, connections=2)  # the servers are not ours alone
    if lease is not None:
        made.token_keeper = TokenKeeper(  # before anything was made with it
            made.token_store, made.clock, made._owner, made.settings.token_margin, timedelta(seconds=lease)
        )
    try:
        yield made
    finally:
        made.close()


def client(made: Wiring, portal_id: int) -> Client:
    """A client that acts as the portal's primary account."""
    with made.ready_database.read() as session:
        portal, account = portals.get_portal(session, portal_id), portals.primary_account(session, portal_id)
    assert portal is not None
    assert account is not None
    return made.client_for(portal, account)


def ask(settings: Mapping[str, str], portal_id: int, jobs: int, start: Barrier, told: "Queue[str]") -> None:
    """`jobs` threads that ask the portal who we are, all at once with those of the other processes."""
    with wiring(settings) as made:
        clients = [client(made, portal_id) for _ in range(jobs)]
        start.wait(60)

        def work(one: Client) -> None:
            try:
                one.call("profile")
            except Exception as error:  # noqa: BLE001 - told to the test
                told.put(repr(error))
            else:
                told.put("ok")

        threads = [threading.Thread(target=work, args=(one,)) for one in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def refresh(settings: Mapping[str, str], portal_id: int, lease: float) -> None:
    """Ask the portal once; the token is rejected, so it is renewed first."""
    with wiring(settings, lease) as made, suppress(Exception):
        client(made, portal_id).call("profile")


def upgrade(url: str, statements: int) -> None:
    """Migrate, and die before the statement of this number."""
    run = itertools.count(1)

    def before(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "SET", "SHOW", "PRAGMA")) and next(run) == statements:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", before)
    migrate.upgrade(Database(url, connections=2))


@contextmanager
def process(target: Any, *arguments: Any) -> Iterator[ForkServerProcess]:  # noqa: ANN401 - any function with its arguments
    """One process, killed at the end if it still runs."""
    one = context().Process(target=target, args=arguments)
    one.start()
    try:
        yield one
    finally:
        if one.is_alive() and one.pid is not None:
            os.kill(one.pid, 9)
        one.join(10)
