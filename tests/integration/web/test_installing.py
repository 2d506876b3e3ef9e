"""Installations and online events: what anybody may post, and how little of it is believed."""

from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from tests.conftest import FakeClock
from tests.integration.conftest import connect
from tests.integration.stage import Stage
from worker.emulator import event_form, install_form, page_form
from worker.emulator.server.wire import LoopbackServer, Reply, Request, json_reply
from worker.storage import hints, leases
from worker.storage.hints import Sender
from worker.storage.models import Portal
from worker.storage.session import Database
from worker.web.app import create_app
from worker.wiring import Wiring

MADE = {"portals": 1, "accounts": 1, "oauth_tokens": 1, "request_budgets": 1, "portal_capabilities": 35}


def hinted(wiring: Wiring) -> bool:
    with wiring.ready_database.read() as session:
        return session.get_one(Portal, 1).hinted_at is not None


@pytest.mark.parametrize("event", ["ONAPPINSTALL", "ONAPPUPDATE"])
def test_an_installation_connects_its_user(client: FlaskClient, stage: Stage, event: str):
    form = install_form(stage.portal, stage.portal.admin_id, event)
    answer = client.post("/install", data=form)

    assert answer.status_code == HTTPStatus.OK
    assert stage.rows() == MADE
    assert stage.json("sync", "--json")["runs"][0]["status"] == "ok"


def test_the_pair_is_renewed_before_it_is_stored(client: FlaskClient, stage: Stage, wiring: Wiring):
    """What came in the form may be known to others; what is stored only we know."""
    form = install_form(stage.portal, stage.portal.admin_id)
    client.post("/install", data=form)
    token = wiring.token_store.load(1)

    assert token.access_token != form["auth[access_token]"]
    assert token.refresh_token != form["auth[refresh_token]"]


def test_the_page_of_the_application_connects_who_opened_it(client: FlaskClient, stage: Stage):
    answer = client.post("/install", query_string={"DOMAIN": "x"}, data=page_form(stage.portal, 2))

    assert answer.status_code == HTTPStatus.OK
    assert "as user 2 sees it" in answer.text
    assert "is no administrator" in answer.text
    assert stage.rows() == MADE


def test_only_its_own_portal_may_frame_the_page(client: FlaskClient, stage: Stage):
    headers = client.post("/install", data=page_form(stage.portal, 1)).headers

    assert f"frame-ancestors {stage.portal.url}" in headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in headers


@pytest.mark.parametrize("installed", [True, False])
def test_the_vendors_script_comes_only_where_the_portal_waits_for_it(
    client: FlaskClient, stage: Stage, installed: bool
):
    stage.portal.installed = installed
    answer = client.post("/install", data=page_form(stage.portal, 1))

    assert ("https://api.bitrix24.com" in answer.headers["Content-Security-Policy"]) is not installed
    assert ("<script" in answer.text) is not installed


def test_an_installation_without_a_page_loads_nothing(client: FlaskClient, stage: Stage):
    stage.portal.installed = False

    assert "<script" not in client.post("/install", data=install_form(stage.portal, 1)).text


@pytest.fixture
def trap() -> Iterator[tuple[str, list[Request]]]:
    """A server that an attacker names; what it is asked."""
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        asked.append(request)
        return json_reply(200, {"access_token": "a" * 44, "refresh_token": "b" * 44, "member_id": "m"})

    with LoopbackServer(answer) as server:
        yield f"http://{server.host}", asked


def test_a_forged_installation_stores_nothing_and_asks_nobody_it_names(
    client: FlaskClient, stage: Stage, trap: tuple[str, list[Request]]
):
    address, asked = trap
    form = install_form(stage.portal, 1) | {
        "auth[refresh_token]": "f" * 44,
        "auth[domain]": address.removeprefix("http://"),
        "auth[client_endpoint]": f"{address}/rest/",
        "auth[server_endpoint]": f"{address}/rest/",
    }
    answer = client.post("/install", data=form)

    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert "does not know this installation" in answer.text
    assert "f" * 44 not in answer.text
    assert asked == []
    assert stage.portal.requests.http == 0
    assert stage.rows() == {}


