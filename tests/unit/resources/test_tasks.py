"""Tasks: records shaped as tasks-task-list.md and tasks-task-get.md print them, with values of our own."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from worker.bitrix24.calls import Answer
from worker.errors import AccessDenied, BadAnswer, CallRefused, MethodNotFound, MissingScope, Rejected, Unreachable
from worker.resources import tasks
from worker.resources.tasks import to_row
from worker.resources.times import utc_text
from worker.resources.viewer import Viewer

BERLIN = ZoneInfo("Europe/Berlin")
WINTER = Viewer(7, BERLIN, datetime(2026, 11, 23, 12, tzinfo=timezone(timedelta(hours=2))))
SUMMER = Viewer(7, BERLIN, datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=3))))

SAMPLE: dict[str, Any] = {
    "id": "4102",
    "parentId": None,
    "title": "Prepare offer",
    "description": "With [B]bold[/B] words",
    "status": "3",
    "subStatus": "-1",
    "priority": "1",
    "mark": None,
    "groupId": "12",
    "stageId": "0",
    "createdBy": "7",
    "responsibleId": "9",
    "createdDate": "2026-07-02T10:15:00+01:00",
    "changedDate": "2026-11-20T18:03:41+01:00",
    "activityDate": "2026-11-20T18:03:41+01:00",
    "closedDate": None,
    "deadline": "2026-11-19T19:00:00+01:00",
    "startDatePlan": "",
    "endDatePlan": None,
    "dateStart": "2026-07-03T09:00:00+01:00",
    "timeEstimate": "0",
    "timeSpentInLogs": None,
    "notViewed": "N",
    "favorite": "N",
    "isMuted": "N",
    "isPinned": "N",
    "newCommentsCount": 0,
    "viewedDate": None,
    "accomplices": ["15", "4"],
    "auditors": [],
    "accomplicesData": {"15": {"id": "15", "name": "Ann Lee", "link": "/company/personal/user/15/", "icon": "/a.png"}},
    "auditorsData": [],
    "creator": {"id": "7", "name": "Jo Park", "workPosition": "CEO"},
    "group": {"id": "12", "name": "Sales", "opened": True, "membersCount": 4, "image": "", "additionalData": []},
    "tags": {"31": {"id": 31, "title": "vip"}, "8": {"id": "8", "title": "Договор"}},
    "ufCrmTask": ["C_627", "CO_591"],
    "ufTaskWebdavFiles": [1065, 1077],
    "ufMailMessage": None,
    "ufAuto128374650192": "12",
}


def raw(changes: dict[str, Any] | None = None, *, without: tuple[str, ...] = ()) -> Raw:
    record = {name: value for name, value in {**SAMPLE, **(changes or {})}.items() if name not in without}
    return Raw(json.dumps(record).encode())


def row_of(changes: dict[str, Any] | None = None, viewer: Viewer = WINTER) -> dict[str, Any]:
    return to_row(raw(changes), viewer)


def utc(*parts: int) -> str:
    moment = datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_hash_stays_what_it_was():
    """A program that made another hash of the same content would rewrite every row of every mirror."""
    assert row_of()["content_hash"] == "7fff2d48f512dc98b66d04cebd77ac8a"
    odd = {"deadline": "2026-03-29T02:30:00.25+05:30"}
    assert row_of(odd)["content_hash"] == "d04daa186f4eb18e66fb16db1b9a79aa"
    custom = {"deadline": "2026-03-29T02:30:00+01:00", "ufAutoX": "2026-03-29T02:30:00+01:00"}
    assert row_of(custom)["content_hash"] == "b7d58e523f11b8ab606901342113626f"


def test_a_task_becomes_a_row():
    row = row_of()
    sent = row.pop("raw")
    assert len(row.pop("content_hash")) == 32
    assert json.loads(sent) == SAMPLE
    assert row == {
        "task_id": 4102,
        "title": "Prepare offer",
        "description": "With [B]bold[/B] words",
        "status": 3,
        "priority": 1,
        "created_by_id": 7,
        "responsible_id": 9,
        "group_id": 12,
        "parent_id": None,
        "stage_id": None,
        "deadline": utc(2026, 11, 19, 18),
        "created_at": utc(2026, 7, 2, 8, 15),  # the digits are Berlin's of July, the suffix is today's
        "changed_at": utc(2026, 11, 20, 17, 3, 41),
        "activity_at": utc(2026, 11, 20, 17, 3, 41),
        "closed_at": None,
        "start_plan_at": None,
        "end_plan_at": None,
        "started_at": utc(2026, 7, 3, 7),
        "time_estimate_seconds": 0,
        "time_spent_seconds": None,
        "accomplices": "[4,15]",
        "auditors": "[]",
        "tags": '["vip","Договор"]',
        "crm_links": '["C_627","CO_591"]',
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"id": 4102, "status": 3, "priority": 1, "createdBy": 7, "responsibleId": 9.0, "groupId": 12, "stageId": 0},
        {"stageId": "", "parentId": "0", "startDatePlan": None},
        {"parentId": "", "timeSpentInLogs": ""},  # the typed decoder refuses these: the slow way
        {"auditors": {}, "accomplices": {"0": "15", "3": 4}},
        {"auditors": False, "accomplices": [15, 4]},
        {"tags": [{"id": 8, "title": "Договор"}, {"id": "31", "title": "vip"}]},
        {"tags": ["vip", "Договор"]},
        {"group": [], "creator": None, "accomplicesData": []},
        {"ufTaskWebdavFiles": ["1065", "1077"], "ufMailMessage": False, "ufAuto128374650192": 12},
        {"ufTaskWebdavFiles": {"0": 1065, "1": 1077}, "ufMailMessage": ""},
        {"status": " 3 "},
        {"closedDate": False, "deadline": "2026-11-19T18:00:00+00:00"},
    ],
    ids=repr,
)
def test_another_spelling_is_the_same_row(changes: dict[str, Any]):
    """Numbers as numbers, `[]` for `{}`, maps for lists, nothing in each of its forms: same columns, same hash."""
    row, plain = row_of(changes), row_of()
    row.pop("raw")
    plain.pop("raw")
    assert row == plain


def test_missing_keys_are_null_and_empty_lists():
    row = to_row(Raw(b'{"id":"5"}'), WINTER)
    assert row.pop("task_id") == 5
    assert [row.pop(name) for name in ("accomplices", "auditors", "tags", "crm_links")] == ["[]"] * 4
    assert row.pop("raw") == '{"id":"5"}'
    row.pop("content_hash")
    assert set(row.values()) == {None}


@pytest.mark.parametrize("nothing", [[], {}, False, None, ""], ids=repr)
def test_no_links_no_tags_no_people(nothing: object):
    row = row_of({"ufCrmTask": nothing, "tags": nothing, "accomplices": nothing, "auditors": nothing})
    assert [row[name] for name in ("accomplices", "auditors", "tags", "crm_links")] == ["[]"] * 4


def test_links_keep_their_order_and_tags_are_sorted():
    row = row_of({"ufCrmTask": ["T88_3", "C_1"], "tags": {"1": {"title": "b"}, "2": {"title": "a"}}})
    assert row["crm_links"] == '["T88_3","C_1"]'
    assert row["tags"] == '["a","b"]'


@pytest.mark.parametrize("task_id", [2**31, 2**40, 2**63 - 1])
def test_ids_beyond_31_bits(task_id: int):
    assert row_of({"id": str(task_id)})["task_id"] == task_id


def test_a_long_description_is_kept_whole():
    text = "Описание 📎 " * 20_000
    row = row_of({"description": text})
    assert len(text.encode()) > 200_000
    assert row["description"] == text
    assert json.loads(row["raw"])["description"] == text


def test_what_sql_cannot_store_becomes_the_replacement_character():
    assert row_of({"title": "a\x00b"})["title"] == "a\ufffdb"
    row = to_row(Raw(b'{"id":"5","title":"a\\ud800b","description":"\\udc00\\ud83d\\ude00"}'), WINTER)
    assert row["title"] == "a\ufffdb"
    assert row["description"] == "\ufffd😀"
    row["raw"].encode()
    broken = to_row(Raw(b'{"id":"5","title":"\xff"}'), WINTER)
    assert broken["title"] == "\ufffd"
    assert broken["raw"] == '{"id":"5","title":"\ufffd"}'


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": "abc"}, "id: 'abc' is no whole number"),
        ({"id": None}, "id: None is no ID"),
        ({"id": "0"}, "id: '0' is no ID"),
        ({"id": str(2**63)}, "id: '9223372036854775808' is too large a number"),
        ({"changedDate": "not-a-date"}, "changedDate: 'not-a-date' is no date"),
        ({"deadline": "0000-00-00 00:00:00"}, "deadline: '0000-00-00 00:00:00' is no date"),
        ({"deadline": 1790000000}, "deadline: '1790000000' is no date"),
        ({"priority": "high"}, "priority: 'high' is no whole number"),
        ({"groupId": 2**64}, "groupId: 18446744073709551616 is too large a number"),
        ({"accomplices": ["15", "x"]}, "accomplices: 'x' is no whole number"),
        ({"tags": "vip"}, None),
        ({"tags": {"1": {"title": ["a"]}}}, "tags: ['a'] is no text"),
        ({"title": {"a": 1}}, "title: {'a': 1} is no text"),
    ],
    ids=repr,
)
def test_rubbish_is_rejected_with_field_and_value(changes: dict[str, Any], reason: str | None):
    if reason is None:
        assert row_of(changes)["tags"] == '["vip"]'
        return
    with pytest.raises(Rejected) as caught:
        row_of(changes)
    assert str(caught.value) == reason


@pytest.mark.parametrize("text", [b"[]", b"null", b"5", b"{", b'{"title":"no id"}', b'"x"'], ids=repr)
def test_what_is_no_task_at_all_is_rejected(text: bytes):
    with pytest.raises(Rejected):
        to_row(Raw(text), WINTER)


def outcome(record: Raw) -> object:
    """The task's ID, also where a rejection names no more than it should."""
    try:
        return to_row(record, WINTER)["task_id"]
    except Rejected as error:
        return 5 if len(str(error)) < 200 else str(error)


