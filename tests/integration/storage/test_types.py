"""What goes into a column comes out of it, on every database."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import StatementError

from tests.integration.conftest import connect
from worker.clock import Clock
from worker.storage.bulk import write_rows
from worker.storage.models import Base, CalendarOccurrence, Portal, Task
from worker.storage.session import Database

BIG = 2**53 + 1  # beyond what a double holds exactly, too


def task(portal_id: int, now: datetime, **columns: object) -> dict[str, object]:
    own = {"portal_id": portal_id, "task_id": 1, "raw": "{}", "content_hash": "0" * 32}
    return {**own, "first_seen_at": now, "updated_at": now, **columns}


def stored(database: Database) -> Task:
    with database.read() as session:
        return session.scalars(select(Task)).one()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("😀 Ünïcödé 漢字 𐍈 \u200d", id="four bytes"),
        pytest.param("ж" * 200_000, id="400 KB"),
        pytest.param("quotes ' \" ` \\ % %s :name \r\n\t;--", id="metacharacters"),
        pytest.param("", id="empty"),
        pytest.param("ends in spaces  ", id="spaces"),
    ],
)
def test_text_comes_back_as_it_went(database: Database, portal_id: int, clock: Clock, value: str):
    """No text is cut, folded or re-encoded."""
    with database.write() as session:
        session.execute(insert(Task), [task(portal_id, clock.now(), title=value, description=value, raw=value)])

    row = stored(database)
    assert (row.title, row.description, row.raw) == (value, value, value)


def test_ids_beyond_32_bits(database: Database, portal_id: int, clock: Clock):
    """Portals number as far as they like."""
    with database.write() as session:
        session.execute(
            insert(Task), [task(portal_id, clock.now(), task_id=BIG, responsible_id=BIG, time_spent_seconds=BIG)]
        )

    row = stored(database)
    assert (row.task_id, row.responsible_id, row.time_spent_seconds) == (BIG, BIG, BIG)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 10, 25, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=3))),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2038, 1, 20, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
)
def test_an_instant_comes_back_in_utc(database: Database, portal_id: int, clock: Clock, moment: datetime):
    """The instant is kept to the microsecond, whatever zone it came in."""
    with database.write() as session:
        session.execute(insert(Task), [task(portal_id, clock.now(), deadline=moment)])

    row = stored(database)
    assert row.deadline == moment
    assert row.deadline is not None
    assert row.deadline.tzinfo is UTC


@pytest.mark.parametrize(
    "sent", ["2026-11-23T10:34:56Z", "2026-11-23T10:34:56.123456Z", "1970-01-01T00:00:00Z", "0999-12-31T23:59:59Z"]
)
def test_an_instant_may_go_in_as_a_text(database: Database, portal_id: int, clock: Clock, sent: str):
    """By a statement of its own and by the bulk writer, a few rows and many: all write what a datetime would."""
    moment = datetime.fromisoformat(sent)
    table = Base.metadata.tables["tasks"]
    with database.write() as session:
        session.execute(insert(Task), [task(portal_id, clock.now(), task_id=1, deadline=sent)])
        for first, count in ((2, 3), (5, 300)):
            rows = [task(portal_id, clock.now(), task_id=first + n, deadline=sent) for n in range(count)]
            write_rows(session, table, rows, shared={})
        session.execute(insert(Task), [task(portal_id, clock.now(), task_id=999, deadline=moment)])

    with database.read() as session:
        assert set(session.scalars(select(Task.deadline))) == {moment}
        assert len(session.scalars(select(Task.task_id).where(Task.deadline == moment)).all()) == 305


def test_a_naive_text_is_refused(database: Database, portal_id: int, clock: Clock):
    """As a naive time is."""
    with pytest.raises(StatementError, match="a time without a zone"), database.write() as session:
        session.execute(insert(Task), [task(portal_id, clock.now(), deadline="2026-11-23T12:00:00")])


def test_a_naive_time_is_refused(database: Database, portal_id: int, clock: Clock):
    """A time without a zone is a mistake of hours: it fails where it is made."""
    naive = datetime(2026, 11, 23, 12, 0)  # noqa: DTZ001 - the point

    with pytest.raises(StatementError, match="a time without a zone"), database.write() as session:
        session.execute(insert(Task), [task(portal_id, clock.now(), deadline=naive)])
    with pytest.raises(StatementError, match="a time without a zone"), database.read() as session:
        session.execute(select(Task).where(Task.deadline < naive))


def test_instants_compare_in_sql(database: Database, portal_id: int, clock: Clock):
    """A condition on a time means the same everywhere, fractions of a second included."""
    now = clock.now()
    with database.write() as session:
        session.execute(
            insert(Task),
            [
                task(portal_id, now, task_id=number, deadline=now + timedelta(microseconds=offset))
                for number, offset in enumerate([-1, 0, 1])
            ],
        )
    with database.read() as session:
        before = select(Task.task_id).where(Task.deadline < now.astimezone(timezone(timedelta(hours=-9))))
        assert list(session.scalars(before)) == [0]


def test_dates_and_booleans(database: Database, portal_id: int, clock: Clock):
    """All-day instances keep their days."""
    now = clock.now()
    row = {"portal_id": portal_id, "event_id": 1, "starts_at": now, "ends_at": now, "all_day": True}
    with database.write() as session:
        session.execute(
            insert(CalendarOccurrence), [{**row, "starts_on": date(2026, 11, 23), "ends_on": date(2026, 11, 24)}]
        )
    with database.read() as session:
        occurrence = session.scalars(select(CalendarOccurrence)).one()
        assert occurrence.all_day is True
        assert (occurrence.starts_on, occurrence.ends_on) == (date(2026, 11, 23), date(2026, 11, 24))


def test_texts_that_differ_in_case_are_two_keys(database: Database, clock: Clock):
    """Keys are compared exactly: no database folds case, accents or emoji."""
    with database.write() as session:
        for member_id in ("abc", "ABC", "äbc", "😀", "😁"):
            connect(session, clock.now(), member_id=member_id)
    with database.read() as session:
        assert len(session.scalars(select(Portal)).all()) == 5


def test_a_number_is_not_given_twice(database: Database, clock: Clock):
    """A job of a removed portal must not meet another portal under its number."""
    with database.write() as session:
        first = connect(session, clock.now()).portal_id
    with database.write() as session:
        session.execute(text("DELETE FROM accounts"))
        session.execute(text("DELETE FROM request_budgets"))
        session.execute(text("DELETE FROM portals"))
    with database.write() as session:
        assert connect(session, clock.now()).portal_id > first
