"""A run that loses its lease, dies with it, or gets it back: on all three databases."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.integration.mirror import OK, Mirror, Stage, statuses
from worker.errors import LeaseLost
from worker.storage import leases
from worker.sync import engine
from worker.sync.lease import LeaseKeeper
from worker.sync.portal import Wish

MINUTE = timedelta(seconds=60)


@pytest.fixture
def mirror(stage: Stage, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Connected, not read yet; a turn takes many batches."""
    monkeypatch.setattr(engine, "BATCH_CALLS", 3)
    with stage.lent_mirror(url=url, seed=1, tasks=300, events=4, users=3, calendars="mine") as mirror:
        yield mirror


def claimed(mirror: Mirror) -> list[int]:
    """What a tick finds due now; the claim is undone."""
    with mirror.database.write() as session:
        found = leases.claim_due(session, now=mirror.clock.now(), enqueued_for=MINUTE, limit=9, sick_limit=9)
        leases.unclaim(session, found)
    return found


def test_who_slept_through_his_lease_commits_nothing_and_the_next_one_goes_on(mirror: Mirror):
    """The other one reads everything meanwhile; then the sleeper wakes up in the middle of his turn."""
    other = LeaseKeeper(mirror.database, mirror.clock, "the other process")
    held: list[set[int]] = []

    def asleep() -> bool:
        if not held and len(mirror.ids("tasks")) >= 50:
            mirror.clock.advance(61)
            outcome = mirror.engine(leases=other).run(mirror.portal_id, Wish(at_once=True))
            assert outcome is not None
            assert {str(report.status) for report in outcome.reports} == {"ok"}
            mirror.portal.create_task(title="Only the sleeper could have read this")
            held.append(mirror.ids("tasks"))
        return False

    with pytest.raises(LeaseLost):
        mirror.engine(stopping=asleep).run(mirror.portal_id, Wish(at_once=True))
    assert mirror.ids("tasks") == held[0]
    assert mirror.cursor("tasks").last_status == "ok"

    mirror.clock.advance(1_000)
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


def test_a_run_that_died_is_due_again_when_its_lease_is_over_not_an_interval_later(mirror: Mirror):
    assert statuses(mirror.sync()) == OK
    mirror.clock.advance(301)
    assert claimed(mirror) == [mirror.portal_id]

    def die() -> bool:
        raise SystemExit  # nothing of ours catches it: as if the process were gone

    with pytest.raises(SystemExit):
        mirror.engine(stopping=die).run(mirror.portal_id)
    mirror.clock.advance(59)
    assert claimed(mirror) == []
    mirror.clock.advance(1)
    assert claimed(mirror) == [mirror.portal_id]


def test_a_run_that_was_stopped_is_due_at_once(mirror: Mirror):
    """And its lease is free."""
    mirror.engine(stopping=lambda: True).run(mirror.portal_id)

    assert claimed(mirror) == [mirror.portal_id]
