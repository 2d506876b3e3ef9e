"""Settings: where they come from, what is refused and how it is told, and the example file."""

import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from worker.config import Settings, tick_period
from worker.errors import SettingsError

EXAMPLE = Path(__file__).parents[2] / ".env.example"
KEY = Fernet.generate_key().decode()


def load(**environ: str) -> Settings:
    return Settings.load(environ)


def problems(**environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as failure:
        load(**environ)
    return failure.value.problems


def metadata(name: str) -> Mapping[str, Any]:
    return next(setting.metadata for setting in fields(Settings) if setting.metadata["name"] == name)


def test_nothing_needs_to_be_set():
    settings = load()

    assert settings.database_url == "sqlite:///data/b24sync.db"
    assert settings.broker_url is None
    assert settings.encryption_keys == ()
    assert settings.sync_interval == timedelta(minutes=5)
    assert settings.web_listen == ("127.0.0.1", 8624)
    assert settings.key_file == Path("data/encryption.key")


def test_the_environment_comes_before_the_file():
    Path(".env").write_text("B24SYNC_CHAINS=2\nB24SYNC_CONCURRENCY=3\n", encoding="utf-8")
    settings = load(B24SYNC_CHAINS="4")

    assert (settings.chains, settings.concurrency) == (4, 3)


def test_an_empty_value_means_unset():
    Path(".env").write_text("B24SYNC_CHAINS=2\nB24SYNC_CONCURRENCY=\n", encoding="utf-8")

    assert (load(B24SYNC_CHAINS=" ").chains, load().concurrency) == (2, 16)


def test_the_file_is_taken_literally():
    Path(".env").write_text("B24SYNC_WEB_PASSWORD='a${HOME}$b'\n", encoding="utf-8")

    assert load(HOME="/root").web_password == "a${HOME}$b"


def test_a_file_that_cannot_be_read_is_told():
    Path(".env").write_bytes(b"B24SYNC_CHAINS=\xff\xfe")

    assert problems()[0].startswith(".env cannot be read")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "somewhere"),
        ("DATABASE_URL", "oracle://host/name"),
        ("DATABASE_URL", "postgresql://u:p@host:port/name"),
        ("CELERY_BROKER_URL", "localhost:6379"),
        ("CELERY_BROKER_URL", "sqs://host"),
        ("B24SYNC_REDIRECT_URI", "http://example.com/oauth/callback"),
        ("B24SYNC_REDIRECT_URI", "/oauth/callback"),
        ("B24SYNC_REDIRECT_URI", "http://127.0.0.1:99999/oauth/callback"),
        ("B24SYNC_OAUTH_URL", "oauth.bitrix.info"),
        ("B24SYNC_ENCRYPTION_KEYS", "short"),
        ("B24SYNC_SYNC_INTERVAL", "0"),
        ("B24SYNC_SYNC_INTERVAL", "1.5"),
        ("B24SYNC_SYNC_INTERVAL", "²"),
        ("B24SYNC_RECONCILE_INTERVAL", "-1"),
        ("B24SYNC_FULL_INTERVAL", "99999999999"),
        ("B24SYNC_TOKEN_MARGIN", "ten"),
        ("B24SYNC_CALENDAR_PAST_DAYS", "9999"),
        ("B24SYNC_CALENDARS", "mine,yours"),
        ("B24SYNC_CALENDARS", ","),
        ("B24SYNC_MAX_DELETE_SHARE", "20%"),
        ("B24SYNC_MAX_DELETE_SHARE", "nan"),
        ("B24SYNC_MAX_DELETE_SHARE", "1.1"),
        ("B24SYNC_CONCURRENCY", "1000"),
        ("B24SYNC_CHAINS", "17"),
        ("B24SYNC_WEB_LISTEN", "8624"),
        ("B24SYNC_WEB_LISTEN", "127.0.0.1:0"),
        ("B24SYNC_WEB_LISTEN", "127.0.0.1:http"),
        ("B24SYNC_ALERT_WEBHOOK", "https://[half/s3cret"),
    ],
)
def test_what_makes_no_sense_is_told_by_its_name(name: str, value: str):
    (problem,) = problems(**{name: value})

    assert problem.startswith(f"{name} must be")
    assert (value in problem) is not metadata(name)["secret"]


