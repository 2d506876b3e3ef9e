"""Tasks (vendor: tasks/tasks-task-list.md, tasks/tasks-task-get.md, tasks/fields.md)."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw, Struct

from worker.bitrix24.calls import Answer, Call, Outcome
from worker.bitrix24.rows import ListMethod
from worker.errors import CallRefused, MethodNotFound, MissingScope
from worker.resources.fields import json_list, text_or_none, title_or_none
from worker.resources.hashing import canonical_fields, content_hash
from worker.resources.records import Key, Number, Numbers, Reader, Tags, Text, Texts, payload_text, says_nothing
from worker.resources.viewer import Viewer

# Named, because the default set may change (tasks-task-list.md, `select`) and `*` brings twice as much. TAGS never
# comes unasked. Naming one user field brings all of them, custom ones too (fields.md says it of the three system ones),
# while `UF_*` without `*` brings nothing; all three are named because each belongs to a module that may be missing.
SELECT = (
    *("ID", "TITLE", "DESCRIPTION", "STATUS", "PRIORITY", "MARK"),
    *("CREATED_BY", "RESPONSIBLE_ID", "ACCOMPLICES", "AUDITORS", "CHANGED_BY", "CLOSED_BY"),
    *("GROUP_ID", "STAGE_ID", "PARENT_ID", "FLOW_ID", "TAGS"),
    *("DEADLINE", "CREATED_DATE", "CHANGED_DATE", "ACTIVITY_DATE", "CLOSED_DATE"),
    *("START_DATE_PLAN", "END_DATE_PLAN", "DATE_START", "TIME_ESTIMATE", "TIME_SPENT_IN_LOGS"),
    *("UF_CRM_TASK", "UF_TASK_WEBDAV_FILES", "UF_MAIL_MESSAGE"),
)


class Task(Struct, rename="camel"):
    """The fields of a task that have a column."""

    id: Key
    title: Text = None
    description: Text = None
    status: Number = None
    priority: Number = None
    created_by: Number = None
    responsible_id: Number = None
    group_id: Number = None
    parent_id: Number = None
    stage_id: Number = None
    deadline: Text = None
    created_date: Text = None
    changed_date: Text = None
    activity_date: Text = None
    closed_date: Text = None
    start_date_plan: Text = None
    end_date_plan: Text = None
    date_start: Text = None
    time_estimate: Number = None
    time_spent_in_logs: Number = None
    accomplices: Numbers = None
    auditors: Numbers = None
    tags: Tags = None
    uf_crm_task: Texts = None


_reader = Reader(Task, typed_custom=("ufCrmTask",))


def to_row(raw: Raw | bytes, viewer: Viewer) -> dict[str, Any]:
    """The row of a task as `viewer` was shown it. Raises Rejected."""
    raw = raw if isinstance(raw, Raw) else Raw(raw)
    task = _reader.read(raw)
    instant = viewer.tasks_clock.text
    row: dict[str, Any] = {
        "task_id": task.id,
        "title": title_or_none(task.title),
        "description": text_or_none(task.description),
        "status": task.status,  # the stored one; `subStatus` moves with the clock and the viewer
        "priority": task.priority,
        "created_by_id": task.created_by,
        "responsible_id": task.responsible_id,
        "group_id": task.group_id or None,  # 0 is the portal's way of saying "none"
        "parent_id": task.parent_id or None,
        "stage_id": task.stage_id or None,
        "deadline": instant(task.deadline, "deadline"),
        "created_at": instant(task.created_date, "createdDate"),
        "changed_at": instant(task.changed_date, "changedDate"),
        "activity_at": instant(task.activity_date, "activityDate"),
        "closed_at": instant(task.closed_date, "closedDate"),
        "start_plan_at": instant(task.start_date_plan, "startDatePlan"),
        "end_plan_at": instant(task.end_date_plan, "endDatePlan"),
        "started_at": instant(task.date_start, "dateStart"),
        "time_estimate_seconds": task.time_estimate,
        "time_spent_seconds": task.time_spent_in_logs,
        "accomplices": json_list(sorted(task.accomplices)) if task.accomplices else "[]",
        "auditors": json_list(sorted(task.auditors)) if task.auditors else "[]",
        "tags": json_list(_titles(task.tags)),
        "crm_links": json_list(_links(task.uf_crm_task)),
    }
    custom = _reader.custom(raw)
    row["content_hash"] = content_hash(row.values(), canonical_fields(custom, viewer.tasks_clock) if custom else None)
    row["raw"] = payload_text(raw)
    return row


def _titles(tags: Tags) -> list[str]:
    if not tags:
        return []
    sent = tags.values() if isinstance(tags, dict) else tags
    return sorted(title for tag in sent if (title := text_or_none(tag.title)))


def _links(links: Texts) -> list[str]:
    if not links or links is True:
        return []
    return [link for sent in links if (link := text_or_none(sent))]


def changed_filter(since: str) -> Mapping[str, Any]:
    """What changed at or after `since`, a date as the portal understands it."""
    return {">=CHANGED_DATE": since}


def activity_filter(since: str) -> Mapping[str, Any]:
    """What was commented on at or after `since`: a comment moves this date and not the other.

    Never both in one filter: the portal then drops this one without a word (read in the vendor's PHP).
    """
    return {">=ACTIVITY_DATE": since}


def get_call(key: str, task_id: int) -> Call:
    """Asks for one task with the same fields as the listing."""
    return Call(key, "tasks.task.get", {"taskId": task_id, "select": list(SELECT)})


def found(outcome: Outcome) -> Raw | None:
    """The task in an answer of tasks.task.get, None where it does not exist or is not shown to this account.

    The page has `"result": []` for that; older portals answer an error. A refusal that is about the method and not
    about this task, and any other failure, says nothing of the task: it is raised.
    """
    if isinstance(outcome, CallRefused) and not isinstance(outcome, MissingScope | MethodNotFound):
        return None
    if not isinstance(outcome, Answer):
        raise outcome
    if says_nothing(outcome.result):
        return None
    task = outcome.decode(dict[str, Raw]).get("task")
    return None if task is None or says_nothing(task) else task


LISTING = ListMethod(method="tasks.task.list", params={"select": list(SELECT)}, id_field="id", items=("tasks",))
