"""Connecting in a client: what a form may ask for, whose login it is, and everything that must not be taken."""

from http import HTTPStatus

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.integration.conftest import connect
from tests.integration.stage import Stage, consent
from worker.connect import is_inner
from worker.storage.models import Account, Portal
from worker.web.app import create_app
from worker.web.connecting import COOKIE
from worker.wiring import Wiring


def send(client: FlaskClient, stage: Stage, typed: str, origin: str | None = "own") -> TestResponse:
    """Type an address into the form at the address that logins end at, and send it."""
    base = f"http://127.0.0.1:{stage.port}"
    headers = {} if origin is None else {"Origin": base if origin == "own" else origin}
    return client.post("/connect", data={"portal": typed}, headers=headers, base_url=base)


def led_to(answer: TestResponse) -> str:
    """Where the browser is led by the page."""
    return answer.headers["Refresh"].partition("url=")[2]


def come_back(client: FlaskClient, stage: Stage, query: dict[str, str]) -> TestResponse:
    return client.get("/oauth/callback", query_string=query, base_url=f"http://127.0.0.1:{stage.port}")


def test_a_portal_is_connected_by_the_form(client: FlaskClient, stage: Stage):
    answer = send(client, stage, stage.portal.domain)
    back = come_back(client, stage, consent(led_to(answer)))

    assert back.status_code == HTTPStatus.OK
    assert "See the first run arrive" in back.text
    assert stage.rows()["accounts"] == 1


def test_the_cookie_of_a_login_is_for_the_callback_alone(client: FlaskClient, stage: Stage):
    cookie = send(client, stage, stage.portal.domain).headers["Set-Cookie"]

    assert cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "Path=/oauth/callback", "SameSite=Lax", "Max-Age=600"} <= set(cookie.split("; "))


def test_over_https_the_cookie_is_secure(stage: Stage):
    with stage.wiring(B24SYNC_REDIRECT_URI="https://sync.acme.example/b24/oauth/callback") as wiring:
        base = "https://sync.acme.example"
        answer = (
            create_app(wiring)
            .test_client()
            .post("/connect", data={"portal": "acme.bitrix24.com"}, headers={"Origin": base}, base_url=base)
        )

    assert {"Secure", "Path=/b24/oauth/callback"} <= set(answer.headers["Set-Cookie"].split("; "))


def test_a_login_cannot_be_finished_in_another_browser(client: FlaskClient, stage: Stage, wiring: Wiring):
    """Else somebody could make a person connect a portal that is not the person's."""
    query = consent(led_to(send(client, stage, stage.portal.domain)))
    other = create_app(wiring).test_client()
    answer = come_back(other, stage, query)

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert "begun in another browser" in answer.text
    assert stage.rows() == {"pending_logins": 1}
    assert come_back(client, stage, query).status_code == HTTPStatus.OK  # it was not used up


def test_a_login_of_the_command_line_needs_no_cookie(client: FlaskClient, stage: Stage, wiring: Wiring):
    address, _ = wiring.connector.begin(stage.portal.domain)

    assert come_back(client, stage, consent(address)).status_code == HTTPStatus.OK


def test_a_callback_counts_once(client: FlaskClient, stage: Stage, wiring: Wiring):
    address, _ = wiring.connector.begin(stage.portal.domain)
    query = consent(address)
    come_back(client, stage, query)
    again = come_back(client, stage, query)

    assert again.status_code == HTTPStatus.BAD_REQUEST
    assert "was used already" in again.text


@pytest.mark.parametrize("origin", [None, "", "null", "https://evil.example", "http://127.0.0.1:1"])
def test_a_form_of_another_site_is_not_taken(client: FlaskClient, stage: Stage, origin: str | None):
    answer = send(client, stage, stage.portal.domain, origin)

    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert "Set-Cookie" not in answer.headers
    assert stage.rows() == {}


def test_a_person_at_another_address_is_told_the_right_one(client: FlaskClient, stage: Stage):
    here = f"http://localhost:{stage.port}"
    answer = client.post("/connect", data={"portal": stage.portal.domain}, headers={"Origin": here}, base_url=here)

    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert f"http://127.0.0.1:{stage.port}/connect" in answer.text
    assert f"http://127.0.0.1:{stage.port}/connect" in client.get("/connect", base_url=here).text


BAD = [
    "",
    "acme.bitrix24.com/company",
    "https://user:secret@acme.bitrix24.com",
    "https://@acme.bitrix24.com",
    "acme.bitrix24.com#x",
    "acme.bitrix24.com?x=1",
    "ftp://acme.bitrix24.com",
    "javascript:alert(1)",
    "http://acme.bitrix24.com",
    "acme bitrix24.com",
    "acme.bitrix24.com\\@evil.example",
    "acme.bitrix24.com:99999",
    "<script>.example",
    "a" * 300,
]
INNER = [
    "10.0.0.1",
    "192.168.1.7:8080",
    "172.16.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104
    "[fd00::1]",
    "[fe80::1]",
    "[::ffff:10.0.0.1]",
    "portal.local",
    "portal.internal",
    "intranet",
    "2130706433",
    "127.1",
    "0x7f.1",
    "localhost.",
]


