"""The alert webhook: told once when something needs a person, and once when it is over, whatever fails."""

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from tests.conftest import FakeClock
from tests.integration.conftest import connect
from tests.integration.statements import noted_statements
from worker.alerts import Alerter
from worker.alerts.conditions import conditions
from worker.bitrix24.transport import Transport
from worker.emulator.server.wire import LoopbackServer, Reply, Request, json_reply
from worker.storage import alerts, leases
from worker.storage.alerts import MOST_ATTEMPTS
from worker.storage.cursors import update_cursor
from worker.storage.models import Account, Portal, RaisedAlert, SyncCursor
from worker.storage.portals import remove_portal
from worker.storage.session import Database

ON_SQLITE = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True, scope="session")
"""What is decided in Python; where the database decides who tells, all three are asked."""

INTERVAL = timedelta(seconds=100)
RESOURCES = ("users", "tasks", "planner", "calendar")


@dataclass
class Inbox:
    """The receiver: what it took, and how it answers."""

    posts: list[dict[str, object]] = field(default_factory=list)
    status: int = 200
    asked: int = 0

    def answer(self, request: Request) -> Reply:
        self.asked += 1
        if self.status == 200:
            self.posts.append(json.loads(request.body))
        return json_reply(self.status, {})

    def take(self) -> list[tuple[object, object]]:
        """State and kind of what came since the last look."""
        taken = [(post["state"], post["kind"]) for post in self.posts]
        self.posts.clear()
        return taken


@dataclass
class Stage:
    """One portal that was just read whole, and an alerter."""

    database: Database
    clock: FakeClock
    inbox: Inbox
    url: str
    portal_id: int

    def alerter(self, *, up: float = 10_000.0, url: str | None = None) -> Alerter:
        return Alerter(
            database=self.database,
            transport=Transport(),
            clock=self.clock,
            webhook=url or self.url,
            interval=INTERVAL,
            began=self.clock.monotonic() - up,
        )

    def tick(self) -> list[tuple[object, object]]:
        self.alerter().tick()
        return self.inbox.take()

    def read(self, status: str = "ok") -> None:
        """All resources were read now, and ended so."""
        with self.database.write() as session:
            for resource in RESOURCES:
                update_cursor(session, self.portal_id, resource, last_run_at=self.clock.now(), last_status=status)

    def end(self, resource: str, status: str) -> None:
        with self.database.write() as session:
            update_cursor(session, self.portal_id, resource, last_run_at=self.clock.now(), last_status=status)

    def account(self, status: str) -> None:
        with self.database.write() as session:
            session.query(Account).filter_by(portal_id=self.portal_id).update({"status": status})


@pytest.fixture
def stage(database: Database, clock: FakeClock) -> Iterator[Stage]:
    with database.write() as session:
        portal_id = connect(session, clock.now(), domain="acme.example").portal_id
    inbox = Inbox()
    with LoopbackServer(inbox.answer) as server:
        stage = Stage(database, clock, inbox, f"http://{server.host}/s3cret", portal_id)
        stage.read()
        yield stage


@ON_SQLITE
def test_nothing_is_told_where_nothing_is_the_matter(stage: Stage):
    assert stage.tick() == []
    assert stage.inbox.asked == 0


@pytest.mark.parametrize("status", ["needs_reauth", "app_removed", "payment_required"])
def test_an_account_that_needs_a_person_is_told_once_and_so_is_its_end(stage: Stage, status: str):
    stage.account(status)
    assert stage.tick() == [("raised", "account")]
    assert stage.tick() == []

    stage.account("ok")
    assert stage.tick() == [("healed", "account")]
    assert stage.tick() == []


@ON_SQLITE
def test_a_post_says_what_is_the_matter_and_what_to_do(stage: Stage):
    stage.end("tasks", "guarded")
    stage.alerter().tick()
    (post,) = stage.inbox.posts

    assert post == {
        "service": "b24sync",
        "id": "m1/guard/tasks/1/raised",
        "state": "raised",
        "kind": "guard",
        "portal": "m1",
        "domain": "acme.example",
        "resource": "tasks",
        "since": "2026-11-23T12:00:00Z",
        "text": "b24sync: acme.example: the guard against mass deletion stopped the run of tasks. "
        "To do: b24sync sync --portal acme.example --resource tasks --reconcile --force",
        "cure": "b24sync sync --portal acme.example --resource tasks --reconcile --force",
    }


