"""The second wall: whatever is logged, and by whom, no secret comes through."""

import io
import json
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from worker import log

pytestmark = pytest.mark.usefixtures("root_logger_is_put_back")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("POST https://acme.bitrix24.com/rest/7/s3cret/batch", "POST https://acme.bitrix24.com/rest/7/***/batch"),
        ("/rest/7/s3cret", "/rest/7/***"),
        ("GET /oauth/callback?code=s3cret&state=x", "GET /oauth/callback?code=***&state=x"),
        ('{"access_token": "s3cret", "expires_in": 3600}', '{"access_token": "***", "expires_in": 3600}'),
        ("{'refresh_token': 's3cret'}", "{'refresh_token': '***'}"),
        ("client_secret=s3cret&grant_type=x", "client_secret=***&grant_type=x"),
        ("auth[application_token]=s3cret", "auth[application_token]=***"),
        ("auth%5Baccess_token%5D=s3cret&x=1", "auth%5Baccess_token%5D=***&x=1"),
        ("AUTH_ID=s3cret&REFRESH_ID=s3cret", "AUTH_ID=***&REFRESH_ID=***"),
        ("auth=s3cret", "auth=***"),
        ("postgresql+psycopg://mirror:s3cret@db:5432/b24", "postgresql+psycopg://mirror:***@db:5432/b24"),
        ("postgresql://mirror:s3c@ret@db/b24", "postgresql://mirror:***@db/b24"),
        ("amqp://guest:s3cret@mq//", "amqp://guest:***@mq//"),
        ("redis://:s3cret@cache/0", "redis://:***@cache/0"),
    ],
)
def test_secrets_are_masked(text: str, shown: str):
    assert log.redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://acme.bitrix24.com/rest/tasks.task.list",
        "the run of tasks took 12:30 and read 5 records",
        "http://127.0.0.1:8624/oauth/callback",
        "an authorization is needed",
    ],
)
def test_what_is_no_secret_stays(text: str):
    assert log.redact(text) == text


def test_arguments_and_tracebacks_are_masked(capsys: pytest.CaptureFixture[str]):
    log.set_up()
    try:
        int("https://acme/rest/7/s3cret/profile")
    except ValueError:
        logging.getLogger("any.library").exception("asked %s", "/rest/7/s3cret/profile")
    shown = capsys.readouterr().err

    assert "Traceback" in shown
    assert "/rest/7/***/profile" in shown
    assert "s3cret" not in shown


def test_a_second_set_up_does_not_double_the_lines(capsys: pytest.CaptureFixture[str]):
    log.set_up()
    log.set_up()
    logging.getLogger("worker").info("once")

    assert capsys.readouterr().err.count("once") == 1


def test_the_level_is_as_asked_and_chatty_libraries_are_quieter(capsys: pytest.CaptureFixture[str]):
    log.set_up(logging.INFO)
    logging.getLogger("worker").debug("no")
    logging.getLogger("kombu").info("no")
    logging.getLogger("worker").info("yes")
    shown = capsys.readouterr().err

    assert '"no"' not in shown
    assert '"yes"' in shown


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_where_no_person_reads_each_event_is_one_json_object(capsys: pytest.CaptureFixture[str]):
    log.set_up()
    with log.about(portal="m1", turn=7):
        logging.getLogger("worker.sync").info(
            "two\nlines of %s", "Müller 🎉", extra=log.facts(run=12, resource="tasks")
        )
    logging.getLogger("worker.sync").warning("later")
    first, second = lines(capsys)

    assert list(first) == ["time", "level", "message", "portal", "turn", "run", "resource", "logger"]
    assert (first["message"], first["level"], first["run"]) == ("two\nlines of Müller 🎉", "info", 12)
    assert datetime.fromisoformat(first["time"]).utcoffset() == timedelta(0)
    assert "turn" not in second


def test_no_secret_comes_through_as_json(capsys: pytest.CaptureFixture[str]):
    log.set_up()
    try:
        int("/rest/7/s3cret/profile")
    except ValueError:
        told = log.facts(error='{"access_token": "s3cret"}', count=3)
        logging.getLogger("any.library").exception('answered {"refresh_token": "s3cret"}', extra=told)
    shown = capsys.readouterr().err

    assert "s3cret" not in shown
    (line,) = (json.loads(text) for text in shown.splitlines())
    assert "/rest/7/***/profile" in line["exception"]
    assert line["count"] == 3


def test_a_fact_that_json_does_not_know_is_a_text(capsys: pytest.CaptureFixture[str]):
    log.set_up()
    logging.getLogger("worker").info("when", extra=log.facts(at=datetime(2026, 11, 23, tzinfo=UTC), broken="\ud83c"))

    (line,) = lines(capsys)
    assert (line["at"], line["broken"]) == ("2026-11-23 00:00:00+00:00", "\ud83c")


def test_on_a_terminal_a_line_is_for_people(monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    log.set_up()
    logging.getLogger("worker.sync").info("acme tasks: ok", extra=log.facts(run=12))
    logging.getLogger("celery.worker").warning("no broker at redis://:s3cret@cache/0")
    first, second = terminal.getvalue().splitlines()

    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO    acme tasks: ok", first)
    assert second.endswith("no broker at redis://:***@cache/0 (celery.worker)")


def test_what_lasts_is_new_once():
    news = log.News()

    assert [news.is_new("a", state) for state in (None, "x", "x", "y", None, None)] == [
        False,
        True,
        False,
        True,
        True,
        False,
    ]
    assert news.is_new("b", "x")