@pytest.mark.parametrize("depth", [200, 2_000, 100_000])
def test_a_bottomless_field_is_a_row_or_a_rejection(depth: int):
    deep = b"[" * depth + b"1" + b"]" * depth
    for name in (b"ufDeep", b"strange", b"title"):
        assert outcome(Raw(b'{"id":"5","%s":%s}' % (name, deep))) == 5


@pytest.mark.parametrize("number", [b"1" * 30, b"1" * 5_000, b"1e400", b"-0.0", b"1E2"], ids=len)
def test_any_number_in_a_custom_field(number: bytes):
    assert outcome(Raw(b'{"id":"5","ufSum":%s}' % number)) == 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*SAMPLE, "ufX", "UF_Y"]), JSON))
def test_any_record_becomes_a_row_or_a_rejection(changes: dict[str, Any]):
    """Whatever a portal sends, nothing but Rejected comes out, and a row can be stored."""
    try:
        row = row_of(changes)
    except Rejected:
        return
    for value in row.values():
        if isinstance(value, str):
            assert "\x00" not in value
            value.encode()
        if isinstance(value, int):
            assert abs(value) <= 2**63


# The hash


@pytest.mark.parametrize(
    "changes",
    [
        {"subStatus": "2"}, {"notViewed": "Y"}, {"favorite": "Y"}, {"isMuted": "Y"}, {"isPinned": "Y"},
        {"newCommentsCount": 5}, {"viewedDate": "2026-11-23T10:00:00+01:00"}, {"creator": {"name": "Renamed"}},
        {"group": {"name": "Renamed"}},
        {"tags": {"8": {"id": 8, "title": "Договор"}, "99": {"id": 99, "title": "vip"}}},
        {"ufNothing": None, "ufNothingElse": False}, {"brandNewField": 1},
    ],
    ids=repr,
)  # fmt: skip
def test_the_hash_ignores_what_the_viewer_or_the_clock_alone_changes(changes: dict[str, Any]):
    assert row_of(changes)["content_hash"] == row_of()["content_hash"]


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Prepare the offer"}, {"status": "5"}, {"deadline": None}, {"accomplices": ["15"]},
        {"ufAuto128374650192": "13"}, {"ufNew": "x"}, {"ufTaskWebdavFiles": [1065]}, {"ufCrmTask": ["CO_591", "C_627"]},
        {"timeEstimate": None}, {"ufAuto128374650192": None}, {"changedDate": "2026-11-20T18:03:42+01:00"},
    ],
    ids=repr,
)  # fmt: skip
def test_the_hash_sees_content(changes: dict[str, Any]):
    assert row_of(changes)["content_hash"] != row_of()["content_hash"]


