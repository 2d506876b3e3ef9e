"""Engines and transactions.

SQLite has two engines. Writing begins with BEGIN IMMEDIATE: a transaction that first reads and then writes would lose
against another one ("database is locked", whatever the timeout), or, with the driver's own handling, lose updates
without an error. Reading begins with a plain BEGIN and sees one state without waiting for anybody.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, NullPool, Pool, create_engine, event
from sqlalchemy.exc import NoSuchModuleError
from sqlalchemy.orm import Session

from worker.errors import UsageError
from worker.storage import silence
from worker.storage.urls import missing_driver, normalise_url, parse_url

__all__ = ["Database", "normalise_url"]

LOCK_WAIT_SECONDS = 30

# Of a new file. With SQLite's own 4 KB two records fill a page, and there are twice as many to write, each twice.
SQLITE_PAGE = 8192

# What one transaction of a first reading changes stays in memory until its commit, instead of being written, read and
# written again: with the larger page a quarter less CPU for 100,000 rows.
SQLITE_WRITE_CACHE_KB = 8000

_creating = threading.Lock()


class Database:
    """The one way to the database: `write()` for changes, `read()` for looking.

    A transaction is short and alone: no HTTP inside it, and no second transaction in the same thread. The latter is
    refused, for on SQLite it would wait for itself.

    Args:
        url: As DATABASE_URL; `postgres://` and `mysql://` are understood.
        connections: How many connections may be open at once; what exceeds them waits.
    """

    def __init__(self, url: str, *, connections: int = 32) -> None:
        self.url: URL = parse_url(url)
        self.dialect: str = self.url.get_backend_name()
        # Those that were needed once stay open: a new one costs PostgreSQL more than all statements of a quiet turn.
        self._pool: dict[str, Any] = {"pool_size": connections, "max_overflow": 0, "pool_use_lifo": True}
        self._open = threading.local()
        self._writer = self._engine("IMMEDIATE")
        self._reader = self._engine("DEFERRED") if self.dialect == "sqlite" else self._writer

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is committed at the end, or rolled back when the block raises."""
        with self._alone("write"), Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that changes nothing: it is always rolled back."""
        with self._alone("read"), Session(self._reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def _alone(self, kind: str) -> Iterator[None]:
        if getattr(self._open, "kind", None) == "write":
            raise RuntimeError("a write transaction is open in this thread: end it first")
        before, self._open.kind = getattr(self._open, "kind", None), kind
        try:
            yield
        finally:
            self._open.kind = before

    def migration_engine(self) -> Engine:
        """An engine for migrations alone: one connection, not pooled, whose statements may take as long as they take.

        SQLite alters a table by copying and dropping it; with foreign keys enforced, dropping a parent would take its
        children with it, so they are not enforced here.
        """
        return self._engine("IMMEDIATE", poolclass=NullPool)

    def dispose(self) -> None:
        """Close all connections that are not in use."""
        self._writer.dispose()
        self._reader.dispose()

    def after_fork(self) -> None:
        """For a forked child: forget the parent's connections without closing them, they are still the parent's."""
        self._writer.dispose(close=False)
        self._reader.dispose(close=False)
        self._open = threading.local()

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)!r})"

    def _engine(self, begin: str, *, poolclass: type[Pool] | None = None) -> Engine:
        more: dict[str, Any] = dict(self._pool) if poolclass is None else {"poolclass": poolclass}
        patient = poolclass is not None  # with a migration
        if self.dialect != "sqlite":
            more["isolation_level"] = "READ COMMITTED"
            more["connect_args"] = silence.connect_arguments(self.dialect, patient=patient)
        if self.dialect == "mysql":
            more["connect_args"]["charset"] = "utf8mb4"
        try:
            # hide_parameters: an error would tell the values of rows, tokens among them.
            engine = create_engine(self.url, hide_parameters=True, pool_pre_ping=self.dialect != "sqlite", **more)
        except (ImportError, NoSuchModuleError):
            raise missing_driver(self.dialect) from None
        if self.dialect == "sqlite":
            _set_up_sqlite(engine, Path(self.url.database or ""), begin, enforce=not patient)
        elif self.dialect == "postgresql":
            quick = "" if patient else f"; {silence.POSTGRES_IDLE.format(silence.IDLE_SECONDS)}"
            _on_connect(engine, f"SET TIME ZONE 'UTC'; SET lock_timeout = '{LOCK_WAIT_SECONDS}s'{quick}")
            if not patient:
                silence.limit_answers(engine)
        else:
            quick = "" if patient else silence.MYSQL_IDLE.format(silence.IDLE_SECONDS)
            _on_connect(
                engine,
                "SET SESSION sql_mode = 'TRADITIONAL', time_zone = '+00:00',"
                f" innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}{quick}",
            )
        return engine


def _on_connect(engine: Engine, statement: str) -> None:
    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - any driver's connection
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.commit()


def _set_up_sqlite(engine: Engine, path: Path, begin: str, *, enforce: bool) -> None:
    @event.listens_for(engine, "do_connect")
    def make_file(*_: object) -> None:
        _make_private(path)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver opens no transactions of its own
        connection.execute(f"PRAGMA busy_timeout = {LOCK_WAIT_SECONDS * 1000}")
        connection.execute(f"PRAGMA page_size = {SQLITE_PAGE}")
        _switch_to_wal(connection, path)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if enforce else 'OFF'}")
        if begin == "DEFERRED":
            connection.execute("PRAGMA query_only = ON")
        else:
            connection.execute(f"PRAGMA cache_size = -{SQLITE_WRITE_CACHE_KB}")

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Any) -> None:  # noqa: ANN401 - the event's own type is wider
        connection.exec_driver_sql(f"BEGIN {begin}")


def _make_private(path: Path) -> None:
    """Create the file so that only its owner may read it: it holds tokens. SQLite gives its mode to the WAL too.

    A file that exists is not opened: to close it again would drop every lock that this process holds on it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _creating, suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise UsageError(f"the database file {path} cannot be made: {error.strerror}") from error


def _switch_to_wal(connection: sqlite3.Connection, path: Path) -> None:
    """WAL is a property of the file. The first switch does not wait for other connections by itself."""
    end = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.Error as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise UsageError(f"the database file {path} cannot be used: {error}") from error
            time.sleep(0.05)
        else:
            return
