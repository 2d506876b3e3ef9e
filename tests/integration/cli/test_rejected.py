"""`b24sync rejected`, and the life of a record that could not become a row."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import FakeClock
from tests.integration.stage import Stage
from worker.storage.rejected import list_rejected, put_rejected


@pytest.fixture
def spoiled(connected: Stage) -> Stage:
    """A portal whose listing had one task without a readable date."""
    connected.portal.faults.add("junk_field", method="tasks.task.list", after=1)
    assert connected.json("sync", "--json")["runs"]
    return connected


def counted(stage: Stage) -> int:
    """What `status` says."""
    (portal,) = stage.json("status", "--json")["portals"]
    count = portal["rejected"]
    assert f"{count} rejected records" in stage.invoke("status").stdout
    return int(count)


def test_a_rejected_record_is_listed_as_json_with_its_payload(spoiled: Stage):
    answer = spoiled.json("rejected", "--json")

    assert list(answer) == ["rejected"]
    (record,) = answer["rejected"]
    assert list(record) == [
        "portal",
        "resource",
        "key",
        "reason",
        "first_seen_at",
        "last_tried_at",
        "attempts",
        "payload",
    ]
    assert (record["portal"], record["resource"]) == (spoiled.portal.member_id, "tasks")
    assert ([record["key"]], record["attempts"]) == (spoiled.portal.spoiled, 1)
    assert "changedDate" in record["reason"]
    assert datetime.fromisoformat(record["first_seen_at"]) <= datetime.now(UTC)
    assert json.loads(record["payload"])["id"] == record["key"]


def test_a_rejected_record_is_a_line_on_stdout_without_its_payload(spoiled: Stage):
    result = spoiled.invoke("rejected")
    head, line = result.stdout.splitlines()

    assert (result.exit_code, result.stderr) == (0, "")
    assert head.split() == ["portal", "resource", "key", "first", "seen", "last", "tried", "attempts", "reason"]
    assert line.split()[:3] == [spoiled.portal.domain, "tasks", spoiled.portal.spoiled[0]]
    assert "changedDate" in line
    assert "{" not in result.stdout


def test_a_portal_is_chosen_by_its_names_and_an_unknown_one_is_wrong_usage(spoiled: Stage):
    for name in (spoiled.portal.domain, spoiled.portal.member_id, "1"):
        assert len(spoiled.json("rejected", "--portal", name, "--json")["rejected"]) == 1
    result = spoiled.invoke("rejected", "--portal", "nowhere.example", "--json")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "no portal 'nowhere.example' is connected" in result.stderr


def test_nothing_rejected_is_a_sentence_or_an_empty_list(stage: Stage):
    assert stage.json("rejected", "--json") == {"rejected": []}
    result = stage.invoke("rejected")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "b24sync: no record is rejected\n"


def test_what_a_portal_wrote_cannot_command_the_terminal(spoiled: Stage):
    with spoiled.wiring() as wiring, wiring.ready_database.write() as session:
        put_rejected(session, 1, "tasks", "a\x1b[2J", payload="{}", reason="b\x07[red]", now=datetime.now(UTC))
    result = spoiled.invoke("rejected")

    assert "a [2J" in result.stdout
    assert "b [red]" in result.stdout


def test_every_kept_record_is_listed(spoiled: Stage):
    with spoiled.wiring() as wiring, wiring.ready_database.write() as session:
        for number in range(600):
            put_rejected(session, 1, "tasks", f"x{number}", payload="{}", reason="why", now=datetime.now(UTC))

    assert len(spoiled.json("rejected", "--json")["rejected"]) == 601
    assert counted(spoiled) == 601


def test_status_counts_it_until_it_heals(spoiled: Stage):
    assert counted(spoiled) == 1
    spoiled.portal.update_task(int(spoiled.portal.spoiled[0]), title="Mended")
    spoiled.json("sync", "--json")

    assert counted(spoiled) == 0
    assert spoiled.json("rejected", "--json") == {"rejected": []}


def test_a_kept_record_that_can_be_read_by_now_leaves_at_the_next_run(spoiled: Stage):
    """As a newer program finds it: nothing changed on the portal, and no page brings it again."""
    with spoiled.wiring() as wiring, wiring.ready_database.write() as session:
        (kept,) = list_rejected(session, 1)
        kept.payload = kept.payload.replace("not-a-date", "2026-11-23T10:00:00+01:00")
    assert counted(spoiled) == 1
    spoiled.json("sync", "--json", "--resource", "tasks")

    assert counted(spoiled) == 0
    assert spoiled.rows()["tasks"] == 12


def test_a_record_that_stays_bad_is_tried_at_every_run(spoiled: Stage):
    """A calendar is read whole each time, so each run counts."""
    for run in (1, 2, 3):
        junk = {"method": "calendar.event.get", "field": "TZ_FROM", "value": "Mars"}
        spoiled.portal.faults.clear()
        spoiled.portal.faults.add("junk_field", times=99, **junk)
        assert {run["status"] for run in spoiled.json("sync", "--json")["runs"]} == {"ok"}
        records = spoiled.json("rejected", "--json")["rejected"]
        assert {record["attempts"] for record in records if record["resource"] == "calendar"} == {run}
    assert counted(spoiled) == len(records)


@pytest.mark.parametrize(("days", "left"), [(89, 1), (91, 0)])
def test_maintenance_forgets_a_record_after_ninety_days(spoiled: Stage, days: int, left: int):
    with spoiled.wiring() as wiring:
        wiring.clock = FakeClock(datetime.now(UTC) + timedelta(days=days))  # type: ignore[assignment]
        wiring.maintain()

    assert counted(spoiled) == left