def test_the_hash_ignores_the_order_of_keys():
    turned = Raw(json.dumps(dict(reversed(SAMPLE.items()))).encode())
    assert to_row(turned, WINTER)["content_hash"] == row_of()["content_hash"]


def test_the_hash_outlives_a_clock_change():
    """Every suffix in the text moves, those of custom fields too; not one column does."""
    winter = {**SAMPLE, "ufWhen": "2026-05-04T09:30:00+01:00"}
    summer = json.loads(json.dumps(winter).replace("+01:00", "+02:00"))
    first, second = (
        to_row(Raw(json.dumps(record).encode()), viewer) for record, viewer in ((winter, WINTER), (summer, SUMMER))
    )
    assert first.pop("raw") != second.pop("raw")
    assert first == second


# The calls


def test_the_listing_names_its_fields_and_at_least_one_user_field():
    """`["ID", "UF_*"]` would bring the ID alone; one named user field brings all of them."""
    assert all(name == name.upper() and "*" not in name for name in tasks.SELECT)
    assert {"ID", "TAGS", "UF_CRM_TASK"} <= set(tasks.SELECT)
    assert len(set(tasks.SELECT)) == len(tasks.SELECT)
    page = tasks.LISTING.page(conditions={">ID": 5}, start=-1)
    assert page["filter"] == {">ID": 5}
    assert page["order"] == {"ID": "asc"}
    assert page["select"] == list(tasks.SELECT)


