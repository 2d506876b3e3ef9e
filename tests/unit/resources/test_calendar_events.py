"""Events and their instances: rows shaped as calendar-event-get.md prints them, with values of our own."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from worker.errors import BadAnswer, Rejected
from worker.resources.calendar_calls import COMPANY, Owner, Window, window
from worker.resources.calendar_events import EventSeen, EventsRead, read_events, with_master
from worker.resources.viewer import Viewer

OWNER = Owner("user", 9)
NOW = datetime(2026, 11, 23, 12, tzinfo=timezone(timedelta(hours=2)))
VIEWER = Viewer(9, ZoneInfo("Asia/Tokyo"), NOW)
WINDOW = window(NOW, 30, 180)

SINGLE: dict[str, Any] = {
    "ID": "880", "PARENT_ID": "880", "DELETED": "N", "CAL_TYPE": "user", "OWNER_ID": "9", "NAME": "Call",
    "DATE_FROM": "11/24/2026 03:00:00 pm", "DATE_TO": "11/24/2026 03:30:00 pm", "ORIGINAL_DATE_FROM": None,
    "TZ_FROM": "Europe/Berlin", "TZ_TO": "Europe/Berlin", "TZ_OFFSET_FROM": "3600", "TZ_OFFSET_TO": "3600",
    "DATE_FROM_TS_UTC": "1795528800", "DATE_TO_TS_UTC": "1795530600", "DT_SKIP_TIME": "N", "DT_LENGTH": 1800,
    "EVENT_TYPE": None, "TIMESTAMP_X": "11/20/2026 01:48:41 pm", "DESCRIPTION": "About the offer",
    "PRIVATE_EVENT": "", "ACCESSIBILITY": "busy", "IMPORTANCE": "normal", "IS_MEETING": False,
    "MEETING_STATUS": None, "MEETING_HOST": "0", "MEETING": None, "LOCATION": "", "REMIND": [], "COLOR": "#9dcf00",
    "RRULE": "", "EXDATE": "", "RECURRENCE_ID": None, "RELATIONS": None, "SECTION_ID": "33", "SECT_ID": "33",
    "UF_CRM_CAL_EVENT": ["CO_1"], "UF_WEBDAV_CAL_EVENT": False,
    "DATE_FROM_FORMATTED": "Tue Nov 24 2026 15:00:00", "DATE_TO_FORMATTED": "Tue Nov 24 2026 15:30:00",
    "~DESCRIPTION": "About the offer", "~USER_OFFSET_FROM": -28800, "~USER_OFFSET_TO": -28800,
}  # fmt: skip
ALL_DAY: dict[str, Any] = {
    **SINGLE, "TZ_FROM": "", "TZ_TO": "", "DT_SKIP_TIME": "Y", "DT_LENGTH": 172800,
    "DATE_FROM": "11/24/2026", "DATE_TO": "11/25/2026",
    "DATE_FROM_FORMATTED": "Tue Nov 24 2026", "DATE_TO_FORMATTED": "Wed Nov 25 2026",
}  # fmt: skip
SERIES: dict[str, Any] = {
    **SINGLE, "ID": "900", "PARENT_ID": "900", "DATE_FROM_TS_UTC": "1788274800", "DATE_TO_TS_UTC": "2145913200",
    "RRULE": {"FREQ": "WEEKLY", "BYDAY": {"TU": "TU"}, "INTERVAL": 1, "UNTIL": "01/01/2038", "~UNTIL": "",
              "UNTIL_TS": 2145916800},
    "EXDATE": "12/01/2026;11/17/2026",
}  # fmt: skip


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def answer(*records: object) -> Raw:
    return Raw(json.dumps(records).encode())


def instance(day: date, number: int = 0, base: dict[str, Any] = SERIES) -> dict[str, Any]:
    """The row of one instance of the weekly series at 15:00."""
    return {
        **base,
        "DATE_FROM": f"{day:%m/%d/%Y} 03:00:00 pm",
        "DATE_TO": f"{day:%m/%d/%Y} 03:30:00 pm",
        "DATE_FROM_FORMATTED": f"{day:%a %b %d %Y} 15:00:00",
        "DATE_TO_FORMATTED": f"{day:%a %b %d %Y} 15:30:00",
        "RINDEX": number,
    }


def read(*records: object, viewer: Viewer = VIEWER, span: Window = WINDOW, owner: Owner = OWNER) -> EventsRead:
    return read_events([answer(*records)], viewer, span, owner)


def one(*records: object, viewer: Viewer = VIEWER, span: Window = WINDOW) -> EventSeen:
    found = read(*records, viewer=viewer, span=span)
    assert not found.rejects
    assert len(found.events) == 1
    return found.events[0]


def test_a_single_event_becomes_a_row_and_one_instance():
    seen = one(SINGLE)
    row = dict(seen.row)
    assert json.loads(row.pop("raw")) == SINGLE
    assert len(row.pop("content_hash")) == len(row.pop("visible_hash")) == 32
    assert row == {
        "event_id": 880,
        "section_id": 33,
        "parent_event_id": None,
        "recurrence_event_id": None,
        "calendar_type": "user",
        "owner_id": 9,
        "name": "Call",
        "description": "About the offer",
        "location": None,
        "all_day": False,
        "starts_at": utc(2026, 11, 24, 14),
        "ends_at": utc(2026, 11, 24, 14, 30),
        "starts_on": None,
        "ends_on": None,
        "time_zone": "Europe/Berlin",
        "recurrence_rule": None,
        "excluded_dates": "[]",
        "meeting_host_id": None,
        "is_meeting": False,
        "importance": "normal",
        "accessibility": "busy",
        "private": False,
        "color": "#9dcf00",
        "masked": False,
        "title_masked": False,
    }
    assert seen.event_id == 880
    assert not seen.is_series
    assert seen.attendees is None
    assert seen.occurrences == [
        {
            "event_id": 880,
            "starts_at": utc(2026, 11, 24, 14),
            "ends_at": utc(2026, 11, 24, 14, 30),
            "all_day": False,
            "starts_on": None,
            "ends_on": None,
        }
    ]


def test_an_all_day_event_keeps_its_dates():
    seen = one(ALL_DAY)
    times = {
        "starts_at": utc(2026, 11, 24),
        "ends_at": utc(2026, 11, 25),
        "starts_on": date(2026, 11, 24),
        "ends_on": date(2026, 11, 25),
        "all_day": True,
    }
    assert seen.row.items() >= {**times, "time_zone": None}.items()
    assert seen.occurrences == [{"event_id": 880, **times}]
    assert one({**ALL_DAY, "DATE_TO_FORMATTED": None}).row["ends_on"] == date(2026, 11, 25)  # by its length


@pytest.mark.parametrize(
    ("changes", "starts", "ends"),
    [
        ({"DT_LENGTH": 0}, utc(2026, 11, 24, 14), utc(2026, 11, 24, 14, 30)),
        ({"DT_LENGTH": None, "TZ_TO": "America/New_York"}, utc(2026, 11, 24, 14), utc(2026, 11, 24, 20, 30)),
        ({"DT_LENGTH": "7200"}, utc(2026, 11, 24, 14), utc(2026, 11, 24, 16)),
        ({"TZ_FROM": "", "TZ_TO": ""}, utc(2026, 11, 24, 6), utc(2026, 11, 24, 6, 30)),  # the viewer's clock
        ({"TZ_FROM": None, "DT_LENGTH": 0, "TZ_TO": None}, utc(2026, 11, 24, 6), utc(2026, 11, 24, 6, 30)),
        ({"DATE_FROM_TS_UTC": "1", "DATE_TO_TS_UTC": "2"}, utc(2026, 11, 24, 14), utc(2026, 11, 24, 14, 30)),
    ],
    ids=repr,
)
def test_when_a_timed_event_is(changes: dict[str, Any], starts: datetime, ends: datetime):
    row = one({**SINGLE, **changes}).row
    assert (row["starts_at"], row["ends_at"]) == (starts, ends)
    assert row["time_zone"] == (changes.get("TZ_FROM", "Europe/Berlin") or None)


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("Sun Mar 28 2027 02:30:00", utc(2027, 3, 28, 1, 30)),  # the hour that never was: 03:30 in summer
        ("Sat Mar 27 2027 02:30:00", utc(2027, 3, 27, 1, 30)),
        ("Mon Mar 29 2027 02:30:00", utc(2027, 3, 29, 0, 30)),
        ("Sun Oct 25 2026 02:30:00", utc(2026, 10, 25, 0, 30)),  # the hour that was twice: the first
    ],
)
def test_the_hours_around_a_clock_change(text: str, starts: datetime):
    row = one({**SINGLE, "DATE_FROM_FORMATTED": text}).row
    assert (row["starts_at"], row["ends_at"]) == (starts, starts + timedelta(minutes=30))


# Series


def test_a_series_is_one_row_and_its_instances():
    days = [date(2026, 11, 24), date(2026, 12, 8), date(2026, 12, 15)]
    seen = one(*(instance(day, number) for number, day in enumerate(days)))
    assert seen.is_series
    assert seen.row["recurrence_rule"] == "FREQ=WEEKLY;BYDAY=TU"
    assert seen.row["excluded_dates"] == '["2026-11-17","2026-12-01"]'
    assert [found["starts_at"].date() for found in seen.occurrences] == days
    assert {found["ends_at"] - found["starts_at"] for found in seen.occurrences} == {timedelta(minutes=30)}
    assert seen.row["starts_at"] == utc(2026, 11, 24, 14)  # the earliest seen, until the master is asked


BEGINNING = instance(date(2026, 9, 1))
ONCE, UNKNOWN = replace(VIEWER, series_expanded=False), replace(VIEWER, series_expanded=None)


@pytest.mark.parametrize("viewer", [ONCE, UNKNOWN], ids=["once", "unknown"])
def test_a_series_that_is_shown_once_is_expanded_by_its_rule(viewer: Viewer):
    """The window begins in summer time; the hour on the wall stays, and the days of EXDATE are left out."""
    seen = one(BEGINNING, viewer=viewer, span=window(NOW, 60, 20))
    walls = [(found["starts_at"], found["ends_at"] - found["starts_at"]) for found in seen.occurrences]
    summer = [utc(2026, 9, 29, 13), utc(2026, 10, 6, 13), utc(2026, 10, 13, 13), utc(2026, 10, 20, 13)]
    winter = [utc(2026, 10, 27, 14), utc(2026, 11, 3, 14), utc(2026, 11, 10, 14), utc(2026, 11, 24, 14)]
    assert walls == [(at, timedelta(minutes=30)) for at in [*summer, *winter, utc(2026, 12, 8, 14)]]
    assert (seen.row["starts_at"], seen.needs_master) == (utc(2026, 9, 1, 13), False)


def test_a_series_of_whole_days_that_is_shown_once_is_expanded_too():
    """Two days each; one that ends on the window's first day is part of it. The 31st is the first of the next month."""
    rule = {"FREQ": "MONTHLY", "INTERVAL": 1, "COUNT": 4}
    days = {"DATE_FROM_FORMATTED": "Mon Aug 31 2026", "DATE_TO_FORMATTED": "Tue Sep 01 2026", "EXDATE": "10/31/2026"}
    seen = one(
        {**ALL_DAY, **days, "RRULE": rule, "DATE_FROM_TS_UTC": "1788134400"}, viewer=ONCE, span=window(NOW, 52, 90)
    )
    spans = [(found["starts_on"], found["ends_on"]) for found in seen.occurrences]
    assert spans == [(date(2026, 10, 1), date(2026, 10, 2)), (date(2026, 12, 1), date(2026, 12, 2))]


