"""A database server that has gone without a word: how long we wait for it, and it for us.

A firewall that forgot a connection or a cable that was pulled tells nobody. Without limits a thread waits for ever, and
the server keeps the locks of a client that is gone for as long as the system's keepalive lets it: two hours.
"""

import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 10

ANSWER_SECONDS = 120.0
"""For one word from a server that is at work on a statement; its machine may be well, and the way to it, while it says
nothing. Four times the longest wait for a lock, and far longer than the longest statement, which deletes the tasks of a
portal (measured: 200,000 of 2 KB in 1 s on PostgreSQL, 4 s on MariaDB)."""

UNHEARD_SECONDS = 30
"""What was sent arrives within this, or the connection counts as broken: PostgreSQL's driver is told by the kernel."""

IDLE_SECONDS = 60
"""The server ends a transaction whose client says nothing for so long: nobody of ours thinks longer inside of one, and
by then its lease is over. Else a client that is gone would keep its portal locked."""

POSTGRES_IDLE = "SET idle_in_transaction_session_timeout = '{}s'"
MYSQL_IDLE = " /*M!100301 , idle_transaction_timeout = {0} */ /*!80000 , wait_timeout = {0} */"
"""MariaDB's, and what MySQL has: its sessions end also between transactions, and are made anew when they are needed."""


def connect_arguments(dialect: str, *, patient: bool) -> dict[str, Any]:
    """What the driver is told of these limits; `patient`: an answer may take as long as it takes."""
    if dialect == "mysql":
        answer = {} if patient else {"read_timeout": ANSWER_SECONDS}
        return {"connect_timeout": CONNECT_SECONDS, "write_timeout": UNHEARD_SECONDS, **answer}
    return {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": int(UNHEARD_SECONDS * 1000),
        "keepalives_idle": UNHEARD_SECONDS,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }


def limit_answers(engine: Engine) -> None:
    """PostgreSQL's driver waits for an answer without limit: connections of this engine do not."""
    kind = _listening(ANSWER_SECONDS)

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, arguments: list[Any], options: dict[str, Any]) -> object:
        return kind.connect(*arguments, **options)


def _listening(seconds: float) -> "type[psycopg.Connection[Any]]":
    import psycopg  # noqa: PLC0415 - only who uses PostgreSQL has it

    class Listening(psycopg.Connection[Any]):
        """A connection that is closed when the server says nothing for so long."""

        def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - handed through
            try:
                return super().wait(_until_silent(gen, seconds), *arguments, **options)
            except _Silent:
                self.close()
                raise psycopg.OperationalError(f"the server did not answer for {seconds:g} s") from None
            except psycopg.errors.IdleInTransactionSessionTimeout as ended:
                # The server did not hear us: a connection that broke, which psycopg takes for a mistake in our SQL.
                raise psycopg.OperationalError(str(ended)) from None

    return Listening


class _Silent(Exception):
    pass


def _until_silent(gen: Any, seconds: float) -> Generator[Any, Any, Any]:  # noqa: ANN401 - psycopg's own protocol
    """Psycopg's generator `gen`, which is sent nothing (0) each time a moment passed without a word."""
    try:
        wanted = next(gen)
        heard = time.monotonic()
        while True:
            ready = yield wanted
            now = time.monotonic()
            if ready:
                heard = now
            elif now - heard >= seconds:
                raise _Silent
            wanted = gen.send(ready)
    except StopIteration as done:
        return done.value
