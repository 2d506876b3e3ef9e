"""What other people's clients send and expect: it stays when they are not installed (docs/judges.md)."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any, Literal, TypeAlias
from urllib.parse import urlencode

import pytest

from worker.bitrix24.oauth import TokenServer
from worker.bitrix24.transport import Transport
from worker.clock import SystemClock
from worker.emulator import Emulator, Portal, PortalSpec

Json: TypeAlias = Any


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        emulator.add_portal(PortalSpec(tasks=120, users=60, events=0, limits=False, message_ids="number"))
        yield emulator


@pytest.fixture
def portal(emulator: Emulator) -> Portal:
    return emulator.portals[0]


def ask(host: str, path: str, body: Json = None) -> Json:
    connection = HTTPConnection(host, timeout=5)
    try:
        verb = "GET" if body is None else "POST"
        connection.request(verb, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def call(portal: Portal, method: str, **params: Json) -> Json:
    return ask(portal.domain, f"/rest/{method}", params | {"auth": portal.issue_tokens(1)["access_token"]})


@pytest.mark.parametrize(("tells", "more"), [("page", set()), ("user", {"expires", "user_id"})])
def test_an_answer_to_a_code_is_the_pages_or_the_one_that_the_sdk_reads(
    emulator: Emulator, portal: Portal, tells: Literal["page", "user"], more: set[str]
) -> None:
    """settings/oauth/index.md shows neither; b24pysdk refuses an answer without them."""
    emulator.token_server.exchange_tells = tells
    keys = {"client_id": portal.client_id, "client_secret": portal.client_secret}
    codes = [emulator.token_server.new_code(portal, 1) for _ in range(2)]
    query = {"grant_type": "authorization_code", "code": codes[0], **keys}

    answer = ask(emulator.token_server.host, f"/oauth/token/?{urlencode(query)}")
    ours = TokenServer(Transport(), SystemClock(), **keys, oauth_url=emulator.auth_url).exchange(codes[1], portal.url)

    assert answer.keys() & {"expires", "user_id"} == more
    assert answer["refresh_token"]
    assert ours.member_id == portal.member_id


def test_a_method_may_end_in_json_also_behind_a_webhook(portal: Portal) -> None:
    """b24pysdk writes the suffix always."""
    path = portal.webhook_url(1).removeprefix(portal.url)

    assert ask(portal.domain, f"{path}profile.json", {})["result"]["ID"] == "1"
    assert call(portal, "profile.json")["result"]["ID"] == "1"


def test_a_webhooks_app_info_tells_scopes_and_licence_only(portal: Portal) -> None:
    """b24pysdk tells the two forms apart by the key ID."""
    path = portal.webhook_url(1).removeprefix(portal.url)

    assert ask(portal.domain, f"{path}app.info", {})["result"].keys() == {"SCOPE", "LICENSE"}


def test_a_chain_with_numbers_for_names_is_read_to_its_end(portal: Portal) -> None:
    """As b24pysdk chains pages: keys 1, 2, 3 make a map, `halt` is a JSON boolean, references are encoded."""
    cmd = {}
    for page in (1, 2, 3):
        last = 0 if page == 1 else f"$result[{page - 1}][tasks][49][id]"
        query = {"select[0]": "ID", "order[ID]": "ASC", "filter[>ID]": last, "start": -1}
        cmd[str(page)] = f"tasks.task.list?{urlencode(query)}"

    result = call(portal, "batch", cmd=cmd, halt=True)["result"]["result"]

    assert result.keys() == {"1", "2", "3"}
    assert [int(row["id"]) for page in result.values() for row in page["tasks"]] == portal.world.task_ids


def test_users_are_sorted_by_two_words_in_any_case_and_by_no_map(portal: Portal) -> None:
    """b24pysdk sends SORT and ORDER, fast_bitrix24 an `order` that is a map: ignored, and no user is lost."""
    ids = sorted(portal.world.users)
    first = [int(row["ID"]) for row in call(portal, "user.get", SORT="ID", ORDER="ASC", start=-1)["result"]]
    pages = [call(portal, "user.get", order={"ID": "ASC"}, start=start) for start in (0, 50)]

    assert first == ids[:50]
    assert sorted(int(row["ID"]) for page in pages for row in page["result"]) == ids
    assert [page["total"] for page in pages] == [60, 60]


def test_events_named_by_numbers_are_cleared_by_them(portal: Portal) -> None:
    """The pages show a number for MESSAGE_ID and b24pysdk reads one; the vendor's PHP makes a hash."""
    call(portal, "event.bind", event="ONTASKADD", event_type="offline")
    for title in ("one", "two"):
        portal.create_task(title=title)
    package = call(portal, "event.offline.get", clear=0)["result"]
    first = package["events"][0]["MESSAGE_ID"]

    call(portal, "event.offline.clear", process_id=package["process_id"], message_id=[int(first)])

    assert first.isdecimal()
    assert [row["MESSAGE_ID"] for row in call(portal, "event.offline.list")["result"]] == [
        package["events"][1]["MESSAGE_ID"]
    ]