def test_a_row_that_does_not_begin_its_series_is_not_expanded():
    """What its rule is counted from is not told. Where it is not known how series are shown, it is an instance."""
    later = instance(date(2026, 9, 8))
    (reject,) = read(later, viewer=ONCE).rejects
    assert "not where it begins" in reject.reason
    seen = one(instance(date(2026, 11, 24)), viewer=UNKNOWN)
    assert ([found["starts_at"] for found in seen.occurrences], seen.needs_master) == ([utc(2026, 11, 24, 14)], True)


def test_a_row_without_a_stamp_is_believed_where_series_are_shown_once():
    assert len(one({**BEGINNING, "DATE_FROM_TS_UTC": None}, viewer=ONCE).occurrences) > 20
    assert one({**BEGINNING, "DATE_FROM_TS_UTC": None}, viewer=UNKNOWN).needs_master


@pytest.mark.parametrize("viewer", [ONCE, UNKNOWN], ids=["once", "unknown"])
def test_several_rows_of_a_series_are_its_instances_whatever_is_known(viewer: Viewer):
    days = [date(2026, 11, 24), date(2026, 12, 8)]
    seen = one(*(instance(day) for day in days), viewer=viewer)
    assert [found["starts_at"].date() for found in seen.occurrences] == days
    assert seen.needs_master