@ON_SQLITE
def test_a_guards_stop_is_over_when_a_run_was_ok(stage: Stage):
    """A failure after it changes nothing: the rows are still in doubt."""
    stage.end("tasks", "guarded")
    assert stage.tick() == [("raised", "guard")]
    stage.end("tasks", "failed")
    assert stage.tick() == []
    stage.end("tasks", "ok")

    assert stage.tick() == [("healed", "guard")]


@ON_SQLITE
def test_a_resource_that_misses_its_runs_is_stale(stage: Stage):
    stage.clock.advance(600)
    assert stage.tick() == []
    stage.clock.advance(1)
    assert stage.tick() == [("raised", "stale")] * 4
    stage.read()

    assert stage.tick() == [("healed", "stale")] * 4


@ON_SQLITE
def test_what_was_not_read_while_the_program_was_down_gets_time(stage: Stage):
    stage.clock.advance(99_999)
    stage.alerter(up=599).tick()
    assert stage.inbox.take() == []
    stage.alerter(up=600).tick()

    assert len(stage.inbox.take()) == 4


@ON_SQLITE
def test_what_is_being_read_is_not_called_stale_yet(stage: Stage):
    stage.clock.advance(700)
    now = stage.clock.now()
    with stage.database.write() as session:
        leases.take_lease(session, stage.portal_id, owner="o", now=now, ttl=timedelta(seconds=60))

    assert stage.tick() == []


@ON_SQLITE
def test_an_account_that_waits_is_told_and_not_its_staleness_too(stage: Stage):
    stage.account("needs_reauth")
    stage.clock.advance(9999)

    assert stage.tick() == [("raised", "account")]


@ON_SQLITE
def test_a_closed_portal_is_told_alone_and_a_paused_one_is_not_stale(stage: Stage):
    stage.clock.advance(9999)
    with stage.database.write() as session:
        session.get_one(Portal, stage.portal_id).status = "paused"
    assert stage.tick() == []
    with stage.database.write() as session:
        session.get_one(Portal, stage.portal_id).status = "closed"

    assert stage.tick() == [("raised", "portal")]


@ON_SQLITE
def test_the_same_again_is_another_episode(stage: Stage):
    for _ in range(2):
        stage.account("needs_reauth")
        stage.alerter().tick()
        stage.account("ok")
        stage.alerter().tick()

    assert [post["id"] for post in stage.inbox.posts] == [
        f"m1/account/{stage_account(stage)}/{episode}/{state}" for episode in (1, 2) for state in ("raised", "healed")
    ]


def stage_account(stage: Stage) -> int:
    with stage.database.read() as session:
        return session.query(Account).filter_by(portal_id=stage.portal_id).one().id


def test_many_who_look_at_once_post_once(stage: Stage):
    stage.account("needs_reauth")
    start = threading.Barrier(4)

    def look() -> None:
        alerter = stage.alerter()
        start.wait(10)
        alerter.tick()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert stage.inbox.take() == [("raised", "account")]


def test_what_was_not_taken_is_tried_at_the_next_tick_then_more_and_more_seldom(stage: Stage):
    stage.account("needs_reauth")
    stage.inbox.status = 500
    asked = []
    for _ in range(200):
        stage.tick()
        asked.append(stage.inbox.asked)
        stage.clock.advance(10)

    assert asked[:2] == [1, 2]
    assert 5 <= asked[-1] <= 9  # in half an hour
    stage.inbox.status = 200
    stage.clock.advance(3600)
    assert stage.tick() == [("raised", "account")]


@ON_SQLITE
def test_what_is_never_taken_is_given_up(stage: Stage):
    stage.account("needs_reauth")
    stage.inbox.status = 404
    for _ in range(MOST_ATTEMPTS + 5):
        stage.tick()
        stage.clock.advance(3601)
        stage.read()

    assert stage.inbox.asked == MOST_ATTEMPTS


