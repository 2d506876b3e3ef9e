"""Whoever takes a database of Redis is alone in it, and leaves it empty."""

import fcntl

import pytest
from redis import Redis, RedisError

from tests.faults.brokers import NUMBERS, SERVER, lock_of, redis_database

pytestmark = pytest.mark.redis


def free() -> set[int]:
    """The databases that a test may have now: the server tells which hold something, the locks which are taken."""
    with Redis.from_url(SERVER) as redis:
        filled = redis.info("keyspace")
    return {number for number in NUMBERS if f"db{number}" not in filled and not taken(number)}


def taken(number: int) -> bool:
    with lock_of(number).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_two_at_once_have_two_databases_and_leave_them_empty():
    try:
        before = free()
    except RedisError as error:
        pytest.skip(f"no Redis answers on 127.0.0.1:6379: {error}")
    if len(before) < 2:
        pytest.skip("needs two databases that nobody else uses of the Redis on 127.0.0.1:6379")

    with redis_database() as one, redis_database() as other, Redis.from_url(one) as redis:
        assert one != other
        redis.set("left", "behind")

    with Redis.from_url(one) as redis:
        assert redis.exists("left") == 0
