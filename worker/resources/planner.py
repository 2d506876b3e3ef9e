"""The day's plan of the token's user (vendor: tasks/planner/task-planner-get-list.md).

A bare list of task IDs without a date: the engine stamps the day. The page documents an array; the server filters the
IDs and keeps their keys, so it can also be an object with numeric keys, and the IDs strings.
"""

import msgspec
from msgspec import Raw

from worker.bitrix24.calls import Call
from worker.errors import BadAnswer, Rejected
from worker.resources.fields import to_key
from worker.resources.records import rows_of

METHOD = "task.planner.getlist"


def planner_call(key: str) -> Call:
    """Asks for the plan; the method has no parameters."""
    return Call(key, METHOD)


def read_planner(raw: Raw) -> list[int]:
    """The task IDs in the plan's order, each once. Raises BadAnswer for anything that is no list of IDs."""
    try:
        ids = [to_key(msgspec.json.decode(item), "task ID") for item in rows_of(raw, METHOD)]
    except (Rejected, msgspec.MsgspecError) as error:
        raise BadAnswer(f"the plan cannot be read: {error}", method=METHOD) from error
    return list(dict.fromkeys(ids))
