"""What a record holds otherwise than this program knows records: shown to people, and never a failure. Pure.

Fields that nobody knows stay in `raw`, a value in another shape is read by the patient converters, a new code is stored
as it came: nothing is lost. But whoever keeps the mirror should hear of it. One record of a batch is looked at, so that
it costs nothing; what a portal changes it changes in many records.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

ONE, MANY, ANY = "one", "many", "any"
"""A single value; a list or map; either. Numbers may come as texts: among single values there is no other shape."""

_TASK_ONE = (
    "id title description descriptionInBbcode status subStatus priority mark createdBy responsibleId changedBy "
    "closedBy groupId stageId parentId flowId deadline createdDate changedDate activityDate closedDate startDatePlan "
    "endDatePlan dateStart timeEstimate timeSpentInLogs favorite"
)
_TASK_MANY = "accomplices auditors accomplicesData auditorsData group creator responsible tags action"
_USER_ONE = (
    "ID XML_ID ACTIVE NAME LAST_NAME SECOND_NAME TITLE EMAIL LAST_LOGIN DATE_REGISTER TIME_ZONE TIME_ZONE_OFFSET "
    "IS_ONLINE USER_TYPE LID"
)
_EVENT_ONE = (
    "ID PARENT_ID ACTIVE DELETED CAL_TYPE OWNER_ID NAME DATE_FROM DATE_TO ORIGINAL_DATE_FROM TZ_FROM TZ_TO "
    "TZ_OFFSET_FROM TZ_OFFSET_TO DATE_FROM_TS_UTC DATE_TO_TS_UTC DT_SKIP_TIME DT_LENGTH EVENT_TYPE CREATED_BY "
    "DATE_CREATE TIMESTAMP_X DESCRIPTION DT_FROM DT_TO PRIVATE_EVENT ACCESSIBILITY IMPORTANCE IS_MEETING "
    "MEETING_STATUS MEETING_HOST LOCATION COLOR TEXT_COLOR EXDATE DAV_XML_ID G_EVENT_ID DAV_EXCH_LABEL "
    "CAL_DAV_LABEL VERSION RECURRENCE_ID SECTION_ID SYNC_STATUS SECTION_DAV_XML_ID DATE_FROM_FORMATTED "
    "DATE_TO_FORMATTED SECT_ID COLLAB_ID ~RRULE_DESCRIPTION ~DESCRIPTION ~USER_OFFSET_FROM ~USER_OFFSET_TO RINDEX "
    "IS_ACCESSIBLE_TO_USER"
)

KNOWN: Mapping[str, Mapping[str, str]] = {
    # tasks/fields.md, as far as it is asked for; with what comes unasked
    "tasks": dict.fromkeys(_TASK_ONE.split(), ONE) | dict.fromkeys(_TASK_MANY.split(), MANY),
    # user/user-fields.md; two dates may be an empty map
    "users": dict.fromkeys(_USER_ONE.split(), ONE) | dict.fromkeys(("TIMESTAMP_X", "LAST_ACTIVITY_DATE"), ANY),
    # calendar/_includes/calendar_event_fields.md; the rule of a single event is an empty text
    "calendar": dict.fromkeys(_EVENT_ONE.split(), ONE)
    | dict.fromkeys(("REMIND", "MEETING", "ATTENDEES_CODES", "ATTENDEE_LIST", "attendeesEntityList", "ATTENDEES"), MANY)
    | dict.fromkeys(("RRULE", "RELATIONS"), ANY),
}
"""The fields of each resource's records, and whether they hold one value or many."""

_FAMILIES = re.compile(r"uf|personal_|work_", re.IGNORECASE)
"""Custom fields, and the many of a user that are of one kind: whichever a portal has, it is no news."""

CODES: Mapping[str, Mapping[str, frozenset[str]]] = {
    "tasks": {
        "status": frozenset("1234567"),
        "priority": frozenset("012"),
        "mark": frozenset({"P", "N"}),
    },
    "users": {},
    "calendar": {
        "CAL_TYPE": frozenset({"user", "group", "company_calendar", "location", "resource", "open_event"}),
        "ACCESSIBILITY": frozenset({"busy", "quest", "free", "absent"}),
        "IMPORTANCE": frozenset({"high", "normal", "low"}),
        "MEETING_STATUS": frozenset({"H", "Y", "N", "Q"}),
    },
}
"""Fields that hold one of a few words of the vendor's."""

FIELD, SHAPE, CODE = "field", "shape", "code"
_PLAIN = re.compile(r"[A-Za-z0-9_~.-]{1,40}")
_EMPTY: tuple[object, ...] = (None, "", False)


class Drift(NamedTuple):
    """One thing that is otherwise.

    Args:
        field: Its name; "?" for one that is no plain word.
        kind: FIELD (nobody knows it), SHAPE (many values for one, or one for many) or CODE (a new word).
        example: The kind of its value (text, number, flag, list, map); of a CODE the word itself. Never a text.
    """

    field: str
    kind: str
    example: str


def drift(resource: str, raw: Raw | bytes) -> list[Drift]:
    """What is otherwise in one record; nothing for a record that cannot be read, which others tell."""
    try:
        record = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    found = (_drift(resource, name, value) for name, value in record.items())
    return [one for one in found if one is not None]


def _drift(resource: str, name: str, value: object) -> Drift | None:
    shown = name if _PLAIN.fullmatch(name) else "?"
    expected = KNOWN[resource].get(name)
    if expected is None:
        return None if _FAMILIES.match(name) else Drift(shown, FIELD, _kind(value))
    many = isinstance(value, dict | list)
    if value not in _EMPTY and ((expected == ONE and many) or (expected == MANY and not many)):
        return Drift(shown, SHAPE, _kind(value))
    codes = CODES[resource].get(name)
    if codes is None or value in _EMPTY or many or str(value) in codes:
        return None
    return Drift(shown, CODE, str(value) if _PLAIN.fullmatch(str(value)) else _kind(value))


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, dict):
        return "map"
    if isinstance(value, list):
        return "list"
    return "text" if isinstance(value, str) else "number"
