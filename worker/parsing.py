"""The texts of settings into values. What cannot be read raises ValueError with the cure, never with the text."""

from datetime import timedelta
from urllib.parse import SplitResult, urlsplit

from cryptography.fernet import Fernet
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from worker.loopback import is_loopback

CALENDARS = ("mine", "company", "groups", "everyone")
SCHEMES = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
DATABASES = ("sqlite", "postgresql", "mysql", "mariadb")
BROKERS = ("redis", "rediss", "amqp", "amqps", "pyamqp")


def text(value: str) -> str:
    return value


def seconds(value: str) -> timedelta:
    return timedelta(seconds=_whole(value))


def _whole(value: str, *, least: int = 1, most: int = 10**9) -> int:
    if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
        raise ValueError(f"must be a whole number from {least} to {most}")
    return int(value)


def days(value: str) -> int:
    return _whole(value, least=0, most=3660)


def threads(value: str) -> int:
    return _whole(value, most=512)


def chains(value: str) -> int:
    return _whole(value, most=16)


def share(value: str) -> float:
    try:
        part = float(value)
    except ValueError:
        part = -1.0
    if not 0 <= part <= 1:
        raise ValueError("must be a number from 0 to 1, such as 0.2")
    return part


def _split(value: str, cure: str) -> SplitResult:
    """The parts of an address. The standard library's own errors quote it, passwords and all: they stay here."""
    try:
        url = urlsplit(value)
        whole = bool(url.hostname) and url.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise ValueError(cure)
    return url


def web_url(value: str) -> str:
    cure = "must be an address such as https://host/path"
    url = _split(value, cure)
    if url.scheme not in {"http", "https"}:
        raise ValueError(cure)
    if url.scheme == "http" and not is_loopback(url.hostname):
        raise ValueError("must be https (plain http is for this machine only)")
    return value


def oauth_url(value: str) -> str:
    return value if value == "portal" else web_url(value).rstrip("/")


def database_url(value: str) -> str:
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        raise ValueError("must be a database address such as postgresql://user:password@host/name") from None
    backend, _, driver = url.drivername.partition("+")
    if not driver:
        url = url.set(drivername=SCHEMES.get(backend, backend))
    if url.get_backend_name() not in DATABASES:
        raise ValueError("must be SQLite, PostgreSQL or MySQL/MariaDB")
    return url.render_as_string(hide_password=False)


def broker_url(value: str) -> str:
    cure = "must be redis://host:port/0 or amqp://user:password@host//"
    if _split(value, cure).scheme not in BROKERS:
        raise ValueError(cure)
    return value


def fernet_keys(value: str) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in value.split(",") if key.strip())
    try:
        for key in keys:
            Fernet(key)
    except ValueError:
        raise ValueError("must be Fernet keys (32 bytes, url-safe base64), separated by commas") from None
    return keys


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def scope(value: str) -> str:
    return ",".join(_names(value))


def calendars(value: str) -> tuple[str, ...]:
    chosen = _names(value)
    unknown = sorted(set(chosen) - set(CALENDARS))
    if unknown or not chosen:
        raise ValueError(f"must be one or more of {', '.join(CALENDARS)}")
    return chosen


def listen(value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not host:
        raise ValueError("must be host:port, such as 127.0.0.1:8624")
    return host.strip("[]"), _port(port)


def _port(value: str) -> int:
    return _whole(value, most=65535)
