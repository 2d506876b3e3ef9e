"""Logging: one line per event, to stderr, with every secret masked whoever logged it.

On a terminal a line is for people; elsewhere (a file, the journal, a container) it is one JSON object, with the facts
of the event besides its sentence. What all lines of one turn share is said once, by `about`; what one event has of its
own is told with `extra=facts(...)`.

The rest of the program never logs a secret; the masking is the second wall, for libraries that log the URLs they ask
(urllib3 does so at DEBUG, and an incoming webhook carries its secret in the path).
"""

import json
import logging
import re
import sys
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

MASK = "***"

_SECRETS = re.compile(
    r"(?P<webhook>/rest/\d+/)[^/\s\"']+"  # https://portal/rest/7/SECRET/method
    r"|(?P<name>[\"']?(?:\b|%5B)(?:auth|access_token|refresh_token|client_secret|application_token|code|AUTH_ID|REFRESH_ID)"
    r"(?:\]|%5D)?[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;}]+"
    r"|(?P<url>\b[a-z][a-z0-9+]*://[^/\s:@]*:)[^/\s]+(?=@)"  # postgresql://user:PASSWORD@host
)

_shared: ContextVar[Mapping[str, Any] | None] = ContextVar("shared", default=None)


def redact(text: str) -> str:
    """`text` with the values of tokens, webhook secrets and passwords replaced by `***`."""
    return _SECRETS.sub(lambda m: f"{m['webhook'] or m['name'] or m['url']}{MASK}", text)


@contextmanager
def about(**shared: object) -> Iterator[None]:
    """What every line logged inside the block is about, by this thread: facts such as `portal` and `turn`."""
    token = _shared.set({**(_shared.get() or {}), **shared})
    try:
        yield
    finally:
        _shared.reset(token)


def facts(**own: object) -> dict[str, object]:
    """For `extra=`: what one event has to tell besides its sentence. Numbers, texts, None."""
    return {"facts": own}


class News:
    """Tells what is new from what was said before: a trouble that lasts is one event, not one per interval."""

    def __init__(self) -> None:
        self._said: dict[Hashable, Hashable] = {}

    def is_new(self, subject: Hashable, state: Hashable, *, at_first: Hashable = None) -> bool:
        """Whether `subject` was in another state when it was last asked about; before that it was in `at_first`."""
        before = self._said.get(subject, at_first)
        self._said[subject] = state
        return state != before


class PeopleFormatter(logging.Formatter):
    """One line for a terminal, masked, traceback included. Whose line it is, is told of libraries only."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as logging has it
        line = super().formatMessage(record)
        return line if record.name.startswith(("worker", "tasks")) else f"{line} ({record.name})"

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, message, the facts, logger, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": redact(record.getMessage()),
        }
        for name, value in {**(_shared.get() or {}), **getattr(record, "facts", {})}.items():
            line[name] = redact(value) if isinstance(value, str) else value
        line["logger"] = record.name
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        text = json.dumps(line, ensure_ascii=False, default=str)
        return text.encode("utf-8", "backslashreplace").decode()  # half an emoji cannot be written, but escaped


def set_up(level: int = logging.INFO) -> None:
    """Send every logger to stderr, for people or as JSON. Safe to call twice."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PeopleFormatter() if sys.stderr.isatty() else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Chatty at INFO without telling an operator anything.
    for name in ("kombu", "amqp", "urllib3", "alembic", "celery.worker.strategy", "celery.app.trace", "celery.beat"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
