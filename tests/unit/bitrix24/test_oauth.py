"""Codes and refresh tokens become grants; the secret goes to allowed servers only, in a form."""

import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.unit.bitrix24.fakes import NOW, Handler, refused, serving
from worker.bitrix24.oauth import TokenAnswer, TokenServer, allowed_server, authorize_url, read_token_answer
from worker.bitrix24.transport import Transport
from worker.clock import Clock
from worker.errors import (
    BadAnswer,
    CallRefused,
    MissingScope,
    NeedsReauth,
    PortalClosed,
    PortalError,
    TransientError,
    Unreachable,
)

ANSWER = {
    "access_token": "new-access",
    "refresh_token": "new-refresh",
    "expires_in": 3600,
    "expires": 1795430000,
    "scope": "task,calendar",
    "domain": "oauth.bitrix.info",
    "server_endpoint": "https://oauth.bitrix.info/rest/",
    "client_endpoint": "https://acme.example-portal.com/rest/",
    "member_id": "0f1e2d3c",
    "user_id": "7",
    "status": "L",
}
OLD = "old-refresh"
REDIRECT = "http://127.0.0.1:8624/oauth/callback"
Respond = Callable[[Handler], tuple[int, dict[str, str], bytes] | None]


class Server:
    """A token server that notes what it was asked."""

    def __init__(self, respond: Respond) -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self._respond = respond

    def __call__(self, handler: Handler) -> tuple[int, dict[str, str], bytes] | None:
        parts = urlsplit(handler.path)
        fields = parse_qs(handler.body.decode() if handler.command == "POST" else parts.query, keep_blank_values=True)
        self.asked.append((handler.command, parts.path, {name: value[0] for name, value in fields.items()}))
        if handler.command == "POST":
            assert not parts.query
        return self._respond(handler)


@contextmanager
def token_server(clock: Clock, respond: Respond, *, portal: bool = False) -> Iterator[tuple[TokenServer, Server, str]]:
    server = Server(respond)
    transport = Transport(connect_timeout=5, read_timeout=5)
    with serving(server) as url:
        yield (
            TokenServer(
                transport, clock, "app.id", "app-s3cret", "portal" if portal else url, REDIRECT, "task,calendar"
            ),
            server,
            url,
        )
    transport.close()


def good(_handler: Handler) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps(ANSWER).encode()


def test_a_code_is_exchanged_by_a_form(clock: Clock):
    with token_server(clock, good) as (server, asked, _url):
        answer = server.exchange("the-code", "https://acme.example-portal.com")

    assert asked.asked == [
        (
            "POST",
            "/oauth/token/",
            {
                "grant_type": "authorization_code",
                "code": "the-code",
                "client_id": "app.id",
                "client_secret": "app-s3cret",
            },
        )
    ]
    assert (answer.grant.access_token, answer.grant.refresh_token) == ("new-access", "new-refresh")
    assert (answer.grant.expires_in, answer.grant.received_at) == (3600, clock.now())
    assert (answer.member_id, answer.user_id, answer.scope) == ("0f1e2d3c", 7, "task,calendar")
    assert answer.client_endpoint == "https://acme.example-portal.com/rest/"
    assert "new-access" not in repr(answer)


@pytest.mark.parametrize("status", [405, 501])
def test_get_is_for_servers_that_take_no_form(clock: Clock, status: int):
    def respond(handler: Handler) -> tuple[int, dict[str, str], bytes]:
        return good(handler) if handler.command == "GET" else (status, {}, b"<html>")

    with token_server(clock, respond) as (server, asked, _url):
        answer = server.refresh("old-refresh", "https://acme.example-portal.com")

    assert answer.grant.access_token == "new-access"
    assert [verb for verb, *_ in asked.asked] == ["POST", "GET"]
    assert asked.asked[1][2] == asked.asked[0][2]
    assert asked.asked[0][2]["grant_type"] == "refresh_token"


def test_portal_mode_asks_the_portal_by_get(clock: Clock):
    with token_server(clock, good, portal=True) as (server, asked, url):
        answer = server.exchange("the-code", url + "/")

    assert answer.grant.access_token == "new-access"
    verb, path, fields = asked.asked[0]
    assert (verb, path) == ("GET", "/oauth/token/")
    assert (fields["redirect_uri"], fields["scope"], fields["code"]) == (REDIRECT, "task,calendar", "the-code")


def redirecting(location: str) -> Respond:
    return lambda _handler: (302, {"Location": location}, b"")


def test_portal_mode_may_answer_by_a_redirect_to_us(clock: Clock):
    values = {"access_token": "acc", "expires_in": "1800", "refresh_token": "ref", "member_id": "m1", "scope": "task"}
    with token_server(clock, redirecting(f"{REDIRECT}?{urlencode(values)}"), portal=True) as (server, _asked, url):
        answer = server.refresh(OLD, url)

    assert (answer.grant.access_token, answer.grant.refresh_token) == ("acc", "ref")
    assert (answer.grant.expires_in, answer.member_id, answer.scope) == (1800, "m1", "task")


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("https://evil.example.org/oauth/callback?access_token=acc", BadAnswer),
        ("http://127.0.0.1:8624/other?access_token=acc", BadAnswer),
        ("http://127.0.0.1:8625/oauth/callback?access_token=acc", BadAnswer),
        (f"{REDIRECT}?expires_in=1", BadAnswer),
        (f"{REDIRECT}?error=invalid_grant&error_description=app-s3cret", NeedsReauth),
        ("http://[", BadAnswer),
    ],
)
def test_a_redirect_elsewhere_is_not_believed(clock: Clock, location: str, kind: type[PortalError]):
    with token_server(clock, redirecting(location), portal=True) as (server, asked, url):
        with pytest.raises(kind) as caught:
            server.exchange("the-code", url)
        assert len(asked.asked) == 1

    shown = "".join(traceback.format_exception(caught.value)) + str(caught.value)
    assert "access_token=acc" not in shown
    assert "app-s3cret" not in shown


