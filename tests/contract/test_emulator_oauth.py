"""The token server and the ways of authorizing."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, RemoteDisconnected
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from worker.emulator import Emulator, Portal, PortalSpec

Json: TypeAlias = Any

CALLBACK = "http://127.0.0.1:8624/oauth/callback"


class Stage:
    """An emulator with one portal, and a clock to turn."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
        self.emulator = Emulator(clock=lambda: self.now)
        self.portal: Portal = self.emulator.add_portal(PortalSpec(tasks=0, events=0))
        self.portal.register_app(CALLBACK)

    def get(self, host: str, path: str) -> tuple[int, str, bytes]:
        connection = HTTPConnection(host, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.headers.get("Location", ""), response.read()
        finally:
            connection.close()

    def code(self) -> str:
        _, location, _ = self.get(
            self.portal.domain, f"/oauth/authorize/?client_id={self.portal.client_id}&state=s%26t"
        )
        return parse_qs(urlsplit(location).query)["code"][0]

    def grant(self, verb: str = "POST", **params: str) -> tuple[int, Json]:
        keys = {"client_id": self.portal.client_id, "client_secret": self.portal.client_secret}
        body = urlencode(keys | params)
        connection = HTTPConnection(self.emulator.token_server.host, timeout=5)
        try:
            if verb == "GET":
                connection.request("GET", f"/oauth/token/?{body}")
            else:
                kind = {"Content-Type": "application/x-www-form-urlencoded"}
                connection.request("POST", "/oauth/token/", body, kind)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def refresh(self, token: str) -> tuple[int, Json]:
        return self.grant(grant_type="refresh_token", refresh_token=token)

    def error(self, access_token: str) -> str:
        status, _, body = self.get(self.portal.domain, f"/rest/profile?auth={access_token}")
        return "" if status == 200 else str(json.loads(body)["error"])


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    with stage.emulator:
        yield stage


def test_the_browser_is_sent_back_with_a_code(stage: Stage) -> None:
    """To the registered address, with what identifies the portal; a `redirect_uri` changes nothing."""
    query_text = f"client_id={stage.portal.client_id}&response_type=code&state=s%26t&redirect_uri=http%3A%2F%2Fx"
    path = f"/oauth/authorize/?{query_text}"
    status, location, _ = stage.get(stage.portal.domain, path)
    query = {key: values[0] for key, values in parse_qs(urlsplit(location).query).items()}

    assert status == 302
    assert location.startswith(CALLBACK + "?")
    assert query.pop("code")
    assert query == {
        "state": "s&t",
        "domain": stage.portal.domain,
        "member_id": stage.portal.member_id,
        "scope": "task,calendar,user",
        "server_domain": stage.emulator.token_server.host,
    }


def test_a_wrong_application_ends_on_the_portals_own_page(stage: Stage) -> None:
    """Nobody is called back."""
    status, location, body = stage.get(stage.portal.domain, "/oauth/authorize/?client_id=nobody")

    assert (status, location) == (200, "")
    assert b"<html>" in body


@pytest.mark.parametrize("verb", ["POST", "GET"])
def test_a_code_gives_tokens_once(stage: Stage, verb: str) -> None:
    """The user is who clicked; the second use is refused."""
    stage.portal.login_as = list(stage.portal.world.users)[2]
    code = stage.code()
    status, tokens = stage.grant(verb, grant_type="authorization_code", code=code)
    again, refused = stage.grant(verb, grant_type="authorization_code", code=code)

    assert status == 200
    assert stage.error(tokens["access_token"]) == ""
    assert tokens["client_endpoint"] == f"{stage.portal.url}/rest/"
    assert (again, refused["error"]) == (400, "invalid_grant")
    assert [grant.outcome for grant in stage.emulator.token_server.log] == ["ok", "invalid_grant"]
    assert stage.emulator.token_server.log[0].user_id == stage.portal.login_as


def test_a_code_lives_half_a_minute(stage: Stage) -> None:
    """30 seconds."""
    code = stage.code()
    stage.now += timedelta(seconds=30)

    assert stage.grant(grant_type="authorization_code", code=code)[1]["error"] == "invalid_grant"


def test_a_refresh_kills_the_old_pair(stage: Stage) -> None:
    """The refresh token and the access token beside it die together."""
    old = stage.portal.issue_tokens(1)
    _, new = stage.refresh(old["refresh_token"])

    assert new["refresh_token"] != old["refresh_token"]
    assert new["user_id"] == 1
    assert stage.error(old["access_token"]) == "expired_token"
    assert stage.error(new["access_token"]) == ""
    assert stage.refresh(old["refresh_token"])[1]["error"] == "invalid_grant"


@pytest.mark.parametrize("rotation", ["keep", "stable"])
def test_other_rotations_keep_the_refresh_token(stage: Stage, rotation: Literal["keep", "stable"]) -> None:
    """keep: the answer has none; stable: it has the same."""
    stage.emulator.token_server.rotation = rotation
    token = stage.portal.issue_tokens(1)["refresh_token"]
    first, second = stage.refresh(token)[1], stage.refresh(token)[1]

    assert first["access_token"] != second["access_token"]
    assert [answer.get("refresh_token") for answer in (first, second)] == [None if rotation == "keep" else token] * 2


def test_tokens_expire_by_the_clock(stage: Stage) -> None:
    """An hour and 180 days; `expire` does it at once."""
    tokens = stage.portal.issue_tokens(1)
    other = stage.portal.issue_tokens(1)
    stage.emulator.token_server.expire(stage.portal)
    assert stage.error(other["access_token"]) == "expired_token"
    stage.now += timedelta(seconds=3600)
    assert stage.error(tokens["access_token"]) == "expired_token"
    stage.now += timedelta(days=180)
    assert stage.refresh(tokens["refresh_token"])[1]["error"] == "invalid_grant"


def test_errors_of_the_token_server(stage: Stage) -> None:
    """Wrong secret, unknown grant, forbidden verb."""
    assert (
        stage.grant(client_secret="wrong", grant_type="refresh_token", refresh_token="x")[1]["error"]
        == "invalid_client"
    )
    assert stage.grant(grant_type="password")[1]["error"] == "invalid_request"
    stage.emulator.token_server.methods = {"GET"}
    assert stage.grant()[0] == 405


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("invalid_grant", 400, "invalid_grant"),
        ("invalid_client", 400, "invalid_client"),
        ("wrong_client", 200, "WRONG_CLIENT"),
        ("payment_required", 401, "PAYMENT_REQUIRED"),
        ("server_error", 500, "INTERNAL_SERVER_ERROR"),
    ],
)
def test_ordered_token_errors(stage: Stage, kind: str, status: int, error: str) -> None:
    """A fault is used up; the token lives on."""
    token = stage.portal.issue_tokens(1)["refresh_token"]
    stage.emulator.token_server.faults.add(kind)
    refused = stage.refresh(token)

    assert (refused[0], refused[1]["error"]) == (status, error)
    assert stage.refresh(token)[0] == 200


