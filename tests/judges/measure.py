"""What a judge read and what is true, brought to one form: plain rows, a count and a hash. Knows neither client."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from worker.emulator import Portal

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """One thing that a judge looked at."""

    judge: str
    what: str
    read: int
    true: int
    read_hash: str
    true_hash: str

    @property
    def equal(self) -> bool:
        return (self.read, self.read_hash) == (self.true, self.true_hash) and self.true > 0


def verdict(judge: str, what: str, read: Iterable[object], true: Iterable[object]) -> Verdict:
    mine, theirs = list(read), list(true)
    return Verdict(judge, what, len(mine), len(theirs), _hash(mine), _hash(theirs))


def _hash(rows: Sequence[object]) -> str:
    lines = sorted(json.dumps(row, sort_keys=True, default=str, ensure_ascii=True) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def task(row: Row) -> Row:
    """A task as a portal prints it. Its viewer's zone is UTC here, so a date is what it says."""
    tags = row.get("tags") or {}
    return {
        "id": int(row["id"]),
        "title": row["title"],
        "description": row["description"] or None,
        "status": int(row["status"]),
        "responsible": int(row["responsibleId"]),
        "group": int(row["groupId"] or 0) or None,
        "deadline": datetime.fromisoformat(row["deadline"]).astimezone(UTC) if row["deadline"] else None,
        "accomplices": sorted(int(user) for user in row["accomplices"]),
        "tags": sorted(tag["title"] for tag in (tags.values() if isinstance(tags, dict) else tags)),
    }


TASK_FIELDS = ["ID", "TITLE", "DESCRIPTION", "STATUS", "RESPONSIBLE_ID", "GROUP_ID", "DEADLINE", "ACCOMPLICES", "TAGS"]


def true_tasks(portal: Portal) -> list[Row]:
    return [
        {
            "id": one.task_id,
            "title": one.title,
            "description": one.description or None,
            "status": one.status,
            "responsible": one.responsible,
            "group": one.group_id or None,
            "deadline": one.deadline,
            "accomplices": sorted(one.accomplices),
            "tags": sorted(one.tags.values()),
        }
        for one in portal.world.tasks.values()
    ]


def user(row: Row) -> Row:
    return {
        "id": int(row["ID"]),
        "name": row["NAME"],
        "last_name": row.get("LAST_NAME") or None,
        "email": row.get("EMAIL") or None,
        "active": row["ACTIVE"],
    }


def true_users(portal: Portal) -> list[Row]:
    return [
        {
            "id": one.user_id,
            "name": one.name,
            "last_name": one.last_name or None,
            "email": one.email or None,
            "active": one.active,
        }
        for one in portal.world.users.values()
    ]


def window(portal: Portal) -> tuple[datetime, datetime]:
    """Two months around the portal's now, from midnight to midnight UTC."""
    today = portal.clock().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=30), today + timedelta(days=31)


def occurrences(rows: Iterable[Row], span: tuple[datetime, datetime]) -> list[Row]:
    """The instances that overlap: a portal's answer leaks a day or two over both edges."""
    found = []
    for row in rows:
        all_day = row["DT_SKIP_TIME"] == "Y"
        form = "%a %b %d %Y" if all_day else "%a %b %d %Y %H:%M:%S"
        zone = ZoneInfo("UTC" if all_day else row["TZ_FROM"] or "UTC")
        begin = datetime.strptime(row["DATE_FROM_FORMATTED"], form).replace(tzinfo=zone).astimezone(UTC)
        length = timedelta(seconds=int(row["DT_LENGTH"]) - (86400 if all_day else 0))
        end = begin + length
        if begin < span[1] and (end >= span[0] if all_day else end > span[0] or begin >= span[0]):
            found.append({"id": int(row["ID"]), "begins": begin, "ends": end})
    return found


def true_occurrences(portal: Portal, user_id: int, span: tuple[datetime, datetime]) -> list[Row]:
    truth = portal.truth(user_id, calendars=("mine",), window=span)["calendar_occurrences"]
    return [{"id": row["event_id"], "begins": row["starts_at"], "ends": row["ends_at"]} for row in truth]