def test_what_an_installation_says_of_the_portal_is_not_believed(
    client: FlaskClient, stage: Stage, wiring: Wiring, trap: tuple[str, list[Request]]
):
    address, asked = trap
    form = install_form(stage.portal, 1) | {"auth[client_endpoint]": f"{address}/rest/", "auth[member_id]": "other"}
    client.post("/install", data=form)

    assert asked == []
    with wiring.ready_database.read() as session:
        portal = session.get_one(Portal, 1)
        assert (portal.member_id, portal.domain) == (stage.portal.member_id, stage.portal.domain)


def test_an_installation_counts_once(client: FlaskClient, stage: Stage):
    form = install_form(stage.portal, 1)
    client.post("/install", data=form)
    again = client.post("/install", data=form)

    assert again.status_code == HTTPStatus.FORBIDDEN
    assert stage.rows() == MADE


@pytest.mark.parametrize(
    "change", [{"event": "ONTASKADD"}, {"auth[refresh_token]": ""}, {"auth[refresh_token]": "x y"}]
)
def test_what_is_no_installation_is_refused_unasked(client: FlaskClient, stage: Stage, change: dict[str, str]):
    before = len(stage.emulator.token_server.log)
    answer = client.post("/install", data=install_form(stage.portal, 1) | change)

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert len(stage.emulator.token_server.log) == before
    assert stage.rows() == {}


def test_a_flood_of_installations_does_not_become_one_of_refreshes(client: FlaskClient, stage: Stage):
    before = len(stage.emulator.token_server.log)
    form = install_form(stage.portal, 1) | {"auth[refresh_token]": "f" * 44}
    statuses = [client.post("/install", data=form).status_code for _ in range(25)]

    assert statuses == [HTTPStatus.FORBIDDEN] * 20 + [HTTPStatus.TOO_MANY_REQUESTS] * 5
    assert len(stage.emulator.token_server.log) == before + 20


def test_in_portal_mode_no_installation_is_taken(stage: Stage):
    """There is nobody but the portal that the form names who could prove it."""
    with stage.wiring(B24SYNC_OAUTH_URL="portal") as wiring:
        answer = create_app(wiring).test_client().post("/install", data=install_form(stage.portal, 1))

    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert stage.portal.requests.http == 0


@pytest.mark.parametrize("path", ["/install", "/events"])
def test_a_form_of_ten_megabytes_is_not_read(client: FlaskClient, stage: Stage, path: str):
    answer = client.post(path, data={"event": "x" * 10 * 1024 * 1024})

    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert stage.rows() == {}


def test_an_event_makes_the_portal_due_and_the_turn_reads_the_news(client: FlaskClient, stage: Stage, wiring: Wiring):
    client.post("/install", data=install_form(stage.portal, stage.portal.admin_id))
    stage.json("sync", "--json")
    task_id = stage.portal.create_task(by=1, title="News", responsible=1)
    assert wiring.claim_due() == []

    answer = client.post("/events", data=event_form(stage.portal, "ONTASKADD", task_id))
    assert answer.status_code == HTTPStatus.OK
    assert wiring.claim_due() == [1]
    outcome = wiring.sync.run(1)

    assert outcome is not None
    reports = {report.resource: report for report in outcome.reports}
    assert set(reports) == {"tasks", "calendar"}
    assert reports["tasks"].inserted == 1
    assert not hinted(wiring)
    assert wiring.claim_due() == []


def test_an_event_twice_is_one_hint(client: FlaskClient, stage: Stage, wiring: Wiring):
    client.post("/install", data=install_form(stage.portal, stage.portal.admin_id))
    stage.json("sync", "--json")
    for _ in range(2):
        client.post("/events", data=event_form(stage.portal, "ONTASKUPDATE", 1))
    wiring.sync.run(1)

    assert not hinted(wiring)


FORGED = [
    {"auth[application_token]": "0" * 32},
    {"auth[member_id]": "other"},
    {"auth[application_token]": "ü"},
]


@pytest.mark.parametrize("change", FORGED)
def test_a_forged_event_is_refused(client: FlaskClient, stage: Stage, wiring: Wiring, change: dict[str, str]):
    client.post("/install", data=install_form(stage.portal, stage.portal.admin_id))
    answer = client.post("/events", data=event_form(stage.portal, "ONTASKADD", 1) | change)

    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert stage.portal.application_token not in answer.text
    assert not hinted(wiring)


