"""The other commands, in this process: what they print, where, and how they end."""

import json
import re
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.integration.stage import SMALL, Stage
from worker.breaker import Breaker
from worker.emulator import Emulator
from worker.emulator.rest import taskrow
from worker.storage.models import Base, OAuthToken, Portal
from worker.storage.portals import save_breaker, set_portal_status


def test_status_as_json_is_as_the_contract_says(connected: Stage):
    connected.json("sync", "--json")
    answer = connected.json("status", "--json")

    assert list(answer) == ["portals", "schema"]
    (portal,) = answer["portals"]
    keys = ["member_id", "domain", "status", "accounts", "resources", "rejected", "events_mode", "breaker", "drift"]
    assert list(portal) == keys
    assert portal["breaker"] == {"state": "closed", "failures": 0, "until": None, "reason": None}
    (account,) = portal["accounts"]
    assert list(account) == [
        "user_id",
        "kind",
        "is_primary",
        "status",
        "scope",
        "access_expires_at",
        "refresh_expires_at",
    ]
    assert (account["kind"], account["is_primary"], account["status"]) == ("oauth", True, "ok")
    assert account["access_expires_at"] < account["refresh_expires_at"]
    for resource in portal["resources"]:
        assert list(resource) == ["name", "last_run_at", "last_status", "fresh_seconds", "rows", "next_run_at", "error"]
        assert (resource["last_status"], resource["error"]) == ("ok", None)
        assert 0 <= resource["fresh_seconds"] < 60
        assert resource["last_run_at"].endswith("Z")
    assert {resource["name"]: resource["rows"] for resource in portal["resources"]}["tasks"] == 12
    assert portal["events_mode"] == "confirm"


def test_status_tells_of_a_portal_that_does_not_answer(connected: Stage):
    """How often, since what, and when it is asked again."""
    assert "did not answer" not in connected.invoke("status").stdout
    with connected.wiring() as wiring, wiring.ready_database.write() as session:
        silent = Breaker().failed("no answer in time", wiring.clock.now(), interval=timedelta(minutes=5))
        save_breaker(session, 1, silent)

    told = " ".join(connected.invoke("status").stdout.split())
    assert "it did not answer, once; asked again in" in told
    assert "no answer in time" in told


def test_status_of_nothing(stage: Stage):
    assert stage.json("status", "--json")["portals"] == []
    assert "b24sync connect" in stage.invoke("status").stdout


def test_a_failed_run_does_not_make_the_mirror_fresh(connected: Stage):
    connected.json("sync", "--json")
    connected.portal.faults.add("portal_deleted", times=9)
    connected.invoke("sync")
    (portal,) = connected.json("status", "--json")["portals"]

    assert {resource["last_status"] for resource in portal["resources"]} == {"failed"}
    assert all(resource["fresh_seconds"] is not None for resource in portal["resources"])


def test_status_for_people_is_a_table_on_stdout(connected: Stage):
    connected.json("sync", "--json")
    result = connected.invoke("status")

    assert result.exit_code == 0
    for word in (connected.portal.domain, "tasks", "12", "(primary)", "180 d left", "schema"):
        assert word in result.stdout


def test_status_says_why_a_run_was_not_whole_and_who_must_act(connected: Stage):
    connected.json("sync", "--json")
    connected.portal.tokens.expire(connected.portal)
    connected.portal.tokens.revoke(connected.portal)
    connected.invoke("sync")
    (portal,) = connected.json("status", "--json")["portals"]
    shown = connected.invoke("status").stdout

    assert all(resource["error"] for resource in portal["resources"])
    assert "users, tasks, planner, calendar: " in shown
    assert f"What needs you\n{connected.portal.domain} does not take the authorization of user" in shown
    assert f"\n  b24sync connect {connected.portal.domain}\n" in shown


def test_status_shows_what_offline_events_are_good_for(connected: Stage):
    assert "offline events: not asked about yet" in connected.invoke("status").stdout
    connected.json("sync", "--json")
    assert "offline events: yes, each confirmed once the mirror has it" in connected.invoke("status").stdout