def test_all_problems_are_told_at_once():
    told = problems(
        B24SYNC_CHAINS="x", B24SYNC_SYNC_INTERVAL="x", B24SYNC_CLIENT_ID="x", B24SYNC_WEB_LISTEN="0.0.0.0:1"
    )

    assert [problem.split()[0] for problem in told] == [
        "B24SYNC_SYNC_INTERVAL",
        "B24SYNC_CHAINS",
        "B24SYNC_CLIENT_ID",
        "B24SYNC_WEB_LISTEN",
    ]


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("postgres://u:p@h/n", "postgresql+psycopg://u:p@h/n"),
        ("postgresql://u:p@h/n", "postgresql+psycopg://u:p@h/n"),
        ("mysql://u:p@h/n", "mysql+pymysql://u:p@h/n"),
        ("mariadb://u:p@h/n", "mysql+pymysql://u:p@h/n"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("postgresql://u:p%40ss%2F@h/n", "postgresql+psycopg://u:p%40ss%2F@h/n"),
    ],
)
def test_database_addresses_get_their_driver(url: str, full: str):
    assert load(DATABASE_URL=url).database_url == full


def test_lists_are_split_and_trimmed():
    settings = load(
        B24SYNC_CALENDARS=" mine , everyone,", B24SYNC_SCOPE="task, user", B24SYNC_ENCRYPTION_KEYS=f"{KEY}, "
    )

    assert settings.calendars == ("mine", "everyone")
    assert settings.scope == "task,user"
    assert settings.encryption_keys == (KEY,)


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "localhost:1", "[::1]:1"])
def test_loopback_needs_no_password(listen: str):
    assert load(B24SYNC_WEB_LISTEN=listen).web_password is None


def test_an_open_address_needs_a_password():
    assert load(B24SYNC_WEB_LISTEN="0.0.0.0:80", B24SYNC_WEB_PASSWORD="x").web_listen == ("0.0.0.0", 80)  # noqa: S104
    assert "B24SYNC_WEB_PASSWORD" in problems(B24SYNC_WEB_LISTEN="0.0.0.0:80")[0]


@pytest.mark.parametrize(("interval", "tick"), [(1, 1), (10, 1), (60, 6), (150, 15), (300, 15), (86400, 15)])
def test_ticks_are_a_tenth_of_the_interval_within_bounds(interval: int, tick: int):
    assert tick_period(timedelta(seconds=interval)) == timedelta(seconds=tick)


def test_no_secret_is_part_of_the_repr():
    secret = {
        "DATABASE_URL": "postgresql://u:s3cret@h/n",
        "CELERY_BROKER_URL": "amqp://u:s3cret@h//",
        "B24SYNC_CLIENT_ID": "local.1",
        "B24SYNC_CLIENT_SECRET": "s3cret",
        "B24SYNC_ENCRYPTION_KEYS": KEY,
        "B24SYNC_WEB_PASSWORD": "s3cret",
        "B24SYNC_ALERT_WEBHOOK": "https://hooks.example/s3cret",
    }
    settings = load(**secret)

    assert {name for name in secret if metadata(name)["secret"]} == set(secret) - {"B24SYNC_CLIENT_ID"}
    assert "s3cret" not in repr(settings) + str(settings)
    assert KEY not in repr(settings)


def test_the_example_file_holds_every_setting_with_its_default_and_meaning():
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    found = {}
    for above, line in pairwise(lines):
        if match := re.fullmatch(r"#([A-Z0-9_]+)=(.*)", line):
            found[match[1]] = (match[2], above.removeprefix("# "))

    assert found == {
        setting.metadata["name"]: (setting.metadata["default"] or "", setting.metadata["meaning"])
        for setting in fields(Settings)
    }


def test_the_example_file_as_it_is_changes_nothing():
    assert Settings.load({}, EXAMPLE) == load()
