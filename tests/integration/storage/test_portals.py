"""One row per portal and one per account, however often and from wherever they come."""

import threading
from typing import Any

from sqlalchemy import func, select

from tests.conftest import FakeClock
from tests.integration.conftest import connect
from worker.storage import portals, rejected, runs
from worker.storage.models import Account, Base, OAuthToken, Portal, RequestBudget, Task
from worker.storage.session import Database
from worker.storage.upsert import upsert


def rows_of(database: Database, model: type[Base]) -> list[Any]:
    with database.read() as session:
        return list(session.scalars(select(model)))


def test_the_first_account_is_the_primary_one(database: Database, clock: FakeClock):
    """Others of the portal are not."""
    with database.write() as session:
        first = connect(session, clock.now(), user_id=1)
        second = connect(session, clock.now(), user_id=2)
        webhook = connect(session, clock.now(), user_id=1, kind="webhook")

        assert [first.is_primary, second.is_primary, webhook.is_primary] == [True, False, False]
        assert portals.primary_account(session, first.portal_id) is first
        assert list(portals.list_accounts(session, first.portal_id)) == [first, second, webhook]


def test_connecting_again_heals_and_adds_nothing(database: Database, clock: FakeClock):
    """The same row is well again, and keeps what the new answer did not tell."""
    with database.write() as session:
        account = connect(
            session, clock.now(), is_admin=True, time_zone="Europe/Riga", oauth_url="https://oauth.example"
        )
        portals.set_account_status(session, account.id, "needs_reauth", "revoked")
        portals.set_portal_status(session, account.portal_id, "closed", "deleted")
    with database.write() as session:
        again = connect(session, clock.now(), scope="task,calendar")

    assert (again.id, again.status, again.status_reason) == (account.id, "ok", None)
    assert (again.is_admin, again.time_zone, again.scope) == (True, "Europe/Riga", "task,calendar")
    (portal,) = rows_of(database, Portal)
    assert (portal.status, portal.status_reason, portal.oauth_url) == ("active", None, "https://oauth.example")
    assert len(rows_of(database, Account)) == 1


def test_a_paused_portal_stays_paused(database: Database, clock: FakeClock):
    """An operator paused it; only an operator resumes it."""
    with database.write() as session:
        account = connect(session, clock.now())
        portals.set_portal_status(session, account.portal_id, "paused", "holidays")
    with database.write() as session:
        connect(session, clock.now())

    assert rows_of(database, Portal)[0].status == "paused"


def test_a_portal_known_by_its_host_is_filled_in(database: Database, clock: FakeClock):
    """A webhook comes first, OAuth tells the member_id: one row."""
    with database.write() as session:
        webhook = connect(session, clock.now(), member_id="domain:one.example", kind="webhook")
    with database.write() as session:
        oauth = connect(session, clock.now(), domain="ONE.example")

    assert oauth.portal_id == webhook.portal_id
    (portal,) = rows_of(database, Portal)
    assert (portal.member_id, portal.domain) == ("m1", "one.example")


def test_a_webhook_of_a_known_portal_joins_it(database: Database, clock: FakeClock):
    """OAuth first, a webhook later: one row, and its member_id stays."""
    with database.write() as session:
        connect(session, clock.now())
    with database.write() as session:
        connect(session, clock.now(), member_id="domain:one.example", kind="webhook")

    assert [portal.member_id for portal in rows_of(database, Portal)] == ["m1"]


def test_a_portal_met_again_under_a_new_host_is_one(database: Database, clock: FakeClock):
    """Known as m1 under its old host, and by a webhook under its new one: both end in m1's row."""
    with database.write() as session:
        known = connect(session, clock.now(), domain="old.example")
        stranger = connect(
            session, clock.now(), member_id="domain:new.example", domain="new.example", kind="webhook", user_id=5
        )
        session.add(OAuthToken(account_id=stranger.id, **secret(clock)))
    with database.write() as session:
        again = connect(session, clock.now(), domain="new.example")

    assert again.id == known.id
    (portal,) = rows_of(database, Portal)
    assert (portal.id, portal.domain) == (known.portal_id, "new.example")
    accounts = {account.id: (account.portal_id, account.is_primary) for account in rows_of(database, Account)}
    assert accounts == {known.id: (portal.id, True), stranger.id: (portal.id, False)}
    assert [token.account_id for token in rows_of(database, OAuthToken)] == [stranger.id]


def secret(clock: FakeClock) -> dict[str, Any]:
    now = clock.now()
    return {
        "access_token_encrypted": "x",
        "expires_in": 0,
        "access_expires_at": now,
        "refresh_issued_at": now,
        "version": 1,
    }