def test_a_frequency_without_instances_is_a_rejection():
    (reject,) = read({**BEGINNING, "RRULE": {"FREQ": "HOURLY"}}, viewer=ONCE).rejects
    assert "HOURLY" in reject.reason


def test_an_instance_in_two_slices_is_seen_once():
    first = answer(instance(date(2026, 11, 24), 4), instance(date(2026, 12, 8), 5))
    second = answer(instance(date(2026, 12, 15), 1), instance(date(2026, 12, 8), 0), SINGLE)
    third = answer(SINGLE)
    found = read_events([first, second, third], VIEWER, WINDOW, OWNER)
    assert {event.event_id: len(event.occurrences) for event in found.events} == {900: 3, 880: 1}


def test_the_same_local_start_moves_with_the_season():
    seen = one(instance(date(2027, 3, 23)), instance(date(2027, 3, 30)))
    assert [found["starts_at"] for found in seen.occurrences] == [utc(2027, 3, 23, 14), utc(2027, 3, 30, 13)]


DAYS = st.lists(st.dates(date(2026, 10, 25), date(2027, 5, 20)), min_size=1, max_size=10, unique=True)


@given(DAYS, st.integers(0, 50))
def test_the_hash_of_a_series_does_not_depend_on_what_was_seen_of_it(days: list[date], first: int):
    hashes = {
        one(*(instance(day, first + number) for number, day in enumerate(days))).row["content_hash"],
        one(instance(date(2026, 11, 24))).row["content_hash"],
        one(instance(date(2026, 11, 24)), span=window(NOW + timedelta(days=1), 3, 9)).row["content_hash"],
    }
    assert len(hashes) == 1