def test_a_portal_is_listed_paused_resumed_and_removed(connected: Stage):
    domain = connected.portal.domain
    assert domain in connected.invoke("portals").stdout
    assert connected.invoke("portals", "pause", domain).exit_code == 0
    assert "paused by an operator" in connected.invoke("portals").stdout
    assert connected.invoke("portals", "resume", "1").exit_code == 0
    assert "active" in connected.invoke("portals").stdout
    assert connected.invoke("portals", "remove", domain, stdin="n\n").exit_code == 1
    assert connected.rows()["portals"] == 1
    assert connected.invoke("portals", "remove", domain, stdin="y\n").exit_code == 0
    assert connected.rows() == {}


def test_methods_come_one_a_line(connected: Stage):
    lines = connected.invoke("methods", connected.portal.domain).stdout.splitlines()

    assert "profile" in lines
    assert "task.planner.getlist" in lines


def test_methods_are_asked_for_again_where_the_full_list_is_refused(connected: Stage):
    connected.portal.faults.add("wrong_shape", method="methods", body={"error": "ACCESS_DENIED"}, status=403)

    assert "profile" in connected.invoke("methods", "1").stdout.splitlines()


def test_call_prints_result_and_time_as_they_came(connected: Stage):
    answer = connected.json("call", "1", "tasks.task.list", "-p", "filter[>ID]=0", "-p", 'select=["ID"]', "--json")

    assert list(answer) == ["result", "time"]
    assert [set(task) for task in answer["result"]["tasks"]] == [{"id", "group"}] * 12
    assert {"start", "finish", "duration", "processing", "date_start", "date_finish"} <= set(answer["time"])


def test_call_shows_people_letters(connected: Stage):
    connected.portal.update_user(connected.portal.admin_id, name="Анна 🎉")
    result = connected.invoke("call", "1", "profile")

    assert "Анна 🎉" in result.stdout
    assert json.loads(result.stdout)["ID"] == str(connected.portal.admin_id)


def test_call_tells_what_the_portal_refused(connected: Stage):
    result = connected.invoke("call", "1", "no.such.method")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "ERROR_METHOD_NOT_FOUND" in result.stderr


@pytest.mark.parametrize("arguments", [["../profile"], ["a/b"], ["profile", "-p", "x"], ["profile", "-p", "=1"]])
def test_call_refuses_what_is_no_call(connected: Stage, arguments: list[str]):
    assert connected.invoke("call", "1", *arguments).exit_code == 2


def test_a_healthy_installation_has_no_problem(connected: Stage):
    result = connected.invoke("doctor")

    assert result.exit_code == 0, result.output
    assert "problem" not in result.stdout
    for word in (
        "settings",
        "key file",
        "revision",
        "clock",
        "portal answers",
        "scopes",
        "an administrator",
        "days old",
        "no broker is set",
        "offline events are possible; the next run binds them",
    ):
        assert word in result.stdout


def test_the_doctor_finds_the_events_that_a_run_has_bound(connected: Stage):
    connected.json("sync", "--json")

    assert "9 offline events are bound, confirmed" in connected.invoke("doctor").stdout


def test_the_doctor_says_why_there_are_no_events(connected: Stage):
    connected.portal.set_admin(connected.portal.admin_id, admin=False)

    assert "no offline events, for this user is no administrator" in connected.invoke("doctor").stdout


def test_the_doctor_of_a_webhook_expects_no_events(stage: Stage):
    stage.invoke("connect", "--webhook", stage.portal.webhook_url(stage.portal.admin_id))

    assert "webhooks get no offline events" in stage.invoke("doctor").stdout


@pytest.mark.parametrize("url", ["redis://:s3cret@127.0.0.1:1/0", "amqp://guest:s3cret@127.0.0.1:1//"])
def test_the_doctor_finds_a_broker_that_is_not_there(stage: Stage, url: str):
    stage.environ["CELERY_BROKER_URL"] = url
    result = stage.invoke("doctor")

    assert result.exit_code == 1
    assert re.search(r"problem the broker .*127.0.0.1:1/.* cannot be used \(.+\): start it", result.stdout)
    assert "s3cret" not in result.output