@pytest.mark.parametrize("missing", ["event", "auth[member_id]", "auth[application_token]"])
def test_what_is_no_event_is_refused(client: FlaskClient, stage: Stage, missing: str):
    form = {name: value for name, value in event_form(stage.portal, "ONTASKADD", 1).items() if name != missing}

    assert client.post("/events", data=form).status_code == HTTPStatus.BAD_REQUEST


def test_a_portal_whose_installation_told_no_secret_sends_no_events(client: FlaskClient, stage: Stage, wiring: Wiring):
    """The first message that names a secret proves nothing: anybody may have sent it."""
    stage.connect()
    answer = client.post("/events", data=event_form(stage.portal, "ONTASKADD", 1))

    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert not hinted(wiring)


def test_only_an_administrators_page_tells_the_secret(client: FlaskClient, stage: Stage, wiring: Wiring):
    client.post("/install", data=page_form(stage.portal, 2))

    with wiring.ready_database.read() as session:
        assert session.get_one(Portal, 1).application_token_hash is None


def test_the_secret_of_events_is_kept_as_a_hash(client: FlaskClient, stage: Stage, wiring: Wiring):
    client.post("/install", data=install_form(stage.portal, stage.portal.admin_id))

    with wiring.ready_database.read() as session:
        kept = session.get_one(Portal, 1).application_token_hash
    assert kept is not None
    assert stage.portal.application_token not in kept


def test_a_hint_that_came_during_the_turn_outlives_it(database: Database, portal_id: int, clock: FakeClock):
    with database.write() as session:
        hints.add_hint(session, portal_id, clock.now())
        seen = clock.now()
        clock.advance(1)
        hints.add_hint(session, portal_id, clock.now())
        hints.clear_hint(session, portal_id, seen)
    with database.read() as session:
        assert session.get_one(Portal, portal_id).hinted_at == clock.now()


def test_a_flood_of_events_writes_once_until_a_turn_begins(database: Database, portal_id: int, clock: FakeClock):
    with database.write() as session:
        hints.save_application_token(session, portal_id, "s")
        hints.add_hint(session, portal_id, clock.now())
        assert hints.sender(session, "m1", "s") == Sender(portal_id, is_awaited=True)
        leases.take_lease(session, portal_id, owner="o", now=clock.now(), ttl=timedelta(seconds=9))
        assert hints.sender(session, "m1", "s") == Sender(portal_id, is_awaited=False)


def test_a_hint_does_not_wake_a_portal_that_does_not_answer(database: Database, portal_id: int, clock: FakeClock):
    with database.write() as session:
        portal = session.get_one(Portal, portal_id)
        portal.next_run_at = portal.scheduled_at = clock.now()
        clock.advance(-1)
        portal.breaker_failures, portal.scheduled_at = 1, clock.now()
        hints.add_hint(session, portal_id, clock.now())
    with database.write() as session:
        assert claimed(session, clock) == []
        session.get_one(Portal, portal_id).breaker_failures = 0
    with database.write() as session:
        assert claimed(session, clock) == [portal_id]


def claimed(session: Session, clock: FakeClock) -> list[int]:
    return leases.claim_due(session, now=clock.now(), enqueued_for=timedelta(seconds=9), limit=5, sick_limit=5)


def test_secrets_are_told_apart_by_portal(database: Database, clock: FakeClock):
    with database.write() as session:
        one, two = (
            connect(session, clock.now(), member_id=name, domain=f"{name}.example").portal_id for name in ("a", "b")
        )
        hints.save_application_token(session, one, "one")
        hints.save_application_token(session, two, "two")
    with database.read() as session:
        assert hints.sender(session, "a", "one") == Sender(one, is_awaited=False)
        assert hints.sender(session, "a", "two") is None
        assert hints.sender(session, "b", "two") == Sender(two, is_awaited=False)
        assert hints.sender(session, "c", "") is None


@pytest.mark.parametrize("path", ["/install", "/events"])
def test_portals_know_no_password(stage: Stage, path: str):
    with stage.wiring(B24SYNC_WEB_PASSWORD="x") as wiring:
        answer = create_app(wiring).test_client().post(path, headers={"Host": "sync.acme.example"})

    assert answer.status_code == HTTPStatus.BAD_REQUEST