def test_the_master_tells_when_a_series_began():
    seen = one(instance(date(2026, 11, 24)))
    master = Raw(json.dumps(instance(date(2026, 9, 1))).encode())
    told = with_master(seen, master, VIEWER)
    assert told.row["starts_at"] == utc(2026, 9, 1, 13)
    assert told.row["ends_at"] == utc(2026, 9, 1, 13, 30)
    assert told.row["raw"] == bytes(master).decode()
    assert told.row["content_hash"] == seen.row["content_hash"]
    assert told.occurrences == seen.occurrences
    assert list(told.row) == list(seen.row)
    assert seen.row["starts_at"] == utc(2026, 11, 24, 14)
    assert with_master(seen, None, VIEWER) is seen


def test_a_master_that_is_another_or_unreadable_is_rejected():
    seen = one(instance(date(2026, 11, 24)))
    with pytest.raises(Rejected, match="900 was asked for"):
        with_master(seen, Raw(json.dumps(SINGLE).encode()), VIEWER)
    with pytest.raises(Rejected, match="DATE_FROM_FORMATTED"):
        with_master(seen, Raw(json.dumps({**SERIES, "DATE_FROM_FORMATTED": "x"}).encode()), VIEWER)


def test_an_all_day_series():
    base = {**SERIES, **{name: ALL_DAY[name] for name in ("TZ_FROM", "TZ_TO", "DT_SKIP_TIME")}, "DT_LENGTH": 86400}
    base["RRULE"] = {"FREQ": "YEARLY", "INTERVAL": 1, "UNTIL": "12/24/2030", "UNTIL_TS": 1924300800}
    seen = one({**base, "DATE_FROM_FORMATTED": "Tue Nov 24 2026", "DATE_TO_FORMATTED": "Tue Nov 24 2026"})
    assert seen.row["recurrence_rule"] == "FREQ=YEARLY;UNTIL=20301224"
    assert seen.occurrences[0]["starts_on"] == seen.occurrences[0]["ends_on"] == date(2026, 11, 24)


