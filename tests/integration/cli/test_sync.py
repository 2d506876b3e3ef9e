"""`b24sync sync`: the figures of the contract, and an exit code for each way in which it can end."""

import json
from datetime import timedelta

import pytest

from tests.integration.stage import SMALL, Stage, finish
from worker.emulator import Emulator
from worker.storage.leases import take_lease
from worker.storage.portals import set_portal_status

pytestmark = pytest.mark.usefixtures("connected")

FIGURES = [
    "portal",
    "resource",
    "mode",
    "status",
    "fetched",
    "inserted",
    "updated",
    "unchanged",
    "deleted",
    "revived",
    "rejected",
    "http_requests",
    "calls",
    "retries",
    "refreshes",
    "waited_seconds",
    "seconds",
    "error",
]


def statuses(stage: Stage, *arguments: str, code: int) -> dict[str, str]:
    """Resource to status of a `sync --json` that ends with `code`."""
    result = stage.invoke("sync", "--json", *arguments)
    assert result.exit_code == code, result.output
    return {run["resource"]: run["status"] for run in json.loads(result.stdout)["runs"]}


def test_json_holds_the_figures_of_the_contract_in_order(stage: Stage):
    runs = stage.json("sync", "--json")["runs"]

    assert [run["resource"] for run in runs] == ["users", "tasks", "planner", "calendar"]
    for run in runs:
        assert list(run) == FIGURES
        assert (run["portal"], run["status"], run["error"]) == (stage.portal.member_id, "ok", None)
    assert [run["inserted"] for run in runs if run["resource"] == "tasks"] == [12]
    assert stage.rows()["tasks"] == 12


def test_json_is_all_there_is(stage: Stage):
    result = stage.invoke("sync", "--json")

    assert result.stderr == ""
    assert result.stdout.count("\n") == 1


def test_people_read_on_stderr(stage: Stage):
    result = stage.invoke("sync")

    assert result.exit_code == 0
    assert result.stdout == ""
    assert stage.portal.domain in result.stderr
    assert "Traceback" not in result.stderr


def test_only_the_resources_named_are_read(stage: Stage):
    assert statuses(stage, "--resource", "users", "--resource", "planner", code=0) == {"users": "ok", "planner": "ok"}


@pytest.mark.parametrize("name", ["member_id", "domain", "number"])
def test_a_portal_is_named_in_three_ways(stage: Stage, name: str):
    wanted = {"member_id": stage.portal.member_id, "domain": stage.portal.domain, "number": "1"}[name]

    assert statuses(stage, "--portal", wanted, "--resource", "users", code=0) == {"users": "ok"}


def test_modes_are_as_asked(stage: Stage):
    def mode(*arguments: str) -> str:
        (run,) = stage.json("sync", "--resource", "tasks", "--json", *arguments)["runs"]
        return str(run["mode"])

    assert mode() == "full"  # nothing was read before
    assert mode("--reconcile") == "reconcile"
    assert mode("--full") == "full"


def test_without_a_portal_there_are_no_runs(stage: Stage):
    stage.invoke("portals", "remove", "1", "--yes")
    result = stage.invoke("sync", "--json")

    assert result.exit_code == 0
    assert result.stdout == '{"runs": []}\n'
    assert "no portal is connected" in result.stderr


def test_a_paused_portal_is_skipped_and_said_so(stage: Stage):
    stage.invoke("portals", "pause", stage.portal.domain)
    result = stage.invoke("sync", "--json")

    assert result.exit_code == 0
    assert result.stdout == '{"runs": []}\n'
    assert "is paused and was skipped" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["--portal", "nowhere"], ["--resource", "deals"], ["--full", "--reconcile"], ["--bogus"]]
)
def test_wrong_usage_exits_2(stage: Stage, arguments: list[str]):
    assert stage.invoke("sync", *arguments).exit_code == 2


def test_a_portal_that_refuses_exits_1(stage: Stage):
    stage.portal.faults.add("portal_deleted", times=9)

    assert set(statuses(stage, code=1).values()) == {"failed"}


def test_a_closed_portal_exits_1_and_says_why(stage: Stage):
    with stage.wiring() as wiring, wiring.ready_database.write() as session:
        set_portal_status(session, 1, "closed", "the portal was deleted")
    result = stage.invoke("sync", "--resource", "tasks", "--json")

    assert result.exit_code == 1
    assert "the portal was deleted" in json.loads(result.stdout)["runs"][0]["error"]


def test_a_portal_that_fails_does_not_spoil_another(stage: Stage, emulator: Emulator):
    other = emulator.add_portal(SMALL)
    answer = json.dumps(other.issue_tokens(other.admin_id) | {"member_id": "another"})
    stage.invoke("connect", "--tokens", "-", stdin=answer)
    stage.portal.faults.add("portal_deleted", times=9)
    result = stage.invoke("sync", "--resource", "users", "--json")
    emulator.token_server._portals.remove(other)
    emulator.portals.remove(other)
    other.stop()

    assert result.exit_code == 1
    assert [run["status"] for run in json.loads(result.stdout)["runs"]] == ["failed", "ok"]


def test_a_dead_authorization_exits_3_and_names_the_cure(stage: Stage):
    stage.portal.tokens.expire(stage.portal)
    stage.portal.tokens.revoke(stage.portal)
    result = stage.invoke("sync")

    assert result.exit_code == 3
    assert f"b24sync connect {stage.portal.domain}" in result.stderr
    assert stage.invoke("sync").exit_code == 3  # and again, without asking the token server any more


def test_a_mass_deletion_exits_4_until_it_is_forced(stage: Stage):
    stage.json("sync", "--json")
    for task_id in list(stage.portal.world.task_ids)[:8]:
        stage.portal.world.drop_task(task_id)  # without an event: what the portal tells is believed

    assert statuses(stage, "--resource", "tasks", "--reconcile", code=4) == {"tasks": "guarded"}
    assert statuses(stage, "--resource", "tasks", "--reconcile", "--force", code=0) == {"tasks": "ok"}


def test_a_portal_that_another_process_works_on_exits_4(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.cli.sync.PATIENCE", 0.2)
    with stage.wiring() as wiring, wiring.ready_database.write() as session:
        take_lease(session, 1, owner="another", now=wiring.clock.now(), ttl=timedelta(seconds=60))
    result = stage.invoke("sync", "--resource", "tasks", "--json")

    assert result.exit_code == 4
    (run,) = json.loads(result.stdout)["runs"]
    assert list(run) == FIGURES
    assert run["status"] == "incomplete"
    assert "another process is at work" in run["error"]


def test_what_was_not_expected_is_one_portals_trouble(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("worker.sync.portal.PortalSync.run", fail)
    result = stage.invoke("sync", "--resource", "tasks", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["runs"][0]["error"] == "a mistake in b24sync, please report it: ZeroDivisionError"
    assert "Traceback" in result.stderr  # for the report


def test_two_processes_at_once_both_succeed(stage: Stage):
    processes = [stage.start("sync", "--json"), stage.start("sync", "--json")]
    ends = [finish(process) for process in processes]

    assert [code for code, _, _ in ends] == [0, 0], ends
    for _, out, _ in ends:
        assert {run["status"] for run in json.loads(out)["runs"]} == {"ok"}
    assert stage.rows()["tasks"] == 12
