"""One REST call: which method, with whose rights, what it costs, and the `time` that comes with it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from worker.emulator import calendars, offline, system, tasks, users
from worker.emulator.dates import iso
from worker.emulator.errors import RestError
from worker.emulator.faults import CALL_KINDS, PAGE_KINDS
from worker.emulator.php import Json, Map
from worker.emulator.spoil import spoil

if TYPE_CHECKING:
    from worker.emulator.portal import Portal

USER_SCOPES = frozenset({"user", "user_basic", "user_brief"})


@dataclass
class Caller:
    """Whose rights a request has: an application's token or a webhook."""

    user_id: int
    scopes: frozenset[str]
    client: str
    webhook: bool = False
    delay: float = 0.0
    """How long the portal takes for all calls of the request; waited for once its lock is free."""


@dataclass
class Call:
    """A method with its parameters; the method may leave a count and the start of the next page."""

    portal: "Portal"
    method: str
    params: Map
    caller: Caller
    now: datetime
    in_batch: bool = False
    total: int | None = None
    next: int | None = None
    time: Map = field(default_factory=dict)

    @property
    def user_id(self) -> int:
        return self.caller.user_id

    @property
    def scopes(self) -> frozenset[str]:
        return self.caller.scopes


@dataclass(frozen=True)
class Method:
    run: Callable[[Call], Json]
    scopes: frozenset[str] = frozenset()
    """One of them is needed; none: any token will do."""
    controller: bool = False
    """New style: `methods` does not list it."""
    application: bool = False
    """Not by webhook."""


_TASK = frozenset({"task"})
_CALENDAR = frozenset({"calendar"})

METHODS: dict[str, Method] = {
    "profile": Method(users.profile),
    "user.current": Method(users.user_current, USER_SCOPES),
    "user.get": Method(users.user_get, USER_SCOPES),
    "server.time": Method(system.server_time),
    "scope": Method(system.scope),
    "methods": Method(system.methods),
    "method.get": Method(system.method_get),
    "feature.get": Method(system.feature_get),
    "app.info": Method(system.app_info),
    "tasks.task.list": Method(tasks.task_list, _TASK, controller=True),
    "tasks.task.get": Method(tasks.task_get, _TASK, controller=True),
    "task.planner.getlist": Method(tasks.planner_list, _TASK),
    "calendar.section.get": Method(calendars.section_get, _CALENDAR),
    "calendar.event.get": Method(calendars.event_get, _CALENDAR),
    "calendar.event.getbyid": Method(calendars.event_by_id, _CALENDAR),
    "event.bind": Method(offline.bind, application=True),
    "event.unbind": Method(offline.unbind, application=True),
    "event.get": Method(offline.get_bound, application=True),
    "event.offline.get": Method(offline.offline_get, application=True),
    "event.offline.clear": Method(offline.offline_clear, application=True),
    "event.offline.error": Method(offline.offline_error, application=True),
    "event.offline.list": Method(offline.offline_list, application=True),
}


_ROWS = frozenset({"tasks.task.list", "user.get", "calendar.event.get", "calendar.section.get"})


def method_named(name: str) -> Method:
    """Looked up before any token is checked."""
    if name.lower() == "batch":  # a request for it does not come here: this one is inside another
        raise RestError("ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage")
    found = METHODS.get(name.lower())
    if found is None:
        raise RestError("ERROR_METHOD_NOT_FOUND", "Method not found!")
    return found


def run(call: Call) -> Json:
    """Run one call and fill in its `time`; scope and operating time are checked here, inside a batch too."""
    method = method_named(call.method)
    portal = call.portal
    began = time.perf_counter()
    _check_rights(call, method)
    fault = portal.faults.take(_fitting(call), {call.method})
    billed_to = "batch" if portal.spec.billing == "batch" else call.method
    if fault and fault.kind == "sub_error":
        code = str(fault.options.get("code", "INTERNAL_SERVER_ERROR"))
        raise RestError(code, str(fault.options.get("description", "Internal server error")))
    if fault and fault.kind == "operation_time_limit":
        reset_at = int(fault.options.get("reset_at", call.now.timestamp() + float(fault.options.get("seconds", 60))))
        raise _too_long(call, reset_at)
    if portal.spec.operating and portal.operating.closed(call.caller.client, billed_to, call.now):
        raise _too_long(call, portal.operating.reset_at(call.caller.client, billed_to, call.now))
    result = method.run(call)
    if fault:
        result = spoil(result, fault, portal)
    call.caller.delay += portal.spec.page_ms / 1000
    took = time.perf_counter() - began + portal.spec.page_ms / 1000
    if portal.spec.operating:
        cost = took if portal.spec.operating_seconds is None else portal.spec.operating_seconds
        portal.operating.bill(call.caller.client, billed_to, cost, call.now)
    call.time = time_block(call, took, billed_to)
    return result


def _fitting(call: Call) -> frozenset[str]:
    """The kinds of faults that can meet this call."""
    kinds = CALL_KINDS - {"sub_missing"} if call.in_batch else CALL_KINDS - {"sub_missing", "sub_error"}
    return kinds if call.method in _ROWS else kinds - PAGE_KINDS


def _check_rights(call: Call, method: Method) -> None:
    if method.application and call.caller.webhook:
        raise RestError("WRONG_AUTH_TYPE", "Current authorization type is denied for this method")
    if method.scopes and not method.scopes & call.scopes:
        raise RestError(
            "insufficient_scope", "The request requires higher privileges than provided by the access token"
        )


def _too_long(call: Call, reset_at: int) -> RestError:
    text = "Method is blocked due to operation time limit."
    return RestError("OPERATION_TIME_LIMIT", text, time=time_block(call, 0.0, call.method, reset_at=reset_at))


def time_block(call: Call, took: float, billed_to: str, *, reset_at: int | None = None) -> Map:
    """`start` is cut to whole seconds and `processing` with it (tasks-task-list.md, the sample)."""
    portal, now = call.portal, call.now
    finish = now + timedelta(seconds=took)
    block: Map = {
        "start": int(now.timestamp()),
        "finish": finish.timestamp(),
        "duration": finish.timestamp() - int(now.timestamp()),
        "processing": int(took),
        "date_start": iso(now, portal.spec.server_zone),
        "date_finish": iso(finish, portal.spec.server_zone),
    }
    if portal.spec.operating:
        client = call.caller.client
        block["operating_reset_at"] = reset_at or portal.operating.reset_at(client, billed_to, now)
        block["operating"] = portal.operating.spent(client, billed_to, now)
    return block