def test_a_token_server_that_redirects_is_not_followed(clock: Clock):
    with token_server(clock, redirecting("https://evil.example.org/oauth/token/")) as (server, asked, url):
        with pytest.raises(BadAnswer):
            server.refresh(OLD, url)
        assert len(asked.asked) == 1


@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        (refused(400, "invalid_grant"), NeedsReauth, "authorize again"),
        (refused(200, "invalid_grant"), NeedsReauth, "authorize again"),
        (refused(400, "invalid_client"), CallRefused, "B24SYNC_CLIENT_SECRET"),
        (refused(200, "WRONG_CLIENT"), CallRefused, "B24SYNC_CLIENT_ID"),
        (refused(401, "PAYMENT_REQUIRED"), PortalClosed, "over"),
        (refused(401, "NOT_INSTALLED"), NeedsReauth, "install"),
        (refused(400, "invalid_scope"), MissingScope, ""),
        (refused(400, "invalid_request", "bad app-s3cret old-refresh"), CallRefused, "bad *** ***"),
        (refused(500, "INTERNAL_SERVER_ERROR"), TransientError, ""),
        ((503, {"Retry-After": "9"}, b"<html>"), Unreachable, "503"),
        ((200, {}, b"<html>"), BadAnswer, ""),
        ((200, {}, b""), BadAnswer, ""),
        ((200, {}, b"[]"), BadAnswer, ""),
        ((200, {}, b"{}"), BadAnswer, "access token"),
        ((200, {}, b'{"result": 1}'), BadAnswer, "access token"),
        ((400, {}, b'{"result": 1}'), BadAnswer, ""),
        ((200, {}, b'{"access_token": ""}'), BadAnswer, "access token"),
        ((200, {}, b'{"access_token": null}'), BadAnswer, "access token"),
    ],
    ids=range(18),
)
def test_refusals_say_what_to_do(clock: Clock, reply: tuple[int, dict[str, str], bytes], kind: type, text: str):
    with token_server(clock, lambda _handler: reply) as (server, _asked, url), pytest.raises(PortalError) as caught:
        server.refresh(OLD, url)

    assert type(caught.value) is kind
    assert text in str(caught.value)
    for secret in ("app-s3cret", OLD):
        assert secret not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("told", "server"),
    [
        (None, "https://own.example.org"),
        ("", "https://own.example.org"),
        ("oauth.bitrix.info", "https://oauth.bitrix.info"),
        ("https://oauth.bitrix24.tech/rest/", "https://oauth.bitrix24.tech"),
        ("http://OAUTH.bitrix.info/rest/", "https://oauth.bitrix.info"),
        ("https://own.example.org/rest/", "https://own.example.org"),
        ("evil.example.org", "https://own.example.org"),
        ("https://oauth.bitrix.info.evil.example.org/", "https://own.example.org"),
        ("https://oauth.bitrix.info@evil.example.org/", "https://own.example.org"),
        ("https://oauth.bitrix.info:8443/", "https://own.example.org"),
        ("http://[", "https://own.example.org"),
    ],
)
def test_the_secret_goes_to_known_servers_only(told: str | None, server: str):
    assert allowed_server(told, "https://own.example.org/") == server


def test_the_address_for_a_person():
    url = authorize_url("https://acme.example-portal.com/", "app.id", REDIRECT, "st&ate", "task,user")
    parts = urlsplit(url)

    assert (parts.netloc, parts.path) == ("acme.example-portal.com", "/oauth/authorize/")
    assert parse_qs(parts.query) == {
        "client_id": ["app.id"],
        "response_type": ["code"],
        "redirect_uri": [REDIRECT],
        "state": ["st&ate"],
        "scope": ["task,user"],
    }
    assert "scope" not in authorize_url("https://a", "b", "c", "d")


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({"expires_in": "1800"}, 1800),
        ({"expires": int((NOW + timedelta(seconds=60)).timestamp())}, 60),
        ({"expires": str(int(NOW.timestamp()) - 5)}, 0),
        ({}, 3600),
        ({"expires_in": "soon"}, 3600),
        ({"expires_in": -1}, 0),
        ({"expires_in": 10**18}, 366 * 24 * 3600),
    ],
)
def test_the_life_of_a_token_is_read_tolerantly(values: dict[str, object], seconds: int):
    assert read_token_answer({"access_token": "a", **values}, NOW).grant.expires_in == seconds


def test_only_the_access_token_is_indispensable():
    assert read_token_answer({"access_token": "a", "scope": ["task", "user"]}, NOW) == TokenAnswer(
        grant=read_token_answer({"access_token": "a"}, NOW).grant,
        member_id=None,
        client_endpoint=None,
        server_endpoint=None,
        scope="task,user",
        user_id=None,
        domain=None,
    )
    assert read_token_answer({"access_token": "a", "scope": "task user"}, NOW).scope == "task,user"