def test_an_edited_instance_points_at_its_series():
    seen = one({**SINGLE, "RECURRENCE_ID": 900, "ORIGINAL_DATE_FROM": "11/24/2026 02:00:00 pm"})
    assert seen.row["recurrence_event_id"] == 900
    assert not seen.is_series


# The window


def test_instances_in_the_padding_are_cut_off():
    span = Window(utc(2026, 11, 25), utc(2026, 12, 9))
    seen = one(*(instance(day) for day in (date(2026, 11, 24), date(2026, 12, 8), date(2026, 12, 15))), span=span)
    assert [found["starts_at"] for found in seen.occurrences] == [utc(2026, 12, 8, 14)]


def test_an_event_that_is_only_in_the_padding_is_seen_without_instances():
    """It was moved there, perhaps, and is not deleted."""
    seen = one(SINGLE, span=Window(utc(2026, 11, 25), utc(2026, 12, 9)))
    assert seen.event_id == 880
    assert seen.occurrences == []


def test_an_all_day_event_is_cut_by_its_dates():
    assert one(ALL_DAY, span=Window(utc(2026, 11, 25), utc(2026, 12, 9))).occurrences
    assert not one(ALL_DAY, span=Window(utc(2026, 11, 26), utc(2026, 12, 9))).occurrences
    assert one(ALL_DAY, span=Window(utc(2026, 11, 1), utc(2026, 11, 25))).occurrences
    assert not one(ALL_DAY, span=Window(utc(2026, 11, 1), utc(2026, 11, 24))).occurrences


# Culture


@pytest.mark.parametrize(
    ("date_from", "exdate"),
    [
        ("11/24/2026 03:00:00 pm", "12/01/2026;11/05/2026"),
        ("24.11.2026 15:00:00", "01.12.2026;05.11.2026"),
        ("24/11/2026 15:00:00", "01/12/2026;05/11/2026"),
        ("2026-11-24 15:00:00", "2026-12-01;2026-11-05"),
    ],
)
def test_excluded_days_are_read_in_the_order_that_the_rows_show(date_from: str, exdate: str):
    seen = one({**instance(date(2026, 11, 24)), "DATE_FROM": date_from, "EXDATE": exdate})
    assert seen.row["excluded_dates"] == '["2026-11-05","2026-12-01"]'


def test_one_telling_row_teaches_the_whole_answer():
    ambiguous = {**instance(date(2026, 12, 12)), "DATE_FROM": "12/12/2026 15:00:00", "EXDATE": "05/11/2026"}
    telling = {**SINGLE, "DATE_FROM": "11/24/2026 15:00:00"}
    event = next(event for event in read(ambiguous, telling).events if event.event_id == 900)
    assert event.row["excluded_dates"] == '["2026-05-11"]'


# Meetings and rights


