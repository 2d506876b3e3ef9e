"""Whatever a record holds, it becomes a row or is kept aside with the reason; the run goes on."""

from datetime import timedelta

import pytest
from sqlalchemy import delete

from tests.integration.mirror import MONDAY, OK, Mirror, Stage, shown_once, statuses
from tests.integration.statements import counted_writes
from worker.emulator.world.recurrence import Rule
from worker.storage.models import Task
from worker.storage.rejected import put_rejected
from worker.sync.report import Mode


@pytest.fixture
def mirror(stage: Stage) -> Mirror:
    return stage.mirror(tasks=60, events=30, big_ids=True, long_description=True)


def test_long_texts_big_ids_and_unstorable_characters_are_kept(mirror: Mirror):
    """200 KB of description, IDs beyond 2^31, NUL and half a surrogate pair."""
    odd = mirror.portal.create_task(title="nul \0 and half \ud83d", description="x" * 200_000 + "🎂")
    mirror.portal.create_event(1, MONDAY, MONDAY, name="half \udc00", description="nul \0")
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []
    assert odd > 2**31
    row = mirror.row("tasks", odd)
    assert row["title"] == "nul \ufffd and half \ufffd"
    assert len(row["description"]) == 200_001
    assert mirror.rejected() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("changedDate", "not-a-date"),
        ("deadline", "2026-02-30T10:00:00+01:00"),
        ("priority", "high"),
        ("priority", 10**30),
        ("tags", "x" * 10),
        ("accomplices", {"a": {}}),
        ("responsibleId", [1, 2]),
    ],
)
def test_a_field_that_cannot_be_read_puts_its_record_aside(mirror: Mirror, field: str, value: object):
    """Counted, with its payload and the reason; the run is ok; its row stays as it was."""
    mirror.portal.faults.add("junk_field", method="tasks.task.list", after=1, field=field, value=value)
    reports = mirror.sync()
    assert statuses(reports) == OK
    (bad,) = mirror.portal.spoiled
    if reports["tasks"].rejected:
        (kept,) = mirror.rejected("tasks")
        assert (kept.record_key, kept.attempts) == (bad, 1)
        assert field in kept.reason
        assert kept.payload
        assert int(bad) not in mirror.ids("tasks")
    else:
        assert int(bad) in mirror.ids("tasks")
    # Healed by the next full reading, or when somebody changes it.
    mirror.clock.advance(3_600)
    mirror.portal.update_task(int(bad), title="Mended")
    assert statuses(mirror.sync()) == OK
    assert mirror.rejected() == []
    assert mirror.differences() == []


@pytest.mark.parametrize("value", [None, "abc", -5, 2**70])
def test_a_record_without_an_id_is_kept_aside_and_nothing_is_lost(mirror: Mirror, value: object):
    """The listing cannot be sure of such a page; the run says so, or the record itself is fetched later."""
    mirror.portal.faults.add("junk_field", method="tasks.task.list", after=1, field="id", value=value)
    reports = mirror.sync()
    assert reports["tasks"].rejected == 1
    assert [kept.reason for kept in mirror.rejected("tasks")] == ["it has no readable ID"]
    assert not [row for row in mirror.rows("tasks", deleted=True) if row["deleted_at"]]
    mirror.clock.advance(3_600)
    assert statuses(mirror.sync(Mode.FULL)) == OK
    assert mirror.rejected() == []
    assert mirror.differences() == []


def test_a_known_row_whose_record_turns_bad_stays_as_it_was(mirror: Mirror):
    """A reading of junk is no reason to forget, and none to delete."""
    mirror.sync()
    before = {row["task_id"]: row["title"] for row in mirror.rows("tasks")}
    mirror.portal.faults.add("junk_field", method="tasks.task.list", after=1)
    reports = mirror.sync(Mode.FULL)
    assert (statuses(reports), reports["tasks"].rejected, reports["tasks"].deleted) == (OK, 1, 0)
    assert {row["task_id"]: row["title"] for row in mirror.rows("tasks")} == before
    assert statuses(mirror.sync(Mode.FULL)) == OK
    assert mirror.rejected() == []


def test_a_kept_payload_never_covers_a_newer_row(mirror: Mirror):
    """However many records are kept, the one that became a row is forgotten."""
    mirror.sync()
    task_id = mirror.portal.world.task_ids[0]
    row = mirror.row("tasks", task_id)
    with mirror.database.write() as session:
        for number in range(600):
            now = mirror.clock.now() - timedelta(days=1)
            put_rejected(session, mirror.portal_id, "tasks", f"x{number}", payload="{}", reason="old", now=now)
        put_rejected(
            session, mirror.portal_id, "tasks", str(task_id), payload=row["raw"], reason="old", now=mirror.clock.now()
        )
    mirror.clock.advance(3_600)
    mirror.portal.update_task(task_id, title="Newer")
    mirror.sync()
    assert mirror.row("tasks", task_id)["title"] == "Newer"
    assert str(task_id) not in {kept.record_key for kept in mirror.rejected("tasks")}
    mirror.sync(Mode.FULL)
    assert mirror.rejected() == []
    assert mirror.row("tasks", task_id)["title"] == "Newer"


