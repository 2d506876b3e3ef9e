"""What the recorder writes of one answer, and what a replay makes of it."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FakeClock
from worker.bitrix24.recorder import Recorder
from worker.bitrix24.replay import Replay
from worker.bitrix24.transport import Reply
from worker.errors import CallRefused

HEADER = {"b24sync_recording": 1, "at": "2026-11-23T12:00:00+00:00"}


class Portal:
    """Answers one thing."""

    def __init__(self, status: int, answer: object) -> None:
        self._reply = Reply(status, {}, json.dumps(answer).encode())

    def post_json(self, url: str, body: bytes | Mapping[str, Any], *, total: float | None = None) -> Reply:  # noqa: ARG002
        return self._reply


def recorded(url: str, body: Mapping[str, Any], status: int, answer: object, clock: FakeClock) -> str:
    file = io.StringIO()
    recorder = Recorder(Portal(status, answer), file, clock)
    recorder.write(HEADER)
    recorder.post_json(url, body)
    return file.getvalue()


@pytest.mark.parametrize(
    ("url", "body", "status", "answer"),
    [
        ("https://p.example/rest/server.time", {}, 200, {"result": "2026-09-21T14:30:00+00:00"}),
        ("https://p.example/rest/scope", {}, 200, {"result": ["task", "user"]}),
        ("https://p.example/rest/7/s3cr3t/profile", {}, 200, {"result": {"ID": "7", "ADMIN": True, "TIME_ZONE": ""}}),
        ("https://p.example/rest/api/tasks.task.list", {"filter": [["id", ">", 0]]}, 200, {"result": {"items": []}}),
        ("https://p.example/rest/api/none", {}, 400, {"error": {"code": "BITRIX_REST_V3_EXCEPTION_X", "message": ""}}),
        ("https://p.example/rest/none", {"a": []}, 404, {"error": "ERROR_METHOD_NOT_FOUND", "error_description": ""}),
    ],
)
def test_what_holds_nobody_is_replayed_as_it_was(  # noqa: PLR0917 - a row of the table
    tmp_path: Path, clock: FakeClock, url: str, body: dict[str, Any], status: int, answer: dict[str, Any]
):
    text = recorded(url, body | {"auth": "a-token"}, status, answer, clock)
    (tmp_path / "file").write_text(text)

    reply = Replay(tmp_path / "file").post_json(url, body)

    assert reply.status == status
    assert json.loads(reply.body).items() >= answer.items()
    for secret in ("a-token", "s3cr3t", "p.example"):
        assert secret not in text


def test_rest_3_is_not_rest_2(tmp_path: Path, clock: FakeClock):
    text = recorded("https://p.example/rest/api/profile", {}, 200, {"result": {"ID": "7"}}, clock)
    (tmp_path / "file").write_text(text)

    with pytest.raises(CallRefused, match="no answer to this call"):
        Replay(tmp_path / "file").post_json("https://p.example/rest/profile", {})


def test_a_page_is_found_by_what_its_reference_led_to(tmp_path: Path, clock: FakeClock):
    """The replaying program may name its calls otherwise, and ask for fewer pages at once."""
    rows = [{"id": str(number)} for number in range(1, 51)]
    cmd = {"p0": "tasks.task.list?filter[%3EID]=0", "p1": "tasks.task.list?filter[%3EID]=$result[p0][tasks][49][id]"}
    results = {"p0": {"tasks": rows}, "p1": {"tasks": [{"id": "51"}]}}
    answer = {"result": {"result": results, "result_error": [], "result_time": []}, "time": {"start": 1}}
    (tmp_path / "file").write_text(recorded("https://p.example/rest/batch", {"cmd": cmd}, 200, answer, clock))

    asked = {"halt": 1, "cmd": {"other": "tasks.task.list?filter[%3EID]=50"}}
    reply = Replay(tmp_path / "file").post_json("https://p.example/rest/batch", asked)

    assert json.loads(reply.body)["result"]["result"] == {"other": {"tasks": [{"id": "51"}]}}
