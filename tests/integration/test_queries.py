"""The queries of docs/queries.md: they run, they answer their question, and the indexes made for them are used."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text

from worker.storage.models import CalendarEvent, CalendarOccurrence, CalendarSection, EventAttendee, Task, User
from worker.storage.session import Database

PAGE = Path(__file__).parents[2] / "docs" / "queries.md"
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
PAST, FUTURE = datetime(2020, 1, 1, tzinfo=UTC), datetime(2199, 1, 1, tzinfo=UTC)
MIRROR: dict[str, Any] = {"content_hash": "0" * 32, "first_seen_at": PAST, "updated_at": PAST}

OPEN = "Who has how many open tasks, and how many without a deadline?"
LIST = "What is on one person's list, the next deadline first?"
OVERDUE = "Who has most overdue tasks, and since when?"
WEEK = "How full is everybody's week?"


@cache
def queries() -> dict[str, dict[str, str]]:
    """Question to the name of a database (or "": any) to the query."""
    found: dict[str, dict[str, str]] = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        question = section.split("\n", 1)[0]
        found[question] = dict(re.findall(r"```sql ?(\w*)\n(.*?);\n```", section, re.DOTALL))
    return {question: blocks for question, blocks in found.items() if blocks}


def ask(database: Database, question: str) -> list[tuple[Any, ...]]:
    blocks = queries()[question]
    with database.read() as session:
        return [tuple(row) for row in session.execute(text(blocks.get(database.dialect) or blocks[""]))]


@pytest.fixture
def small(database: Database, portal_id: int) -> Database:
    """A few rows of each kind."""
    own = {"portal_id": portal_id, "created_by_id": 7, "raw": "{}", **MIRROR}
    ann = {**own, "responsible_id": 7, "closed_at": None, "deleted_at": None, "tags": None}
    event = {"portal_id": portal_id, "section_id": 1, "calendar_type": "user", "owner_id": 7, "raw": "{}", **MIRROR}
    timed = {"portal_id": portal_id, "all_day": False, "starts_on": None, "ends_on": None}
    tasks = [
        {**ann, "task_id": 1, "title": "late", "status": 3, "deadline": PAST, "tags": '["a","urgent"]'},
        {**ann, "task_id": 2, "title": "in time", "status": 2, "deadline": FUTURE, "tags": '["urgently"]'},
        {**ann, "task_id": 3, "title": "whenever", "status": 2, "deadline": None, "raw": '{"ufAutoContract":"C-1"}'},
        {**ann, "task_id": 4, "title": "done", "status": 5, "deadline": PAST, "closed_at": MONDAY},
        {**ann, "task_id": 5, "title": "gone", "status": 2, "deadline": PAST, "deleted_at": MONDAY},
    ]
    occurrences = [
        {**timed, "event_id": 1, "starts_at": MONDAY + timedelta(hours=h), "ends_at": MONDAY + timedelta(hours=h + 1.5)}
        for h in (-24, 9, 33, 7 * 24)
    ]
    day = {"all_day": True, "starts_on": date(2026, 11, 24), "ends_on": date(2026, 11, 24)}
    midnight = MONDAY + timedelta(days=1)
    occurrences.append({**timed, **day, "event_id": 2, "starts_at": midnight, "ends_at": midnight})
    occurrences.append({**timed, "event_id": 1, "starts_at": FUTURE, "ends_at": FUTURE})
    with database.write() as session:
        session.execute(
            insert(User).values(portal_id=portal_id, user_id=7, name="Ann", last_name="Lee", raw="{}", **MIRROR)
        )
        session.execute(insert(Task), tasks)
        session.execute(
            insert(CalendarSection).values(portal_id=portal_id, section_id=1, name="Work", raw="{}", **MIRROR)
        )
        session.execute(
            insert(CalendarEvent), [{**event, "event_id": i, "name": f"E{i}", "starts_at": MONDAY} for i in (1, 2)]
        )
        session.execute(insert(CalendarOccurrence), occurrences)
        session.execute(insert(EventAttendee).values(portal_id=portal_id, event_id=1, user_id=7, status="Q"))
    return database


def test_each_query_answers_its_question(small: Database):
    """The first columns of each answer; times as they are are the views' own tests."""
    assert ask(small, OPEN) == [("Ann Lee", 3, 1)]
    assert [row[:2] for row in ask(small, LIST)] == [(1, "late"), (2, "in time"), (3, "whenever")]
    assert [row[:2] for row in ask(small, OVERDUE)] == [("Ann Lee", 1)]
    assert ask(small, "How many tasks does each person complete?") == [("Ann", "Lee", 1)]
    ((name, last_name, hours, whole_days),) = ask(small, WEEK)
    assert (name, last_name, float(hours), whole_days) == ("Ann", "Lee", 3.0, 1)
    assert ("E1", "Ann Lee", "Work") in [row[1:] for row in ask(small, "What is next in the calendars?")]
    assert [row[::2] for row in ask(small, "Who has not answered an invitation?")] == [("E1", "Ann")]
    assert ask(small, "Which tasks carry a tag?") == [(1, "late")]
    assert ask(small, "What does a custom field hold?") == [(3, "C-1")]
    assert [row[:2] for row in ask(small, "What was deleted on the portal?")] == [(5, "gone")]
    assert ask(small, "May I trust what I see?") == []


