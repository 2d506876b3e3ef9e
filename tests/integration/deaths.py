"""A process that is gone in the middle of its work."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from worker.storage.session import Database


class Died(BaseException):
    """A process is gone: nothing of ours catches it."""


@contextmanager
def dying(database: Database, commit: int, *, kept: bool) -> Iterator[None]:
    """The process is gone with its so-many-th COMMIT, from 1: right before it or, where that is `kept`, right after."""
    write, begun = database.write, 0

    @contextmanager
    def counted() -> Iterator[Session]:
        nonlocal begun
        begun += 1
        last = begun == commit
        if begun > commit:
            raise Died
        with write() as session:
            yield session
            if last and not kept:
                raise Died
        if last:
            raise Died

    database.write = counted  # type: ignore[method-assign]
    try:
        yield
    finally:
        database.write = write  # type: ignore[method-assign]
