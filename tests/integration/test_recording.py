"""A recording holds nobody, and replays to the mirror that the portal itself gives."""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.integration.mirror import ALL_CALENDARS, ENTITIES, Mirror, Stage, by_key
from worker import recording
from worker.config import Settings
from worker.emulator import Portal
from worker.storage import portals
from worker.storage.models import Base
from worker.storage.session import Database
from worker.sync.portal import Wish
from worker.sync.report import Mode, Report
from worker.wiring import Wiring

TEXTS = {
    "tasks": ("title", "description", "tags", "crm_links"),
    "users": ("name", "last_name", "second_name", "email", "work_position"),
    "calendar_sections": ("name", "description"),
    "calendar_events": ("name", "description", "location"),
}
"""What people wrote; everything else of a row says when, how many and who by number."""
HASHES = {"content_hash", "visible_hash"}
UNLIKE = {"portal_id", "raw", "first_seen_at", "updated_at", "read_at"}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as stage:
        yield stage


def taken(mirror: Mirror) -> tuple[str, list[Report]]:
    """A recording, and how it went."""
    with mirror.database.read() as session:
        account = portals.primary_account(session, mirror.portal_id)
    assert account is not None
    file = io.StringIO()
    reports = recording.record(mirror.wiring, mirror.standing(), account, file)
    return file.getvalue(), reports


def recorded(mirror: Mirror) -> str:
    text, reports = taken(mirror)
    assert {str(report.status) for report in reports} == {"ok"}
    return text


def replay(text: str, folder: Path, url: str | None = None) -> list[Report]:
    path = folder / "recording.jsonl"
    path.write_text(text)
    return recording.replay(Wiring(Settings.load({})), path, url)


