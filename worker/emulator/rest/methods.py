"""The table of all methods, and the methods that read it (api-reference/common/system/)."""

from collections.abc import Callable
from dataclasses import dataclass

from worker.emulator.rest import calendars, offline, php, system, tasks, users
from worker.emulator.rest.call import Call
from worker.emulator.rest.errors import RestError
from worker.emulator.rest.php import Json


@dataclass(frozen=True)
class Method:
    run: Callable[[Call], Json]
    scopes: frozenset[str] = frozenset()
    """One of them is needed; none: any token will do."""
    controller: bool = False
    """New style: `methods` does not list it."""
    application: bool = False
    """Not by webhook."""
    rows: bool = False
    """Answers a list of records: what spoils rows can meet it."""


def method_named(name: str) -> Method:
    """Looked up before any token is checked."""
    if name.lower() == "batch":  # a request for it does not come here: this one is inside another
        raise RestError("ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage")
    found = METHODS.get(name.lower())
    if found is None:
        raise RestError("ERROR_METHOD_NOT_FOUND", "Method not found!")
    return found


def methods(call: Call) -> Json:
    """Old style ones only: `tasks.task.list` is not among them."""
    everything = php.truthy(call.params.get("full"))
    wanted = php.to_text(call.params.get("scope"))
    return ["batch"] + [
        name
        for name, method in METHODS.items()
        if not method.controller
        and (everything or not method.scopes or method.scopes & call.scopes)
        and (not wanted or wanted in method.scopes)
    ]


def method_get(call: Call) -> Json:
    """Knows both kinds of methods."""
    name = php.to_text(call.params.get("name"))
    if not name:
        raise RestError("METHOD_NAME_EMPTY", "METHOD_NAME can't be empty", status=400)
    method = METHODS.get(name.lower())
    if name.lower() == "batch":
        return {"isExisting": True, "isAvailable": True}
    if method is not None and method.application and not call.portal.spec.offline_events:
        method = None
    available = method is not None and (not method.scopes or bool(method.scopes & call.scopes))
    if method is not None and method.application and call.caller.webhook:
        available = False
    return {"isExisting": method is not None, "isAvailable": available}


_TASK = frozenset({"task"})
_CALENDAR = frozenset({"calendar"})
_USER = frozenset({"user", "user_basic", "user_brief"})

METHODS: dict[str, Method] = {
    "profile": Method(users.profile),
    "user.current": Method(users.user_current, _USER),
    "user.get": Method(users.user_get, _USER, rows=True),
    "server.time": Method(system.server_time),
    "scope": Method(system.scope),
    "methods": Method(methods),
    "method.get": Method(method_get),
    "feature.get": Method(system.feature_get),
    "app.info": Method(system.app_info),
    "tasks.task.list": Method(tasks.task_list, _TASK, controller=True, rows=True),
    "tasks.task.get": Method(tasks.task_get, _TASK, controller=True),
    "task.planner.getlist": Method(tasks.planner_list, _TASK),
    "calendar.section.get": Method(calendars.section_get, _CALENDAR, rows=True),
    "calendar.event.get": Method(calendars.event_get, _CALENDAR, rows=True),
    "calendar.event.getbyid": Method(calendars.event_by_id, _CALENDAR),
    "event.bind": Method(offline.bind, application=True),
    "event.unbind": Method(offline.unbind, application=True),
    "event.get": Method(offline.get_bound, application=True),
    "event.offline.get": Method(offline.offline_get, application=True),
    "event.offline.clear": Method(offline.offline_clear, application=True),
    "event.offline.error": Method(offline.offline_error, application=True),
    "event.offline.list": Method(offline.offline_list, application=True),
}