def test_the_doctor_finds_a_portal_that_does_not_answer(connected: Stage):
    connected.portal.faults.add("reset", times=20)
    result = connected.invoke("doctor")

    assert result.exit_code == 1
    assert "opens from this machine; the mirror goes on by itself once it does" in result.stdout


def test_the_doctor_notes_a_portal_that_nobody_reads(connected: Stage):
    assert "was not read yet: `b24sync sync` reads it once" in connected.invoke("doctor").stdout
    connected.json("sync", "--json")
    with connected.wiring() as wiring, wiring.ready_database.write() as session:
        session.execute(update(Portal).values(next_run_at=datetime.now(UTC) - timedelta(hours=3)))

    assert "is `b24sync run` running?" in connected.invoke("doctor").stdout


def test_the_status_tells_what_a_portal_sends_that_nobody_knows(connected: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(taskrow.FIELDS, "MARK", ("mood", lambda _task, _view: "cheerful"))
    connected.invoke("sync")
    told = connected.invoke("status").stdout

    assert "new to b24sync: tasks.mood (a text)" in told
    assert "cheerful" not in told


def test_the_doctor_says_that_a_portal_behaves(connected: Stage):
    assert "it behaves as its documentation says" in connected.invoke("doctor").stdout


def test_the_doctor_says_what_is_read_a_slower_way_and_why(connected: Stage):
    """Only after it looked again: what the portal did at its connection was right."""
    connected.portal.spec = replace(connected.portal.spec, references="literal", after_id=False)
    assert "counted pages" not in connected.invoke("doctor").stdout
    told = connected.invoke("doctor", "--probe").stdout

    assert "tasks.order yes (asked by rising ID: kept; by falling ID: kept)" in told
    assert "tasks are read in counted pages: tasks.after_id: asked for IDs above" in told
    assert "tasks are read in counted pages" in connected.invoke("doctor").stdout


def test_the_doctor_notes_a_portal_that_was_not_probed(connected: Stage):
    with connected.wiring() as wiring, wiring.ready_database.write() as session:
        session.execute(Base.metadata.tables["portal_capabilities"].delete())

    assert "was not probed yet, so it is read the cautious way" in connected.invoke("doctor").stdout


def test_a_doctor_without_portals_says_what_to_do(stage: Stage):
    result = stage.invoke("doctor")

    assert result.exit_code == 0
    assert "note    no portal is connected" in result.stdout


def test_the_doctor_names_each_trouble_and_its_cure(connected: Stage):
    portal = connected.portal
    portal.set_admin(portal.admin_id, admin=False)
    portal.scope = "task,user"
    (connected.folder / "encryption.key").chmod(0o644)
    connected.connect()
    result = connected.invoke("doctor")

    assert result.exit_code == 1
    assert "chmod 600" in result.stdout
    assert "the scope calendar is missing, so no calendars: add it" in result.stdout
    assert "note    " in result.stdout
    assert "no administrator" in result.stdout


def test_the_doctor_finds_a_dead_authorization(connected: Stage):
    connected.portal.tokens.expire(connected.portal)
    connected.portal.tokens.revoke(connected.portal)
    connected.invoke("sync")
    result = connected.invoke("doctor")
    domain = connected.portal.domain

    assert result.exit_code == 1
    assert f"run `b24sync connect {domain}`" in result.stdout
    assert f"{domain}: {domain}:" not in result.stdout, "whose authorization it is, is said once"


def test_the_doctor_finds_a_lost_key(connected: Stage):
    (connected.folder / "encryption.key").unlink()
    result = connected.invoke("doctor")

    assert result.exit_code == 1
    assert "encrypted with another key" in result.stdout


def test_keys_are_rotated_and_the_tokens_still_work(connected: Stage):
    file = connected.folder / "encryption.key"
    before = file.read_text()
    result = connected.invoke("keys", "rotate")

    assert result.exit_code == 0
    assert "1 account " in result.stderr
    new, old = file.read_text().split()
    assert old == before.strip()
    assert new not in result.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text(f"{new}\n")  # the old one is not needed any more
    assert connected.invoke("call", "1", "profile").exit_code == 0


def test_the_schema_is_made_looked_at_and_compared(stage: Stage):
    (stage.folder / "b24sync.db").unlink()
    current = stage.invoke("db", "current")
    assert (current.exit_code, current.stdout) == (0, "")
    assert stage.invoke("db", "check").exit_code == 1
    assert stage.invoke("db", "upgrade").exit_code == 0
    assert stage.invoke("db", "current").stdout.strip() == stage.json("status", "--json")["schema"]
    assert stage.invoke("db", "check").exit_code == 0


def test_a_schema_from_the_future_exits_2(stage: Stage):
    with stage.wiring() as wiring, wiring.database.write() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    result = stage.invoke("status")

    assert result.exit_code == 2
    assert result.stderr.startswith("b24sync: the database is ahead of this program")


def test_all_problems_of_the_settings_come_at_once(stage: Stage):
    stage.environ |= {"B24SYNC_SYNC_INTERVAL": "soon", "B24SYNC_CLIENT_SECRET": "", "B24SYNC_CALENDARS": "yours"}
    result = stage.invoke("status")

    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("b24sync: B24SYNC_") for line in lines)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql://mirror:s3cret@127.0.0.1:1/mirror", 1),
        ("mysql://mirror:s3cret@127.0.0.1:1/mirror", 1),
        ("sqlite:////proc/nowhere/b24sync.db", 2),
        ("oracle://mirror:s3cret@127.0.0.1/mirror", 2),
    ],
)
def test_a_database_that_is_not_there_is_one_sentence(stage: Stage, url: str, code: int):
    stage.environ["DATABASE_URL"] = url
    result = stage.invoke("status")

    assert result.exit_code == code
    assert result.stderr.startswith("b24sync: ")
    assert result.stderr.count("\n") == 1
    assert "s3cret" not in result.output


