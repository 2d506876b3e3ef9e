"""Rows are written when they changed, and only then."""

from datetime import timedelta
from typing import Any
from zlib import crc32

import pytest
from sqlalchemy import select

from tests.conftest import FakeClock
from tests.integration.statements import noted_statements
from worker.storage.bulk import write_rows
from worker.storage.models import EventAttendee, PlannerTask, Task
from worker.storage.session import Database
from worker.storage.upsert import (
    Counts,
    SetCounts,
    count_live,
    known_ids,
    mark_deleted,
    replace_set,
    stored_hashes,
    upsert,
)

TASKS = Task.__table__
ATTENDEES = EventAttendee.__table__


def writes(statements: list[str]) -> list[str]:
    """Those that change something."""
    return [one for one in statements if not one.lstrip().upper().startswith(("SELECT", "SAVEPOINT"))]


def row(task_id: int, title: str = "title", **columns: object) -> dict[str, Any]:
    return {"task_id": task_id, "title": title, "raw": "{}", "content_hash": f"{crc32(title.encode()):032x}", **columns}


def titles(database: Database) -> dict[int, str | None]:
    with database.read() as session:
        return {task.task_id: task.title for task in session.scalars(select(Task))}


def test_new_changed_and_unchanged_rows_are_told_apart(database: Database, portal_id: int, clock: FakeClock):
    """The counts are what happened, and an update keeps the day of the first sight."""
    first = clock.now()
    with database.write() as session:
        assert upsert(session, TASKS, [row(1), row(2)], portal_id=portal_id, now=first) == Counts(inserted=2)
    clock.advance(60)
    with database.write() as session:
        counts = upsert(session, TASKS, [row(1), row(2, "new"), row(3)], portal_id=portal_id, now=clock.now())

    assert counts == Counts(inserted=1, updated=1, unchanged=1)
    assert titles(database) == {1: "title", 2: "new", 3: "title"}
    with database.read() as session:
        seen = {task.task_id: (task.first_seen_at, task.updated_at) for task in session.scalars(select(Task))}
    assert seen == {1: (first, first), 2: (first, clock.now()), 3: (clock.now(), clock.now())}


def test_an_unchanged_page_writes_nothing(database: Database, portal_id: int, clock: FakeClock):
    """Not even a statement that would change no row."""
    rows = [row(number) for number in range(1200)]
    with database.write() as session:
        upsert(session, TASKS, rows, portal_id=portal_id, now=clock.now())
    with noted_statements() as statements, database.write() as session:
        counts = upsert(session, TASKS, rows, portal_id=portal_id, now=clock.now())

    assert counts == Counts(unchanged=1200)
    assert writes(statements) == []


def test_one_changed_row_is_one_write(database: Database, portal_id: int, clock: FakeClock):
    """The unchanged rows of a page do not travel."""
    with database.write() as session:
        upsert(session, TASKS, [row(1), row(2)], portal_id=portal_id, now=clock.now())
    with noted_statements() as statements, database.write() as session:
        upsert(session, TASKS, [row(1), row(2, "new")], portal_id=portal_id, now=clock.now())

    assert len(writes(statements)) == 1


@pytest.mark.parametrize("title", ["title", "new"])
def test_a_row_that_comes_back_is_revived(database: Database, portal_id: int, clock: FakeClock, title: str):
    """With the old content or with a new one."""
    with database.write() as session:
        upsert(session, TASKS, [row(1)], portal_id=portal_id, now=clock.now())
        mark_deleted(session, TASKS, portal_id, [1], clock.now())
    clock.advance(60)
    with database.write() as session:
        counts = upsert(session, TASKS, [row(1, title)], portal_id=portal_id, now=clock.now())

    assert counts == Counts(revived=1)
    with database.read() as session:
        task = session.scalars(select(Task)).one()
        assert (task.deleted_at, task.title, task.updated_at) == (None, title, clock.now())


def test_of_one_key_given_twice_the_last_wins(database: Database, portal_id: int, clock: FakeClock):
    """A record that changed while its pages were read comes twice."""
    with database.write() as session:
        counts = upsert(session, TASKS, [row(1, "old"), row(1, "new")], portal_id=portal_id, now=clock.now())

    assert counts == Counts(inserted=1)
    assert titles(database) == {1: "new"}


def test_a_column_that_is_not_named_keeps_its_value(database: Database, portal_id: int, clock: FakeClock):
    """Rows of different shapes go together; what a row does not say stays."""
    with database.write() as session:
        upsert(session, TASKS, [row(1, description="kept")], portal_id=portal_id, now=clock.now())
    with database.write() as session:
        rows = [row(1, "new"), row(2, description="two")]
        assert upsert(session, TASKS, rows, portal_id=portal_id, now=clock.now()) == Counts(inserted=1, updated=1)

    with database.read() as session:
        texts = {task.task_id: (task.title, task.description) for task in session.scalars(select(Task))}
    assert texts == {1: ("new", "kept"), 2: ("title", "two")}


def test_many_rows_new_and_known_are_written_alike(database: Database, portal_id: int, clock: FakeClock):
    """A first page, and one that meets it half."""
    first, second = range(1, 301), range(151, 451)
    for ids, title in ((first, "old"), (second, "new")):
        with database.write() as session:
            upsert(session, TASKS, [row(i, title) for i in ids], portal_id=portal_id, now=clock.now())

    assert titles(database) == dict.fromkeys(first, "old") | dict.fromkeys(second, "new")


