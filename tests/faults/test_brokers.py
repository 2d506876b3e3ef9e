"""Whoever takes a database of Redis is alone in it, and leaves it empty."""

import pytest
from redis import Redis, RedisError

from tests.faults.brokers import redis_database

pytestmark = pytest.mark.redis


def test_two_at_once_have_two_databases_and_leave_them_empty():
    try:
        with redis_database() as one, redis_database() as other, Redis.from_url(one) as redis:
            assert one != other
            redis.set("left", "behind")
    except (LookupError, RedisError) as error:
        pytest.skip(f"needs a Redis database that nobody else uses on 127.0.0.1:6379: {error}")
    with Redis.from_url(one) as redis:
        assert redis.exists("left") == 0
