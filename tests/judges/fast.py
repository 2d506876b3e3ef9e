"""fast_bitrix24 as a judge: the client that many use to read whole portals. It takes plain http, so nothing is between.

It asks page 2 and the following all at once and then throws away what came twice, whole record by whole record: a page
that is not cut where the count says, or a record that reads otherwise the second time, shows here.
"""

import warnings
from collections.abc import Iterator
from typing import Any

from fast_bitrix24 import Bitrix

from tests.judges.measure import (
    TASK_FIELDS,
    Verdict,
    occurrences,
    task,
    true_occurrences,
    true_tasks,
    true_users,
    user,
    verdict,
    window,
)
from worker.emulator import Emulator, Portal, PortalSpec

JUDGE = "fast_bitrix24"


def judge() -> Iterator[Verdict]:
    """Everything that the client reads of one portal."""
    warnings.simplefilter("error", RuntimeWarning)  # "the number of results is not the total": a find, no remark
    with Emulator() as emulator:
        portal = emulator.add_portal(PortalSpec(user_zone="UTC", other_zones=(), users=60, tasks=420))
        yield from _lists(portal, Bitrix(portal.webhook_url(portal.admin_id), verbose=False))
        yield from _many(portal, Bitrix(portal.webhook_url(portal.admin_id), verbose=False))
        yield from _tokens(emulator, portal)


def _lists(portal: Portal, client: Any) -> Iterator[Verdict]:  # noqa: ANN401 - it has no types
    tasks = client.get_all("tasks.task.list", {"select": TASK_FIELDS})
    yield verdict(JUDGE, "tasks, all", map(task, tasks), true_tasks(portal))
    # REAL_STATUS: the stored one; STATUS is the computed one, where an overdue task is -1 (tasks-task-list.md).
    closed = client.get_all("tasks.task.list", {"select": TASK_FIELDS, "filter": {">=REAL_STATUS": 5}})
    expected = [row for row in true_tasks(portal) if row["status"] >= 5]
    yield verdict(JUDGE, "tasks, by a filter", map(task, closed), expected)
    yield verdict(JUDGE, "users, all", map(user, client.get_all("user.get")), true_users(portal))
    me, span = portal.admin_id, window(portal)
    params = {"type": "user", "ownerId": me, "from": f"{span[0]:%Y-%m-%d}", "to": f"{span[1]:%Y-%m-%d}"}
    rows = client.get_all("calendar.event.get", params)
    yield verdict(JUDGE, "calendar, instances", occurrences(rows, span), true_occurrences(portal, me, span))
    planned = client.get_all("task.planner.getlist")
    yield verdict(JUDGE, "planner", map(int, planned), portal.world.planner[me])


def _many(portal: Portal, client: Any) -> Iterator[Verdict]:  # noqa: ANN401
    wanted = portal.world.task_ids[::3]
    truth = [row for row in true_tasks(portal) if row["id"] in set(wanted)]
    found = client.get_by_ID("tasks.task.get", wanted, ID_field_name="taskId", params={"select": TASK_FIELDS})
    yield verdict(JUDGE, "tasks, by their IDs", [task(answer["task"]) for answer in found.values()], truth)
    commands = {f"user{one}": f"user.get?ID={one}" for one in list(portal.world.users)[:50]}
    answers = client.call_batch({"halt": 0, "cmd": commands})
    expected = true_users(portal)[:50]
    yield verdict(JUDGE, "a batch of our own", [user(answer[0]) for answer in answers.values()], expected)


def _tokens(emulator: Emulator, portal: Portal) -> Iterator[Verdict]:
    """An application's token that has run out: the client asks for another one and repeats."""
    given = []

    async def token() -> str:
        pair = portal.issue_tokens(portal.admin_id)
        given.append(pair["access_token"])
        if len(given) == 1:
            emulator.token_server.expire(portal)
        return str(pair["access_token"])

    client = Bitrix(f"{portal.url}/rest/", token_func=token, verbose=False)
    tasks = client.get_all("tasks.task.list", {"select": TASK_FIELDS})
    yield verdict(JUDGE, "tasks over an expired token", map(task, tasks), true_tasks(portal))
    yield verdict(JUDGE, "tokens for it", [len(given)], [2])
