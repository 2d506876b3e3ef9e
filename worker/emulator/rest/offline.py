"""event.*: bindings and the offline queue (api-reference/events/)."""

import secrets

from worker.emulator.rest import php
from worker.emulator.rest.call import Call
from worker.emulator.rest.dates import iso
from worker.emulator.rest.errors import RestError, argument
from worker.emulator.rest.php import Json, Map
from worker.emulator.world.offline import Binding, Queued

_EVENTS = {
    "ONTASKADD": "task",
    "ONTASKUPDATE": "task",
    "ONTASKDELETE": "task",
    "ONCALENDARENTRYADD": "calendar",
    "ONCALENDARENTRYUPDATE": "calendar",
    "ONCALENDARENTRYDELETE": "calendar",
    "ONCALENDARSECTIONADD": "calendar",
    "ONCALENDARSECTIONUPDATE": "calendar",
    "ONCALENDARSECTIONDELETE": "calendar",
    "ONAPPINSTALL": "",
    "ONAPPUNINSTALL": "",
    "ONOFFLINEEVENT": "",
}


def bind(call: Call) -> Json:
    event = php.to_text(call.params.get("event")).upper()
    if not event:
        raise argument("EVENT")
    is_offline = php.to_text(call.params.get("event_type")) == "offline"
    if event not in _EVENTS or (_EVENTS[event] and _EVENTS[event] not in call.scopes):
        raise RestError("ERROR_EVENT_NOT_FOUND", "Event not found", status=400)
    admin = call.portal.world.is_admin(call.user_id)
    if is_offline and not admin:
        raise RestError("ACCESS_DENIED", "Access denied! Offline events binding requires administrator access rights")
    auth_type = php.to_int(call.params.get("auth_type"))
    if auth_type not in {0, call.user_id} and not admin:
        raise RestError(
            "ACCESS_DENIED", "Access denied! Event binding with AUTH_TYPE requires administrator access rights"
        )
    handler = php.to_text(call.params.get("handler"))
    if not handler and not is_offline:
        raise argument("HANDLER")
    new = Binding(
        event, "" if is_offline else handler, auth_type, is_offline, php.to_text(call.params.get("auth_connector"))
    )
    if new in call.portal.queue.bindings:
        raise RestError("ERROR_CORE", "Unable to set event handler: Handler already binded")
    call.portal.queue.bindings.append(new)
    return True


def unbind(call: Call) -> Json:
    event = php.to_text(call.params.get("event")).upper()
    handler = php.to_text(call.params.get("handler"))
    is_offline = php.to_text(call.params.get("event_type")) == "offline"
    if is_offline and not call.portal.world.is_admin(call.user_id):
        raise RestError("ACCESS_DENIED", "Access denied! Offline events unbinding requires administrator access rights")
    queue = call.portal.queue
    kept = [
        bound
        for bound in queue.bindings
        if bound.event != event or bound.offline != is_offline or (not is_offline and bound.handler != handler)
    ]
    count = len(queue.bindings) - len(kept)
    queue.bindings = kept
    return {"count": count}


def get_bound(call: Call) -> Json:
    """An offline binding has its connector where the others have a handler (event-get.md)."""
    rows: list[Map] = []
    for bound in call.portal.queue.bindings:
        if bound.offline:
            rows.append({"event": bound.event, "connector_id": bound.connector, "offline": 1})
        else:
            row = {"event": bound.event, "handler": bound.handler, "auth_type": str(bound.auth_type), "offline": 0}
            rows.append(row)
    return rows


def _queue_of(call: Call) -> list[Queued]:
    if not call.portal.world.is_admin(call.user_id):
        raise RestError("ACCESS_DENIED", "Access denied!")
    connector = php.to_text(call.params.get("auth_connector"))
    return [row for row in call.portal.queue.rows if row.connector == connector]


