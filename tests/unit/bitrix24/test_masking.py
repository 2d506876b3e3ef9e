"""What a recording keeps of a value, and what it replaces."""

import re

import pytest

from worker.bitrix24.masking import STRICT, Masking
from worker.bitrix24.structural import FORMS


@pytest.fixture
def masking() -> Masking:
    return Masking()


@pytest.mark.parametrize(
    "record",
    [
        {"id": "4102", "parentId": None, "status": "3", "priority": 1, "favorite": "N", "accomplices": ["15", 16]},
        {"createdDate": "2026-11-02T10:15:00+02:00", "deadline": "", "closedDate": None, "tags": [], "group": []},
        {"DATE_FROM": "11/23/2026 03:00:00 pm", "DATE_FROM_FORMATTED": "Mon Nov 23 2026 15:00:00", "DT_LENGTH": 1800},
        {"DATE_TO": "23.11.2026 15:00:00", "EXDATE": "30.11.2026;07.12.2026", "TZ_FROM": "Europe/Berlin"},
        {"RRULE": {"FREQ": "WEEKLY", "BYDAY": {"MO": "MO", "1TU": "1TU"}, "INTERVAL": 1, "~UNTIL": "", "UNTIL_TS": 21}},
        {"ATTENDEE_LIST": [{"id": 7, "entryId": "879", "status": "H"}], "IS_MEETING": True, "COLOR": "#9dcf00"},
        {"UF_DEPARTMENT": [1, 5], "ACTIVE": True, "USER_TYPE": "employee", "TIMESTAMP_X": {}, "TIME_ZONE": "UTC"},
        {"time": {"start": 1790001000, "duration": 0.25, "operating": 0.0, "date_start": "2026-09-21T14:30:00+00:00"}},
    ],
)
def test_what_is_structural_stays(masking: Masking, record: dict[str, object]):
    assert masking.value("result", record) == record


@pytest.mark.parametrize(
    "record",
    [
        {"title": "Prepare offer", "ufAuto1": "secret", "unheardOf": {"status": "single", "id": "77"}},
        {"status": {"title": "Ann", "who": ["Vera"]}, "type": "vera"},
        {"NAME": "Ann", "PERSONAL_BIRTHDAY": "1981-04-23", "PERSONAL_MOBILE": "491633901820", "UF_PAY": 732501234},
        {"creator": {"id": "7", "name": "Jo Park", "link": "/company/personal/user/7/", "workPosition": "CEO"}},
        {"status": "my own words", "TZ_FROM": "at home, with Ann", "CAL_TYPE": "a very long sentence about someone"},
        {
            "MEETING": {"HOST_NAME": "Vera Holt", "MAIL_FROM": "vera@example.com"},
            "ATTENDEES_CODES": ["not a code at all"],
        },
        {
            "ufMap": {"Ann Lee": 5, "491633901820": "Y", "deep": [{"note": "hers"}]},
            "tags": {"31": {"id": 31, "title": "vip"}},
        },
    ],
)
def test_what_people_wrote_goes(masking: Masking, record: dict[str, object]):
    masked = str(masking.value("result", record))

    words = r"secret|single|Vera|'77'|Ann|1981-04|4916339018|732501234|Park|user/7|CEO|own|home|about|vera|code at|hers"
    for word in re.findall(words, str(record)):
        assert word not in masked


def test_the_same_text_has_the_same_stand_in_whatever_field_it_is_in(masking: Masking):
    masked = masking.value("result", [{"title": "offer"}, {"DESCRIPTION": "offer"}, {"title": "offers"}])

    assert masked[0]["title"] == masked[1]["DESCRIPTION"] != masked[2]["title"]


@pytest.mark.parametrize("empty", [None, True, False, "", " ", [], {}, "Y", "N", "0", "1"])
def test_ways_of_saying_nothing_and_flags_stay_everywhere(masking: Masking, empty: object):
    assert masking.value(STRICT, empty) == empty


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("vera@example.com", r"[0-9a-f]{12}@example\.invalid"),
        ("https://acme.example/x?y=1", r"https://example\.invalid/[0-9a-f]{12}"),
        ("/company/personal/user/7/", r"/[0-9a-f]{12}/"),
        ("[Busy]", r"\[text [0-9a-f]{12}\]"),
        ("Surgery [Away]", r"text [0-9a-f]{12} \[text [0-9a-f]{12}\]"),
        ("a" * 100, r"text [0-9a-f]{12}x{83}"),
        ("смета 📊", "text [0-9a-f]{12}\U0001f4caé"),
        ("half \ud83d", "text [0-9a-f]{12}\ud83d"),
        ("4916339", r"[1-9][0-9]{6}"),
        ("-12", r"-[1-9][0-9]"),
        ("1981-04-23", r"(19[89]|20[01])\d-[01]\d-[0-2]\d"),
        ("1981-04-23T10:00:00+03:00", r"(19[89]|20[01])\d-[01]\d-[0-2]\dT\d\d:\d\d:00\+03:00"),
    ],
)
def test_a_stand_in_is_of_the_kind_of_what_it_stands_for(masking: Masking, text: str, form: str):
    masked = masking.value(STRICT, text)

    assert re.fullmatch(form, masked), masked
    assert masked != text


def test_of_an_error_stay_the_code_and_what_decides_about_it(masking: Masking):
    told = masking.error("ACCESS_DENIED", "REST is available on commercial plans only, says Ann")

    assert told["error"] == "ACCESS_DENIED"
    assert "commercial plan" in told["error_description"]
    assert "Ann" not in told["error_description"]


def test_no_text_field_of_ours_is_called_structural():
    assert FORMS.keys().isdisjoint(
        {"title", "name", "lastname", "secondname", "email", "description", "location", "workposition"}
    )
