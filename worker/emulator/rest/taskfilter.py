"""Which tasks a filter finds and in which order (api-reference/tasks/tasks-task-list.md).

The traps are the portal's own: unknown names are ignored, an unparsable date is the year 1970, an empty date means
"no date".
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from worker.emulator.rest import php
from worker.emulator.rest.dates import EPOCH, parse
from worker.emulator.rest.errors import RestError
from worker.emulator.rest.php import Json, Map
from worker.emulator.rest.taskrow import sub_status
from worker.emulator.world.model import Task, World

Test = Callable[[Task], bool]

_PREFIX = re.compile(r"(!=|>=|<=|!|=|>|<|%)?(.*)", re.DOTALL)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "": eq, "=": eq, "!": ne, "!=": ne, ">": gt, ">=": ge, "<": lt, "<=": le,
}  # fmt: skip
_NUMBERS: dict[str, Callable[[Task], int]] = {
    "ID": lambda t: t.task_id,
    "PARENT_ID": lambda t: t.parent_id,
    "GROUP_ID": lambda t: t.group_id,
    "CREATED_BY": lambda t: t.created_by,
    "RESPONSIBLE_ID": lambda t: t.responsible,
    "STATUS_CHANGED_BY": lambda t: t.changed_by,
    "PRIORITY": lambda t: t.priority,
    "REAL_STATUS": lambda t: t.status,
    "STAGE_ID": lambda t: t.stage_id,
}
_DATES: dict[str, Callable[[Task], datetime | None]] = {
    "CREATED_DATE": lambda t: t.created,
    # A row without these is filtered by its creation.
    "CHANGED_DATE": lambda t: t.changed or t.created,
    "ACTIVITY_DATE": lambda t: t.activity or t.created,
    "CLOSED_DATE": lambda t: t.closed,
    "DATE_START": lambda t: t.started,
    "DEADLINE": lambda t: t.deadline,
    "START_DATE_PLAN": lambda t: t.start_plan,
    "END_DATE_PLAN": lambda t: t.end_plan,
}
_MEMBERS: dict[str, Callable[[Task], Iterable[int]]] = {
    "ACCOMPLICE": lambda t: t.accomplices,
    "AUDITOR": lambda t: t.auditors,
    "MEMBER": lambda t: t.members,
}
_ORDER: dict[str, Callable[[Task], Any]] = {
    # The names that tasks-task-list.md lists; for a name beside them the answer is 400 with "0".
    "ID": lambda t: t.task_id,
    "TITLE": lambda t: t.title.casefold(),
    "TIME_SPENT_IN_LOGS": lambda t: t.time_spent or 0,
    "DATE_START": lambda t: t.started or EPOCH,
    "CREATED_DATE": lambda t: t.created,
    "CHANGED_DATE": lambda t: t.changed or EPOCH,
    "CLOSED_DATE": lambda t: t.closed or EPOCH,
    "ACTIVITY_DATE": lambda t: t.activity or EPOCH,
    "START_DATE_PLAN": lambda t: t.start_plan or EPOCH,
    "END_DATE_PLAN": lambda t: t.end_plan or EPOCH,
    "DEADLINE": lambda t: t.deadline or EPOCH,
    "REAL_STATUS": lambda t: t.status,
    "STATUS_COMPLETE": lambda t: t.status == 5,
    "PRIORITY": lambda t: t.priority,
    "MARK": lambda t: t.mark or "",
    "CREATED_BY_LAST_NAME": lambda t: t.created_by,
    "RESPONSIBLE_LAST_NAME": lambda t: t.responsible,
    "GROUP_ID": lambda t: t.group_id,
    "TIME_ESTIMATE": lambda t: t.time_estimate,
    "ALLOW_CHANGE_DEADLINE": lambda _: 0,
    "ALLOW_TIME_TRACKING": lambda t: t.time_estimate > 0,
    "MATCH_WORK_TIME": lambda _: 0,
    "FAVORITE": lambda t: bool(t.favorite_of),
    "SORTING": lambda _: 0,
    "IS_PINNED": lambda _: 0,
    "IS_PINNED_IN_GROUP": lambda _: 0,
}


def find_tasks(
    world: World, user_id: int, wanted: Map, *, order: dict[str, str], start: int, now: datetime
) -> tuple[list[Task], int | None]:
    """One page, and the count of all unless `start` is negative (huge-data.md)."""
    if unsortable := [name for name in order if name not in _ORDER]:
        raise RestError("0", f"Invalid sorting key ({unsortable[0]}) (internal error)", status=400)
    tests = _Tests(world, user_id, now)
    passed = tests.all_of(wanted)
    if not world.is_admin(user_id):
        passed.append(lambda task: world.sees_task(user_id, task))
    above = tests.least_id
    ids = world.task_ids[world.ids_above(above) :] if above else world.task_ids
    tasks = world.tasks
    keyset = next(iter(order.items()), ("", ""))[0] == "ID" and order["ID"] != "desc"
    found: list[Task] = []
    begin = max(0, start) // 50 * 50
    for task_id in ids:
        task = tasks[task_id]
        if all(test(task) for test in passed):
            found.append(task)
            if keyset and start < 0 and len(found) == 50:
                break
    if not keyset:
        _sort(found, order)
    return found[begin : begin + 50], None if start < 0 else len(found)


def _sort(found: list[Task], order: dict[str, str]) -> None:
    """Without an order the portal promises none, whatever its page says: ours is stable and of no use."""
    if not order:
        found.sort(key=lambda task: (task.task_id * 2654435761 & 0xFFFF, task.task_id))
    for name, way in reversed(order.items()):
        found.sort(key=_ORDER[name], reverse=way == "desc")


class _Tests:
    """Turns a filter into tests of a task."""

    def __init__(self, world: World, user_id: int, now: datetime) -> None:
        self.world = world
        self.user_id = user_id
        self.now = now
        self.least_id = 0

    def all_of(self, wanted: Map, *, nested: bool = False) -> list[Test]:
        names = {_split(key)[1] for key in wanted}
        tests = []
        for key, value in wanted.items():
            if key.startswith("::SUBFILTER"):
                tests += self.all_of(php.as_map(value), nested=True)
                continue
            prefix, name = _split(key)
            if name == "ACTIVITY_DATE" and "CHANGED_DATE" in names:
                continue  # of the two, the activity is dropped
            if test := self._one(prefix, name, value, nested=nested):
                tests.append(test)
        return tests

    def _one(self, prefix: str, name: str, value: Json, *, nested: bool) -> Test | None:
        if name in _NUMBERS or name == "STATUS":
            return self._number(prefix, name, value)
        if name in _DATES and prefix != "%":
            return self._date(prefix, _DATES[name], value, raw=nested)
        if name in _MEMBERS:
            return _member(prefix, _MEMBERS[name], value)
        if name == "TITLE":
            return _text(prefix, lambda task: [task.title], value)
        if name == "TAG":
            return _text(prefix, lambda task: task.tags.values(), value)
        if name == "MARK":
            return _text(prefix, lambda task: [task.mark or ""], value)
        if name == "UF_CRM_TASK":
            return _text(prefix, _links, value)
        if name == "FAVORITE":
            return lambda task: (self.user_id in task.favorite_of) is (value == "Y")
        if name == "ONLY_ROOT_TASKS" and value == "Y":
            return lambda task: task.parent_id not in self.world.tasks
        return None  # an unknown name, or one in small letters, is ignored silently

    def _number(self, prefix: str, name: str, value: Json) -> Test | None:
        if value in ("", None) or value == {}:
            return None  # a condition without a value is dropped
        getter = _NUMBERS.get(name) or self._sub_status
        if prefix in {"", "=", "!", "!="}:
            numbers = {php.to_int(item) for item in php.as_items(value)}
            if prefix in {"", "="}:
                return lambda task: getter(task) in numbers
            return lambda task: getter(task) not in numbers
        if prefix == "%":
            return lambda task: php.to_text(value) in str(getter(task))
        number = php.to_int(value)  # an array counts 1
        if name == "ID" and prefix in {">", ">="}:
            self.least_id = max(self.least_id, number - (prefix == ">="))
        compare = _COMPARE[prefix]
        return lambda task: compare(getter(task), number)

    def _sub_status(self, task: Task) -> int:
        return sub_status(task, self.user_id, self.now)

    def _date(self, prefix: str, getter: Callable[[Task], datetime | None], value: Json, *, raw: bool) -> Test:
        if value in ("", None, False):
            empty = prefix not in {"!", "!="}
            return lambda task: (getter(task) is None) is empty
        compare = _COMPARE[prefix]
        if raw:
            # Inside a subfilter the text goes to the database as it is, to be compared with its spelling.
            text = php.to_text(value)
            return lambda task: (at := getter(task)) is not None and compare(f"{at.astimezone(UTC):%F %T}", text)
        limit = parse(value, self.world.server_zone) if isinstance(value, str) else None
        exact = (limit or EPOCH).replace(microsecond=0)
        return lambda task: (at := getter(task)) is not None and compare(at.replace(microsecond=0), exact)


def _links(task: Task) -> list[str]:
    links = task.uf.get("UF_CRM_TASK")
    return [str(link) for link in links] if isinstance(links, list) else []


def _split(key: str) -> tuple[str, str]:
    found = _PREFIX.fullmatch(key)
    return (found[1] or "", found[2]) if found else ("", key)


def _member(prefix: str, getter: Callable[[Task], Iterable[int]], value: Json) -> Test | None:
    wanted = {php.to_int(item) for item in php.as_items(value)}
    if not wanted:
        return None
    if prefix.startswith("!"):
        return lambda task: wanted.isdisjoint(getter(task))
    return lambda task: not wanted.isdisjoint(getter(task))


def _text(prefix: str, getter: Callable[[Task], Iterable[Any]], value: Json) -> Test | None:
    """Texts compare without case; a bare TITLE is a pattern of `%` and `_`."""
    if value in ("", None) or value == {}:
        return None
    wanted = [php.to_text(item).casefold() for item in php.as_items(value)]
    if prefix == "%":
        return lambda task: any(part in str(text).casefold() for text in getter(task) for part in wanted)
    patterns = [re.sub(r"([\[*?])", r"[\1]", item).replace("%", "*").replace("_", "?") for item in wanted]
    if prefix.startswith("!"):
        return lambda task: not any(fnmatchcase(str(t).casefold(), item) for t in getter(task) for item in patterns)
    return lambda task: any(fnmatchcase(str(text).casefold(), item) for text in getter(task) for item in patterns)
