"""The settings: the only reader of the environment and of `.env`.

Values come from the environment, then from `.env` in the working directory; an empty value means unset. All problems
are told at once. `SETTINGS` is the one list that the reader, `.env.example` and the README are held against by tests.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from worker import parsing
from worker.errors import SettingsError
from worker.loopback import is_loopback


def tick_period(sync_interval: timedelta) -> timedelta:
    """Time between beat's ticks: a tenth of the interval, so that being due costs little lateness; 1 to 15 s."""
    return timedelta(seconds=min(15.0, max(1.0, sync_interval.total_seconds() / 10)))


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
        parsing.database_url,
        "SQLite, PostgreSQL or MariaDB; default: b24sync.db in the data folder",
        secret=True,
    )
    broker_url: str | None = _setting(
        "CELERY_BROKER_URL",
        None,
        parsing.broker_url,
        "redis:// or amqp:// to scale out; default: inside the one process of `run`",
        secret=True,
    )
    data_dir: Path = _setting("B24SYNC_DATA_DIR", "data", Path, "folder of the SQLite file and of the generated key")
    client_id: str | None = _setting("B24SYNC_CLIENT_ID", None, parsing.text, "the application's client_id")
    client_secret: str | None = _setting(
        "B24SYNC_CLIENT_SECRET", None, parsing.text, "the application's client_secret", secret=True
    )
    redirect_uri: str = _setting(
        "B24SYNC_REDIRECT_URI",
        "http://127.0.0.1:8624/oauth/callback",
        parsing.web_url,
        "where the portal sends the code",
    )
    oauth_url: str = _setting(
        "B24SYNC_OAUTH_URL",
        "https://oauth.bitrix.info",
        parsing.oauth_url,
        "token server when the portal names none; `portal`: the portal's own /oauth/token/",
    )
    scope: str = _setting(
        "B24SYNC_SCOPE", "task,calendar,user", parsing.scope, "scopes asked for where the portal takes them"
    )
    encryption_keys: tuple[str, ...] = _setting(
        "B24SYNC_ENCRYPTION_KEYS",
        None,
        parsing.fernet_keys,
        "Fernet keys, comma-separated, the first encrypts; default: a key file in the data folder",
        secret=True,
    )
    sync_interval: timedelta = _setting(
        "B24SYNC_SYNC_INTERVAL", "300", parsing.seconds, "seconds between runs of a portal's resource"
    )
    reconcile_interval: timedelta = _setting(
        "B24SYNC_RECONCILE_INTERVAL",
        "86400",
        parsing.seconds,
        "seconds between sweeps of all IDs (deleted and restored tasks)",
    )
    full_interval: timedelta = _setting(
        "B24SYNC_FULL_INTERVAL", "604800", parsing.seconds, "seconds between complete re-readings"
    )
    token_margin: timedelta = _setting(
        "B24SYNC_TOKEN_MARGIN",
        "600",
        parsing.seconds,
        "an access token with fewer seconds left is renewed before a run",
    )
    calendar_past_days: int = _setting("B24SYNC_CALENDAR_PAST_DAYS", "30", parsing.days, "calendar window: days back")
    calendar_future_days: int = _setting(
        "B24SYNC_CALENDAR_FUTURE_DAYS", "180", parsing.days, "calendar window: days ahead"
    )
    calendars: tuple[str, ...] = _setting(
        "B24SYNC_CALENDARS", "mine,company", parsing.calendars, "any of mine, company, groups, everyone"
    )
    max_delete_share: float = _setting(
        "B24SYNC_MAX_DELETE_SHARE", "0.2", parsing.share, "more than this share missing at once stops a run"
    )
    concurrency: int = _setting("B24SYNC_CONCURRENCY", "16", parsing.threads, "threads of `run`")
    chains: int = _setting(
        "B24SYNC_CHAINS",
        "1",
        parsing.chains,
        "Ranges of IDs of one complete reading that are read at the same time, up to 16",
    )
    web_listen: tuple[str, int] = _setting(
        "B24SYNC_WEB_LISTEN", "127.0.0.1:8624", parsing.listen, "where `web` and `run` listen"
    )
    web_password: str | None = _setting(
        "B24SYNC_WEB_PASSWORD",
        None,
        parsing.text,
        "asked by the web pages; required where they listen beyond loopback",
        secret=True,
    )
    alert_webhook: str | None = _setting(
        "B24SYNC_ALERT_WEBHOOK", None, parsing.web_url, "where alerts are posted", secret=True
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
