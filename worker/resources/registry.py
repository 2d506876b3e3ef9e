"""The resources that are listed by rising ID, as data: what the engine needs to know of each and nothing more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Raw

from worker.bitrix24.calls import Call, Outcome
from worker.bitrix24.rows import ListMethod
from worker.resources import tasks, users
from worker.resources.viewer import Viewer


@dataclass(frozen=True)
class ListedResource:
    """One kind of record that a portal lists page by page.

    Args:
        name: The resource's name, and its table's.
        key: The column of the record's ID.
        method: How it is listed.
        changed_filters: The conditions for what changed since a date, spelled as the portal understands it: a row that
            meets one of them changed. Each is asked for by itself. Bookmarks know them by their order, so a new one
            comes last.
        to_row: A record and who was shown it, to a row. Raises Rejected.
        get_call: The call that asks for one record (key in the batch, ID).
        found: The record in the outcome of that call, None where it is not there (any more) for this account. Raises
            the outcome when it says nothing about the record.
    """

    name: str
    key: str
    method: ListMethod
    changed_filters: tuple[Callable[[str], Mapping[str, Any]], ...]
    to_row: Callable[[Raw, Viewer], dict[str, Any]]
    get_call: Callable[[str, int], Call]
    found: Callable[[Outcome], Raw | None]


TASKS = ListedResource(
    name="tasks",
    key="task_id",
    method=tasks.LISTING,
    changed_filters=(tasks.changed_filter, tasks.activity_filter),
    to_row=tasks.to_row,
    get_call=tasks.get_call,
    found=tasks.found,
)
USERS = ListedResource(
    name="users",
    key="user_id",
    method=users.LISTING,
    changed_filters=(users.changed_filter,),
    to_row=users.to_row,
    get_call=users.get_call,
    found=users.found,
)
LISTED = {resource.name: resource for resource in (USERS, TASKS)}