def replayed(text: str, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows that a recording makes."""
    url = f"sqlite:///{folder / 'replayed' / 'b24sync.db'}"
    reports = replay(text, folder, url)
    assert {str(report.status) for report in reports} == {"ok"}, [report.error for report in reports]
    database = Database(url)
    with database.read() as session:
        found = {
            name: [dict(row) for row in session.execute(select(Base.metadata.tables[name])).mappings()]
            for name in ENTITIES
        }
    database.dispose()
    return found


def pieces(column: str, value: Any) -> list[Any]:  # noqa: ANN401
    """The texts in a column; a list's own order is that of its texts, so it says nothing here."""
    return json.loads(value) if column in {"tags", "crm_links"} else [value]


def test_a_recording_replays_to_the_mirror_that_the_portal_gives(stage: Stage, tmp_path: Path):
    mirror = stage.mirror(calendars=ALL_CALENDARS, culture="day_first", server_zone="Europe/Moscow")
    others = [
        event for event in mirror.portal.world.events.values() if event.owner_id not in {0, mirror.portal.admin_id}
    ]
    for event in [event for event in others if event.calendar_type == "user"][:9]:
        event.private = True
    text = recorded(mirror)
    mirror.sync(Mode.FULL)
    assert mirror.differences() == []
    held = {table: by_key(table, mirror.rows(table)) for table in ENTITIES}
    again = {table: by_key(table, rows) for table, rows in replayed(text, tmp_path).items()}
    stand_ins: dict[Any, set[Any]] = {}
    hashes: dict[str, set[str]] = {}

    for table in ENTITIES:
        assert again[table].keys() == held[table].keys(), table
        for key, row in held[table].items():
            other = again[table][key]
            for column in row.keys() - UNLIKE:
                if column in HASHES:
                    hashes.setdefault(row[column], set()).add(other[column])
                elif column not in TEXTS.get(table, ()):
                    assert other[column] == row[column], (table, key, column)
                elif column in {"tags", "crm_links"}:
                    assert len(pieces(column, other[column])) == len(pieces(column, row[column]))
                else:
                    stand_ins.setdefault(row[column], set()).add(other[column])

    assert len(held["tasks"]) > 100
    assert len(held["calendar_events"]) > 50
    assert any(row["masked"] for row in held["calendar_events"].values())
    for classes in (stand_ins, hashes):  # one stand-in for one text, and no stand-in for two
        assert {len(found) for found in classes.values()} == {1}
        assert max(Counter(next(iter(found)) for found in classes.values()).values()) == 1


def test_the_second_reading_is_by_what_changed_and_replays_to_the_same_figures(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A task, a user and a series that change between the two."""
    mirror = stage.mirror(tasks=70, events=20)
    world = mirror.portal.world
    series = next(event for event in world.events.values() if event.name.startswith("Night shift"))
    run = recording.PortalSync.run

    def changing(sync: Any, portal_id: int, wish: Wish) -> Any:  # noqa: ANN401
        if wish.mode is None and mirror.portal.requests.http:
            mirror.portal.update_task(world.task_ids[3], title="changed")
            mirror.portal.update_user(max(world.users), last_name="Other")
            mirror.portal.update_event(series.event_id, name="changed")
        return run(sync, portal_id, wish)

    monkeypatch.setattr(recording.PortalSync, "run", changing)
    text = recorded(mirror)
    told = json.loads(text.splitlines()[-1])["reports"]
    assert [(one["resource"], one["mode"]) for one in told[4:] if one["mode"] != "full"] == [
        ("users", "incremental"),
        ("tasks", "incremental"),
    ]
    mirror.portal.requests.reset()
    again = replay(text, tmp_path)

    assert sum(report.updated for report in again[4:]) == 3
    assert [{name: report.as_dict()[name] for name in recording.FIGURES[:6]} for report in again] == [
        {name: one[name] for name in recording.FIGURES[:6]} for one in told
    ]


def test_a_recording_of_one_reading_is_replayed_as_one(stage: Stage, tmp_path: Path):
    """As an earlier b24sync has written it."""
    mirror = stage.mirror(tasks=20, events=5)
    head, *lines = recorded(mirror).splitlines(keepends=True)
    header = json.loads(head)
    del header["rounds"]
    again = replay(json.dumps(header) + "\n" + "".join(lines), tmp_path)

    assert [str(one.status) for one in again] == ["ok"] * 4


def test_two_recordings_have_different_stand_ins(stage: Stage):
    mirror = stage.mirror(tasks=3, events=2, users=2)

    one, two = (re.findall(r"text [0-9a-f]{12}", recorded(mirror)) for _ in range(2))

    assert one
    assert not set(one) & set(two)


def personal(portal: Portal) -> set[str]:
    """Everything that people of this portal wrote, and every secret of it."""
    world = portal.world
    found: set[Any] = {portal.client_id, portal.client_secret, portal.member_id, portal.domain, "company/personal"}
    for user in world.users.values():
        found |= {user.name, user.last_name, user.second_name, user.email, user.work_position, user.full_name}
    for group in world.groups.values():
        found.add(group.name)
    for task in world.tasks.values():
        found |= {task.title, task.description, *task.tags.values()}
        for value in task.uf.values():
            found |= set(map(str, value)) if isinstance(value, list) else {value}
    for section in world.sections.values():
        found |= {section.name, section.description}
    for event in world.events.values():
        found |= {event.name, event.description, event.location}
    found |= {pair for known in (portal.tokens._access, portal.tokens._refresh) for pair in known}
    return {text for text in found if isinstance(text, str) and text.strip()}


def test_nothing_personal_is_in_a_recording(stage: Stage):
    mirror = stage.mirror(calendars=ALL_CALENDARS, users=20, long_description=True)
    portal = mirror.portal
    portal.update_task(
        portal.world.task_ids[0], uf={"UF_PHONE": "+49 30 901820", "UF_PAY": "732501234", "UF_BORN": "1981-04-23"}
    )

    text = recorded(mirror)

    words = json.dumps([json.loads(line) for line in text.splitlines()], ensure_ascii=False)
    texts = personal(portal) | {"+49 30 901820", "732501234", "1981-04-23"}
    assert len(texts) > 100
    for written in texts:
        if len(written) > 2:
            assert written not in words
            assert json.dumps(written)[1:-1] not in text
        else:  # two letters occur by chance: as a value by themselves they must not
            assert f'"{written}"' not in words
    assert '"auth"' not in text


def test_a_recording_made_over_a_portal_in_trouble_replays_without_it(stage: Stage, tmp_path: Path):
    mirror = stage.mirror(tasks=120, events=20)
    for kind in ("html", "internal_error", "expired_token", "reset"):
        mirror.portal.faults.add(kind)

    text = recorded(mirror)

    lines = [json.loads(line) for line in text.splitlines()]
    assert sum("calls" in line for line in lines) == 4
    mirror.sync(Mode.FULL)
    rows = replayed(text, tmp_path)
    assert {row["task_id"] for row in rows["tasks"]} == mirror.ids("tasks")
    assert {row["event_id"] for row in rows["calendar_events"]} == mirror.ids("calendar_events")


def test_a_portal_that_lies_is_recorded_and_replayed_the_way_it_is_read(stage: Stage, tmp_path: Path):
    mirror = stage.mirror(tasks=120, events=5, after_id=False)

    text = recorded(mirror)

    mirror.sync(Mode.FULL)
    assert json.loads(text.splitlines()[0])["found"]["tasks.after_id"] == "no"
    assert {row["task_id"] for row in replayed(text, tmp_path)["tasks"]} == mirror.ids("tasks")


def test_a_call_that_the_portal_left_out_is_left_out_again(stage: Stage, tmp_path: Path):
    mirror = stage.mirror(tasks=20, events=5)
    mirror.portal.faults.add("sub_missing", method="task.planner.getlist")

    text, reports = taken(mirror)

    again = replay(text, tmp_path)
    assert {one.resource: str(one.status) for one in reports}["planner"] != "ok"
    assert [(one.resource, str(one.status)) for one in again] == [(one.resource, str(one.status)) for one in reports]


def test_a_refusal_is_recorded_and_replayed(stage: Stage, tmp_path: Path):
    mirror = stage.mirror(tasks=20, events=5)
    mirror.portal.scope = "task,user"
    mirror.connect(mirror.portal.admin_id)

    text, reports = taken(mirror)

    again = replay(text, tmp_path)
    assert [(one.resource, str(one.status)) for one in again] == [(one.resource, str(one.status)) for one in reports]
    assert "failed" in {str(one.status) for one in again}


def test_recording_asks_for_nothing_that_changes_the_portal_and_leaves_the_mirror_alone(stage: Stage):
    mirror = stage.mirror(tasks=20, events=5, offline_events=True)
    mirror.clock.advance(timedelta(days=2).total_seconds())  # another token: its renewal is the mirror's own business

    recorded(mirror)

    assert not {name for name in mirror.portal.requests.calls if name.startswith("event.")}
    assert all(mirror.rows(table) == [] for table in ENTITIES)