def test_connections_at_once_make_one_row(database: Database, clock: FakeClock):
    """Eight threads connect one portal: one row, one account each, one primary."""
    start = threading.Barrier(8)
    errors: list[Exception] = []

    def run(user_id: int) -> None:
        start.wait()
        try:
            with database.write() as session:
                connect(session, clock.now(), user_id=user_id % 4)
        except Exception as error:  # noqa: BLE001 - told to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(rows_of(database, Portal)) == 1
    accounts = rows_of(database, Account)
    assert sorted(account.user_id for account in accounts) == [0, 1, 2, 3]
    assert sum(account.is_primary for account in accounts) == 1


def test_a_portal_is_found_by_id_host_or_number(database: Database, portal_id: int):
    """However a person names it."""
    with database.read() as session:
        for text in ("m1", "one.example", "ONE.example", "https://one.example/", str(portal_id)):
            portal = portals.find_portal(session, text)
            assert portal is not None, text
            assert portal.id == portal_id
        for text in ("m2", "two.example", "0", "9" * 30, "", "²"):
            assert portals.find_portal(session, text) is None, text


def test_of_two_portals_with_one_host_the_one_in_use_is_found(database: Database, clock: FakeClock):
    """A deleted portal's host was given to another."""
    with database.write() as session:
        old = connect(session, clock.now(), member_id="old")
        new = connect(session, clock.now(), member_id="new")
        assert portals.find_portal(session, "one.example").id == new.portal_id

        portals.set_portal_status(session, new.portal_id, "closed")
        assert portals.find_portal(session, "one.example").id == old.portal_id


def test_state_of_portals_and_accounts(database: Database, account: Account, clock: FakeClock):
    """What the other rooms note is read back."""
    portal_id = account.portal_id
    with database.write() as session:
        assert portals.set_portal_status(session, portal_id, "paused", "why")
        assert portals.move_portal(session, portal_id, "https://Two.example/rest/", "https://two.example/rest/")
        assert portals.save_profile(session, account.id, is_admin=False, time_zone="Asia/Tokyo", now=clock.now())
        assert portals.save_scope(session, account.id, "task,user")
        assert not portals.set_portal_status(session, portal_id + 1, "paused")
    with database.read() as session:
        portal = portals.get_portal(session, portal_id)
        assert portal is not None
        assert (portal.status, portal.status_reason, portal.domain) == ("paused", "why", "two.example")
        assert portal.rest_url == "https://two.example/rest/"
        seen = portals.get_account(session, account.id)
        assert seen is not None
        assert (seen.is_admin, seen.time_zone, seen.scope) == (False, "Asia/Tokyo", "task,user")
        assert seen.profile_read_at == clock.now()


def test_a_removed_portal_leaves_nothing(database: Database, account: Account, clock: FakeClock):
    """And takes nothing of another with it."""
    now = clock.now()
    with database.write() as session:
        other = connect(session, now, member_id="m2", domain="two.example")
        for portal_id, account_id in ((account.portal_id, account.id), (other.portal_id, other.id)):
            row = {"task_id": 1, "raw": "{}", "content_hash": "0" * 32}
            upsert(session, Task.__table__, [row], portal_id=portal_id, now=now)
            rejected.put_rejected(session, portal_id, "tasks", "2", payload="{}", reason="why", now=now)
            report = {"portal_id": portal_id, "resource": "tasks", "mode": "full", "status": "ok"}
            runs.add_run(session, {**report, "started_at": now, "finished_at": now})
            session.add(OAuthToken(account_id=account_id, **secret(clock)))
    with database.write() as session:
        assert portals.remove_portal(session, account.portal_id)
    with database.write() as session:
        assert not portals.remove_portal(session, account.portal_id)

    with database.read() as session:
        for table in Base.metadata.sorted_tables:
            if "portal_id" in table.c:
                assert set(session.scalars(select(table.c.portal_id))) <= {other.portal_id}, table.name
        for model in (Portal, Account, OAuthToken, Task, RequestBudget):
            assert session.scalar(select(func.count()).select_from(model)) == 1, model


def test_a_resumed_portal_is_due_at_once(database: Database, portal_id: int, clock: FakeClock):
    """It does not wait for the interval."""
    with database.write() as session:
        session.get_one(Portal, portal_id).next_run_at = clock.now()
    with database.write() as session:
        assert portals.set_portal_status(session, portal_id, "active")

    assert rows_of(database, Portal)[0].next_run_at is None
