"""What a right mirror holds: computed from the state, never from an answer. The columns are the mirror's contract."""

from worker.emulator.world.mirror import Row, View, clean, kept, packed
from worker.emulator.world.model import Task, User, World
from worker.emulator.world.truth_calendar import CalendarTruth
from worker.emulator.world.zones import zone


def truth(world: World, view: View) -> dict[str, list[Row]]:
    viewer = view.viewer
    contacts = bool({"user", "user_basic"} & view.scopes)
    tasks = [_task(world.tasks[task_id]) for task_id in world.task_ids if world.sees_task(viewer, world.tasks[task_id])]
    people = [user for user in world.users.values() if user.user_type not in {"bot", "email"}]
    tables = {
        "tasks": tasks,
        "users": [_user(user, contacts=contacts) for user in people],
        "planner_tasks": _planner(world, view),
    }
    return tables | CalendarTruth(world, view).tables()


def _task(task: Task) -> Row:
    crm = task.uf.get("UF_CRM_TASK")
    return {
        "task_id": task.task_id,
        "title": kept(task.title),
        "description": clean(task.description),
        "status": task.status,
        "priority": task.priority,
        "created_by_id": task.created_by,
        "responsible_id": task.responsible,
        "group_id": task.group_id or None,
        "parent_id": task.parent_id or None,
        "stage_id": task.stage_id or None,
        "deadline": task.deadline,
        "created_at": task.created,
        "changed_at": task.changed,
        "activity_at": task.activity,
        "closed_at": task.closed,
        "start_plan_at": task.start_plan,
        "end_plan_at": task.end_plan,
        "started_at": task.started,
        "time_estimate_seconds": task.time_estimate,
        "time_spent_seconds": task.time_spent,
        "accomplices": packed(sorted(task.accomplices)),
        "auditors": packed(sorted(task.auditors)),
        "tags": packed(sorted(kept(tag) for tag in task.tags.values())),
        "crm_links": packed(crm if isinstance(crm, list) else []),
    }


def _user(user: User, *, contacts: bool) -> Row:
    return {
        "user_id": user.user_id,
        "name": kept(user.name),
        "last_name": clean(user.last_name),
        "second_name": clean(user.second_name),
        "email": clean(user.email) if contacts else None,
        "active": user.active,
        "work_position": clean(user.work_position),
        "departments": packed(sorted(user.departments)),
        "user_type": user.user_type,
        "time_zone": clean(user.zone),
    }


def _planner(world: World, view: View) -> list[Row]:
    viewer, tasks = view.viewer, world.tasks
    today = view.now.astimezone(zone(world.zone_of(viewer))).date()
    ids = [
        task_id
        for task_id in world.planner.get(viewer, [])
        if task_id in tasks and world.sees_task(viewer, tasks[task_id])
    ]
    return [
        {"user_id": viewer, "planned_on": today, "task_id": task_id, "position": position}
        for position, task_id in enumerate(ids)
    ]
