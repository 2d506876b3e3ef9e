"""What is otherwise in a record is told, without a word of what people wrote."""

import json
from pathlib import Path
from typing import Any

import pytest

from worker.resources.drift import Drift, drift

SAMPLES = Path(__file__).parents[2] / "samples"
TASK = {"id": "5", "title": "Buy flowers for Ann", "status": "2", "priority": 1, "accomplices": [], "group": []}


def told(resource: str, record: dict[str, Any]) -> list[Drift]:
    return drift(resource, json.dumps(record).encode())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"mood": "cheerful"}, [Drift("mood", "field", "text")]),
        ({"mood": None}, [Drift("mood", "field", "nothing")]),
        ({"a name with blanks": 1}, [Drift("?", "field", "number")]),
        ({"ufCrmNew": "x", "UF_OTHER": [1]}, []),
        ({"title": ["Buy", "flowers"]}, [Drift("title", "shape", "list")]),
        ({"title": None, "deadline": "", "mark": False}, []),
        ({"group": "Sales"}, [Drift("group", "shape", "text")]),
        ({"group": {"id": "5"}, "tags": {"1": {}}}, []),
        ({"status": 2, "priority": "2"}, []),
        ({"status": "9"}, [Drift("status", "code", "9")]),
        ({"mark": "Buy flowers for Ann"}, [Drift("mark", "code", "text")]),
    ],
    ids=repr,
)
def test_a_task_that_is_otherwise(change: dict[str, Any], expected: list[Drift]):
    assert told("tasks", TASK | change) == expected


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b'{"id":', b'{"a":"\xff"}'])
def test_what_cannot_be_read_is_told_by_others(text: bytes):
    assert drift("tasks", text) == []