def _printed(call: Call, row: Queued, *, state: bool = False) -> Map:
    out: Map = {
        "ID": str(row.row_id),
        "TIMESTAMP_X": iso(row.at, call.portal.spec.server_zone),
        "EVENT_NAME": row.event,
        "EVENT_DATA": row.data,
        "EVENT_ADDITIONAL": {"user_id": str(row.user_id)},
        "MESSAGE_ID": _message_id(call, row),
    }
    if state:
        out |= {"PROCESS_ID": row.process_id, "ERROR": str(row.error)}
    return out


def _message_id(call: Call, row: Queued) -> str:
    return str(row.row_id) if call.portal.spec.message_ids == "number" else row.message_id


def _matching(call: Call, rows: list[Queued], wanted: Map) -> list[Queued]:
    """Filters by name and id are enough here; the prefix `=` changes nothing."""
    for key, value in wanted.items():
        values = {php.to_text(item) for item in php.as_items(value)}
        name = key.lstrip("=").upper()
        if name == "EVENT_NAME":
            rows = [row for row in rows if row.event in values]
        elif name == "MESSAGE_ID":
            rows = [row for row in rows if _message_id(call, row) in values]
        elif name == "ID":
            rows = [row for row in rows if str(row.row_id) in values]
        elif name == ">ID":
            rows = [row for row in rows if row.row_id > php.to_int(value)]
        elif name == "PROCESS_ID":
            rows = [row for row in rows if row.process_id in values]
        elif name == ">PROCESS_ID":
            rows = [row for row in rows if row.process_id > php.to_text(value)]
        elif name == "ERROR":
            rows = [row for row in rows if str(row.error) in values]
    return rows


def offline_get(call: Call) -> Json:
    """`clear=1`, the default, hands rows out and forgets them; `clear=0` marks them with a process."""
    rows = _matching(call, _queue_of(call), php.as_map(call.params.get("filter")))
    keeps = "clear" in call.params and not php.truthy(call.params.get("clear"))
    if keeps and not call.portal.spec.offline_extended:
        raise RestError("WRONG_LICENSE", "Extended offline events handling is not available on this plan")
    wanted_error = php.truthy(call.params.get("error"))
    process_id = php.to_text(call.params.get("process_id"))
    rows = [row for row in rows if row.process_id == process_id and bool(row.error) is wanted_error]
    limit = php.to_int(call.params.get("limit")) or 50
    rows = sorted(rows, key=lambda row: (row.at, row.row_id))[:limit]
    queue = call.portal.queue
    if keeps:
        process_id = process_id or secrets.token_hex(16)
        for row in rows:
            row.process_id = process_id
    else:
        queue.rows = [row for row in queue.rows if row not in rows]
    return {"process_id": process_id or None, "events": [_printed(call, row) for row in rows]}


def _chosen(call: Call) -> list[Queued]:
    process_id = php.to_text(call.params.get("process_id"))
    if not process_id:
        raise argument("PROCESS_ID")
    rows = [row for row in _queue_of(call) if row.process_id == process_id]
    if messages := {php.to_text(item) for item in php.as_items(call.params.get("message_id"))}:
        return [row for row in rows if _message_id(call, row) in messages]
    if ids := {php.to_int(item) for item in php.as_items(call.params.get("id"))}:
        return [row for row in rows if row.row_id in ids]
    return rows


def offline_clear(call: Call) -> Json:
    gone = _chosen(call)
    call.portal.queue.rows = [row for row in call.portal.queue.rows if row not in gone]
    return True


def offline_error(call: Call) -> Json:
    for row in _chosen(call):
        row.error = 1
    return True


def offline_list(call: Call) -> Json:
    rows = _matching(call, _queue_of(call), php.as_map(call.params.get("filter")))
    rows = sorted(rows, key=lambda row: row.row_id)
    begin = max(0, php.to_int(call.params.get("start"))) // 50 * 50
    call.total = len(rows)
    if begin + 50 < len(rows):
        call.next = begin + 50
    return [_printed(call, row, state=True) for row in rows[begin : begin + 50]]
