"""A turn in which the portal has no news: one request, a few statements, and nothing written but that it was."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.conftest import empty_database
from tests.integration.mirror import OK, Mirror, Stage, statuses
from tests.integration.statements import noted_statements, written_tables
from tests.integration.sync.conftest import lose_lease
from worker.sync.portal import Wish

WRITTEN = {"portals", "request_budgets", "sync_runs", "run_totals", "sync_cursors"}
STATEMENTS = 18
"""Two for the lease, six for how the portal stands, three for its budgets, one for the token, one for the plan of the
day, five for the end."""


@pytest.fixture
def mirror(stage: Stage) -> Mirror:
    return stage.mirror(tasks=30, events=5, users=4)


@pytest.mark.parametrize(
    ("dialect", "more"),
    [
        pytest.param("sqlite", 3, id="sqlite"),  # its driver tells the number of one new row at a time
        pytest.param("postgresql", 0, id="postgresql", marks=pytest.mark.postgres),
        pytest.param("mysql", 0, id="mysql", marks=pytest.mark.mariadb),
    ],
)
def test_a_quiet_turn_is_one_request_and_few_statements(stage: Stage, dialect: str, more: int, tmp_path: Path):
    """With offline events, and whatever the portal holds: 300 tasks, 100 events."""
    with empty_database(dialect, tmp_path) as url:
        mirror = stage.mirror(tasks=300, events=100, users=20, offline_events=True, url=url)
        try:
            for _ in range(4):
                assert statuses(mirror.sync()) == OK
            mirror.portal.requests.reset()
            with noted_statements() as statements:
                assert statuses(mirror.sync()) == OK
            assert mirror.portal.requests.http == 1
            assert len(statements) <= STATEMENTS + more, "\n".join(statements)
            assert written_tables(statements) == WRITTEN
            assert len(mirror.rows("sync_runs")) == 5 * 4
        finally:
            mirror.close()


def test_the_cursor_of_a_listing_without_news_moves_with_the_end_of_the_turn(stage: Stage):
    """So who loses the lease before that has moved nothing."""
    mirror = stage.mirror(tasks=30, events=5, users=4)
    mirror.sync()
    before = mirror.cursor("tasks")
    mirror.clock.advance(3_600)
    lose_lease(mirror)
    assert mirror.cursor("tasks") == before
    assert statuses(mirror.sync()) == OK
    assert mirror.cursor("tasks").cursor_at > before.cursor_at + timedelta(minutes=50)


def test_a_clock_set_back_between_two_accounts_takes_back_what_the_first_has_earned(stage: Stage):
    """The first one's listing had no news; what changes after that bears dates before its cursor."""
    portal = stage.portal(tasks=30, events=5, users=4)
    other = next(i for i, user in portal.world.users.items() if user.active and i != portal.admin_id)
    mirror = stage.mirror(portal, accounts=[portal.admin_id, other])
    for _ in range(2):
        assert statuses(mirror.sync()) == OK
    mirror.clock.advance(7_200)

    def meanwhile() -> bool:
        if mirror.portal.requests.http == 1:
            stage.skew = -timedelta(hours=1)
        return False

    mirror.portal.requests.reset()
    try:
        mirror.engine(stopping=meanwhile).run(mirror.portal_id, Wish(at_once=True))
        mirror.portal.update_task(mirror.portal.world.task_ids[0], title="Changed after the clock was set")
        mirror.clock.advance(1_200)
        mirror.sync()
        mirror.sync()
        assert mirror.differences("tasks") == []
    finally:
        stage.skew = timedelta(0)


def test_a_plan_in_another_order_is_written(mirror: Mirror):
    mirror.portal.set_planner(mirror.portal.admin_id, mirror.portal.world.task_ids[:3])
    mirror.sync()
    mirror.portal.set_planner(mirror.portal.admin_id, mirror.portal.world.task_ids[:3][::-1])
    assert mirror.sync()["planner"].updated == 2
    assert mirror.differences("planner_tasks") == []
