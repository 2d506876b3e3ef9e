"""What Celery is told, by broker: each setting was measured, and its opposite loses or doubles work."""

import pytest
from celery import Celery

from worker.bitrix24.retry import _LONGEST_JOB_PAUSE, JOB
from worker.celery import ANSWER_SECONDS, LONGEST_JOB, create_app
from worker.config import Settings
from worker.sync.portal import DEADLINE
from worker.wiring import Wiring


def app_on(broker: str) -> Celery:
    return create_app(Wiring(Settings.load({"CELERY_BROKER_URL": broker})))


def test_redis_hands_nothing_out_twice_that_may_still_be_under_way():
    """Neither the longest turn nor the longest pause before a retry, which a worker holds unacknowledged."""
    options = app_on("redis://127.0.0.1/0").conf.broker_transport_options

    assert options["visibility_timeout"] == LONGEST_JOB
    assert DEADLINE.total_seconds() + _LONGEST_JOB_PAUSE + JOB.ceiling < LONGEST_JOB
    assert options["unacked_restore_throttle"] == 1  # else ten times as late


def test_rabbitmq_has_quorum_queues_and_confirms():
    """With a topic exchange: their delayed delivery knows no direct one."""
    conf = app_on("amqp://guest:guest@127.0.0.1//").conf

    assert (conf.task_default_queue_type, conf.task_default_exchange_type) == ("quorum", "topic")
    assert conf.broker_transport_options["confirm_publish"]


@pytest.mark.parametrize("broker", ["redis://127.0.0.1/0", "amqp://guest:guest@127.0.0.1//"])
def test_a_job_that_kills_its_worker_is_not_handed_to_the_next(broker: str):
    """And a broker that is away is waited for, for ever."""
    conf = app_on(broker).conf

    assert not conf.task_reject_on_worker_lost
    assert conf.broker_connection_max_retries is None
    assert conf.worker_prefetch_multiplier == 1


@pytest.mark.parametrize(
    ("broker", "limits"),
    [
        ("redis://127.0.0.1/0", {"socket_connect_timeout", "socket_timeout"}),
        ("amqp://guest:guest@127.0.0.1//", {"read_timeout", "write_timeout"}),
    ],
)
def test_no_broker_is_waited_for_without_a_limit(broker: str, limits: set[str]):
    options = app_on(broker).conf.broker_transport_options

    assert all(0 < options[name] <= ANSWER_SECONDS for name in limits)


def test_every_tick_expires_before_the_next_one():
    """Ticks that nobody took pile up nowhere."""
    schedule = app_on("redis://127.0.0.1/0").conf.beat_schedule

    assert all(entry["options"]["expires"] < entry["schedule"] for entry in schedule.values())
