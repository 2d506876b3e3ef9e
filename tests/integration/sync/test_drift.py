"""A portal that sends something new: kept, counted, told, and no failure."""

import json
from typing import Any

import pytest

from tests.integration.mirror import OK, Mirror, Stage, statuses
from worker.emulator.rest import eventrow, taskrow
from worker.overview import look
from worker.storage.drift import MOST, note_drift, prune_drift
from worker.sync.report import Mode


def told(mirror: Mirror) -> list[dict[str, Any]]:
    portals = look(mirror.database, mirror.clock.now()).as_dict()["portals"]
    (mine,) = (portal for portal in portals if portal["member_id"] == mirror.portal.member_id)
    return list(mine["drift"])


def test_an_ordinary_portal_sends_nothing_new(stage: Stage):
    """All that the emulated portal sends is known, in every resource."""
    mirror = stage.mirror(tasks=60, events=60, users=8, offline_events=True)
    for mode in (None, Mode.RECONCILE, Mode.FULL):
        assert statuses(mirror.sync(mode)) == OK

    assert told(mirror) == []


def test_something_new_is_kept_and_told_and_fails_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    mirror = stage.mirror(tasks=60, events=60, users=8)
    monkeypatch.setitem(taskrow.FIELDS, "MARK", ("mark", lambda _task, _view: "X"))
    monkeypatch.setitem(taskrow.FIELDS, "PRIORITY", ("mood", lambda _task, _view: "cheerful, as Ann is"))
    row = eventrow.Shown.row
    monkeypatch.setattr(eventrow.Shown, "row", lambda self, event: {**row(self, event), "ROOM": {"floor": 3}})
    reports = mirror.sync()

    assert statuses(reports) == OK
    assert all(not report.rejected for report in reports.values())
    found = {(one["resource"], one["field"], one["kind"], one["example"], one["times"]) for one in told(mirror)}
    assert found == {
        ("tasks", "mark", "code", "X", 1),
        ("tasks", "mood", "field", "text", 1),
        ("calendar", "ROOM", "field", "map", 1),
    }
    assert json.loads(mirror.rows("tasks")[0]["raw"])["mood"] == "cheerful, as Ann is"

    mirror.sync(Mode.FULL)
    assert {one["times"] for one in told(mirror)} == {2}


def test_what_is_told_is_bounded_and_forgotten(stage: Stage):
    mirror = stage.mirror(tasks=5, events=0)
    from worker.resources.drift import Drift  # noqa: PLC0415 - beside its use

    many = [Drift(f"field{number}", "field", "text") for number in range(2 * MOST)]
    with mirror.database.write() as session:
        note_drift(session, mirror.portal_id, "tasks", many, mirror.clock.now())
    assert len(told(mirror)) == MOST

    mirror.clock.advance(31 * 86_400)
    with mirror.database.write() as session:
        prune_drift(session, mirror.clock.now())
    assert told(mirror) == []
