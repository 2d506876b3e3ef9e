"""Users: records shaped as user-get.md prints them, with values of our own."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import Raw

from worker.bitrix24.calls import Answer
from worker.errors import AccessDenied, Rejected
from worker.resources import users
from worker.resources.times import offset_text
from worker.resources.viewer import Viewer

VIEWER = Viewer(7, ZoneInfo("Europe/Berlin"), datetime(2026, 11, 23, 12, tzinfo=timezone(timedelta(hours=2))))
SAMPLE: dict[str, Any] = {
    "ID": "9",
    "ACTIVE": True,
    "NAME": "Kim",
    "LAST_NAME": "Roe",
    "SECOND_NAME": "",
    "EMAIL": "kim@example.com",
    "LAST_LOGIN": "2026-11-23T08:00:00+02:00",
    "DATE_REGISTER": "2024-07-15T00:00:00+02:00",
    "TIME_ZONE": "",
    "IS_ONLINE": "Y",
    "TIMESTAMP_X": {},
    "LAST_ACTIVITY_DATE": {},
    "PERSONAL_GENDER": "",
    "WORK_POSITION": "Tester",
    "UF_EMPLOYMENT_DATE": "",
    "UF_DEPARTMENT": [3, 1],
    "USER_TYPE": "employee",
}


def row_of(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    return users.to_row(Raw(json.dumps({**SAMPLE, **(changes or {})}).encode()), VIEWER)


def test_a_user_becomes_a_row():
    row = row_of()
    assert json.loads(row.pop("raw")) == SAMPLE
    assert len(row.pop("content_hash")) == 32
    assert row == {
        "user_id": 9,
        "name": "Kim",
        "last_name": "Roe",
        "second_name": None,
        "email": "kim@example.com",
        "active": True,
        "work_position": "Tester",
        "departments": "[1,3]",
        "user_type": "employee",
        "time_zone": None,
    }


def test_a_narrow_scope_leaves_columns_empty():
    row = users.to_row(Raw(b'{"ID":"9","NAME":""}'), VIEWER)
    assert row["name"] == ""
    assert row["departments"] == "[]"
    assert {row[name] for name in ("email", "active", "user_type", "last_name")} == {None}


@pytest.mark.parametrize(
    "changes",
    [
        {"LAST_LOGIN": "2026-11-23T09:00:00+02:00"}, {"LAST_ACTIVITY_DATE": "2026-11-23T09:00:00+02:00"},
        {"IS_ONLINE": "N"}, {"TIMESTAMP_X": "2026-11-23T09:00:00+02:00"}, {"TIME_ZONE_OFFSET": "3600"},
        {"ID": 9, "UF_DEPARTMENT": ["3", "1"]}, {"ACTIVE": "Y"}, {"UF_DEPARTMENT": {"0": 3, "1": 1}},
    ],
    ids=repr,
)  # fmt: skip
def test_a_visit_is_no_change(changes: dict[str, Any]):
    assert row_of(changes)["content_hash"] == row_of()["content_hash"]


@pytest.mark.parametrize(
    "changes", [{"ACTIVE": False}, {"UF_DEPARTMENT": [1]}, {"UF_SKYPE": "kim"}, {"TIME_ZONE": "Asia/Tokyo"}], ids=repr
)
def test_content_is_a_change(changes: dict[str, Any]):
    assert row_of(changes)["content_hash"] != row_of()["content_hash"]


@pytest.mark.parametrize("changes", [{"ID": ""}, {"ACTIVE": "perhaps"}, {"UF_DEPARTMENT": ["x"]}], ids=repr)
def test_rubbish_is_rejected(changes: dict[str, Any]):
    with pytest.raises(Rejected, match=f"^{next(iter(changes))}: "):
        row_of(changes)


def test_the_listing_is_asked_in_the_methods_own_way():
    page = users.LISTING.page(conditions={">ID": 0, **users.changed_filter(offset_text(VIEWER.portal_now))}, start=-1)
    assert page == {
        "FILTER": {">ID": 0, ">=TIMESTAMP_X": "2026-11-23T10:00:00+00:00"},
        "sort": "ID",
        "order": "ASC",
        "start": -1,
    }


def test_one_user_is_asked_for_by_id():
    call = users.get_call("g9", 9)
    assert (call.key, call.method, call.params) == ("g9", "user.get", {"FILTER": {"ID": 9}})


def test_a_found_user_is_its_record_and_an_empty_list_is_none():
    found = users.found(Answer("user.get", Raw(b'[{"ID":"9"}]')))
    assert found is not None
    assert users.to_row(found, VIEWER)["user_id"] == 9
    assert users.found(Answer("user.get", Raw(b"[]"))) is None


def test_a_refusal_says_nothing_of_the_user():
    with pytest.raises(AccessDenied):
        users.found(AccessDenied())