@pytest.mark.parametrize("others", [0, 1200])
def test_a_record_kept_by_an_older_program_becomes_a_row_without_the_portal(mirror: Mirror, others: int):
    """It is tried again at every run, however many others are kept."""
    mirror.sync()
    task_id = mirror.portal.world.task_ids[0]
    raw = mirror.row("tasks", task_id)["raw"]
    with mirror.database.write() as session:
        for number in range(others):
            put_rejected(
                session, mirror.portal_id, "tasks", f"0{number}", payload="{}", reason="old", now=mirror.clock.now()
            )
        session.execute(delete(Task).where(Task.task_id == task_id))
        put_rejected(
            session, mirror.portal_id, "tasks", str(task_id), payload=raw, reason="old", now=mirror.clock.now()
        )
    mirror.clock.advance(3_600)
    assert mirror.sync()["tasks"].inserted == 1
    assert len(mirror.rejected()) == others
    assert mirror.differences() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("DATE_FROM_FORMATTED", "someday"),
        ("TZ_FROM", "Mars/Olympus"),
        ("ID", "abc"),
        ("ID", None),
    ],
)
def test_an_event_that_cannot_be_read_is_put_aside_and_not_deleted(mirror: Mirror, field: str, value: object):
    """Nor is half of its series taken for the whole."""
    mirror.sync()
    held = mirror.ids("calendar_events")
    mirror.portal.faults.add("junk_field", method="calendar.event.get", times=99, field=field, value=value)
    report = mirror.sync()["calendar"]
    # Without its ID a row is missing from its series, and no person can have taken it out; where the row is the series
    # it is asked for, or the guard stops that.
    without_id = {"ok", "guarded"} if shown_once() else {"incomplete"}
    assert str(report.status) in (without_id if field == "ID" else {"ok"})
    assert report.deleted == 0
    assert report.rejected == len(mirror.rejected("calendar")) > 0
    assert held <= mirror.ids("calendar_events")
    mirror.portal.faults.clear()
    assert statuses(mirror.sync()) == OK
    assert mirror.rejected() == []
    assert mirror.differences() == []


def test_an_event_without_a_zone_is_read_in_the_users_own(mirror: Mirror):
    """The portal leaves the zone empty where nobody chose one."""
    event_id = mirror.portal.create_event(1, MONDAY, MONDAY + timedelta(hours=1), zone="")
    mirror.sync()
    assert mirror.row("calendar_events", event_id)["time_zone"] is None
    assert mirror.differences() == []


def test_an_unknown_kind_of_calendar_is_kept_as_it_is(mirror: Mirror):
    """A word that this program has never heard."""
    event_id = mirror.portal.create_event(1, MONDAY, MONDAY, rule=Rule("DAILY", count=2))
    mirror.portal.faults.add(
        "junk_field", method="calendar.event.get", times=9, field="CAL_TYPE", value="resource", at=0
    )
    assert statuses(mirror.sync()) == OK
    assert event_id in mirror.ids("calendar_events")
    assert statuses(mirror.sync()) == OK
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


def test_a_section_that_cannot_be_read_is_put_aside(mirror: Mirror):
    """Its ID is no number, and stays none when the calendar is asked for once more; nothing is concluded from that."""
    mirror.portal.new_section("user", mirror.portal.admin_id, "Another one")
    mirror.sync()
    held = mirror.ids("calendar_sections")
    mirror.portal.faults.add("junk_field", method="calendar.section.get", field="ID", value="abc", at=0, times=3)
    report = mirror.sync()["calendar"]
    assert (str(report.status), report.rejected) == ("ok", 1)
    assert mirror.ids("calendar_sections") == held
    assert statuses(mirror.sync()) == OK
    assert mirror.rejected() == []
    assert mirror.differences() == []


def test_what_is_kept_aside_again_and_again_writes_no_entity_row(mirror: Mirror):
    """A record that stays bad costs a note, not a row."""
    mirror.sync()
    for _ in range(2):
        mirror.portal.faults.add("junk_field", method="tasks.task.list", after=1)
        with counted_writes() as writes:
            assert statuses(mirror.sync(Mode.FULL)) == OK
        assert not writes["tasks"]
    assert mirror.rejected("tasks")[0].attempts == 2
