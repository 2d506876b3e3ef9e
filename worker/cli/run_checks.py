"""What the health check of `b24sync run` judges besides the database: the broker, and whether beat still ticks."""

import time
from collections.abc import Callable, Mapping

from celery import Celery
from celery.signals import after_task_publish

from worker.config import tick_period
from worker.schedule import TICK
from worker.web.context import Check

TICKS_MISSED = 8
LEAST_SECONDS = 60.0
"""A tick is late after eight periods, and never before a minute: a machine may sleep for a moment."""


def run_checks(app: Celery, monotonic: Callable[[], float] = time.monotonic) -> Mapping[str, Check]:
    """The checks of a process that runs worker and beat.

    A tick counts when beat has handed it to the broker. Not when a worker has carried it out: that may have been
    another process, or, while every thread reads a large portal for the first time, nobody yet; both are well.
    """
    period = tick_period(app.wiring.settings.sync_interval).total_seconds()
    return {"broker": Broker(app), "tick": LastTick(max(LEAST_SECONDS, TICKS_MISSED * period), monotonic)}


class Broker:
    """Whether the broker takes a connection."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def __call__(self) -> str | None:
        with self._app.connection_for_write(connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=3)
        return None


class LastTick:
    """How long ago beat ticked. Before its first tick the start of the process counts."""

    def __init__(self, patience: float, monotonic: Callable[[], float]) -> None:
        self._patience = patience
        self._monotonic = monotonic
        self._at = monotonic()
        after_task_publish.connect(self._ticked, sender=TICK, weak=False)

    def _ticked(self, **_: object) -> None:
        self._at = self._monotonic()

    def __call__(self) -> str | None:
        silent = self._monotonic() - self._at
        return f"beat has not ticked for {silent:.0f} s" if silent > self._patience else None
