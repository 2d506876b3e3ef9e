"""What a portal holds. Instants are aware UTC; the hours of an event are a wall clock in the event's own zone."""

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from worker.emulator.world.recurrence import Rule
from worker.emulator.world.zones import instant, zone

UfValue = str | list[str] | list[int] | bool | None


@dataclass
class User:
    user_id: int
    name: str
    last_name: str
    second_name: str
    email: str
    zone: str
    """Empty: not set."""
    active: bool = True
    admin: bool = False
    work_position: str = ""
    departments: list[int] = field(default_factory=list)
    user_type: str = "employee"
    gender: str = ""
    registered: datetime | None = None
    last_login: datetime | None = None
    changed: datetime | None = None
    """TIMESTAMP_X: what `user.get` filters by; shown as an empty object (user-get.md)."""

    @property
    def full_name(self) -> str:
        return f"{self.name} {self.last_name}".strip()


@dataclass
class Group:
    group_id: int
    name: str
    members: list[int]
    opened: bool = True


@dataclass
class Task:
    task_id: int
    title: str
    created_by: int
    responsible: int
    created: datetime
    changed: datetime | None
    activity: datetime | None
    description: str = ""
    status: int = 2
    priority: int = 1
    mark: str | None = None
    group_id: int = 0
    parent_id: int = 0
    stage_id: int = 0
    deadline: datetime | None = None
    closed: datetime | None = None
    closed_by: int = 0
    changed_by: int = 0
    start_plan: datetime | None = None
    end_plan: datetime | None = None
    started: datetime | None = None
    time_estimate: int = 0
    time_spent: int | None = None
    accomplices: list[int] = field(default_factory=list)
    auditors: list[int] = field(default_factory=list)
    tags: dict[int, str] = field(default_factory=dict)
    uf: dict[str, UfValue] = field(default_factory=dict)
    viewed_by: set[int] = field(default_factory=set)
    favorite_of: set[int] = field(default_factory=set)
    comments: int = 0

    @property
    def members(self) -> set[int]:
        return {self.created_by, self.responsible, *self.accomplices, *self.auditors}


@dataclass
class Section:
    section_id: int
    calendar_type: str
    owner_id: int
    name: str
    created: datetime
    description: str = ""
    color: str = "#9dcf00"
    text_color: str = "#283000"
    others: str = "full"
    """What people beside the owner may see: full, title, time, none."""


@dataclass
class Event:
    event_id: int
    parent_id: int
    section_id: int
    calendar_type: str
    owner_id: int
    name: str
    starts: datetime
    """Wall clock in `zone_from`."""
    ends: datetime
    """Wall clock in `zone_to`; for a day-long event the last day, inclusive."""
    created_by: int
    created: datetime
    changed: datetime
    zone_from: str = ""
    zone_to: str = ""
    all_day: bool = False
    description: str = ""
    location: str = ""
    color: str = ""
    rule: Rule | None = None
    excluded: set[date] = field(default_factory=set)
    recurrence_id: int | None = None
    original_starts: datetime | None = None
    split_from: int | None = None
    is_meeting: bool = False
    host: int = 0
    status: str = ""
    accessibility: str = "busy"
    importance: str = "normal"
    private: bool = False
    version: int = 1

    def length(self, viewer_zone: str) -> int:
        """Seconds; days times 86400 for a day-long one, whose last day counts."""
        if self.all_day:
            return ((self.ends.date() - self.starts.date()).days + 1) * 86400
        start = instant(self.starts, self.zone_from or viewer_zone)
        seconds = int((instant(self.ends, self.zone_to or viewer_zone) - start).total_seconds())
        # A start in an hour that clocks skip may fall onto its end; it lasts as long as its clock shows all the same.
        return seconds or int((self.ends - self.starts).total_seconds())

    @property
    def wall_length(self) -> timedelta:
        return self.ends - self.starts


@dataclass
class World:
    """All of one portal's records, and the numbers next to be given out."""

    server_zone: str
    users: dict[int, User] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    tasks: dict[int, Task] = field(default_factory=dict)
    task_ids: list[int] = field(default_factory=list)
    bin: dict[int, Task] = field(default_factory=dict)
    sections: dict[int, Section] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)
    planner: dict[int, list[int]] = field(default_factory=dict)
    user_fields: dict[str, UfValue] = field(default_factory=dict)
    """The user fields of tasks, with what a task shows that never filled them."""
    next_event_id: int = 1

    @property
    def server_tz(self) -> ZoneInfo:
        return zone(self.server_zone)

    def put_task(self, task: Task) -> None:
        if task.task_id not in self.tasks:
            insort(self.task_ids, task.task_id)
        self.tasks[task.task_id] = task

    def drop_task(self, task_id: int) -> Task:
        task = self.tasks.pop(task_id)
        self.task_ids.remove(task_id)
        self.bin[task_id] = task
        return task

    def ids_above(self, task_id: int) -> int:
        """Where in `task_ids` those above an id begin."""
        return bisect_right(self.task_ids, task_id)

    def zone_of(self, user_id: int) -> str:
        """The zone a user lives in: the server's where none is set."""
        user = self.users.get(user_id)
        return (user.zone if user else "") or self.server_zone

    def is_admin(self, user_id: int) -> bool:
        user = self.users.get(user_id)
        return user is not None and user.admin

    def sees_task(self, user_id: int, task: Task) -> bool:
        if self.is_admin(user_id) or user_id in task.members:
            return True
        group = self.groups.get(task.group_id)
        return group is not None and user_id in group.members

    def access(self, user_id: int, section: Section) -> str:
        """full, title, time or none."""
        if section.calendar_type == "user" and section.owner_id == user_id:
            return "full"
        if section.calendar_type == "company_calendar" or self.is_admin(user_id):
            return "full"
        if section.calendar_type == "group":
            group = self.groups.get(section.owner_id)
            return "full" if group is not None and user_id in group.members else "none"
        return section.others

    def event_access(self, user_id: int, event: Event) -> str:
        """As `access`; a private event of another shows its time only, to administrators too."""
        level = self.access(user_id, self.sections[event.section_id])
        if event.private and level != "none" and event.calendar_type == "user" and event.owner_id != user_id:
            return "time"
        return level

    def copies(self, parent_id: int) -> list[Event]:
        """The rows of one meeting: the parent and a copy for each attendee."""
        return [event for event in self.events.values() if event.parent_id == parent_id and event.is_meeting]
