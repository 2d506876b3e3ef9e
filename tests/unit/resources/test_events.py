"""What rows of the offline queue say, and what is asked of a portal about them."""

import json

import pytest
from msgspec import Raw

from worker.bitrix24.calls import Answer
from worker.bitrix24.query import encode_query
from worker.errors import AccessDenied, BadAnswer
from worker.resources import events
from worker.resources.events import EventsMode, Told


def answer(result: object) -> Answer:
    return Answer("event.offline.get", Raw(json.dumps(result).encode()))


def row(name: str, data: object) -> dict[str, object]:
    return {"ID": "1", "EVENT_NAME": name, "EVENT_DATA": data, "EVENT_ADDITIONAL": False, "MESSAGE_ID": "x"}


def told(*rows: object) -> Told:
    return events.package(answer({"process_id": "p", "events": list(rows)})).told


def both(task_id: object) -> dict[str, object]:
    return {"FIELDS_BEFORE": {"ID": task_id}, "FIELDS_AFTER": {"ID": task_id}}


@pytest.mark.parametrize("task_id", [12, "12", 12.0], ids=["number", "text", "float"])
def test_a_task_is_named_once_however_often_and_in_whatever_order(task_id: object):
    deleted = row("ONTASKDELETE", {"FIELDS_BEFORE": {"ID": task_id}, "FIELDS_AFTER": "undefined"})
    added = row("ONTASKADD", {"FIELDS_BEFORE": "undefined", "FIELDS_AFTER": {"ID": task_id}})
    updated = row("OnTaskUpdate", both(task_id))

    for rows in ([deleted, added, updated, updated], [updated, added, deleted]):
        said = told(*rows)
        assert (said.tasks, said.deleted, said.odd, said.rows) == ({12}, {12}, 0, len(rows))


@pytest.mark.parametrize("data", [{"id": 880}, {"id": "880"}, {"ID": "880"}])
def test_only_deleted_calendar_events_count(data: object):
    """What was added or changed the windows show."""
    said = told(
        row("ONCALENDARENTRYDELETE", data), row("ONCALENDARENTRYUPDATE", {"id": 7}), row("ONCALENDARSECTIONDELETE", {})
    )
    assert said == Told(rows=3, events_deleted=frozenset({880}))


@pytest.mark.parametrize(
    "data",
    [
        False,
        None,
        [],
        "undefined",
        7,
        {"FIELDS_AFTER": "undefined", "FIELDS_BEFORE": []},
        both(0),
        both("x"),
        both(None),
        both(2**63),
        both(True),
    ],
)
def test_odd_data_names_nothing(data: object):
    said = told(row("ONTASKDELETE", data))
    assert said == Told(rows=1, odd=1)


@pytest.mark.parametrize("strange", [None, 5, "text", [], {"EVENT_NAME": None}])
def test_rows_that_are_none_are_counted_and_ignored(strange: object):
    assert told(strange, row("ONTASKADD", both(3))) == Told(rows=2, tasks=frozenset({3}))


def test_an_empty_queue_is_no_rows_whatever_php_writes():
    for nothing in ([], {}, False, None):
        assert events.package(answer({"process_id": None, "events": nothing})) == (None, Told())


def test_a_map_of_rows_is_read_as_a_list():
    package = events.package(answer({"process_id": "p", "events": {"0": row("ONTASKADD", both(3))}}))
    assert package == ("p", Told(rows=1, tasks=frozenset({3})))


@pytest.mark.parametrize("process_id", [5, ["p"], "p" * 192, True])
def test_a_process_that_cannot_be_kept_is_a_bad_answer(process_id: object):
    """Nothing may be done before it is stored."""
    with pytest.raises(BadAnswer):
        events.package(answer({"process_id": process_id, "events": []}))


def test_a_refusal_is_raised():
    with pytest.raises(AccessDenied):
        events.package(AccessDenied("no"))


def test_bound_are_offline_events_without_a_source_key():
    """Online ones have a handler instead (event-get.md)."""
    rows = [
        {"event": "OnTaskAdd", "connector_id": "", "offline": 1},
        {"event": "ONTASKUPDATE", "offline": "1"},
        {"event": "ONTASKDELETE", "connector_id": "theirs", "offline": 1},
        {"event": "ONCALENDARENTRYADD", "handler": "https://example.com/", "auth_type": "0", "offline": 0},
        "rubbish",
    ]
    assert events.bound(answer(rows)) == {"ONTASKADD", "ONTASKUPDATE"}
    assert events.bound(answer(False)) == set()


@pytest.mark.parametrize(
    ("result", "mode"),
    [
        ({"value": "Y"}, EventsMode.CONFIRM),
        ({"value": "de_selfhosted"}, EventsMode.CONFIRM),
        ({"value": "N"}, EventsMode.HINTS),
        ({"value": None}, EventsMode.HINTS),
        ([], EventsMode.HINTS),
    ],
)
def test_the_plan_decides_whether_rows_are_confirmed(result: object, mode: EventsMode):
    assert events.mode_of(answer(result)) is mode


def test_only_events_of_granted_scopes_are_wanted():
    assert events.wanted({"task", "user"}) == ["ONTASKADD", "ONTASKUPDATE", "ONTASKDELETE"]
    assert len(events.wanted({"task", "calendar"})) == 9
    assert events.wanted({"user"}) == []


def test_marked_rows_name_their_processes_once():
    rows = [{"PROCESS_ID": "a"}, {"PROCESS_ID": ""}, {"PROCESS_ID": "b"}, {"PROCESS_ID": "a"}, {}, {"PROCESS_ID": 5}]
    assert events.processes(answer(rows)) == (["a", "b"], False)
    assert events.processes(answer([{"PROCESS_ID": "a"}] * 50)) == (["a"], True)


def test_the_calls_are_those_of_the_pages():
    assert encode_query(events.take_call(confirm=True).params) == "clear=0&limit=500"
    assert encode_query(events.take_call(confirm=False).params) == "clear=1&limit=500"
    assert encode_query(events.take_call(confirm=True, process_id="p").params) == "clear=0&limit=500&process_id=p"
    assert encode_query(events.bind_call("ONTASKADD").params) == "event=ONTASKADD&event_type=offline"
    assert encode_query(events.clear_call("p").params) == "process_id=p"
    asked = encode_query(events.marked_call().params)
    assert asked == "filter[%3EPROCESS_ID]=&filter[ERROR]=0&order[ID]=ASC"
