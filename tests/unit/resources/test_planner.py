"""The day's plan (task-planner-get-list.md)."""

import pytest
from msgspec import Raw

from worker.errors import BadAnswer
from worker.resources.planner import planner_call, read_planner


@pytest.mark.parametrize(
    ("result", "ids"),
    [
        (b"[7811, 8017, 7789]", [7811, 8017, 7789]),
        (b'["7811", 8017, "7811"]', [7811, 8017]),
        (b'{"0": 7811, "3": "7789", "4": 8017}', [7811, 7789, 8017]),
        (b"[]", []),
        (b"{}", []),
        (b"null", []),
        (b"false", []),
    ],
    ids=repr,
)
def test_the_plan_keeps_its_order_and_names_each_task_once(result: bytes, ids: list[int]):
    assert read_planner(Raw(result)) == ids


@pytest.mark.parametrize("result", [b'["x"]', b"[null]", b"5", b'"7811"', b"[[1]]"], ids=repr)
def test_what_is_no_plan_is_a_bad_answer(result: bytes):
    with pytest.raises(BadAnswer, match=r"task\.planner\.getlist"):
        read_planner(Raw(result))


def test_the_call_has_no_parameters():
    call = planner_call("p")
    assert (call.key, call.method, dict(call.params)) == ("p", "task.planner.getlist", {})
