"""Logging: one line per event, to stderr, with every secret masked whoever logged it.

The rest of the program never logs a secret; this is the second wall, for libraries that log the URLs they ask (urllib3
does so at DEBUG, and an incoming webhook carries its secret in the path).
"""

import logging
import re
import sys

MASK = "***"

_SECRETS = re.compile(
    r"(?P<webhook>/rest/\d+/)[^/\s\"']+"  # https://portal/rest/7/SECRET/method
    r"|(?P<name>[\"']?(?:\b|%5B)(?:auth|access_token|refresh_token|client_secret|application_token|code|AUTH_ID|REFRESH_ID)"
    r"(?:\]|%5D)?[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;}]+"
    r"|(?P<url>\b[a-z][a-z0-9+]*://[^/\s:@]*:)[^/\s]+(?=@)"  # postgresql://user:PASSWORD@host
)


def redact(text: str) -> str:
    """`text` with the values of tokens, webhook secrets and passwords replaced by `***`."""
    return _SECRETS.sub(lambda m: f"{m['webhook'] or m['name'] or m['url']}{MASK}", text)


class RedactingFormatter(logging.Formatter):
    """Masks the finished line, traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def set_up(level: int = logging.INFO) -> None:
    """Send every logger to stderr through the redacting formatter. Safe to call twice."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Chatty at INFO without telling an operator anything.
    for name in ("kombu", "amqp", "urllib3", "alembic", "celery.worker.strategy", "celery.app.trace", "celery.beat"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
