"""tasks.task.list, tasks.task.get and task.planner.getlist (api-reference/tasks/)."""

from worker.emulator.rest import php
from worker.emulator.rest.call import Call
from worker.emulator.rest.errors import RestError
from worker.emulator.rest.php import Json
from worker.emulator.rest.taskfilter import find_tasks
from worker.emulator.rest.taskrow import Selection, View


def task_list(call: Call) -> Json:
    world, now = call.portal.world, call.now
    view = View(world, call.user_id, now, call.portal.spec.date_suffix)
    order = {name.upper(): php.to_text(way).lower() for name, way in php.as_map(call.params.get("order")).items()}
    start = php.to_int(call.params.get("start"))
    found, total = find_tasks(
        world, call.user_id, php.as_map(call.params.get("filter")), order=order, start=start, now=now
    )
    selection = Selection(call.params.get("select"), list(order))
    if total is not None:
        call.total = total
        begin = max(0, start) // 50 * 50  # rounded down to a page
        if begin + len(found) < total:
            call.next = begin + 50
    return {"tasks": [selection.row(task, view) for task in found]}


def task_get(call: Call) -> Json:
    """One task; `[]` where there is none or it may not be seen (tasks-task-get.md)."""
    if "taskId" not in call.params and "id" not in call.params:
        raise RestError("100", "CTaskItem All parameters in the constructor must have real class type (internal error)")
    world = call.portal.world
    task_id = php.to_int(call.params.get("taskId", call.params.get("id")))
    if task_id <= 0:
        raise RestError("0", "wrong task id (internal error)")
    task = world.tasks.get(task_id)
    if task is None or not world.sees_task(call.user_id, task):
        return []
    view = View(world, call.user_id, call.now, call.portal.spec.date_suffix)
    row = Selection(call.params.get("select"), []).row(task, view)
    row["action"] = {name: world.is_admin(call.user_id) for name in ("complete", "start", "remove", "edit", "defer")}
    return {"task": row}


def planner_list(call: Call) -> Json:
    """Stored ids less those gone since: a gap makes a map of the list (task-planner-get-list.md)."""
    world = call.portal.world
    planned = world.planner.get(call.user_id, [])
    kept = {
        str(place): str(task_id) if call.portal.spec.planner_texts else task_id
        for place, task_id in enumerate(planned)
        if (task := world.tasks.get(task_id)) and world.sees_task(call.user_id, task)
    }
    return php.array(kept)
