"""The database goes without a word: it hangs, or packets vanish on the way. Nobody waits for ever, on either side."""

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from tests.faults.proxy import Proxy
from tests.integration.mirror import OK, Mirror, statuses
from worker.storage import leases, silence
from worker.storage.models import Portal
from worker.storage.session import Database
from worker.storage.trouble import AWAY
from worker.sync.portal import Wish

LIMIT = 1
"""Second, instead of the minutes that the longest statement may take."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANSWER_SECONDS", "UNHEARD_SECONDS", "IDLE_SECONDS", "CONNECT_SECONDS"):
        monkeypatch.setattr(silence, name, LIMIT)


def at_commit(wire: Proxy, number: int, fall_silent: Callable[[], None]) -> None:
    """When the `number`-th COMMIT is under way."""
    seen = [0]

    def sent(piece: bytes) -> None:
        seen[0] += b"COMMIT" in piece
        if seen[0] == number:
            fall_silent()

    wire.on_sent = sent


@pytest.mark.parametrize("kind", ["black_hole", "vanish"])
def test_a_run_whose_database_falls_silent_ends_within_the_limit_and_is_made_up_for(
    mirror: Mirror, wire: Proxy, kind: str
):
    """As one whose connection broke. While the silence lasts the next turn ends as soon; then the process goes on."""
    at_commit(wire, 6, getattr(wire, kind))
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(AWAY):
            mirror.engine().run(mirror.portal_id, Wish(at_once=True))
        assert time.monotonic() - began < 5 * LIMIT
    wire.on_sent = None
    wire.mend()

    mirror.clock.advance(61)  # the lease runs out
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


def test_a_transaction_that_its_process_slept_through_ends_like_a_connection_that_broke(mirror: Mirror):
    """A machine was suspended, say: it passes by itself, and the same process goes on."""

    def sleep_in_the_middle() -> None:
        with mirror.database.write() as session:
            session.execute(update(Portal).values(status_reason="asleep"))
            time.sleep(LIMIT + 0.5)  # the server's clock, which no test sets

    with pytest.raises(AWAY):
        sleep_in_the_middle()
    assert statuses(mirror.sync()) == OK
    with mirror.database.read() as session:
        assert session.scalars(select(Portal.status_reason)).one() is None


def test_a_transaction_whose_client_has_vanished_keeps_no_row_locked(mirror: Mirror, wire: Proxy, direct: str):
    """Its packets will never come: the server ends it, and another machine takes the portal."""
    at_commit(wire, 6, wire.vanish)
    with pytest.raises(AWAY):
        mirror.engine().run(mirror.portal_id, Wish(at_once=True))
    elsewhere = Database(direct, connections=1)
    mirror.clock.advance(61)  # the lease runs out
    with elsewhere.write() as session:
        fence = leases.take_lease(
            session, mirror.portal_id, owner="elsewhere", now=mirror.clock.now(), ttl=timedelta(minutes=1)
        )
    elsewhere.dispose()

    assert fence == 2