def test_a_copy_of_a_meeting_names_its_parent_and_who_takes_part():
    seen = one(
        {
            **SINGLE,
            "PARENT_ID": "879",
            "IS_MEETING": True,
            "MEETING_HOST": "7",
            "MEETING_STATUS": "Y",
            "ATTENDEE_LIST": [{"id": 7, "entryId": "879", "status": "H"}, {"id": "9", "entryId": "880", "status": "Y"}],
        }
    )
    assert seen.parent_event_id == seen.row["parent_event_id"] == 879
    assert seen.row["is_meeting"]
    assert seen.row["meeting_host_id"] == 7
    assert seen.attendees == [(7, "H"), (9, "Y")]


@pytest.mark.parametrize(
    ("sent", "attendees"),
    [
        ([], []),
        ({}, []),
        (None, None),
        (False, None),
        ({"0": {"id": 7, "status": "H"}}, [(7, "H")]),
        ([{"id": 7, "status": "H"}, {"id": "7", "status": "Y"}], [(7, "H")]),
    ],
    ids=repr,
)
def test_attendees_in_every_shape(sent: object, attendees: list[tuple[int, str]] | None):
    assert one({**SINGLE, "ATTENDEE_LIST": sent}).attendees == attendees


@pytest.mark.parametrize("parent", ["0", 0, "", None, "880", 880], ids=repr)
def test_an_event_of_its_own_has_no_parent(parent: object):
    assert one({**SINGLE, "PARENT_ID": parent}).parent_event_id is None


def masked(**changes: object) -> dict[str, Any]:
    hidden = {"DESCRIPTION", "~DESCRIPTION", "LOCATION", "REMIND", "UF_CRM_CAL_EVENT", "UF_WEBDAV_CAL_EVENT"}
    return {name: value for name, value in {**SINGLE, **changes}.items() if name not in hidden}


def test_a_masked_row_says_so():
    row = one(masked(NAME="[Busy]", IS_ACCESSIBLE_TO_USER=False)).row
    assert row["masked"]
    assert row["name"] == "[Busy]"
    assert row["description"] is None
    assert one(masked(NAME="Call [Busy]")).row["masked"]
    assert one({**SINGLE, "IS_ACCESSIBLE_TO_USER": False}).row["masked"]
    assert not one({**SINGLE, "IS_ACCESSIBLE_TO_USER": True, "DESCRIPTION": None, "LOCATION": None}).row["masked"]


def test_a_title_under_a_mask_is_a_title_unless_nothing_is_left_of_it():
    assert not one(masked(NAME="Call [Busy]")).row["title_masked"]
    assert one(masked(NAME="[Busy]")).row["title_masked"]
    assert one(masked(NAME="Busy", IS_ACCESSIBLE_TO_USER=False)).row["title_masked"]
    assert not one({**SINGLE, "NAME": "[Draft]"}).row["title_masked"]


@pytest.mark.parametrize(
    "changes", [{"NAME": "[Busy]", "IS_ACCESSIBLE_TO_USER": False}, {"NAME": "Call [Busy]"}], ids=repr
)
@pytest.mark.parametrize("base", [SINGLE, ALL_DAY, instance(date(2026, 11, 24))], ids=["single", "days", "series"])
def test_a_mask_hides_nothing_of_the_visible_hash(changes: dict[str, Any], base: dict[str, Any]):
    """Nor does it depend on whose eyes it is for."""
    shown = {name: value for name, value in {**base, **changes}.items() if name in masked()}
    for lost in ({}, {"COLOR": None}, {"PRIVATE_EVENT": "Y"}, {"IS_MEETING": None}, {"ACCESSIBILITY": None}):
        assert one({**shown, **lost}).row["visible_hash"] == one(base).row["visible_hash"]
    other = Viewer(5, ZoneInfo("America/New_York"), NOW)
    assert one({**shown, "~USER_OFFSET_FROM": 7}, viewer=other).row["visible_hash"] == one(base).row["visible_hash"]