@pytest.mark.parametrize("typed", BAD + INNER)
def test_an_address_that_is_none_of_a_portal_is_refused_with_a_sentence(client: FlaskClient, stage: Stage, typed: str):
    answer = send(client, stage, typed)

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert 'role="alert"' in answer.text
    assert "<script>.example" not in answer.text
    assert "Refresh" not in answer.headers
    assert stage.rows() == {}


@pytest.mark.parametrize("typed", ["127.0.0.1:8000", "localhost", "[::1]"])
def test_this_machine_is_a_portal_only_where_the_settings_name_it(stage: Stage, typed: str):
    with stage.wiring(B24SYNC_OAUTH_URL="https://oauth.bitrix.info") as wiring:
        answer = send(create_app(wiring).test_client(), stage, typed)

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert "is an inner address" in answer.text


def test_an_inner_portal_that_the_operator_connected_is_authorized_again(stage: Stage):
    with stage.wiring(B24SYNC_OAUTH_URL="https://oauth.bitrix.info") as wiring:
        with wiring.ready_database.write() as session:
            connect(session, wiring.clock.now(), domain="portal.local")
        answer = send(create_app(wiring).test_client(), stage, "portal.local")

    assert led_to(answer).startswith("https://portal.local/oauth/authorize/")


def test_in_portal_mode_a_form_names_no_new_host(stage: Stage):
    """There the secret would be sent to it."""
    with stage.wiring(B24SYNC_OAUTH_URL="portal") as wiring:
        answer = send(create_app(wiring).test_client(), stage, "evil.example")

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert "b24sync connect evil.example" in answer.text


def test_nothing_is_asked_of_the_address_in_the_form(client: FlaskClient, stage: Stage):
    send(client, stage, stage.portal.domain)

    assert stage.portal.requests.http == 0


def test_without_keys_the_page_says_which_settings_are_missing(stage: Stage):
    with stage.wiring(B24SYNC_CLIENT_ID="", B24SYNC_CLIENT_SECRET="") as wiring:
        client = create_app(wiring).test_client()
        assert "B24SYNC_CLIENT_SECRET" in client.get("/connect").text
        assert send(client, stage, "acme.bitrix24.com").status_code == HTTPStatus.BAD_REQUEST


def test_the_address_may_come_with_the_link(client: FlaskClient):
    page = client.get("/connect", query_string={"portal": '"><script>'}).text

    assert 'value="&#34;&gt;&lt;script&gt;"' in page


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8624", "[", "10.0.0.1"])
def test_a_name_that_is_not_ours_is_not_answered(client: FlaskClient, host: str):
    """A site that lets its name point at this machine would read the page."""
    answer = client.get("/", headers={"Host": host})

    assert answer.status_code == HTTPStatus.MISDIRECTED_REQUEST
    assert "portal" not in answer.text.lower().replace("b24sync_redirect_uri", "")


def test_with_a_password_any_name_is_answered(stage: Stage):
    with stage.wiring(B24SYNC_WEB_PASSWORD="x") as wiring:
        answer = create_app(wiring).test_client().get("/", headers={"Host": "evil.example"})

    assert answer.status_code == HTTPStatus.UNAUTHORIZED


def test_a_button_authorizes_again(client: FlaskClient, stage: Stage, wiring: Wiring):
    stage.connect()
    with wiring.ready_database.write() as session:
        session.get_one(Account, 1).status = "needs_reauth"
    page = client.get("/").text
    assert "Authorize again" in page
    assert f'name="portal" value="{stage.portal.domain}"' in page

    come_back(client, stage, consent(led_to(send(client, stage, stage.portal.domain))))

    assert "Authorize again" not in client.get("/").text


@pytest.mark.parametrize(
    ("status", "told"),
    [("closed", "Authorize again"), ("paused", "b24sync portals resume one.example")],
)
def test_a_portal_that_is_not_active_names_the_cure(client: FlaskClient, wiring: Wiring, status: str, told: str):
    with wiring.ready_database.write() as session:
        portal_id = connect(session, wiring.clock.now(), scope="task,calendar,user").portal_id
        session.get_one(Portal, portal_id).status = status

    assert told in client.get("/").text


def test_public_names_are_not_inner():
    assert not any(is_inner(host) for host in ("acme.bitrix24.com", "portal.acme.co.uk", "8.8.8.8", "[2a00::1]"))
