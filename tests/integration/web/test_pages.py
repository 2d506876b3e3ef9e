"""The web pages: what they answer, and what they never show."""

import base64
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.integration.stage import Stage, browse
from tests.ports import free_port
from worker.storage.connections import register_account
from worker.storage.rejected import put_rejected
from worker.web.app import create_app
from worker.web.guard import HEADERS
from worker.web.server import WebServer
from worker.wiring import Wiring

PASSWORD = "öffne dich"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def guarded(stage: Stage) -> Iterator[FlaskClient]:
    with stage.wiring(B24SYNC_WEB_PASSWORD=PASSWORD) as wiring:
        yield create_app(wiring).test_client()


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()}


def test_the_health_check_tells_who_answers(client: FlaskClient):
    answer = client.get("/healthz")

    assert answer.status_code == HTTPStatus.OK
    assert answer.json == {"status": "ok", "service": "b24sync", "checks": {"database": "ok"}, "fresh_seconds": {}}


def test_the_health_check_fails_where_the_database_cannot_be_read(stage: Stage, tmp_path: Path):
    (tmp_path / "broken.db").write_bytes(b"this is no database" * 100)
    with stage.wiring(DATABASE_URL=f"sqlite:///{tmp_path / 'broken.db'}") as wiring:
        answer = create_app(wiring).test_client().get("/healthz")

    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.json is not None
    assert answer.json["service"] == "b24sync"
    assert answer.json["status"] == "the database cannot be reached"


def test_the_page_of_an_empty_mirror_says_what_to_do(client: FlaskClient):
    assert "b24sync connect your-portal.bitrix24.com" in client.get("/").text


def test_the_page_shows_portals_and_escapes_what_they_are_called(client: FlaskClient, wiring: Wiring):
    with wiring.ready_database.write() as session:
        account = register_account(
            session,
            member_id="m",
            domain="<b>acme",
            rest_url="https://acme/rest/",
            oauth_url=None,
            user_id=7,
            kind="oauth",
            scope="task",
            is_admin=True,
            time_zone=None,
            now=NOW,
        )
        account.status = "needs_reauth"
        put_rejected(session, account.portal_id, "tasks", "1", payload="{}", reason="odd", now=NOW)

    page = client.get("/").text
    assert "&lt;b&gt;acme" in page
    assert "does not take the authorization of user 7 any more" in page
    assert "must be authorized again" in page
    assert "Records that could not become rows" in page
    assert "<strong>Tasks 1</strong>" in page
    assert page.count("<script") == 1


@pytest.mark.parametrize("path", ["/", "/connect", "/healthz", "/metrics", "/oauth/callback", "/nowhere"])
def test_every_answer_forbids_what_it_does_not_need(client: FlaskClient, path: str):
    headers = client.get(path).headers

    assert {name: headers[name] for name in HEADERS} == HEADERS
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/static/", 404), ("/static/../app.py", 404)])
def test_there_is_nothing_else(client: FlaskClient, path: str, status: int):
    assert client.get(path).status_code == status


def test_a_wrong_method_is_told_the_right_ones(client: FlaskClient):
    answer = client.post("/healthz")

    assert answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize(
    "headers", [{}, basic("guess"), basic(""), {"Authorization": "Bearer x"}, {"Authorization": "?"}]
)
def test_a_password_keeps_strangers_out(guarded: FlaskClient, headers: dict[str, str]):
    answer = guarded.get("/", headers=headers)

    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert PASSWORD not in answer.text


def test_the_password_opens_the_page(guarded: FlaskClient):
    assert guarded.get("/", headers=basic(PASSWORD)).status_code == HTTPStatus.OK


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/oauth/callback", 400)])
def test_machines_and_the_way_back_need_no_password(guarded: FlaskClient, path: str, status: int):
    assert guarded.get(path).status_code == status


def test_a_failed_callback_shows_the_sentence_and_no_secret(
    client: FlaskClient, wiring: Wiring, stage: Stage, caplog: pytest.LogCaptureFixture
):
    _, state = wiring.connector.begin(stage.portal.domain)
    with caplog.at_level(logging.DEBUG):
        answer = client.get("/oauth/callback", query_string={"state": state, "code": "c0de", "domain": "<other>"})

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert "&lt;other&gt; answered" in answer.text
    assert "c0de" not in answer.text + caplog.text
    assert state not in answer.text + caplog.text


def test_a_look_ahead_does_not_use_a_login_up(client: FlaskClient, wiring: Wiring, stage: Stage):
    _, state = wiring.connector.begin(stage.portal.domain)
    answer = client.head("/oauth/callback", query_string={"state": state, "code": "c0de"})
    login = wiring.connector.outcome(state)

    assert answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert login is not None
    assert login.used_at is None


def test_a_mistake_of_ours_shows_no_cause(client: FlaskClient, wiring: Wiring, monkeypatch: pytest.MonkeyPatch):
    def fail() -> datetime:
        raise RuntimeError("s3cret")

    monkeypatch.setattr(wiring.clock, "now", fail)
    answer = client.get("/")

    assert answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert "s3cret" not in answer.text


def test_the_server_answers_without_a_name_and_gives_its_port_back(wiring: Wiring):
    port = free_port()
    for _ in range(2):
        server = WebServer(create_app(wiring), "127.0.0.1", port)
        server.start()
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Server")) == (200, None)
        server.close()
        server.close()
        connection.close()


def test_a_port_that_is_taken_raises(wiring: Wiring):
    server = WebServer(create_app(wiring), "127.0.0.1", 0)
    try:
        with pytest.raises(OSError, match="in use"):
            WebServer(create_app(wiring), "127.0.0.1", server.port)
    finally:
        server.close()


def test_a_body_of_more_than_a_megabyte_is_not_taken(wiring: Wiring):
    server = WebServer(create_app(wiring), "127.0.0.1", 0)
    server.start()
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.putrequest("POST", "/oauth/callback")
        connection.putheader("Content-Length", str(1024 * 1024 + 1))
        connection.endheaders(b"the beginning")
        assert connection.getresponse().status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    finally:
        connection.close()
        server.close()


def test_closing_lets_an_answer_under_way_end(wiring: Wiring):
    app = create_app(wiring)
    asked, go_on = threading.Event(), threading.Event()

    @app.get("/slow")
    def slow() -> str:
        asked.set()
        go_on.wait(5)
        return "x" * 500_000

    server = WebServer(app, "127.0.0.1", 0)
    server.start()
    pages: list[str] = []
    reader = threading.Thread(target=lambda: pages.append(browse(f"http://127.0.0.1:{server.port}/slow")))
    reader.start()
    assert asked.wait(5)
    threading.Timer(0.2, go_on.set).start()
    server.close()
    reader.join(5)

    assert [len(page) for page in pages] == [500_000]