@ON_SQLITE
def test_of_what_was_never_told_the_end_is_no_news(stage: Stage):
    stage.account("needs_reauth")
    stage.inbox.status = 500
    stage.tick()
    stage.account("ok")
    stage.inbox.status = 200
    stage.clock.advance(60)

    assert stage.tick() == []


@ON_SQLITE
def test_what_ended_and_began_again_before_anybody_was_told_is_no_news(stage: Stage):
    stage.account("needs_reauth")
    assert stage.tick() == [("raised", "account")]
    stage.inbox.status = 500
    stage.account("ok")
    stage.tick()
    stage.account("needs_reauth")
    stage.inbox.status = 200
    stage.clock.advance(60)

    assert stage.tick() == []


def test_who_dies_while_telling_leaves_it_to_the_next(stage: Stage):
    stage.account("needs_reauth")
    stage.inbox.status = 500
    stage.tick()
    with stage.database.write() as session:
        (alert,) = alerts.untold(session, stage.clock.now())
        assert alerts.claim(session, alert, stage.clock.now())
        assert not alerts.claim(session, alert, stage.clock.now())
    stage.inbox.status = 200
    stage.clock.advance(59)
    assert stage.tick() == []
    stage.clock.advance(1)

    assert stage.tick() == [("raised", "account")]


@ON_SQLITE
def test_a_receiver_that_is_down_is_asked_once_a_tick(stage: Stage, caplog: pytest.LogCaptureFixture):
    """Each of many alerts would wait out its own timeout; and the address is a secret."""
    stage.clock.advance(9999)
    with caplog.at_level(logging.WARNING, logger="worker.alerts.alerter"):
        stage.alerter(url="http://127.0.0.1:1/s3cret").tick()

    assert len([record for record in caplog.records if record.name == "worker.alerts.alerter"]) == 1
    assert "s3cret" not in caplog.text
    assert stage.tick() == [("raised", "stale")] * 4


@ON_SQLITE
def test_a_redirect_is_not_followed(stage: Stage):
    stage.account("needs_reauth")
    stage.inbox.status = 302

    assert stage.tick() == []
    assert stage.inbox.asked == 1


def test_a_portal_that_is_removed_takes_its_alerts_along(stage: Stage):
    stage.account("needs_reauth")
    stage.tick()
    with stage.database.write() as session:
        remove_portal(session, stage.portal_id)
        assert session.query(RaisedAlert).all() == []

    assert stage.tick() == []


def test_portals_that_are_well_are_not_looked_at_one_by_one(stage: Stage):
    """Thousands of them cost one statement a tick; what is the matter with a few is found all the same."""
    now = stage.clock.now()
    with stage.database.write() as session:
        others = [connect(session, now, member_id=f"m{n}", domain=f"{n}.example").portal_id for n in range(2, 9)]
        for portal_id in others:
            for resource in RESOURCES:
                update_cursor(session, portal_id, resource, last_run_at=now, last_status="ok")

    def found() -> tuple[set[tuple[int, str, str]], int]:
        """What is the matter, and how many statements it took to find it."""
        with noted_statements() as statements, stage.database.read() as session:
            known = conditions(session, stage.clock.now(), INTERVAL, frozenset(), judge_age=True)
        return set(known), len(statements)

    assert found() == (set(), 1)
    closed, paused, guarded, stale, never, waiting, well = others
    with stage.database.write() as session:
        session.get_one(Portal, closed).status = "closed"
        session.get_one(Portal, paused).status = "paused"
        update_cursor(session, guarded, "tasks", last_status="guarded")
        update_cursor(session, stale, "users", last_run_at=now - 7 * INTERVAL)
        session.query(SyncCursor).filter_by(portal_id=never, resource="planner").delete()
        session.get_one(Portal, never).created_at = now - 7 * INTERVAL
        account = session.query(Account).filter_by(portal_id=waiting).one()
        account.status = "needs_reauth"
    keys, statements = found()
    assert keys == {
        (closed, "portal", ""),
        (guarded, "guard", "tasks"),
        (stale, "stale", "users"),
        (never, "stale", "planner"),
        (waiting, "account", str(account.id)),
    }
    assert statements == 5
    assert well not in {portal_id for portal_id, _, _ in keys}
