"""Offline events: what a portal wrote down for us, the calls that read it, and what its rows say. Pure.

Vendor: api-reference/events/ (offline-events.md, event-bind.md, event-get.md, event-offline-get.md,
event-offline-clear.md, event-offline-list.md), tasks/events-tasks/, calendar/calendar-event/events/, calendar/events/,
common/system/feature-get.md. An event names an object and tells nothing of it, so whatever it names is read again.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from worker.bitrix24.calls import Answer, Call, Outcome
from worker.errors import BadAnswer, Rejected
from worker.resources.fields import to_key
from worker.resources.records import rows_of, says_nothing

LIMIT = 500
"""Rows asked for at once: the page names a default and no maximum (event-offline-get.md)."""

PAGE = 50
"""That default, and the rows of event.offline.list, always (event-offline-list.md). With fewer the queue is at its end;
with as many it may be a portal that gives no more at once."""

TASK_EVENTS = ("ONTASKADD", "ONTASKUPDATE", "ONTASKDELETE")
CALENDAR_EVENTS = (
    *("ONCALENDARENTRYADD", "ONCALENDARENTRYUPDATE", "ONCALENDARENTRYDELETE"),
    *("ONCALENDARSECTIONADD", "ONCALENDARSECTIONUPDATE", "ONCALENDARSECTIONDELETE"),
)
_SCOPES = {"task": TASK_EVENTS, "calendar": CALENDAR_EVENTS}
_FEATURE = "rest_offline_extended"
_LONGEST_ID = 191  # of a process: what the column holds; the pages show 32 characters


class EventsMode(StrEnum):
    """What a portal's events are good for."""

    CONFIRM = "confirm"
    """Rows are handed out marked, and cleared once what they name is in the mirror."""
    HINTS = "hints"
    """Rows are gone once they are handed out: what a crash loses, polling finds."""
    POLLING = "polling"
    """There are none for this account."""


@dataclass(frozen=True, slots=True)
class Told:
    """What rows of the queue say, each object once.

    Args:
        rows: How many there were.
        tasks: Tasks that were added, changed or deleted.
        deleted: Those of them that were deleted, whatever else happened to them.
        events_deleted: Calendar events that were deleted.
        odd: Rows without an object that could be read: EVENT_DATA may be false (event-offline-get.md).
    """

    rows: int = 0
    tasks: frozenset[int] = frozenset()
    deleted: frozenset[int] = frozenset()
    events_deleted: frozenset[int] = field(default_factory=frozenset)
    odd: int = 0


class Package(NamedTuple):
    """One answer of the queue: its process (None where nothing must be confirmed), and what its rows say."""

    process_id: str | None
    told: Told


def wanted(scope: Collection[str]) -> list[str]:
    """The events to bind: others than those of the granted scopes are ERROR_EVENT_NOT_FOUND (event-bind.md)."""
    return [name for needed, names in _SCOPES.items() if needed in scope for name in names]


def bound_call() -> Call:
    """Asks which events are bound: binding one twice is an error."""
    return Call("events_bound", "event.get")


def feature_call() -> Call:
    """Asks whether rows may be confirmed."""
    return Call("events_feature", "feature.get", {"CODE": _FEATURE})


def bind_call(event: str) -> Call:
    """Has the portal write this event down. Without a source key (`auth_connector`): no change is our own."""
    return Call(f"bind_{event.lower()}", "event.bind", {"event": event, "event_type": "offline"})


def take_call(*, confirm: bool, process_id: str | None = None) -> Call:
    """Asks for the head of the queue, or again for the rows of a process that was not cleared."""
    params: dict[str, Any] = {"clear": 0 if confirm else 1, "limit": LIMIT}
    if process_id is not None:
        params["process_id"] = process_id
    return Call("events", "event.offline.get", params)


def clear_call(process_id: str) -> Call:
    """Confirms a process; what happened since then waits in rows of its own."""
    return Call("events_clear", "event.offline.clear", {"process_id": process_id})