def test_no_query_of_the_page_is_left_out():
    """Each runs in the test above."""
    assert len(queries()) == 11
    for question, blocks in queries().items():
        assert set(blocks) in ({""}, {"sqlite", "postgresql", "mysql"}), question


@pytest.fixture
def large(database: Database, portal_id: int) -> Database:
    """As a portal is after years: of 20,000 tasks 400 are open; 2,000 instances of events in 200 days."""
    if database.dialect == "mysql":
        pytest.skip("MariaDB has no partial indexes, so there is none of the open tasks alone")
    task = {"portal_id": portal_id, "title": "t" * 40, "raw": "{}", **MIRROR}
    event = {"portal_id": portal_id, "calendar_type": "user", "owner_id": 7, "raw": "{}", **MIRROR}
    with database.write() as session:
        session.execute(
            insert(User), [{"portal_id": portal_id, "user_id": i, "raw": "{}", **MIRROR} for i in range(40)]
        )
        session.execute(
            insert(Task),
            [
                {
                    **task,
                    "task_id": i,
                    "status": 2 if i % 50 == 0 else 5,
                    "responsible_id": i // 50 % 40,
                    "deadline": PAST + timedelta(hours=3 * i),
                }
                for i in range(20_000)
            ],
        )
        session.execute(insert(CalendarEvent), [{**event, "event_id": i} for i in range(2_000)])
        start = MONDAY - timedelta(days=30)
        session.execute(
            insert(CalendarOccurrence),
            [
                {
                    "portal_id": portal_id,
                    "event_id": i,
                    "starts_at": start + timedelta(hours=2.4 * i),
                    "ends_at": start + timedelta(hours=2.4 * i + 1),
                    "all_day": False,
                }
                for i in range(2_000)
            ],
        )
        if database.dialect == "postgresql":  # by itself in a while; a SQLite is analysed by nobody
            session.execute(text("ANALYZE"))
    return database


@pytest.mark.parametrize(
    ("question", "index"),
    [
        (OPEN, "ix_tasks_open_"),
        (LIST, "ix_tasks_open_responsible"),
        (OVERDUE, "ix_tasks_open_deadline"),
        (WEEK, "ix_calendar_occurrences_starts_at_portal_id"),
    ],
)
def test_the_usual_questions_are_answered_by_an_index(large: Database, question: str, index: str):
    blocks = queries()[question]
    query = blocks.get(large.dialect) or blocks[""]
    explain = "EXPLAIN QUERY PLAN" if large.dialect == "sqlite" else "EXPLAIN"
    with large.read() as session:
        plan = "\n".join(str(row) for row in session.execute(text(f"{explain} {query}")))

    assert index in plan