def test_changes_are_asked_for_in_utc_without_a_plus():
    since = datetime(2026, 11, 23, 12, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    assert tasks.changed_filter(utc_text(since)) == {">=CHANGED_DATE": "2026-11-23T10:00:05Z"}
    assert tasks.activity_filter(utc_text(since)) == {">=ACTIVITY_DATE": "2026-11-23T10:00:05Z"}


def test_one_task_is_asked_for_with_the_same_fields():
    call = tasks.get_call("g5", 5)
    assert (call.key, call.method) == ("g5", "tasks.task.get")
    assert call.params == {"taskId": 5, "select": list(tasks.SELECT)}


def test_a_found_task_is_its_record():
    found = tasks.found(Answer("tasks.task.get", Raw(b'{"task":{"id":"5"}}')))
    assert found is not None
    assert to_row(found, WINTER)["task_id"] == 5


@pytest.mark.parametrize(
    "result", [b"[]", b"{}", b"null", b"false", b'{"task":[]}', b'{"task":null}', b'{"task": {} }']
)
def test_a_missing_task_is_none(result: bytes):
    assert tasks.found(Answer("tasks.task.get", Raw(result))) is None


@pytest.mark.parametrize("refusal", [CallRefused("not found", code="100"), AccessDenied()])
def test_a_refusal_of_this_task_is_none(refusal: CallRefused):
    assert tasks.found(refusal) is None


@pytest.mark.parametrize("failure", [MissingScope(), MethodNotFound(), Unreachable()])
def test_a_failure_says_nothing_of_the_task(failure: Exception):
    with pytest.raises(type(failure)):
        tasks.found(failure)  # type: ignore[arg-type]


def test_an_answer_of_another_shape_is_bad():
    with pytest.raises(BadAnswer):
        tasks.found(Answer("tasks.task.get", Raw(b"[1]")))