def test_a_row_that_was_not_there_a_moment_ago_may_be_there_now(database: Database, portal_id: int, clock: FakeClock):
    """Who writes many rows as new ones loses none, and no other's work of the same transaction."""
    now = clock.now()
    own = {"portal_id": portal_id, "first_seen_at": now, "updated_at": now, "deleted_at": None}
    with database.write() as session:
        upsert(session, TASKS, [row(300, "another's")], portal_id=portal_id, now=now)
    with database.write() as session:
        upsert(session, TASKS, [row(1000)], portal_id=portal_id, now=now)
        write_rows(session, TASKS, [row(i, "ours") for i in range(1, 401)], shared=own, new=True)

    assert titles(database) == {1000: "title"} | dict.fromkeys(range(1, 401), "ours")


def test_a_column_that_does_not_exist_is_refused(database: Database, portal_id: int, clock: FakeClock):
    """A misspelt column would be lost in silence."""
    with pytest.raises(ValueError, match="tasks has no column deadlin"), database.write() as session:
        upsert(session, TASKS, [row(1, deadlin=None)], portal_id=portal_id, now=clock.now())


def test_deletion_is_marked_once(database: Database, portal_id: int, clock: FakeClock):
    """A mark keeps its date; the payload stays."""
    first = clock.now()
    with database.write() as session:
        upsert(session, TASKS, [row(number) for number in range(1100)], portal_id=portal_id, now=first)
        assert mark_deleted(session, TASKS, portal_id, [0, 1], first) == 2
    with database.write() as session:
        assert mark_deleted(session, TASKS, portal_id, range(1100), first + timedelta(60)) == 1098
        assert mark_deleted(session, TASKS, portal_id, range(1100), first + timedelta(90)) == 0
        assert session.get(Task, (portal_id, 0)).deleted_at == first
        assert session.get(Task, (portal_id, 0)).raw == "{}"


def test_known_are_the_live_rows_of_this_portal(database: Database, portal_id: int, clock: FakeClock):
    """What is marked as deleted is looked for no more."""
    with database.write() as session:
        upsert(session, TASKS, [row(1), row(2), row(3, group_id=7)], portal_id=portal_id, now=clock.now())
        mark_deleted(session, TASKS, portal_id, [2], clock.now())

        assert known_ids(session, TASKS, portal_id) == {1, 3}
        assert known_ids(session, TASKS, portal_id, where=TASKS.c.group_id == 7) == {3}
        assert known_ids(session, TASKS, portal_id + 1) == set()
        assert set(stored_hashes(session, TASKS, portal_id, [1, 2, 9])) == {1}
        assert count_live(session, TASKS, portal_id) == 2


def test_a_set_is_made_equal_by_difference(database: Database, portal_id: int):
    """Missing rows come, others go, changed ones change, and rows out of scope stay."""
    with database.write() as session:
        start = [{"event_id": event, "user_id": user, "status": "Q"} for event in (1, 2) for user in (1, 2, 3)]
        assert replace_set(session, ATTENDEES, start, scope={"portal_id": portal_id}) == SetCounts(inserted=6)
    with database.write() as session:
        rows = [{"user_id": 1, "status": "Q"}, {"user_id": 2, "status": "Y"}, {"user_id": 9, "status": "H"}]
        counts = replace_set(session, ATTENDEES, rows, scope={"portal_id": portal_id, "event_id": 1})

    assert counts == SetCounts(inserted=1, updated=1, deleted=1)
    with database.read() as session:
        found = {(one.event_id, one.user_id): one.status for one in session.scalars(select(EventAttendee))}
    assert found == {(1, 1): "Q", (1, 2): "Y", (1, 9): "H", (2, 1): "Q", (2, 2): "Q", (2, 3): "Q"}


def test_an_equal_set_writes_nothing(database: Database, portal_id: int, clock: FakeClock):
    """Also where the rows carry a stamp of when they were written."""
    plan = {"user_id": 1, "planned_on": clock.now().date(), "task_id": 5, "position": 0}
    scope = {"portal_id": portal_id, "user_id": 1}
    with database.write() as session:
        replace_set(session, PlannerTask.__table__, [plan], scope=scope, stamp={"read_at": clock.now()})
    clock.advance(60)
    with noted_statements() as statements, database.write() as session:
        counts = replace_set(session, PlannerTask.__table__, [plan], scope=scope, stamp={"read_at": clock.now()})

    assert counts == SetCounts()
    assert writes(statements) == []


def test_a_scope_may_be_a_condition_or_many_values(database: Database, portal_id: int):
    """More values than one statement takes are split."""
    with database.write() as session:
        rows = [{"portal_id": portal_id, "event_id": event, "user_id": 1, "status": "Q"} for event in range(1200)]
        assert replace_set(
            session, ATTENDEES, rows, scope={"portal_id": portal_id, "event_id": list(range(1200))}
        ) == SetCounts(inserted=1200)
        condition = (ATTENDEES.c.portal_id == portal_id) & (ATTENDEES.c.event_id < 1100)
        assert replace_set(session, ATTENDEES, rows[:10], scope=condition) == SetCounts(deleted=1090)
        assert replace_set(session, ATTENDEES, [], scope={"portal_id": portal_id, "event_id": set()}) == SetCounts()


def test_counts_add_up():
    """Pages are summed into a run."""
    assert Counts(1, 2, 3, 4) + Counts(1, 1, 1, 1) == Counts(2, 3, 4, 5)
    assert SetCounts(1, 2, 3) + SetCounts(1, 1, 1) == SetCounts(2, 3, 4)
