"""The views answer people who only read."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, text

from worker.clock import SystemClock
from worker.storage.cursors import Cursor, save_cursor
from worker.storage.models import CalendarEvent, CalendarOccurrence, CalendarSection, Task, User
from worker.storage.session import Database

# The views look at the database's own clock.
NOW = SystemClock().now().replace(microsecond=0)
DAY = timedelta(days=1)
MIRROR: dict[str, Any] = {"raw": "{}", "content_hash": "0" * 32, "first_seen_at": NOW, "updated_at": NOW}


def ask(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with database.read() as session:
        return [tuple(row) for row in session.execute(text(statement))]


def test_open_and_overdue_tasks(database: Database, portal_id: int):
    """Completed and deleted tasks are in neither; overdue are those whose deadline is over."""
    own = {"portal_id": portal_id, "created_by_id": 2, "responsible_id": 1, "status": 2, "deadline": None, **MIRROR}
    tasks = [
        {**own, "task_id": 1, "title": "late", "deadline": NOW - timedelta(minutes=1), "deleted_at": None},
        {**own, "task_id": 2, "title": "in time", "deadline": NOW + DAY, "deleted_at": None},
        {**own, "task_id": 3, "title": "whenever", "status": None, "responsible_id": 99, "deleted_at": None},
        {**own, "task_id": 4, "title": "done", "status": 5, "deadline": NOW - DAY, "deleted_at": None},
        {**own, "task_id": 5, "title": "gone", "deadline": NOW - DAY, "deleted_at": NOW},
    ]
    people = [
        {"portal_id": portal_id, "user_id": 1, "name": "Ann", "last_name": "Lee", **MIRROR},
        {"portal_id": portal_id, "user_id": 2, "name": None, "last_name": "Kim", **MIRROR},
    ]
    with database.write() as session:
        session.execute(insert(User), people)
        session.execute(insert(Task), tasks)

    names = "portal, task_id, title, responsible, created_by"
    late, in_time, whenever = ask(database, f"SELECT {names} FROM open_tasks ORDER BY task_id")  # noqa: S608 - ours
    assert late == ("one.example", 1, "late", "Ann Lee", "Kim")
    assert (in_time[1], whenever[1:4]) == (2, (3, "whenever", None))
    assert ask(database, "SELECT title FROM overdue_tasks") == [("late",)]


def test_upcoming_events(database: Database, portal_id: int):
    """What is going on or still to come; an all-day event lasts to the end of its last day."""
    now = SystemClock().now().replace(microsecond=0)  # the file may have been read yesterday
    today = now.date()
    midnight = datetime(today.year, today.month, today.day, tzinfo=UTC)
    event = {"portal_id": portal_id, "section_id": 1, "calendar_type": "user", "owner_id": 1, **MIRROR}
    timed = {"portal_id": portal_id, "all_day": False, "starts_on": None, "ends_on": None}
    names = {1: "past", 2: "now", 3: "coming", 4: "all of today", 5: "yesterday", 6: "deleted"}
    with database.write() as session:
        session.execute(insert(CalendarSection).values(portal_id=portal_id, section_id=1, name="Work", **MIRROR))
        session.execute(insert(User).values(portal_id=portal_id, user_id=1, name="Ann", **MIRROR))
        session.execute(
            insert(CalendarEvent),
            [
                {**event, "event_id": number, "name": name, "deleted_at": now if name == "deleted" else None}
                for number, name in names.items()
            ],
        )
        session.execute(
            insert(CalendarOccurrence),
            [
                {**timed, "event_id": 1, "starts_at": now - 2 * DAY, "ends_at": now - DAY},
                {**timed, "event_id": 2, "starts_at": now - DAY, "ends_at": now + DAY},
                {**timed, "event_id": 3, "starts_at": now + DAY, "ends_at": now + DAY},
                {**timed, "event_id": 6, "starts_at": now + DAY, "ends_at": now + DAY},
                *(
                    {
                        "portal_id": portal_id,
                        "event_id": number,
                        "all_day": True,
                        "starts_at": midnight - back,
                        "ends_at": midnight - back,
                        "starts_on": today - back,
                        "ends_on": today - back,
                    }
                    for number, back in ((4, timedelta(0)), (5, DAY))
                ),
            ],
        )

    rows = ask(database, "SELECT portal, name, calendar, owner FROM upcoming_events ORDER BY event_id")
    assert rows == [("one.example", name, "Work", "Ann") for name in ("now", "coming", "all of today")]


def test_freshness(database: Database, portal_id: int):
    """How long ago each resource was read."""
    with database.write() as session:
        save_cursor(session, Cursor(portal_id, "tasks", last_run_at=NOW - timedelta(hours=2), last_status="ok"))
        save_cursor(session, Cursor(portal_id, "users"))

    names = "portal, portal_status, resource, last_status, seconds_since_run"
    tasks, users = ask(database, f"SELECT {names} FROM portal_freshness ORDER BY resource")  # noqa: S608 - ours
    assert tasks[:4] == ("one.example", "active", "tasks", "ok")
    assert 7200 <= tasks[4] < 7200 + 3600
    assert users[2:] == ("users", None, None)
