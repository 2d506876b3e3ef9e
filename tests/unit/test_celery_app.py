"""The app of a separate Celery process."""

import pytest
from celery.signals import worker_shutting_down

from worker.celery import _separate_app

pytestmark = pytest.mark.usefixtures("root_logger_is_put_back")


def test_a_separate_worker_that_is_stopped_ends_its_turns(monkeypatch: pytest.MonkeyPatch):
    """Celery itself would wait for them, and one may take twenty minutes."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    wiring = _separate_app().wiring
    assert not wiring.stop.is_set()

    worker_shutting_down.send(sender="b24sync@here", sig="SIGTERM", how="Warm", exitcode=0)

    assert wiring.stop.is_set()
    wiring.close()
