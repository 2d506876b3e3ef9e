"""The settings: the only reader of the environment and of `.env`.

Values come from the environment, then from `.env` in the working directory; an empty value means unset. All problems
are told at once. `SETTINGS` is the one list that the reader, `.env.example` and the README are held against by tests.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from cryptography.fernet import Fernet
from dotenv import dotenv_values
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from worker.errors import SettingsError

CALENDARS = ("mine", "company", "groups", "everyone")
SCHEMES = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
DATABASES = ("sqlite", "postgresql", "mysql", "mariadb")
BROKERS = ("redis", "rediss", "amqp", "amqps", "pyamqp")


def is_loopback(host: str | None) -> bool:
    """Whether `host` names this very machine: plain http is accepted for such hosts only."""
    if host == "localhost":
        return True
    try:
        return ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False


def tick_period(sync_interval: timedelta) -> timedelta:
    """Time between beat's ticks: a tenth of the interval, so that being due costs little lateness; 1 to 15 s."""
    return timedelta(seconds=min(15.0, max(1.0, sync_interval.total_seconds() / 10)))


def _text(value: str) -> str:
    return value


def _seconds(value: str) -> timedelta:
    return timedelta(seconds=_whole(value))


def _whole(value: str, *, least: int = 1, most: int = 10**9) -> int:
    if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
        raise ValueError(f"must be a whole number from {least} to {most}")
    return int(value)


def _days(value: str) -> int:
    return _whole(value, least=0, most=3660)


def _threads(value: str) -> int:
    return _whole(value, most=512)


def _chains(value: str) -> int:
    return _whole(value, most=16)


def _share(value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError("must be a number from 0 to 1, such as 0.2")
    return share


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


def _web_url(value: str) -> str:
    cure = "must be an address such as https://host/path"
    url = _split(value, cure)
    if url.scheme not in {"http", "https"}:
        raise ValueError(cure)
    if url.scheme == "http" and not is_loopback(url.hostname):
        raise ValueError("must be https (plain http is for this machine only)")
    return value


def _oauth_url(value: str) -> str:
    return value if value == "portal" else _web_url(value).rstrip("/")


def _database_url(value: str) -> str:
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


def _broker_url(value: str) -> str:
    cure = "must be redis://host:port/0 or amqp://user:password@host//"
    if _split(value, cure).scheme not in BROKERS:
        raise ValueError(cure)
    return value


def _fernet_keys(value: str) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in value.split(",") if key.strip())
    try:
        for key in keys:
            Fernet(key)
    except ValueError:
        raise ValueError("must be Fernet keys (32 bytes, url-safe base64), separated by commas") from None
    return keys


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _scope(value: str) -> str:
    return ",".join(_names(value))


def _calendars(value: str) -> tuple[str, ...]:
    chosen = _names(value)
    unknown = sorted(set(chosen) - set(CALENDARS))
    if unknown or not chosen:
        raise ValueError(f"must be one or more of {', '.join(CALENDARS)}")
    return chosen


