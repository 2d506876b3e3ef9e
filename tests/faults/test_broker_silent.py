"""The broker goes without a word: whoever has a message for it is told, and is not kept for ever."""

import time
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError
from sqlalchemy import make_url

from tests.faults.proxy import Proxy
from worker import celery
from worker.config import Settings
from worker.schedule import TICK
from worker.wiring import Wiring

LIMIT = 0.5
"""Seconds, instead of ten."""

BROKERS = [
    pytest.param("redis_broker", id="redis", marks=pytest.mark.redis),
    pytest.param("rabbitmq_broker", id="rabbitmq", marks=pytest.mark.rabbitmq),
]


@pytest.mark.parametrize("broker", BROKERS)
def test_a_message_to_a_broker_that_hangs_is_given_up_and_the_next_one_goes(
    request: pytest.FixtureRequest, broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Beat has one thread: a tick that is never confirmed would be its last."""
    monkeypatch.setattr(celery, "ANSWER_SECONDS", LIMIT)
    server = make_url(request.getfixturevalue(broker))
    with Proxy(server.port or 0) as wire:
        through = server.set(port=wire.port).render_as_string(hide_password=False)
        ours = {"CELERY_BROKER_URL": through, "B24SYNC_DATA_DIR": str(tmp_path)}
        app = celery.create_app(Wiring(Settings.load(ours)))
        app.conf.broker_connection_timeout = LIMIT
        app.send_task(TICK)
        wire.black_hole()
        began = time.monotonic()
        with pytest.raises(OperationalError):
            app.send_task(TICK)
        assert time.monotonic() - began < 30 * LIMIT
        wire.mend()
        app.send_task(TICK)
        app.close()
