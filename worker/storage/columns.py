"""Column types that mean the same on the three databases."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

# Portals number beyond 32 bits. SQLite gives an automatic key to a column declared INTEGER only.
BigKey = BigInteger().with_variant(Integer(), "sqlite")

# TEXT of MariaDB ends at 64 KB; a description alone may have 200 KB, and `raw` holds it once more.
LongText = Text().with_variant(mysql.LONGTEXT(), "mysql")

# A text that is part of a key: 191 four-byte characters are what the oldest InnoDB row format can index.
KeyText = String(191)

# One of a few words of our own.
Word = String(32)

# SHA-256, in hex.
Sha256 = String(64)


def storable(text: str) -> str:
    """The text without what a database refuses: NUL (PostgreSQL) and halves of surrogate pairs become U+FFFD.

    For texts of our own making, such as errors; what comes from a portal is cleaned where it is read.
    """
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _utc(value: datetime) -> datetime:
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise ValueError(f"a time without a zone cannot be stored: {value.isoformat()}")
    return value.astimezone(UTC)


def _utc_text(value: str) -> str:
    if not value.endswith("Z"):
        raise ValueError(f"a time without a zone cannot be stored: {value}")
    return value


def _sqlite_text(value: datetime | str | None) -> str | None:
    """`2026-11-23 12:00:00.000000`: what SQLAlchemy writes for a naive one, and reads back."""
    if value is None:
        return None
    if isinstance(value, str):
        digits = value if value[-1] == "Z" else _utc_text(value)
        return f"{digits[:10]} {digits[11:19]}.{digits[20:-1] or '000000'}"
    return _utc(value).isoformat(" ", "microseconds")[:26]


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant, UTC in and out. What came as a text may go in as one: `2026-11-23T12:00:00Z`, to the digit.

    A naive value is refused on the way in: the mistake would only show as hours lost, and much later.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "mysql":
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """As SQLAlchemy's own for SQLite, which spends five times as long on the same text."""
        return _sqlite_text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_bind_param(self, value: datetime | str | None, dialect: Dialect) -> Any:  # noqa: ANN401 - as the driver takes it
        if value is None:
            return None
        if isinstance(value, str):
            return _utc_text(value) if dialect.name == "postgresql" else _utc_text(value)[:-1]
        utc = _utc(value)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the signature of TypeDecorator
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
