"""Calendars, as calendar-section-get.md prints them, with values of our own."""

import json
from typing import Any

import pytest
from msgspec import Raw

from worker.errors import BadAnswer
from worker.resources.calendar_calls import COMPANY, Owner
from worker.resources.calendar_sections import read_sections

OWNER = Owner("user", 7)
SAMPLE: dict[str, Any] = {
    "ID": "33",
    "NAME": "Jo's calendar",
    "GAPI_CALENDAR_ID": None,
    "DESCRIPTION": "",
    "COLOR": "#9cbeee",
    "TEXT_COLOR": "#283000",
    "EXPORT": {"ALLOW": True},
    "CAL_TYPE": "user",
    "OWNER_ID": "7",
    "DATE_CREATE": "2024-12-10 06:36:00",
    "TIMESTAMP_X": "2024-12-10 06:36:00",
    "IS_COLLAB": False,
    "PERM": {"view_time": True, "edit": True},
}


def answer(*records: object) -> Raw:
    return Raw(json.dumps(records).encode())


def test_a_calendar_becomes_a_row():
    rows, rejects = read_sections(answer(SAMPLE), OWNER)
    assert not rejects
    row = rows[0]
    assert json.loads(row.pop("raw")) == SAMPLE
    assert len(row.pop("content_hash")) == 32
    assert row == {
        "section_id": 33,
        "calendar_type": "user",
        "owner_id": 7,
        "name": "Jo's calendar",
        "description": None,
        "color": "#9cbeee",
        "text_color": "#283000",
    }


def test_the_company_calendar_keeps_owner_zero_and_an_unknown_type_its_name():
    sent = [{**SAMPLE, "CAL_TYPE": "company_calendar", "OWNER_ID": "0"}, {"ID": 34}, {**SAMPLE, "CAL_TYPE": "moon"}]
    rows = read_sections(answer(*sent), COMPANY).rows
    assert [(row["calendar_type"], row["owner_id"]) for row in rows] == [
        ("company_calendar", 0),
        ("company_calendar", 0),
        ("moon", 7),
    ]


def test_the_viewers_rights_are_no_content():
    other = {**SAMPLE, "PERM": {"view_time": True, "edit": False}, "TIMESTAMP_X": "2025-01-01 00:00:00"}
    first, second = read_sections(answer(SAMPLE, other), OWNER).rows
    assert first["content_hash"] == second["content_hash"]
    renamed = read_sections(answer({**SAMPLE, "NAME": "x"}), OWNER).rows[0]
    assert renamed["content_hash"] != first["content_hash"]


def test_a_bad_calendar_does_not_cost_the_others():
    rows, rejects = read_sections(answer({**SAMPLE, "ID": "x"}, SAMPLE, {**SAMPLE, "ID": "5", "OWNER_ID": "y"}), OWNER)
    assert [row["section_id"] for row in rows] == [33]
    assert [(reject.record_key[:10], reject.reason) for reject in rejects] == [
        (rejects[0].record_key[:10], "ID: 'x' is no whole number"),
        ("section:5", "OWNER_ID: 'y' is no whole number"),
    ]
    assert rejects[0].record_key.startswith("section:?")
    assert json.loads(rejects[1].payload)["OWNER_ID"] == "y"


def test_a_record_that_is_none_is_filed_under_its_own_text():
    rejects = read_sections(answer(5, [1], {"ID": "9" * 5000}), OWNER).rejects
    assert len({reject.record_key for reject in rejects}) == 3
    assert {len(reject.record_key) for reject in rejects} == {len("section:?") + 32}


@pytest.mark.parametrize("result", [b"[]", b"{}", b"null", b"false"])
def test_no_readable_calendar_is_no_row(result: bytes):
    assert read_sections(Raw(result), OWNER) == ([], [])


def test_another_shape_is_a_bad_answer():
    with pytest.raises(BadAnswer):
        read_sections(Raw(b'"x"'), OWNER)
