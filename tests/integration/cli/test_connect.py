"""Connecting by each of the three ways, and every way in which it can fail: a sentence, and nothing stored."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.conftest import FakeClock
from tests.integration.stage import SMALL, Stage, browse, consent, finish, read_until
from worker.connect import ConnectError, Connector, portal_url
from worker.emulator.server.wire import LoopbackServer, html_reply
from worker.errors import UsageError
from worker.web.app import create_app
from worker.web.server import WebServer


@pytest.fixture
def connector(stage: Stage) -> Iterator[Connector]:
    with stage.wiring() as wiring:
        wiring.clock = FakeClock(datetime.now(UTC))
        yield wiring.connector


def allowed(connector: Connector, stage: Stage) -> dict[str, str]:
    address, _ = connector.begin(stage.portal.domain)
    return consent(address)


NOTHING = {"pending_logins": 1}
"""What a failed login leaves: that it was tried."""


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("acme.bitrix24.com", "https://acme.bitrix24.com"),
        (" https://ACME.bitrix24.com/ ", "https://acme.bitrix24.com"),
        ("portal.example:8443", "https://portal.example:8443"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("localhost", "http://localhost"),
        ("[::1]:80", "http://[::1]:80"),
    ],
)
def test_what_a_person_types_becomes_an_address(typed: str, url: str):
    assert portal_url(typed) == url


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "http://acme.bitrix24.com",
        "https://acme.bitrix24.com/path",
        "ftp://acme",
        "a:b",
        "https://u:p@acme.de",
        "x?y",
    ],
)
def test_what_is_no_address_is_refused(typed: str):
    with pytest.raises(UsageError):
        portal_url(typed)


def test_the_code_flow_stores_an_account(connector: Connector, stage: Stage):
    connected = connector.finish(allowed(connector, stage))

    assert connected.member_id == stage.portal.member_id
    assert (connected.user_id, connected.is_admin, connected.missing) == (stage.portal.admin_id, True, {})
    assert stage.rows() == {
        "portals": 1,
        "accounts": 1,
        "oauth_tokens": 1,
        "pending_logins": 1,
        "request_budgets": 1,
        "portal_capabilities": 35,
    }


def test_a_callback_counts_once(connector: Connector, stage: Stage):
    query = allowed(connector, stage)
    connector.finish(query)

    with pytest.raises(ConnectError, match="used already"):
        connector.finish(query)


def test_a_login_is_over_after_ten_minutes(connector: Connector, stage: Stage):
    query = allowed(connector, stage)
    assert isinstance(connector._clock, FakeClock)
    connector._clock.advance(601)

    with pytest.raises(ConnectError, match="older than 10 minutes"):
        connector.finish(query)
    assert stage.rows() == NOTHING


@pytest.mark.parametrize("state", ["", "guessed"])
def test_a_state_that_we_did_not_send_is_refused(connector: Connector, stage: Stage, state: str):
    query = {**allowed(connector, stage), "state": state}

    with pytest.raises(ConnectError, match="unknown"):
        connector.finish(query)
    assert stage.rows() == NOTHING


def test_a_dead_code_is_told(connector: Connector, stage: Stage):
    query = {**allowed(connector, stage), "code": "0" * 32}

    with pytest.raises(ConnectError, match="lives 30 seconds and once; connect again"):
        connector.finish(query)
    assert stage.rows() == NOTHING


def test_a_callback_without_a_code_is_told(connector: Connector, stage: Stage):
    query = allowed(connector, stage)
    del query["code"]

    with pytest.raises(ConnectError, match="allow the application there"):
        connector.finish(query)
    assert stage.rows() == NOTHING


def test_another_portals_callback_is_refused(connector: Connector, stage: Stage):
    query = {**allowed(connector, stage), "domain": "other.bitrix24.com"}

    with pytest.raises(ConnectError, match=r"run `b24sync connect other\.bitrix24\.com`"):
        connector.finish(query)
    assert stage.rows() == NOTHING


def test_tokens_for_another_host_are_not_used_there(connector: Connector, stage: Stage):
    """A code of another portal that knows our application: its tokens would be sent to whatever host it names."""
    spec = replace(SMALL, name="foreign", seed=99)
    foreign = stage.emulator.add_portal(spec, application_of=stage.portal)
    query = allowed(connector, stage) | {"code": stage.emulator.token_server.new_code(foreign, foreign.admin_id)}
    with pytest.raises(ConnectError, match="these tokens are for"):
        connector.finish(query)

    assert foreign.requests.http == 0
    assert stage.rows().keys() <= {"pending_logins"}


def test_a_token_server_that_a_callback_names_is_not_asked(connector: Connector, stage: Stage):
    """The application's secret goes to the configured server and to the vendor's, whatever the browser brings."""
    asked: list[str] = []
    with LoopbackServer(lambda request: asked.append(request.path) or html_reply(404, "")) as stranger:
        connector.finish(allowed(connector, stage) | {"server_domain": stranger.host})

    assert asked == []


def test_a_wrong_secret_names_the_settings(stage: Stage):
    with stage.wiring(B24SYNC_CLIENT_SECRET="wrong") as wiring:
        query = allowed(wiring.connector, stage)
        with pytest.raises(ConnectError, match="B24SYNC_CLIENT_SECRET") as failure:
            wiring.connector.finish(query)

    assert "wrong" not in str(failure.value)
    assert stage.rows() == NOTHING


def test_a_token_server_that_fails_is_told(connector: Connector, stage: Stage):
    query = allowed(connector, stage)
    stage.emulator.token_server.faults.add("html")

    with pytest.raises(ConnectError, match="token server could not be asked"):
        connector.finish(query)
    assert stage.rows() == NOTHING


@pytest.mark.parametrize("fault", ["html", "empty", "wrong_shape", "reset"])
def test_a_portal_that_does_not_answer_as_one_is_told(connector: Connector, stage: Stage, fault: str):
    query = allowed(connector, stage)
    stage.portal.faults.add(fault, times=9)

    with pytest.raises(ConnectError, match="does not answer as a portal does"):
        connector.finish(query)
    assert stage.rows() == NOTHING


def test_a_portal_that_is_not_there_is_told(connector: Connector, stage: Stage):
    query = allowed(connector, stage)
    stage.portal.stop()

    with pytest.raises(ConnectError, match="check its address"):
        connector.finish(query)
    assert stage.rows() == NOTHING


def test_who_waits_learns_why_it_failed(connector: Connector, stage: Stage):
    address, state = connector.begin(stage.portal.domain)
    query = {**consent(address), "code": "dead"}
    with pytest.raises(ConnectError) as failure:
        connector.finish(query)

    login = connector.outcome(state)
    assert login is not None
    assert (login.outcome, login.error) == ("failed", str(failure.value))


def test_an_ordinary_user_with_few_scopes_is_told_so(connector: Connector, stage: Stage):
    stage.portal.scope = "user"
    stage.portal.login_as = next(user for user in stage.portal.world.users if user != stage.portal.admin_id)

    connected = connector.finish(allowed(connector, stage))
    assert not connected.is_admin
    assert set(connected.missing) == {"task", "calendar"}


def test_without_keys_the_code_flow_is_a_settings_problem(stage: Stage):
    keyless = stage.wiring(B24SYNC_CLIENT_ID="", B24SYNC_CLIENT_SECRET="")
    with keyless as wiring, pytest.raises(UsageError, match="B24SYNC_CLIENT_ID"):
        wiring.connector.begin(stage.portal.domain)
    assert stage.rows() == {}


def test_a_webhook_and_an_application_are_two_accounts_of_one_portal(stage: Stage):
    result = stage.invoke("connect", "--webhook", stage.portal.webhook_url(stage.portal.admin_id))
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "by a webhook as user" in result.stderr

    stage.connect()
    (portal,) = stage.json("status", "--json")["portals"]
    assert portal["member_id"] == stage.portal.member_id
    assert [(account["kind"], account["is_primary"]) for account in portal["accounts"]] == [
        ("webhook", True),
        ("oauth", False),
    ]


def test_a_webhook_that_the_portal_does_not_know_fails_without_showing_it(stage: Stage):
    result = stage.invoke("connect", "--webhook", f"{stage.portal.url}/rest/1/5ecret5ecret/")

    assert result.exit_code == 1
    assert result.stderr.startswith("b24sync: ")
    assert "5ecret" not in result.output
    assert "portals" not in stage.rows()


@pytest.mark.parametrize("url", ["http://acme.bitrix24.com/rest/1/abc/", "https://acme.bitrix24.com/", "nonsense"])
def test_what_is_no_webhook_is_wrong_usage(stage: Stage, url: str):
    assert stage.invoke("connect", "--webhook", url).exit_code == 2


def test_a_page_that_is_no_portal_fails_with_one_sentence(stage: Stage):
    with LoopbackServer(lambda _: html_reply(200, "<html>Hello</html>")) as site:
        result = stage.invoke("connect", "--webhook", f"http://{site.host}/rest/1/abc/")

    assert result.exit_code == 1
    assert "does not answer as a portal does" in result.stderr
    assert "portals" not in stage.rows()


def test_tokens_from_a_file(stage: Stage, tmp_path: Path):
    file = tmp_path / "answer.json"
    file.write_text(json.dumps(stage.portal.issue_tokens(stage.portal.admin_id, code_flow=True)))

    result = stage.invoke("connect", "--tokens", str(file))
    assert result.exit_code == 0
    assert stage.portal.member_id in result.stderr


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("[]", 2),
        ("not json, but s3cret", 2),
        ('{"access_token": "s3cret"}', 2),
        ('{"client_endpoint": "https://acme.bitrix24.com/rest/"}', 1),
        ('{"access_token": "s3cret", "client_endpoint": "http://acme.bitrix24.com/rest/"}', 2),
    ],
)
def test_tokens_that_cannot_be_used_are_told_and_not_shown(stage: Stage, answer: str, code: int):
    result = stage.invoke("connect", "--tokens", "-", stdin=answer)

    assert result.exit_code == code
    assert result.stderr.startswith("b24sync: ")
    assert "s3cret" not in result.output
    assert stage.rows() == {}


@pytest.mark.parametrize("arguments", [[], ["acme.bitrix24.com", "--webhook", "https://acme.bitrix24.com/rest/1/a/"]])
def test_one_way_must_be_named(stage: Stage, arguments: list[str]):
    assert stage.invoke("connect", *arguments).exit_code == 2


def test_connect_serves_the_callback_and_says_what_it_got(stage: Stage):
    process = stage.start("connect", stage.portal.domain, "--no-browser")
    page = browse(read_until(process, "/oauth/authorize/"))
    code, out, err = finish(process)

    assert "<h1>Connected</h1>" in page
    assert (code, out) == (0, "")
    assert f"as user {stage.portal.admin_id}, an administrator" in err
    assert "Scopes: calendar, task, user" in err


def test_connect_fails_with_the_sentence_of_the_callback(stage: Stage):
    process = stage.start("connect", stage.portal.domain, "--no-browser", B24SYNC_CLIENT_SECRET="wr0ng")
    with pytest.raises(HTTPError) as page:
        browse(read_until(process, "/oauth/authorize/"))
    shown = page.value.read().decode()
    code, _, err = finish(process)

    assert page.value.code == 400
    assert "B24SYNC_CLIENT_SECRET" in shown
    assert code == 1
    assert "b24sync: the token server refused the application" in err
    assert "wr0ng" not in shown + err
    assert stage.rows() == NOTHING


def test_connect_leaves_the_callback_to_our_own_daemon(stage: Stage):
    with stage.wiring() as wiring:
        daemon = WebServer(create_app(wiring), "127.0.0.1", stage.port)
        daemon.start()
        try:
            process = stage.start("connect", stage.portal.domain, "--no-browser")
            browse(read_until(process, "/oauth/authorize/"))
            code, _, err = finish(process)
        finally:
            daemon.close()

    assert code == 0, err
    assert "an administrator" in err


def test_connect_does_not_take_a_strangers_port_for_ours(stage: Stage):
    with LoopbackServer(lambda _: html_reply(200, "ok"), stage.port):
        result = stage.invoke("connect", stage.portal.domain, "--no-browser")

    assert result.exit_code == 2
    assert "another program has it; set B24SYNC_WEB_LISTEN" in result.stderr
