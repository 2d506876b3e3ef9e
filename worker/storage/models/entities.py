"""The mirror of people and tasks."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from worker.storage.columns import LongText, UtcDateTime
from worker.storage.models.base import Base, Mirrored, of_portal, options, portal_id_of

# Word for word the condition of the view `open_tasks`: SQLite compares the two as they are written.
_WHERE_OPEN = text("deleted_at IS NULL AND (status IS NULL OR status <> 5)")
_OPEN: dict[str, Any] = {"sqlite_where": _WHERE_OPEN, "postgresql_where": _WHERE_OPEN}


class User(Mirrored, Base):
    """A person on a portal."""

    __tablename__ = "users"
    __table_args__ = options("People of the portals")

    portal_id: Mapped[int] = of_portal()
    user_id: Mapped[int] = portal_id_of("The user's ID on the portal")
    name: Mapped[str | None] = mapped_column(LongText, comment="First name")
    last_name: Mapped[str | None] = mapped_column(LongText, comment="Last name")
    second_name: Mapped[str | None] = mapped_column(LongText, comment="Middle name")
    email: Mapped[str | None] = mapped_column(LongText, comment="E-mail address")
    active: Mapped[bool | None] = mapped_column(Boolean, comment="False: dismissed")
    work_position: Mapped[str | None] = mapped_column(LongText, comment="Position")
    departments: Mapped[str | None] = mapped_column(LongText, comment="IDs of departments, ascending, JSON list")
    user_type: Mapped[str | None] = mapped_column(LongText, comment="employee, extranet, ... as sent")
    time_zone: Mapped[str | None] = mapped_column(LongText, comment="IANA time zone of the user")


class Task(Mirrored, Base):
    """A Bitrix24 task."""

    __tablename__ = "tasks"
    __table_args__ = options(
        "Bitrix24 tasks",
        # Most tasks of a portal are completed: what people ask of the open ones is answered by an index of these alone.
        # MariaDB knows no such index and has one of all tasks. The portal comes late: who has one does not name it.
        Index("ix_tasks_open_responsible", "responsible_id", "portal_id", "deadline", **_OPEN),
        Index("ix_tasks_open_deadline", "deadline", "portal_id", **_OPEN),
        Index(None, "portal_id", "changed_at"),
    )

    portal_id: Mapped[int] = of_portal()
    task_id: Mapped[int] = portal_id_of("The task's ID on the portal")
    title: Mapped[str | None] = mapped_column(LongText, comment="Title")
    description: Mapped[str | None] = mapped_column(LongText, comment="Description as stored: BBCode or HTML")
    status: Mapped[int | None] = mapped_column(
        BigInteger, comment="2 waiting, 3 in progress, 4 awaits control, 5 completed, 6 deferred"
    )
    priority: Mapped[int | None] = mapped_column(BigInteger, comment="0 low, 1 average, 2 high")
    created_by_id: Mapped[int | None] = mapped_column(BigInteger, comment="Who set the task: users.user_id")
    responsible_id: Mapped[int | None] = mapped_column(BigInteger, comment="Who is responsible: users.user_id")
    group_id: Mapped[int | None] = mapped_column(BigInteger, comment="Workgroup or project")
    parent_id: Mapped[int | None] = mapped_column(BigInteger, comment="Parent task: tasks.task_id")
    stage_id: Mapped[int | None] = mapped_column(BigInteger, comment="Kanban stage")
    deadline: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="Deadline")
    created_at: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="When it was created on the portal")
    changed_at: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="When it was last changed on the portal")
    activity_at: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="Last activity: a comment, a change")
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="When it was completed")
    start_plan_at: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="Planned start")
    end_plan_at: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="Planned end")
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="When work on it began")
    time_estimate_seconds: Mapped[int | None] = mapped_column(BigInteger, comment="Estimate, seconds")
    time_spent_seconds: Mapped[int | None] = mapped_column(BigInteger, comment="Time logged, seconds")
    accomplices: Mapped[str | None] = mapped_column(LongText, comment="Participants: user IDs ascending, JSON list")
    auditors: Mapped[str | None] = mapped_column(LongText, comment="Observers: user IDs ascending, JSON list")
    tags: Mapped[str | None] = mapped_column(LongText, comment="Titles of tags, sorted, JSON list")
    crm_links: Mapped[str | None] = mapped_column(LongText, comment="CRM items such as D_12, in sent order, JSON list")


class PlannerTask(Base):
    """A task that a user has planned for a day."""

    __tablename__ = "planner_tasks"
    __table_args__ = options("Tasks that users planned for a day")

    portal_id: Mapped[int] = of_portal()
    user_id: Mapped[int] = portal_id_of("Whose plan: users.user_id")
    planned_on: Mapped[date] = mapped_column(Date, primary_key=True, comment="The day, in the user's time zone")
    task_id: Mapped[int] = portal_id_of("The task: tasks.task_id")
    position: Mapped[int] = mapped_column(Integer, comment="Place in the plan, from 0")
    read_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="When the row was last written (our clock)")
