"""A broker of one's own on a server that others use too: nothing of theirs is touched, nothing of ours is left."""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

SERVER = "redis://127.0.0.1:6379"
NUMBERS = range(1, 14)
"""The databases that tests may take, and empty."""


class NoneFree(Exception):
    """Others have them all. A kind of its own: who skips for it skips for no mistake of ours."""


def lock_of(number: int) -> Path:
    return Path(tempfile.gettempdir(), f"b24sync-test-redis-{number}.lock")


@contextmanager
def redis_database() -> Iterator[str]:
    """The address of an empty database of Redis that nobody else takes meanwhile; emptied at the end.

    Raises NoneFree.
    """
    for number in NUMBERS:
        with lock_of(number).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            with Redis.from_url(f"{SERVER}/{number}") as redis:
                if redis.dbsize():  # somebody's who knows nothing of us
                    continue
                try:
                    yield f"{SERVER}/{number}"
                finally:
                    redis.flushdb()
                return
    raise NoneFree("all databases of this Redis that tests may empty are in use")