def test_a_lost_answer_leaves_a_broken_chain(stage: Stage) -> None:
    """The grant is done, nobody learns of it: the old refresh token is dead."""
    token = stage.portal.issue_tokens(1)["refresh_token"]
    stage.emulator.token_server.faults.add("lose_answer")
    with pytest.raises(RemoteDisconnected):
        stage.refresh(token)

    assert stage.refresh(token)[1]["error"] == "invalid_grant"
    assert [grant.outcome for grant in stage.emulator.token_server.log] == ["lost", "invalid_grant"]


@pytest.mark.parametrize("way", ["json", "redirect"])
def test_the_portals_own_token_page(stage: Stage, way: Literal["json", "redirect"]) -> None:
    """The old way: GET on the portal; the tokens come as JSON or in the query of an address."""
    stage.portal.own_oauth = way
    params = {
        "client_id": stage.portal.client_id,
        "client_secret": stage.portal.client_secret,
        "grant_type": "authorization_code",
        "redirect_uri": CALLBACK,
        "scope": "task",
        "code": stage.code(),
    }
    status, location, body = stage.get(stage.portal.domain, f"/oauth/token/?{urlencode(params)}")
    tokens = json.loads(body) if way == "json" else {k: v[0] for k, v in parse_qs(urlsplit(location).query).items()}

    assert status == (200 if way == "json" else 302)
    assert {"access_token", "expires_in", "refresh_token"} <= set(tokens)
    assert stage.error(tokens["access_token"]) == ""


def test_nothing_printable_holds_a_secret(stage: Stage) -> None:
    """Not the log, not the server, not the portal."""
    tokens = stage.portal.issue_tokens(1)
    stage.refresh(tokens["refresh_token"])
    shown = repr((stage.emulator.token_server, stage.emulator.token_server.log, stage.portal, stage.emulator))

    for secret in (tokens["refresh_token"], tokens["access_token"], stage.portal.client_secret):
        assert secret not in shown
