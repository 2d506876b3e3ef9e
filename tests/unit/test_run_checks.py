"""What the health check of the daemon judges besides the database."""

from collections.abc import Iterator

import pytest
from celery import Celery
from celery.signals import after_task_publish

from tests.conftest import FakeClock
from worker.celery import create_app
from worker.cli.run_checks import run_checks
from worker.config import Settings
from worker.schedule import TICK
from worker.wiring import Wiring


@pytest.fixture
def app() -> Iterator[Celery]:
    wiring = Wiring(Settings.load({}))
    yield create_app(wiring)
    wiring.close()
    after_task_publish.receivers.clear()


def test_the_broker_in_this_process_is_well(app: Celery):
    assert run_checks(app)["broker"]() is None


def test_a_broker_that_is_down_raises():
    wiring = Wiring(Settings.load({"CELERY_BROKER_URL": "redis://127.0.0.1:1/0"}))
    with pytest.raises(Exception, match="onnect"):
        run_checks(create_app(wiring))["broker"]()
    wiring.close()
    after_task_publish.receivers.clear()


def test_beat_that_falls_silent_is_told(app: Celery, clock: FakeClock):
    tick = run_checks(app, clock.monotonic)["tick"]
    clock.advance(100)
    assert tick() is None
    after_task_publish.send(sender=TICK)
    clock.advance(119)
    assert tick() is None
    clock.advance(2)

    assert tick() == "beat has not ticked for 121 s"


def test_other_jobs_are_no_ticks(app: Celery, clock: FakeClock):
    tick = run_checks(app, clock.monotonic)["tick"]
    clock.advance(121)
    after_task_publish.send(sender="b24sync.sync_portal")

    assert tick() == "beat has not ticked for 121 s"
