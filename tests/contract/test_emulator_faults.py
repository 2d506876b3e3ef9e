"""Whatever is ordered to go wrong goes wrong, once, and then all is well."""

import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection, IncompleteRead, RemoteDisconnected
from typing import Any, TypeAlias

import pytest

from worker.emulator import Emulator, Portal, PortalSpec

Json: TypeAlias = Any


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    with Emulator() as emulator:
        yield emulator.add_portal(PortalSpec(tasks=60, events=3, limits=False))


def ask(portal: Portal, method: str = "tasks.task.list", **params: Json) -> tuple[int, bytes]:
    connection = HTTPConnection(portal.domain, timeout=5)
    try:
        base = {"order": {"ID": "asc"}, "select": ["ID", "TITLE", "CHANGED_DATE"]}
        body = json.dumps(base | params | {"auth": portal.issue_tokens(1)["access_token"]})
        connection.request("POST", f"/rest/{method}", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def rows(portal: Portal) -> list[dict[str, Json]]:
    found: list[dict[str, Json]] = json.loads(ask(portal)[1])["result"]["tasks"]
    return found


@pytest.mark.parametrize(
    ("kind", "status", "part"),
    [
        ("rate_limit", 503, b"QUERY_LIMIT_EXCEEDED"),
        ("operation_time_limit", 429, b"operating_reset_at"),
        ("internal_error", 500, b"INTERNAL_SERVER_ERROR"),
        ("html", 502, b"<html>"),
        ("empty", 200, b""),
        ("broken_json", 200, b"{"),
        ("wrong_shape", 200, b"["),
        ("expired_token", 401, b"expired_token"),
        ("invalid_token", 401, b"invalid_token"),
        ("overload", 503, b"OVERLOAD_LIMIT"),
        ("portal_deleted", 500, b"PORTAL_DELETED"),
        ("redirect", 302, b""),
    ],
)
def test_a_fault_is_used_up(portal: Portal, kind: str, status: int, part: bytes) -> None:
    """The first asks in vain, the next does not."""
    portal.faults.add(kind)
    first, body = ask(portal)

    assert first == status
    assert part in body
    assert ask(portal)[0] == 200


def test_connections_break(portal: Portal) -> None:
    """Cut in the middle, closed without an answer, or late."""
    portal.faults.add("cut")
    with pytest.raises(IncompleteRead):
        ask(portal)
    portal.faults.add("reset")
    with pytest.raises(RemoteDisconnected):
        ask(portal)
    portal.faults.add("hang", seconds=0.2)
    began = time.monotonic()

    assert ask(portal)[0] == 200
    assert time.monotonic() - began >= 0.2


def test_faults_wait_and_choose(portal: Portal) -> None:
    """`after` lets some pass, `times` repeats, `method` picks; `clear` forgets; an unknown kind is refused."""
    portal.faults.add("html", times=2, after=1, method="tasks.task.list")
    found = [ask(portal)[0], ask(portal, "profile")[0], ask(portal)[0], ask(portal)[0], ask(portal)[0]]
    portal.faults.add("html")
    portal.faults.clear()

    assert found == [200, 200, 502, 502, 200]
    assert ask(portal)[0] == 200
    with pytest.raises(ValueError, match="no such fault"):
        portal.faults.add("flood")


def test_rows_are_spoiled(portal: Portal) -> None:
    """Repeated, falling, lost, doubled, with half a character, with rubbish."""
    good = rows(portal)
    for kind in ("page_repeat", "page_fall", "lost_rows", "doubled_rows", "surrogate", "junk_field"):
        portal.faults.add(kind)
    ids = [[row["id"] for row in rows(portal)] for _ in range(4)]
    surrogate, junk = rows(portal), rows(portal)
    expected = [row["id"] for row in good]

    assert len(set(ids[0])) == len(expected) - 1 == len(ids[0]) - 1
    assert ids[1] == expected[::-1]
    assert len(ids[2]) == len(expected) - 1
    assert sorted(set(ids[3]), key=int) == expected
    assert len(ids[3]) == len(expected) + 1
    assert any(row["title"].endswith("\ud800") for row in surrogate)
    assert [row["changedDate"] for row in junk].count("not-a-date") == 1
    assert rows(portal) == good


def test_single_calls_of_a_batch_fail(portal: Portal) -> None:
    """An error under HTTP 200, a call left out, a method over its time."""
    cmd = {"a": "profile", "b": "server.time", "c": "tasks.task.list"}
    portal.faults.add("sub_error", method="server.time", code="ACCESS_DENIED")
    portal.faults.add("sub_missing", method="profile")
    portal.faults.add("operation_time_limit", method="tasks.task.list", seconds=90)
    status, body = ask(portal, "batch", cmd=cmd)
    result = json.loads(body)["result"]

    assert status == 200
    assert result["result"] == []
    assert {key: error["error"] for key, error in result["result_error"].items()} == {
        "b": "ACCESS_DENIED",
        "c": "OPERATION_TIME_LIMIT",
    }
    assert set(json.loads(ask(portal, "batch", cmd=cmd)[1])["result"]["result"]) == {"a", "b", "c"}


def test_requests_are_counted(portal: Portal) -> None:
    """A batch is one request, its commands are calls."""
    portal.requests.reset()
    ask(portal)
    ask(portal, "batch", cmd={"a": "profile", "b": "profile"})

    assert portal.requests.http == 2
    assert portal.requests.calls == {"tasks.task.list": 1, "batch": 1, "profile": 2}
    assert portal.requests.requests == [["tasks.task.list"], ["profile", "profile"]]


def test_stopping_is_prompt_even_while_somebody_waits() -> None:
    """Open connections and a hanging answer do not hold it up."""
    emulator = Emulator()
    emulator.start()
    portal = emulator.add_portal(PortalSpec(tasks=0, events=0))
    idle = HTTPConnection(portal.domain, timeout=5)
    idle.request("GET", "/rest/server.time")
    idle.getresponse().read()
    portal.faults.add("hang", seconds=60)
    waiting = HTTPConnection(portal.domain, timeout=5)
    waiting.request("GET", "/rest/server.time")
    began = time.monotonic()
    emulator.stop()
    took = time.monotonic() - began
    idle.close()
    waiting.close()

    assert took < 1.5
