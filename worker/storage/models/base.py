"""What all tables share: names of constraints, table options, the columns of a mirrored entity."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKey, MetaData, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedColumn, mapped_column

from worker.storage.columns import LongText, UtcDateTime

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# Binary collation: the other two databases compare texts exactly, and MariaDB's default takes all emoji for equal.
MARIADB = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}

# Else SQLite gives the number of a removed row to the next one, and a job still under way would take it for its own.
NUMBERED = {"sqlite_autoincrement": True}


class Base(DeclarativeBase):
    """Every constraint has a name, so that a migration can speak of it."""

    __table__: ClassVar[Table]  # SQLAlchemy promises less, for classes mapped to a SELECT

    metadata = MetaData(naming_convention=NAMES)


def options(comment: str, *args: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any schema item
    """`__table_args__` of a table that is described by `comment`."""
    return (*args, {"comment": comment, **MARIADB, **NUMBERED})


def of_portal() -> MappedColumn[int]:
    """The first half of most keys. What belongs to a portal goes with it."""
    return mapped_column(
        BigInteger,
        ForeignKey("portals.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        comment="The portal: portals.id",
    )


def portal_id_of(comment: str) -> MappedColumn[int]:
    """A key given by the portal, not by us."""
    return mapped_column(BigInteger, primary_key=True, autoincrement=False, comment=comment)


class Mirrored:
    """What every mirrored entity has besides its own columns."""

    raw: Mapped[str] = mapped_column(LongText, comment="The record as the portal sent it, JSON", sort_order=100)
    content_hash: Mapped[str] = mapped_column(
        String(32),
        comment="Hash of the content in canonical form; equal means: nothing changed that is the entity's own",
        sort_order=101,
    )
    first_seen_at: Mapped[datetime] = mapped_column(
        UtcDateTime, comment="When the row was first written (our clock)", sort_order=102
    )
    updated_at: Mapped[datetime] = mapped_column(
        UtcDateTime, comment="When the row was last written because its content changed (our clock)", sort_order=103
    )
    deleted_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime,
        comment="When the record was found gone or no longer visible (our clock); NULL: it is there",
        sort_order=104,
    )