def _listen(value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not host:
        raise ValueError("must be host:port, such as 127.0.0.1:8624")
    return host.strip("[]"), _port(port)


def _port(value: str) -> int:
    return _whole(value, most=65535)


def _setting(name: str, default: str | None, parse: Callable[[str], Any], meaning: str, *, secret: bool = False) -> Any:  # noqa: ANN401 - a dataclass field stands for the type it will hold
    return field(
        repr=not secret,
        metadata={"name": name, "default": default, "parse": parse, "meaning": meaning, "secret": secret},
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an operator may set. Made by `Settings.load`; a secret is never part of its `repr`."""

    database_url: str = _setting(
        "DATABASE_URL",
        None,
        _database_url,
        "SQLite, PostgreSQL or MariaDB; default: b24sync.db in the data folder",
        secret=True,
    )
    broker_url: str | None = _setting(
        "CELERY_BROKER_URL",
        None,
        _broker_url,
        "redis:// or amqp:// to scale out; default: inside the one process of `run`",
        secret=True,
    )
    data_dir: Path = _setting("B24SYNC_DATA_DIR", "data", Path, "folder of the SQLite file and of the generated key")
    client_id: str | None = _setting("B24SYNC_CLIENT_ID", None, _text, "the application's client_id")
    client_secret: str | None = _setting(
        "B24SYNC_CLIENT_SECRET", None, _text, "the application's client_secret", secret=True
    )
    redirect_uri: str = _setting(
        "B24SYNC_REDIRECT_URI", "http://127.0.0.1:8624/oauth/callback", _web_url, "where the portal sends the code"
    )
    oauth_url: str = _setting(
        "B24SYNC_OAUTH_URL",
        "https://oauth.bitrix.info",
        _oauth_url,
        "token server when the portal names none; `portal`: the portal's own /oauth/token/",
    )
    scope: str = _setting("B24SYNC_SCOPE", "task,calendar,user", _scope, "scopes asked for where the portal takes them")
    encryption_keys: tuple[str, ...] = _setting(
        "B24SYNC_ENCRYPTION_KEYS",
        None,
        _fernet_keys,
        "Fernet keys, comma-separated, the first encrypts; default: a key file in the data folder",
        secret=True,
    )
    sync_interval: timedelta = _setting(
        "B24SYNC_SYNC_INTERVAL", "300", _seconds, "seconds between runs of a portal's resource"
    )
    reconcile_interval: timedelta = _setting(
        "B24SYNC_RECONCILE_INTERVAL",
        "86400",
        _seconds,
        "seconds between sweeps of all IDs (deleted and restored tasks)",
    )
    full_interval: timedelta = _setting(
        "B24SYNC_FULL_INTERVAL", "604800", _seconds, "seconds between complete re-readings"
    )
    token_margin: timedelta = _setting(
        "B24SYNC_TOKEN_MARGIN", "600", _seconds, "an access token with fewer seconds left is renewed before a run"
    )
    calendar_past_days: int = _setting("B24SYNC_CALENDAR_PAST_DAYS", "30", _days, "calendar window: days back")
    calendar_future_days: int = _setting("B24SYNC_CALENDAR_FUTURE_DAYS", "180", _days, "calendar window: days ahead")
    calendars: tuple[str, ...] = _setting(
        "B24SYNC_CALENDARS", "mine,company", _calendars, "any of mine, company, groups, everyone"
    )
    max_delete_share: float = _setting(
        "B24SYNC_MAX_DELETE_SHARE", "0.2", _share, "more than this share missing at once stops a run"
    )
    concurrency: int = _setting("B24SYNC_CONCURRENCY", "16", _threads, "threads of `run`")
    chains: int = _setting(
        "B24SYNC_CHAINS", "1", _chains, "Ranges of IDs of one complete reading that are read at the same time, up to 16"
    )
    web_listen: tuple[str, int] = _setting(
        "B24SYNC_WEB_LISTEN", "127.0.0.1:8624", _listen, "where `web` and `run` listen"
    )
    web_password: str | None = _setting(
        "B24SYNC_WEB_PASSWORD",
        None,
        _text,
        "asked by the web pages; required where they listen beyond loopback",
        secret=True,
    )
    alert_webhook: str | None = _setting(
        "B24SYNC_ALERT_WEBHOOK", None, _web_url, "where alerts are posted", secret=True
    )

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, dotenv: Path = Path(".env")) -> "Settings":
        """Read the environment, then `.env`. Raises SettingsError with every problem found."""
        given = {**_read_dotenv(dotenv), **_present(os.environ if environ is None else environ)}
        values: dict[str, Any] = {}
        problems: list[str] = []
        for setting in fields(cls):
            name, default = setting.metadata["name"], setting.metadata["default"]
            text = given.get(name, default)
            try:
                values[setting.name] = None if text is None else setting.metadata["parse"](text)
            except ValueError as error:
                shown = "" if setting.metadata["secret"] else f" (it is {text!r})"
                problems.append(f"{name} {error}{shown}")
        problems.extend(_contradictions(values))
        if problems:
            raise SettingsError(problems)
        values["database_url"] = values["database_url"] or f"sqlite:///{values['data_dir'] / 'b24sync.db'}"
        values["encryption_keys"] = values["encryption_keys"] or ()
        return cls(**values)

    @property
    def key_file(self) -> Path:
        """Where the generated encryption key lies when no keys are set."""
        return self.data_dir / "encryption.key"


def _present(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in environ.items() if value.strip()}


def _read_dotenv(path: Path) -> dict[str, str]:
    try:
        return _present({name: value or "" for name, value in dotenv_values(path, interpolate=False).items()})
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path} cannot be read: {error}"]) from error


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    """What is wrong between settings that are right one by one."""
    problems = []
    if bool(values.get("client_id")) != bool(values.get("client_secret")):
        problems.append("B24SYNC_CLIENT_ID and B24SYNC_CLIENT_SECRET go together: one of them is missing")
    listen = values.get("web_listen")
    if listen and not is_loopback(listen[0]) and not values.get("web_password"):
        problems.append("B24SYNC_WEB_LISTEN is open to others: B24SYNC_WEB_PASSWORD is needed")
    return problems
