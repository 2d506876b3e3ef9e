"""The Celery app. `celery -A worker worker` and `celery -A worker beat` find it here; `b24sync run` makes its own.

Every setting is one that was measured or read in Celery's source; the reasons stand beside them.
"""

import logging
import mmap
import sys
import time
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry, Scheduler, SchedulingError
from celery.signals import setup_logging, worker_process_init, worker_shutting_down
from kombu.transport import TRANSPORT_ALIASES

from worker import log
from worker.config import Settings
from worker.errors import SettingsError
from worker.schedule import QUEUE, beat_schedule
from worker.wiring import Wiring

logger = logging.getLogger(__name__)

JOBS = ("tasks.sync", "tasks.tokens", "tasks.maintenance", "tasks.alerts")
"""Named one by one: autodiscovery does not import `tasks.sync`."""

NO_BROKER = "CELERY_BROKER_URL is not set: a separate Celery worker or beat needs it (`b24sync run` does not)"
"""Celery alone would silently take amqp on localhost."""

_LOOK = 0.2

REDIS = "worker.redis_broker:Transport"
"""By its name: the package `redis` is needed only by those who use it."""

ANSWER_SECONDS = 10
"""For one word from the broker. Without a limit a message to a broker that went without a word is waited for, for ever;
beat's thread too."""

LONGEST_JOB = 7200
"""Seconds; longer than a turn's deadline and any countdown, or Redis would hand a running job to a second worker."""


def create_app(wiring: Wiring) -> Celery:
    """The app for `wiring.settings`; without a broker setting everything stays in this process's memory."""
    settings = wiring.settings
    broker = settings.broker_url or "memory://localhost/"
    TRANSPORT_ALIASES.update(redis=REDIS, rediss=REDIS)
    app = Celery("b24sync", include=JOBS)
    app.conf.update(
        broker_url=broker,
        broker_transport_options=_transport_options(broker),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for ever; Celery's own hundred tries would end a daemon within the hour
        task_default_queue=QUEUE,
        broker_heartbeat=30,  # RabbitMQ: a consumer whose broker hangs notices within twice that; Celery's own is 120
        task_publish_retry_policy={"max_retries": 1},  # for a connection that broke unnoticed; else the next tick comes
        task_ignore_result=True,  # the database holds what came of a job
        task_acks_late=True,  # a killed worker's job is delivered again; the lease makes that harmless
        task_reject_on_worker_lost=False,  # True was measured to be an endless poison loop
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_max_tasks_per_child=200,
        task_soft_time_limit=1500,  # prefork only; a turn has its own deadline, checked between pages
        task_time_limit=1800,
        beat_scheduler=f"{__name__}:{Ticker.__name__}",
        beat_max_loop_interval=5,
        beat_schedule=beat_schedule(settings.sync_interval, alerts=settings.alert_webhook is not None),
        timezone="UTC",
        enable_utc=True,
    )
    if broker.startswith(("amqp", "pyamqp")):
        # Quorum queues outlive a broker's crash; their delayed delivery needs a topic exchange.
        app.conf.update(
            task_default_queue_type="quorum", task_default_exchange_type="topic", task_default_exchange=QUEUE
        )
    app.wiring = wiring
    setup_logging.connect(_keep_our_logging, weak=False)
    worker_process_init.connect(wiring.after_fork, weak=False)
    return app


class Ticker(Scheduler):  # type: ignore[misc]  # Celery has no types
    """Celery's beat without a file, for what is due stands in the database; and without a page of traceback a tick."""

    _refused = False

    def apply_entry(self, entry: ScheduleEntry, producer: object = None) -> None:
        """Send one tick. One that the broker does not take is not sent later: the next one does its work."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            if not self._refused:
                logger.warning(
                    "the broker does not take messages (%s): every tick tries again", error.__cause__ or error
                )
            self._refused = True
        else:
            if self._refused:
                logger.warning("the broker takes messages again")
            self._refused = False


def _keep_our_logging(**_: object) -> None:
    """With a receiver for this signal Celery leaves the loggers as `worker.log` made them."""


def _transport_options(broker: str) -> dict[str, Any]:
    if broker.startswith("memory"):
        return {"polling_interval": 0.1}
    if broker.startswith("redis"):
        limits = {"socket_connect_timeout": 5, "socket_timeout": ANSWER_SECONDS, "socket_keepalive": True}
        return {"visibility_timeout": LONGEST_JOB, "unacked_restore_throttle": 1, **limits}
    return {"confirm_publish": True, "read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS}


class SharedStop:
    """A stop flag that forked children see: the warm shutdown is told to the worker's main process alone.

    One byte of shared memory and no lock, for a child that is killed while it holds a lock would stop all others.
    """

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)

    def is_set(self) -> bool:
        return self._byte[0] == 1

    def set(self) -> None:
        self._byte[0] = 1

    def wait(self, timeout: float | None = None) -> bool:
        """Looks a few times a second."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = _LOOK if end is None else min(_LOOK, end - time.monotonic())
            if left <= 0:
                return False
            time.sleep(left)
        return True


def _separate_app() -> Celery:
    """The app for `celery -A worker ...`. A sentence and exit 2 where the settings do not allow it."""
    try:
        settings = Settings.load()
        problems: tuple[str, ...] = () if settings.broker_url else (NO_BROKER,)
    except SettingsError as error:
        problems = error.problems
    if problems:
        sys.stderr.writelines(f"b24sync: {problem}\n" for problem in problems)
        raise SystemExit(2)
    log.set_up()
    wiring = Wiring(settings, SharedStop())
    # Celery waits for running jobs without limit; so a turn ends at its next request, in a forked child too.
    worker_shutting_down.connect(lambda **_: wiring.stop.set(), weak=False)
    return create_app(wiring)


def __getattr__(name: str) -> Celery:
    """`app`, made when it is asked for: importing this module must not need settings."""
    if name != "app":
        raise AttributeError(name)
    app = globals()["app"] = _separate_app()
    return app
