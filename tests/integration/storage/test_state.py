"""Cursors, runs, rejected records and logins: what is put is what is found."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.conftest import FakeClock
from tests.integration.conftest import connect
from worker.config import Settings
from worker.storage import cursors, logins, rejected, runs
from worker.storage.cursors import Cursor
from worker.storage.models import PendingLogin, SyncRun
from worker.storage.session import Database
from worker.wiring import Wiring

HOUR = timedelta(hours=1)


def test_a_cursor_comes_back_whole(database: Database, portal_id: int, clock: FakeClock):
    """Every field, and in its place."""
    now = clock.now()
    full = Cursor(
        portal_id,
        "tasks",
        cursor_at=now,
        bookmark='{"last_id":5}',
        last_full_at=now + HOUR,
        last_reconcile_at=now + 2 * HOUR,
        complete_as_admin=True,
        complete_scope="task,user",
        next_run_at=now + 3 * HOUR,
        last_run_at=now + 4 * HOUR,
        last_status="ok",
    )
    with database.write() as session:
        assert cursors.load_cursor(session, portal_id, "tasks") == Cursor(portal_id, "tasks")
        cursors.save_cursor(session, full)
        cursors.save_cursor(session, Cursor(portal_id, "users"))
    with database.read() as session:
        assert cursors.load_cursor(session, portal_id, "tasks") == full
        assert cursors.load_cursors(session, portal_id) == {"tasks": full, "users": Cursor(portal_id, "users")}


def test_a_cursor_is_replaced_or_changed(database: Database, portal_id: int, clock: FakeClock):
    """Saving replaces all of it, None included; updating changes what is named."""
    with database.write() as session:
        cursors.save_cursor(session, Cursor(portal_id, "tasks", bookmark="x", last_status="ok"))
        cursors.update_cursor(session, portal_id, "tasks", cursor_at=clock.now())
        assert cursors.load_cursor(session, portal_id, "tasks") == Cursor(
            portal_id, "tasks", cursor_at=clock.now(), bookmark="x", last_status="ok"
        )
        cursors.save_cursor(session, Cursor(portal_id, "tasks"))
        assert cursors.load_cursor(session, portal_id, "tasks") == Cursor(portal_id, "tasks")


def run(portal_id: int, clock: FakeClock, **figures: Any) -> dict[str, Any]:  # noqa: ANN401 - columns of many types
    own = {"portal_id": portal_id, "resource": "tasks", "mode": "incremental", "status": "ok", "calls": 2}
    return {**own, "started_at": clock.now(), "finished_at": clock.now(), "seconds": 0.5, **figures}


def test_a_report_is_kept_as_a_run(database: Database, portal_id: int, clock: FakeClock):
    """Figures that are no columns are passed over."""
    with database.write() as session:
        first = runs.add_run(session, run(portal_id, clock, inserted=3, portal="m1", error="é"))
        clock.advance(1)
        second = runs.add_run(session, run(portal_id, clock, resource="users"))
    with database.read() as session:
        tasks, users = session.scalars(select(SyncRun).order_by(SyncRun.started_at))
        assert [(one.id, one.portal_id, one.resource) for one in (tasks, users)] == [
            (first, portal_id, "tasks"),
            (second, portal_id, "users"),
        ]
        figures = (tasks.inserted, tasks.updated, tasks.calls, tasks.seconds, tasks.error, tasks.folded)
        assert figures == (3, 0, 2, 0.5, "é", 1)


def test_quiet_runs_fold_into_one_an_hour(database: Database, portal_id: int, clock: FakeClock):
    """A run every five minutes for three hours, of which one changed something."""
    begin = clock.now()
    with database.write() as session:
        for number in range(36):
            runs.add_run(session, run(portal_id, clock, fetched=1, updated=1 if number == 3 else 0))
            clock.advance(300)
    with database.write() as session:
        assert runs.fold_quiet_runs(session, clock.now()) == 10 + 11
    with database.write() as session:
        assert runs.fold_quiet_runs(session, clock.now()) == 0
        found = list(session.scalars(select(SyncRun).order_by(SyncRun.started_at, SyncRun.id)))

    kept = [(one.folded, one.fetched, one.calls, one.seconds, one.updated) for one in found]
    assert kept[:3] == [(11, 11, 22, 5.5, 0), (1, 1, 2, 0.5, 1), (12, 12, 24, 6.0, 0)]
    assert kept[3:] == [(1, 1, 2, 0.5, 0)] * 12  # the last hour is not over by an hour
    assert (found[0].started_at, found[0].finished_at) == (begin, begin + timedelta(minutes=55))
    assert sum(one.folded for one in found) == 36


def test_a_late_quiet_run_joins_the_folded_row(database: Database, portal_id: int, clock: FakeClock):
    """Sums are summed again, and nothing is counted twice."""
    with database.write() as session:
        runs.add_run(session, run(portal_id, clock))
        runs.add_run(session, run(portal_id, clock))
        runs.fold_quiet_runs(session, clock.now() + 3 * HOUR)
        runs.add_run(session, run(portal_id, clock))
        runs.fold_quiet_runs(session, clock.now() + 3 * HOUR)
        only = session.scalars(select(SyncRun)).one()
        assert (only.folded, only.calls) == (3, 6)


def test_the_runs_of_many_portals_are_folded_and_deleted_in_one_go(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sqlite_database: Database,
    clock: FakeClock,
):
    """However few fold in one transaction; else their table would grow by the hour."""
    monkeypatch.setattr(runs, "FOLDS_AT_ONCE", 2)
    monkeypatch.setattr(runs, "DELETED_AT_ONCE", 2)
    with sqlite_database.write() as session:
        ids = [connect(session, clock.now(), member_id=f"m{n}", domain=f"{n}.example").portal_id for n in range(5)]
        rows = [run(portal_id, clock) for portal_id in ids for _ in range(3)]
        runs.add_runs(session, rows)
    wiring = Wiring(Settings.load({"B24SYNC_DATA_DIR": str(tmp_path)}))
    request.addfinalizer(wiring.close)
    wiring.clock = clock  # type: ignore[assignment]
    clock.advance(3 * 3_600)
    wiring.maintain()
    with sqlite_database.read() as session:
        assert [one.folded for one in session.scalars(select(SyncRun))] == [3] * 5
    clock.advance(31 * 86_400)
    wiring.maintain()
    with sqlite_database.read() as session:
        assert session.scalars(select(SyncRun)).all() == []


def test_only_like_runs_fold(database: Database, clock: FakeClock):
    """Portals, resources, modes and states stay apart, and so does what changed or rejected something."""
    with database.write() as session:
        one = connect(session, clock.now()).portal_id
        two = connect(session, clock.now(), member_id="m2", domain="two.example").portal_id
        differing: list[dict[str, Any]] = [{}, {"resource": "users"}, {"mode": "full"}, {"status": "failed"}]
        changing: list[dict[str, Any]] = [{name: 1} for name in runs.CHANGES]
        for figures in (*differing, *changing, *changing):
            runs.add_run(session, run(one, clock, **figures))
        runs.add_run(session, run(two, clock))

        assert runs.fold_quiet_runs(session, clock.now() + 3 * HOUR) == 0


def test_old_runs_go(database: Database, portal_id: int, clock: FakeClock):
    """After thirty days."""
    with database.write() as session:
        runs.add_run(session, run(portal_id, clock))
        clock.advance(timedelta(days=1).total_seconds())
        kept = runs.add_run(session, run(portal_id, clock))

        assert runs.delete_old_runs(session, clock.now() + timedelta(days=29, hours=1)) == 1
        assert session.scalars(select(SyncRun.id)).all() == [kept]


def test_a_rejected_record_counts_its_attempts(database: Database, portal_id: int, clock: FakeClock):
    """The last payload and reason, the first and the last day."""
    first = clock.now()
    with database.write() as session:
        rejected.put_rejected(session, portal_id, "tasks", "7", payload="{}", reason="old", now=first)
        clock.advance(60)
        rejected.put_rejected(session, portal_id, "tasks", "7", payload='{"😀":1}', reason="new", now=clock.now())
        rejected.put_rejected(session, portal_id, "users", "7", payload="{}", reason="other", now=clock.now())
    with database.read() as session:
        (kept,) = rejected.list_rejected(session, portal_id, "tasks")
        assert (kept.payload, kept.reason, kept.attempts) == ('{"😀":1}', "new", 2)
        assert (kept.first_seen_at, kept.last_tried_at) == (first, clock.now())
        assert rejected.count_all_rejected(session)[portal_id] == 2
        assert len(rejected.list_rejected(session, portal_id)) == 2
        (first,) = rejected.some_rejected(session, portal_id, "tasks", limit=1)
        assert list(rejected.some_rejected(session, portal_id, "tasks", after=first.record_key, limit=1)) == []


def test_what_a_database_refuses_is_kept_in_part(database: Database, portal_id: int, clock: FakeClock):
    """A bad record may quote its bad text in the reason: keeping it must not fail in its turn."""
    bad, mended = "a\0b\ud83dc\ude00😀", "a\ufffdb\ufffdc\ufffd😀"
    with database.write() as session:
        rejected.put_rejected(session, portal_id, "tasks", bad, payload=bad, reason=bad, now=clock.now())
        rejected.put_rejected(session, portal_id, "tasks", bad, payload=bad, reason=bad, now=clock.now())
        runs.add_run(session, run(portal_id, clock, error=bad))
    with database.write() as session:
        (kept,) = rejected.list_rejected(session, portal_id)
        assert (kept.record_key, kept.payload, kept.reason, kept.attempts) == (mended, mended, mended, 2)
        assert session.scalars(select(SyncRun.error)).one() == mended
        assert rejected.remove_rejected(session, portal_id, "tasks", [bad]) == 1


def test_a_complete_reading_forgets_what_it_did_not_meet(database: Database, portal_id: int, clock: FakeClock):
    """A record not rejected again has healed or is gone."""
    with database.write() as session:
        rejected.put_rejected(session, portal_id, "tasks", "1", payload="{}", reason="why", now=clock.now())
        clock.advance(60)
        began = clock.now()
        rejected.put_rejected(session, portal_id, "tasks", "2", payload="{}", reason="why", now=clock.now())
        assert rejected.remove_stale(session, portal_id, "users", before=began) == 0
        assert rejected.remove_stale(session, portal_id, "tasks", before=began) == 1
        assert [one.record_key for one in rejected.list_rejected(session, portal_id)] == ["2"]


def test_rejected_records_are_removed_or_grow_old(database: Database, portal_id: int, clock: FakeClock):
    """By key when they became rows; by their first day, for every run tries them anew."""
    long_key = "k" * 300
    with database.write() as session:
        for key in ("1", "2", long_key, long_key + "x"):
            rejected.put_rejected(session, portal_id, "tasks", key, payload="{}", reason="why", now=clock.now())
        assert rejected.count_all_rejected(session)[portal_id] == 4

        assert rejected.remove_rejected(session, portal_id, "tasks", ["1", long_key, "unknown"]) == 2
        assert rejected.remove_rejected(session, portal_id, "users", ["2"]) == 0
        assert rejected.prune_rejected(session, clock.now() + timedelta(days=90)) == 0
        assert rejected.prune_rejected(session, clock.now() + timedelta(days=91)) == 2


def test_a_login_is_used_once(database: Database, clock: FakeClock):
    """The second callback with one state gets nothing."""
    told = {"domain": "one.example", "redirect_uri": "https://here/cb"}
    with database.write() as session:
        logins.create_login(session, state="s3cr3t", **told, now=clock.now())
    with database.write() as session:
        login = logins.claim_login(session, "s3cr3t", now=clock.now())
        assert login is not None
        assert (login.domain, login.redirect_uri, login.outcome) == ("one.example", "https://here/cb", None)
        assert logins.claim_login(session, "s3cr3t", now=clock.now()) is None
        assert logins.claim_login(session, "unknown", now=clock.now()) is None
        assert logins.finish_login(session, "s3cr3t", outcome="failed", error="denied")
        assert not logins.finish_login(session, "unknown", outcome="failed")
    with database.read() as session:
        login = logins.get_login(session, "s3cr3t")
        assert login is not None
        assert (login.used_at, login.outcome, login.error) == (clock.now(), "failed", "denied")
        assert logins.get_login(session, "unknown") is None
        assert "s3cr3t" not in session.scalars(select(PendingLogin.state)).one()


@pytest.mark.parametrize(("later", "good"), [(599, True), (600, False)])
def test_a_login_is_good_for_ten_minutes(database: Database, clock: FakeClock, later: int, *, good: bool):
    """Who comes later starts again; a day later the row goes."""
    with database.write() as session:
        logins.create_login(session, state="s", domain="one.example", redirect_uri="https://x/", now=clock.now())
        clock.advance(later)
        assert (logins.claim_login(session, "s", now=clock.now()) is not None) is good
        assert logins.prune_logins(session, clock.now()) == 0
        assert logins.prune_logins(session, clock.now() + timedelta(days=1)) == 1