def test_a_stand_in_in_another_language_is_no_change():
    """The portal writes it for whoever reads."""
    assert one(masked(NAME="Call [Busy]")).row["content_hash"] == one(masked(NAME="Call [Занят]")).row["content_hash"]
    assert one(masked(NAME="Call [Busy]")).row["content_hash"] != one(masked(NAME="Talk [Busy]")).row["content_hash"]


@pytest.mark.parametrize("sent", [[], None, False, {}], ids=repr)
def test_an_empty_list_of_attendees_under_a_mask_says_nothing(sent: object):
    assert one(masked(NAME="[Busy]", ATTENDEE_LIST=sent)).attendees is None


# The hash


@pytest.mark.parametrize(
    "changes",
    [
        {"~USER_OFFSET_FROM": 0, "~USER_OFFSET_TO": 0}, {"RINDEX": 3}, {"TIMESTAMP_X": "11/21/2026 01:48:41 pm"},
        {"TZ_OFFSET_FROM": "7200"}, {"DATE_FROM": "24.11.2026 15:00:00"}, {"DATE_FROM_TS_UTC": "1"},
        {"ID": 880, "SECTION_ID": 33, "OWNER_ID": 9}, {"RRULE": []}, {"EXDATE": None}, {"LOCATION": None},
        {"MEETING_HOST": ""}, {"UF_CRM_CAL_EVENT": {"0": "CO_1"}, "UF_WEBDAV_CAL_EVENT": None}, {"PRIVATE_EVENT": "N"},
    ],
    ids=repr,
)  # fmt: skip
def test_the_hash_ignores_spelling_and_the_viewer(changes: dict[str, Any]):
    assert one({**SINGLE, **changes}).row["content_hash"] == one(SINGLE).row["content_hash"]


@pytest.mark.parametrize(
    "changes",
    [
        {"NAME": "Another call"}, {"DATE_FROM_FORMATTED": "Tue Nov 24 2026 15:15:00"}, {"DT_LENGTH": 3600},
        {"MEETING_STATUS": "Y"}, {"UF_CRM_CAL_EVENT": ["CO_2"]}, {"RRULE": {"FREQ": "DAILY"}}, {"LOCATION": "Room 4"},
        {"PRIVATE_EVENT": "Y"}, {"COLOR": "#000000"}, {"DT_SKIP_TIME": "Y"},
    ],
    ids=repr,
)  # fmt: skip
def test_the_hash_sees_content(changes: dict[str, Any]):
    assert one({**SINGLE, **changes}).row["content_hash"] != one(SINGLE).row["content_hash"]


@pytest.mark.parametrize(
    "changes",
    [
        {"DATE_FROM_TS_UTC": "1788274801"}, {"DATE_TO_TS_UTC": "1"}, {"DT_LENGTH": 900}, {"EXDATE": "12/01/2026"},
        {"RRULE": {**SERIES["RRULE"], "INTERVAL": 2}}, {"TZ_FROM": "UTC"},
    ],
    ids=repr,
)  # fmt: skip
def test_the_hash_of_a_series_sees_its_limits_and_its_rule(changes: dict[str, Any]):
    plain, changed = instance(date(2026, 11, 24)), instance(date(2026, 11, 24), base={**SERIES, **changes})
    assert one(plain).row["content_hash"] != one(changed).row["content_hash"]


