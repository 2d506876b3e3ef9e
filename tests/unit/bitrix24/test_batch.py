"""Calls are packed so that the portal runs each of them, and every outcome finds its call."""

from typing import Any

import pytest

from tests.unit.bitrix24.fakes import answer
from worker.bitrix24.batch import dependents, pack, references, related, unpack
from worker.bitrix24.calls import Answer, Call, Ref
from worker.errors import BadAnswer, CallRefused, MethodClosed, MissingScope, TokenRejected

CALLS = [Call("p0", "tasks.task.list"), Call("p1", "user.get"), Call("p2", "profile")]


def unpacked(result: object) -> dict[str, Any]:
    return unpack(answer(result, "batch"), CALLS)


def test_commands_are_method_and_query():
    calls = [Call("a", "tasks.task.list", {"filter": {">ID": 5}, "start": -1}), Call("b", "profile")]

    assert pack(calls, halt=True) == {
        "halt": 1,
        "cmd": {"a": "tasks.task.list?filter[%3EID]=5&start=-1", "b": "profile?"},
    }
    assert pack(calls, halt=False)["halt"] == 0


@pytest.mark.parametrize(
    "calls",
    [
        [],
        [Call(f"c{i}", "profile") for i in range(51)],
        [Call("0", "profile")],
        [Call("a b", "profile")],
        [Call("", "profile")],
        [Call("a", "profile"), Call("a", "scope")],
        [Call("a", "batch")],
        [Call("a", "BATCH")],
        [Call("a", "profile?x=1")],
        [Call("a", "")],
    ],
)
def test_what_the_portal_would_misread_is_refused(calls: list[Call]):
    with pytest.raises(ValueError):
        pack(calls, halt=False)


def test_outcomes_find_their_calls():
    found = unpacked(
        {
            "result": {"p0": {"tasks": []}, "p2": None},
            "result_error": {"p1": {"error": "insufficient_scope", "error_description": "no"}},
            "result_total": {"p0": "3"},
            "result_next": {"p0": 50},
            "result_time": {"p0": {"operating": 0.5, "date_start": "2026-11-23T12:00:00+02:00"}},
        }
    )

    assert isinstance(found["p0"], Answer)
    assert (found["p0"].method, found["p0"].total, found["p0"].next) == ("tasks.task.list", 3, 50)
    assert found["p0"].time.operating == 0.5
    assert isinstance(found["p1"], MissingScope)
    assert (found["p1"].method, found["p1"].status) == ("user.get", None)
    assert found["p2"].decode(object) is None


@pytest.mark.parametrize("empty", [[], {}, None])
def test_empty_maps_come_as_lists(empty: object):
    """PHP writes an empty map as `[]`, in any of the five places."""
    names = ["result", "result_error", "result_total", "result_next", "result_time"]

    assert unpacked(dict.fromkeys(names[1:], empty) | {"result": {"p0": 1}})["p0"].decode(int) == 1
    assert unpacked(dict.fromkeys(names, empty) | {"result": []}) == {}
    only_error = dict.fromkeys(names, empty) | {"result": [], "result_error": {"p0": {"error": "expired_token"}}}
    assert isinstance(unpacked(only_error)["p0"], TokenRejected)


def test_a_call_left_out_of_both_maps_is_absent():
    found = unpacked({"result": {"p0": 1}, "result_error": []})

    assert found.keys() == {"p0"}


def test_an_error_outweighs_a_result():
    found = unpacked({"result": {"p0": 1}, "result_error": {"p0": {"error": "ERROR_METHOD_NOT_FOUND"}}})

    assert isinstance(found["p0"], CallRefused)


def test_a_closed_method_inside_a_batch_says_until_when():
    found = unpacked(
        {
            "result": [],
            "result_error": {"p0": {"error": "OPERATION_TIME_LIMIT"}, "p1": "odd", "p2": {"error": ""}},
            "result_time": {"p0": {"operating_reset_at": 1795420600, "date_start": "2026-11-23T12:00:00+00:00"}},
        }
    )

    assert isinstance(found["p0"], MethodClosed)
    assert found["p0"].reset_at is not None
    assert type(found["p1"]) is CallRefused
    assert found["p1"].code == "odd"
    assert type(found["p2"]) is CallRefused


@pytest.mark.parametrize("result", [None, [1], {"result": [1]}, {"result": "x"}, {"x": 1}, "x", {"result_error": []}])
def test_what_is_no_batch_answer_is_a_bad_answer(result: object):
    with pytest.raises(BadAnswer):
        unpacked(result)


def test_what_must_be_repeated_together():
    chain = [
        Call("a", "m"),
        Call("b", "m", {"filter": {">ID": Ref("a", (0, "id"))}}),
        Call("c", "m", {"x": [Ref("b", (0,))]}),
        Call("d", "m"),
        Call("e", "m", {"x": Ref("d", ())}),
    ]

    assert references(chain[1].params) == {"a"}
    assert dependents(chain, ["b"]) == {"b", "c"}
    assert related(chain, ["b"]) == {"a", "b", "c"}
    assert related(chain, ["e"]) == {"d", "e"}
    assert related(chain, ["a"]) == {"a", "b", "c"}
    assert related([*chain, Call("f", "m", {"x": Ref("a", ())})], ["b"]) == {"a", "b", "c"}
