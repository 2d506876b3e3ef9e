"""What a careful script around a peer does with each task: typed columns, hash and payload, by SQLAlchemy Core.

The columns and the indexes are those of our `tasks`. Runs in an environment that knows nothing of b24sync.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Index, MetaData, String, Table, Text, create_engine, event
from sqlalchemy.dialects.sqlite import insert

ROWS = 2500
NUMBERS = {
    "status": "status",
    "priority": "priority",
    "created_by_id": "createdBy",
    "responsible_id": "responsibleId",
    "group_id": "groupId",
    "parent_id": "parentId",
    "stage_id": "stageId",
    "time_estimate_seconds": "timeEstimate",
    "time_spent_seconds": "timeSpentInLogs",
}
DATES = {
    "deadline": "deadline",
    "created_at": "createdDate",
    "changed_at": "changedDate",
    "activity_at": "activityDate",
    "closed_at": "closedDate",
    "start_plan_at": "startDatePlan",
    "end_plan_at": "endDatePlan",
    "started_at": "dateStart",
}
SELECT = [
    *("ID", "TITLE", "DESCRIPTION", "STATUS", "PRIORITY", "MARK", "CREATED_BY", "RESPONSIBLE_ID", "ACCOMPLICES"),
    *("AUDITORS", "CHANGED_BY", "CLOSED_BY", "GROUP_ID", "STAGE_ID", "PARENT_ID", "FLOW_ID", "TAGS", "DEADLINE"),
    *("CREATED_DATE", "CHANGED_DATE", "ACTIVITY_DATE", "CLOSED_DATE", "START_DATE_PLAN", "END_DATE_PLAN"),
    *("DATE_START", "TIME_ESTIMATE", "TIME_SPENT_IN_LOGS", "UF_CRM_TASK", "UF_TASK_WEBDAV_FILES", "UF_MAIL_MESSAGE"),
]

TASKS = Table(
    "tasks",
    MetaData(),
    Column("portal_id", BigInteger, primary_key=True),
    Column("task_id", BigInteger, primary_key=True),
    Column("title", Text),
    Column("description", Text),
    *(Column(name, BigInteger) for name in NUMBERS),
    *(Column(name, DateTime) for name in DATES),
    *(Column(name, Text) for name in ("accomplices", "auditors", "tags", "crm_links", "raw")),
    Column("content_hash", String(32)),
    Column("first_seen_at", DateTime),
    Column("updated_at", DateTime),
    Column("deleted_at", DateTime),
    Index("by_responsible", "portal_id", "responsible_id", "status"),
    Index("by_deadline", "portal_id", "deadline"),
    Index("by_change", "portal_id", "changed_at"),
)


def row_of(task: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"task_id": int(task["id"]), "title": task["title"], "description": task["description"]}
    for column, name in NUMBERS.items():
        row[column] = int(task[name]) if task[name] else None
    for column, name in DATES.items():
        row[column] = datetime.fromisoformat(task[name]).astimezone(UTC).replace(tzinfo=None) if task[name] else None
    row["accomplices"] = json.dumps(sorted(map(int, task["accomplices"])))
    row["auditors"] = json.dumps(sorted(map(int, task["auditors"])))
    row["tags"] = json.dumps(sorted(tag["title"] for tag in task["tags"].values()) if task["tags"] else [])
    row["crm_links"] = json.dumps(task["ufCrmTask"] or [])
    row["content_hash"] = hashlib.blake2b(json.dumps(row, default=str).encode(), digest_size=16).hexdigest()
    row["raw"] = json.dumps(task, ensure_ascii=False)
    return row


def store(tasks: Iterable[dict[str, Any]], url: str) -> int:
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def quick(connection: Any, _record: object) -> None:  # noqa: ANN401 - sqlite3's connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    TASKS.metadata.create_all(engine)
    upsert = insert(TASKS)
    kept = {"portal_id", "task_id", "first_seen_at"}
    changed = {column.name: upsert.excluded[column.name] for column in TASKS.c if column.name not in kept}
    upsert = upsert.on_conflict_do_update(index_elements=["portal_id", "task_id"], set_=changed)
    written = 0
    tasks = iter(tasks)
    while some := list(islice(tasks, ROWS)):
        now = datetime.now(UTC).replace(tzinfo=None)
        own = {"portal_id": 1, "first_seen_at": now, "updated_at": now, "deleted_at": None}
        with engine.begin() as connection:
            connection.execute(upsert, [{**row_of(task), **own} for task in some])
        written += len(some)
    return written