# What cannot be read


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"DATE_FROM_FORMATTED": "soon"}, "DATE_FROM_FORMATTED: 'soon' is no date"),
        ({"DATE_FROM_FORMATTED": None}, "DATE_FROM_FORMATTED: missing"),
        ({"DT_LENGTH": None, "DATE_TO_FORMATTED": ""}, "DATE_TO_FORMATTED: missing"),
        ({"TZ_FROM": "Mars/Olympus"}, "TZ_FROM: 'Mars/Olympus' is no zone"),
        ({"DT_LENGTH": 10**15}, "DT_LENGTH: 1000000000000000 leads out of the calendar"),
        ({"RRULE": {"FREQ": "DAILY", "UNTIL": "x"}}, "RRULE.UNTIL: 'x' is no date"),
        ({"EXDATE": "x"}, "EXDATE: 'x' is no date"),
        ({"OWNER_ID": "abc"}, "OWNER_ID: 'abc' is no whole number"),
        ({"ATTENDEE_LIST": ["x"]}, "ATTENDEE_LIST: 'x' is no attendee"),
        ({"ATTENDEE_LIST": [{"id": "x"}]}, "ATTENDEE_LIST.id: 'x' is no whole number"),
    ],
    ids=repr,
)
def test_rubbish_is_rejected_under_the_events_id(changes: dict[str, Any], reason: str):
    bad = {**SINGLE, **changes}
    found = read(bad, instance(date(2026, 11, 24)))
    assert [event.event_id for event in found.events] == [900]
    assert [(reject.record_key, reject.reason) for reject in found.rejects] == [("event:880", reason)]
    assert json.loads(found.rejects[0].payload) == bad


def test_an_event_without_an_id_is_filed_under_its_own_text():
    found = read({**SINGLE, "ID": "abc"}, {**SINGLE, "ID": "abd"})
    assert len({reject.record_key for reject in found.rejects}) == 2
    assert all(reject.record_key.startswith("event:?") for reject in found.rejects)


def test_a_series_with_one_bad_row_is_rejected_whole():
    """Half of it would look as if the other half had been deleted."""
    bad = {**instance(date(2026, 12, 8)), "DATE_FROM_FORMATTED": "soon"}
    found = read(instance(date(2026, 11, 24)), bad, bad, instance(date(2026, 12, 15)))
    assert not found.events
    assert [reject.record_key for reject in found.rejects] == ["event:900"]
    assert json.loads(found.rejects[0].payload) == bad


def test_texts_that_sql_cannot_store():
    raw = json.dumps({**SINGLE, "NAME": "a\x00b"}).replace("About the offer", "\\ud800")
    seen = read_events([Raw(f"[{raw}]".encode().replace(b"\\ud800", b"x"))], VIEWER, WINDOW, OWNER).events[0]
    assert seen.row["name"] == "a\ufffdb"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["Y", "N", "1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*SINGLE, "ATTENDEE_LIST", "IS_ACCESSIBLE_TO_USER", "UF_X"]), JSON))
def test_any_record_becomes_an_event_or_a_rejection(changes: dict[str, Any]):
    """Whatever a portal sends for one event, the others are read, and what is read can be stored."""
    found = read({**SINGLE, **changes}, instance(date(2026, 11, 24)))
    assert 900 in {event.event_id for event in found.events} or changes.get("ID") == 900
    for event in found.events:
        for value in event.row.values():
            if isinstance(value, str):
                assert "\x00" not in value
                value.encode()
    for reject in found.rejects:
        assert reject.reason.isprintable()
        reject.payload.encode()


@pytest.mark.parametrize("result", [b"[]", b"{}", b"null", b"false"])
def test_no_events(result: bytes):
    assert read_events([Raw(result)], VIEWER, WINDOW, COMPANY) == ([], [])
    assert read_events([], VIEWER, WINDOW, COMPANY) == ([], [])


def test_another_shape_is_a_bad_answer():
    with pytest.raises(BadAnswer):
        read_events([Raw(b"5")], VIEWER, WINDOW, OWNER)


def test_a_row_marked_deleted_is_none():
    assert read({**SINGLE, "DELETED": "Y"}) == ([], [])


def test_an_unknown_type_is_kept_and_a_missing_one_is_the_owners():
    assert one({**SINGLE, "CAL_TYPE": "moon"}).row["calendar_type"] == "moon"
    found = read({**SINGLE, "CAL_TYPE": None, "OWNER_ID": None, "SECTION_ID": None}).events[0]
    assert (found.row["calendar_type"], found.row["owner_id"], found.row["section_id"]) == ("user", 9, 33)