def marked_call() -> Call:
    """Asks for rows that some process has taken and not cleared."""
    params = {"filter": {">PROCESS_ID": "", "ERROR": 0}, "order": {"ID": "ASC"}}
    return Call("events_marked", "event.offline.list", params)


def bound(answer: Answer) -> set[str]:
    """The offline events that are bound, without a source key, in an answer to `bound_call`."""
    rows = (_object(raw) for raw in rows_of(answer.result, answer.method))
    return {
        str(row.get("event")).upper()
        for row in rows
        if str(row.get("offline")) in {"1", "True", "Y"} and not row.get("connector_id")
    }


def mode_of(answer: Answer) -> EventsMode:
    """What the plan allows: "Y", "N", or on premise `<lang>_selfhosted`, where no plan forbids anything."""
    value = str(_object(answer.result).get("value", ""))
    return EventsMode.CONFIRM if value == "Y" or value.endswith("_selfhosted") else EventsMode.HINTS


def package(outcome: Outcome) -> Package:
    """What the answer to `take_call` holds. Raises a refusal, and BadAnswer."""
    if not isinstance(outcome, Answer):
        raise outcome
    parts = outcome.decode(dict[str, Raw])
    raw_id = parts.get("process_id", Raw(b"null"))
    process_id = None if says_nothing(raw_id) else msgspec.json.decode(raw_id)
    if not (process_id is None or (isinstance(process_id, str) and 0 < len(process_id) <= _LONGEST_ID)):
        raise BadAnswer("the queue names a process that cannot be kept", method=outcome.method)
    return Package(process_id, told(rows_of(parts.get("events", Raw(b"[]")), outcome.method)))


def processes(answer: Answer) -> tuple[list[str], bool]:
    """The processes in an answer to `marked_call`, and whether there may be more behind its page."""
    rows = [_object(raw) for raw in rows_of(answer.result, answer.method)]
    ids = (row.get("PROCESS_ID") for row in rows)
    named = (text for text in ids if isinstance(text, str) and 0 < len(text) <= _LONGEST_ID)
    return list(dict.fromkeys(named)), len(rows) >= PAGE


def told(rows: Iterable[Raw]) -> Told:
    """What rows say. Their order says nothing that the object itself does not say better."""
    count = odd = 0
    tasks: set[int] = set()
    deleted: set[int] = set()
    events_deleted: set[int] = set()
    for count, raw in enumerate(rows, start=1):  # noqa: B007 - used after the loop
        row = _object(raw)
        name, data = str(row.get("EVENT_NAME")).upper(), row.get("EVENT_DATA")
        try:
            if name in TASK_EVENTS:
                task_id = _task_id(data)
                tasks.add(task_id)
                if name == "ONTASKDELETE":
                    deleted.add(task_id)
            elif name == "ONCALENDARENTRYDELETE":
                events_deleted.add(to_key(_get(data, "id"), "id"))
            # else a calendar was added to or changed: every run reads the windows whole
        except Rejected:
            odd += 1
    return Told(count, frozenset(tasks), frozenset(deleted), frozenset(events_deleted), odd)


def _task_id(data: object) -> int:
    """The side that is not there is the text "undefined" (tasks/events-tasks/on-task-delete.md)."""
    for side in ("FIELDS_AFTER", "FIELDS_BEFORE"):
        fields = _get(data, side)
        if isinstance(fields, dict) and fields:
            return to_key(_get(fields, "ID"), "ID")
    raise Rejected("the event names no task")


def _get(data: object, name: str) -> object:
    """A value of an object, its name in any case."""
    if not isinstance(data, dict):
        raise Rejected("the event has no data")
    return data.get(name, data.get(name.upper(), data.get(name.lower())))


def _object(raw: Raw) -> dict[str, Any]:
    """A row as a dict; an empty one where it is none."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
