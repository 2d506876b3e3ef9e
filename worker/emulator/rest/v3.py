"""REST 3.0, as far as a probe asks: one method, lists in `items`, errors as objects (api-reference/rest-v3.md)."""

from worker.emulator.rest import php
from worker.emulator.rest.call import Call
from worker.emulator.rest.errors import RestError
from worker.emulator.rest.php import Json, Map

PREFIX = "BITRIX_REST_V3_EXCEPTION_"


def answer(call: Call) -> Map:
    """The body's parts beside `time`. Raises RestError, whose `body_v3` is then printed."""
    if not call.portal.spec.rest3 or call.method != "api/tasks.task.list":
        raise RestError("ERROR_METHOD_NOT_FOUND", "Method not found!")
    if "tasks" not in call.scopes:  # the old version's is `task`
        raise RestError(f"{PREFIX}INSUFFICIENTSCOPEEXCEPTION", "Insufficient scope", status=403)
    return {"result": {"items": _items(call)}}


def _items(call: Call) -> list[Json]:
    """tasks-task-list-rest-v3.md: `id` alone unless more is named, by rising id, the page's length capped."""
    world = call.portal.world
    wanted = php.to_int(php.as_map(call.params.get("pagination")).get("limit")) or 50
    visible = [task_id for task_id in world.task_ids if world.sees_task(call.user_id, world.tasks[task_id])]
    return [{"id": task_id} for task_id in visible[: min(wanted, call.portal.spec.rest3)]]


def error_body(error: RestError) -> Map:
    """An error of this version is an object; one of the old version stays as it is."""
    if error.code.startswith(PREFIX):
        return {"error": {"code": error.code, "message": error.description}}
    return error.body()