def test_a_file_that_is_no_database_is_one_sentence(stage: Stage):
    (stage.folder / "b24sync.db").write_bytes(b"this is no database" * 100)
    result = stage.invoke("status")

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_the_version(stage: Stage):
    assert stage.invoke("--version").stdout.startswith("b24sync, version ")


def test_an_unknown_command_is_wrong_usage(stage: Stage):
    assert stage.invoke("snyc").exit_code == 2


def test_the_doctor_compares_the_clocks(tmp_path: Path):
    with Emulator(clock=lambda: datetime.now(UTC) + timedelta(minutes=10)) as emulator:
        stage = Stage(emulator, emulator.add_portal(SMALL), tmp_path)
        stage.connect()
        result = stage.invoke("doctor")

    assert result.exit_code == 1
    assert re.search(r"problem .* are (600|599) s apart: set this machine's clock", result.stdout)


def test_the_doctor_finds_a_refresh_token_that_nobody_renews(connected: Stage):
    with connected.wiring() as wiring, wiring.ready_database.write() as session:
        session.execute(update(OAuthToken).values(refresh_issued_at=datetime.now(UTC) - timedelta(days=30)))
    result = connected.invoke("doctor")

    assert result.exit_code == 1
    assert "30 days old and good for 149 more: nothing has renewed it" in result.stdout


def test_the_doctor_finds_a_database_that_is_not_there(stage: Stage):
    stage.environ["DATABASE_URL"] = "postgresql://mirror:s3cret@127.0.0.1:1/mirror"
    result = stage.invoke("doctor")

    assert result.exit_code == 1
    assert "problem the database cannot be used" in result.stdout
    assert "s3cret" not in result.output


def test_the_doctor_finds_ports_that_do_not_meet(stage: Stage):
    stage.environ["B24SYNC_REDIRECT_URI"] = "http://127.0.0.1:1/oauth/callback"

    assert "should name one port" in stage.invoke("doctor").stdout


def test_the_doctor_tells_of_paused_and_closed_portals(connected: Stage):
    connected.invoke("portals", "pause", "1")
    assert "note    127.0.0.1" in connected.invoke("doctor").stdout
    with connected.wiring() as wiring, wiring.ready_database.write() as session:
        set_portal_status(session, 1, "closed", "unpaid")
    result = connected.invoke("doctor")

    assert result.exit_code == 1
    assert "is closed: unpaid; mend it there" in result.stdout
