"""One task as tasks.task.list prints it (api-reference/tasks/fields.md)."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from worker.emulator.rest import php
from worker.emulator.rest.dates import suffix
from worker.emulator.rest.php import Json, Map
from worker.emulator.world.model import Task, World
from worker.emulator.world.zones import offset, zone

_DAY = timedelta(days=1)


def sub_status(task: Task, user_id: int, now: datetime) -> int:
    """The computed status: it changes with the clock and with the viewer (tasks-task-list.md, STATUS)."""
    if task.status in {2, 3} and task.deadline is not None:
        if task.deadline < now:
            return -1
        if task.deadline < now + _DAY:
            return -3
    if task.status == 2 and user_id in task.members and user_id not in task.viewed_by and task.created_by != user_id:
        return -2
    return task.status


class View:
    """How one viewer is shown tasks: digits in the viewer's zone, with that zone's offset of today."""

    def __init__(self, world: World, user_id: int, now: datetime, date_suffix: str = "today") -> None:
        self.world = world
        self.user_id = user_id
        self.now = now
        self.zone = zone(world.zone_of(user_id))
        seconds = offset(world.zone_of(user_id), now)
        self.today = timezone(timedelta(seconds=seconds))
        self.suffix = suffix(seconds)
        self._date_suffix = date_suffix
        self._people: dict[int, Map | None] = {}

    def date(self, at: datetime | None) -> str | None:
        if at is None:
            return None
        if self._date_suffix == "true":
            return at.astimezone(self.zone).replace(microsecond=0).isoformat()
        if self._date_suffix == "fixed":
            return at.astimezone(self.today).isoformat()[:19] + self.suffix
        return at.astimezone(self.zone).isoformat()[:19] + self.suffix

    def person(self, user_id: int) -> Map | None:
        if user_id not in self._people:
            self._people[user_id] = self._person(user_id)
        return self._people[user_id]

    def _person(self, user_id: int) -> Map | None:
        user = self.world.users.get(user_id)
        if user is None:
            return None
        return {
            "id": str(user_id),
            "name": user.full_name,
            "link": f"/company/personal/user/{user_id}/",
            "icon": "/bitrix/images/tasks/default_avatar.png",
            "workPosition": user.work_position or None,
        }

    def people(self, user_ids: list[int]) -> Json:
        found = {str(user_id): person for user_id in user_ids if (person := self.person(user_id))}
        return found or []

    def group(self, group_id: int) -> Json:
        group = self.world.groups.get(group_id)
        if group is None:
            return []
        return {
            "id": str(group_id),
            "name": group.name,
            "opened": group.opened,
            "membersCount": len(group.members),
            "image": "",
            "additionalData": [],
        }


def _flag(value: bool) -> str:
    return "Y" if value else "N"


_Getter = Callable[[Task, View], Json]


def _always(value: Json) -> _Getter:
    return lambda _task, _view: value


FIELDS: dict[str, tuple[str, _Getter]] = {
    # column: (name in the answer, value); the names and their types are those of tasks/fields.md
    "ID": ("id", lambda t, _: str(t.task_id)),
    "PARENT_ID": ("parentId", lambda t, _: str(t.parent_id) if t.parent_id else None),
    "TITLE": ("title", lambda t, _: t.title),
    "DESCRIPTION": ("description", lambda t, _: t.description),
    "MARK": ("mark", lambda t, _: t.mark),
    "PRIORITY": ("priority", lambda t, _: str(t.priority)),
    "MULTITASK": ("multitask", _always("N")),
    "NOT_VIEWED": ("notViewed", lambda t, v: _flag(v.user_id not in t.viewed_by)),
    "REPLICATE": ("replicate", _always("N")),
    "STAGE_ID": ("stageId", lambda t, _: str(t.stage_id)),
    "SPRINT_ID": ("sprintId", _always(None)),
    "BACKLOG_ID": ("backlogId", _always(None)),
    "CREATED_BY": ("createdBy", lambda t, _: str(t.created_by)),
    "CREATED_DATE": ("createdDate", lambda t, v: v.date(t.created)),
    "RESPONSIBLE_ID": ("responsibleId", lambda t, _: str(t.responsible)),
    "CHANGED_BY": ("changedBy", lambda t, _: str(t.changed_by)),
    "CHANGED_DATE": ("changedDate", lambda t, v: v.date(t.changed)),
    "STATUS_CHANGED_BY": ("statusChangedBy", lambda t, _: str(t.changed_by)),
    "STATUS_CHANGED_DATE": ("statusChangedDate", lambda t, v: v.date(t.closed or t.started or t.created)),
    "CLOSED_BY": ("closedBy", lambda t, _: str(t.closed_by)),
    "CLOSED_DATE": ("closedDate", lambda t, v: v.date(t.closed)),
    "ACTIVITY_DATE": ("activityDate", lambda t, v: v.date(t.activity)),
    "DATE_START": ("dateStart", lambda t, v: v.date(t.started)),
    # Odd but seen: where no date was ever set some rows carry an empty text instead of null.
    "DEADLINE": ("deadline", lambda t, v: v.date(t.deadline) or ("" if t.task_id % 13 == 0 else None)),
    "START_DATE_PLAN": ("startDatePlan", lambda t, v: v.date(t.start_plan)),
    "END_DATE_PLAN": ("endDatePlan", lambda t, v: v.date(t.end_plan)),
    "GUID": ("guid", lambda t, _: f"{{{t.task_id:08x}-5e7a-4b1c-9d2e-{t.task_id:012x}}}"),
    "XML_ID": ("xmlId", _always(None)),
    "COMMENTS_COUNT": ("commentsCount", lambda t, _: str(t.comments) if t.comments else None),
    "SERVICE_COMMENTS_COUNT": ("serviceCommentsCount", _always(None)),
    "ALLOW_CHANGE_DEADLINE": ("allowChangeDeadline", _always("Y")),
    "ALLOW_TIME_TRACKING": ("allowTimeTracking", lambda t, _: _flag(t.time_estimate > 0)),
    "TASK_CONTROL": ("taskControl", lambda t, _: _flag(t.status == 4)),
    "ADD_IN_REPORT": ("addInReport", _always("N")),
    "FORKED_BY_TEMPLATE_ID": ("forkedByTemplateId", _always(None)),
    "TIME_ESTIMATE": ("timeEstimate", lambda t, _: str(t.time_estimate)),
    "TIME_SPENT_IN_LOGS": ("timeSpentInLogs", lambda t, _: None if t.time_spent is None else str(t.time_spent)),
    "MATCH_WORK_TIME": ("matchWorkTime", _always("N")),
    "FORUM_TOPIC_ID": ("forumTopicId", _always(None)),
    "FORUM_ID": ("forumId", _always(None)),
    "SITE_ID": ("siteId", _always("s1")),
    "SUBORDINATE": ("subordinate", _always("N")),
    "EXCHANGE_MODIFIED": ("exchangeModified", _always(None)),
    "EXCHANGE_ID": ("exchangeId", _always(None)),
    "OUTLOOK_VERSION": ("outlookVersion", _always("1")),
    "VIEWED_DATE": ("viewedDate", lambda t, v: v.date(t.activity) if v.user_id in t.viewed_by else None),
    "SORTING": ("sorting", _always(None)),
    "DURATION_FACT": ("durationFact", _always(None)),
    "IS_MUTED": ("isMuted", _always("N")),
    "IS_PINNED": ("isPinned", _always("N")),
    "IS_PINNED_IN_GROUP": ("isPinnedInGroup", _always("N")),
    "FLOW_ID": ("flowId", _always(None)),
    "DESCRIPTION_IN_BBCODE": ("descriptionInBbcode", _always("Y")),
    "STATUS": ("status", lambda t, _: str(t.status)),
    "DURATION_PLAN": ("durationPlan", _always(None)),
    "DURATION_TYPE": ("durationType", _always("days")),
    "FAVORITE": ("favorite", lambda t, v: _flag(v.user_id in t.favorite_of)),
    "GROUP_ID": ("groupId", lambda t, _: str(t.group_id)),
    "AUDITORS": ("auditors", lambda t, _: [str(user_id) for user_id in t.auditors]),
    "ACCOMPLICES": ("accomplices", lambda t, _: [str(user_id) for user_id in t.accomplices]),
    "NEW_COMMENTS_COUNT": ("newCommentsCount", _always(0)),
}


def camel(column: str) -> str:
    """UF_CRM_TASK is ufCrmTask in an answer."""
    head, *rest = column.lower().split("_")
    return head + "".join(part.capitalize() for part in rest)


class Selection:
    """Which keys a `select` brings (tasks-task-list.md; the rules of user fields are the portal's own)."""

    def __init__(self, select: Json, order: list[str]) -> None:
        names = [php.to_text(name).upper() for name in php.as_items(select)]
        everything = not names or "*" in names
        columns = list(FIELDS) if everything else [name for name in FIELDS if name in names or name == "ID"]
        self.getters = [FIELDS[name] for name in columns]
        self.extra = set(columns)
        # `UF_*` works beside `*` only; one named field brings all of them.
        named = any(name.startswith("UF_") and name != "UF_*" for name in names)
        self.user_fields = named or ("UF_*" in names and "*" in names)
        self.tags = "TAGS" in names
        self.lengths = [camel(f"LENGTH_{name}") for name in order if name == "DEADLINE"]

    def row(self, task: Task, view: View) -> Map:
        row = {name: getter(task, view) for name, getter in self.getters}
        if "DESCRIPTION" in self.extra:
            row["descriptionInBbcode"] = "Y"
        for name in self.lengths:
            row[name] = "1" if task.deadline else "0"
        if self.user_fields:
            fields = view.world.user_fields | task.uf
            row.update({camel(name): value for name, value in fields.items()})
        row["group"] = view.group(task.group_id)
        for column, name, user_id in (
            ("CREATED_BY", "creator", task.created_by),
            ("RESPONSIBLE_ID", "responsible", task.responsible),
        ):
            if column in self.extra and (person := view.person(user_id)):
                row[name] = person
        if "ACCOMPLICES" in self.extra:
            row["accomplicesData"] = view.people(task.accomplices)
        if "AUDITORS" in self.extra:
            row["auditorsData"] = view.people(task.auditors)
        if self.tags:
            row["tags"] = {str(tag_id): {"id": tag_id, "title": title} for tag_id, title in task.tags.items()} or []
        if "STATUS" in self.extra:
            row["subStatus"] = str(sub_status(task, view.user_id, view.now))
        return row
