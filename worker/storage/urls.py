"""Database addresses: which driver serves them, and what to say when it cannot."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from worker.errors import UsageError

DRIVERS = {
    "sqlite": ("sqlite", "pysqlite"),
    "postgres": ("postgresql", "psycopg"),
    "postgresql": ("postgresql", "psycopg"),
    "mysql": ("mysql", "pymysql"),
    "mariadb": ("mysql", "pymysql"),
}
EXTRAS = {"postgresql": "postgres", "mysql": "mysql"}


def normalise_url(url: str) -> str:
    """The address with the driver this program speaks: `postgres://` means psycopg, `mysql://` means pymysql.

    Raises:
        UsageError: It is no address, or of a database or driver that is not supported. Never tells the address: it may
            hold a password.
    """
    return parse_url(url).render_as_string(hide_password=False)


def parse_url(url: str) -> URL:
    """As `normalise_url`, taken apart."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UsageError("DATABASE_URL cannot be read; it looks like postgresql://user:password@host/name") from None
    backend, _, driver = parsed.drivername.partition("+")
    if backend not in DRIVERS:
        raise UsageError(f"DATABASE_URL names {backend!r}: SQLite, PostgreSQL and MySQL/MariaDB are supported")
    dialect, supported = DRIVERS[backend]
    if driver not in {"", supported}:
        raise UsageError(f"DATABASE_URL names the driver {driver!r}: for {dialect} it must be {supported!r}")
    if dialect == "sqlite" and (parsed.database or ":memory:").startswith((":memory:", "file:")):
        raise UsageError("DATABASE_URL must name a file of SQLite, such as sqlite:///data/b24sync.db")
    if dialect != "sqlite" and not parsed.database:
        raise UsageError(f"DATABASE_URL names no database: {dialect}://user:password@host/name")
    return parsed.set(drivername=f"{dialect}+{supported}")


def missing_driver(dialect: str) -> UsageError:
    """What to say when the driver is not installed."""
    return UsageError(
        f"the driver for {dialect} is not installed: pip install 'b24sync[{EXTRAS.get(dialect, dialect)}]'"
    )
