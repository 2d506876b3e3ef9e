"""The database goes away in the middle of runs: nothing half-written, and the same process goes on when it is back."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.faults.proxy import Proxy
from tests.integration.mirror import OK, Mirror, statuses
from worker.storage import leases
from worker.storage.cursors import Cursor, load_cursor
from worker.storage.models import Account, Portal, Task
from worker.storage.session import Database
from worker.storage.trouble import AWAY
from worker.sync.lease import LeaseKeeper
from worker.sync.plan import Bookmark
from worker.sync.portal import Wish
from worker.tokens import Grant, Token

SHORT = {(2, False), (6, True), (11, False)}
"""Where the wire is cut on every `make test`: before the first page, within, and near the end."""


def left_behind(mirror: Mirror, direct: str) -> tuple[Cursor, set[int]]:
    """The tasks' cursor and the numbers of their rows, while the wire is cut."""
    database = Database(direct, connections=1)
    with database.read() as session:
        held = set(session.scalars(select(Task.task_id).where(Task.portal_id == mirror.portal_id)))
        cursor = load_cursor(session, mirror.portal_id, "tasks")
    database.dispose()
    return cursor, held


def cut_at_commit(wire: Proxy, number: int, *, arrives: bool = False) -> None:
    """Cut the wire when the `number`-th COMMIT is under way; if it `arrives`, then before its answer does."""
    seen, answer = [0], [False]

    def sent(piece: bytes) -> None:
        if b"COMMIT" in piece:
            seen[0] += 1
            answer[0] = seen[0] == number
            if answer[0] and not arrives:
                wire.cut()

    wire.on_sent = sent
    wire.on_answered = lambda _piece: wire.cut() if answer[0] else None


def turn(mirror: Mirror) -> None:
    mirror.engine().run(mirror.portal_id, Wish(at_once=True))


@pytest.mark.parametrize(
    ("commit", "arrives"),
    [
        pytest.param(commit, arrives, marks=() if (commit, arrives) in SHORT else pytest.mark.long)
        for commit in (2, 6, 11)
        for arrives in (False, True)
    ],
)
def test_a_run_cut_off_from_its_database_leaves_whole_pages_and_goes_on_from_there(
    mirror: Mirror, wire: Proxy, direct: str, commit: int, arrives: bool
):
    """The error is one of those that pass; then the same process, with the same pool, reads the rest.

    Where only the answer to a COMMIT was lost, the process cannot know what became of it: either is right.
    """
    cut_at_commit(wire, commit, arrives=arrives)
    with pytest.raises(AWAY):
        turn(mirror)
    wire.on_sent = wire.on_answered = None
    with pytest.raises(AWAY):
        turn(mirror)  # it is still away
    cursor, held = left_behind(mirror, direct)
    bookmark = Bookmark.load(cursor.bookmark)
    assert (bookmark.last_id if bookmark else 0) == max(held, default=0)
    assert (cursor.cursor_at, cursor.last_run_at) == (None, None)

    wire.mend()
    mirror.clock.advance(61)  # the lease runs out
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


def due(mirror: Mirror) -> list[int]:
    """What a tick claims now."""
    now = mirror.clock.now()
    with mirror.database.write() as session:
        return leases.claim_due(session, now=now, enqueued_for=timedelta(60), limit=9, sick_limit=9)


@pytest.mark.parametrize("end", [LeaseKeeper._give_back, LeaseKeeper.stop], ids=["goes on", "ends"])
def test_a_turn_left_in_the_lurch_is_due_at_once_when_the_database_is_back(
    mirror: Mirror, wire: Proxy, end: Callable[[LeaseKeeper], None]
):
    """Its process gives the lease back, rather than letting it run out; if it ends now, then as its last act."""
    cut_at_commit(wire, 6)
    with pytest.raises(AWAY):
        turn(mirror)
    wire.on_sent = wire.on_answered = None
    mirror.leases._give_back()  # still away: the thread tries again a second later
    wire.mend()
    end(mirror.leases)

    assert due(mirror) == [mirror.portal_id]


def test_a_lease_of_which_its_holder_was_not_told_is_given_back(mirror: Mirror, wire: Proxy):
    """The answer to its COMMIT was lost: nobody knows its number."""
    cut_at_commit(wire, 1, arrives=True)
    with pytest.raises(AWAY):
        turn(mirror)
    wire.on_sent = wire.on_answered = None
    wire.mend()
    mirror.leases._give_back()

    assert due(mirror) == [mirror.portal_id]


def test_a_new_pair_of_tokens_waits_for_the_database(mirror: Mirror, wire: Proxy):
    """The token server has answered when the database goes for a minute: the only live pair is not lost."""
    with mirror.database.read() as session:
        portal, account = session.scalars(select(Portal)).one(), session.scalars(select(Account)).one()
    ask = mirror.wiring.authorizer.asking(portal)
    back_at = mirror.clock.monotonic() + 60
    slept = mirror.clock.sleep

    def asked(token: Token) -> Grant:
        grant = ask(token)
        wire.cut()
        return grant

    def sleep(seconds: float) -> None:
        slept(seconds)
        if mirror.clock.monotonic() > back_at:
            wire.mend()

    mirror.clock.sleep = sleep  # type: ignore[method-assign]
    token = mirror.wiring.token_keeper.refresh(account.id, 1, asked)

    assert (token.version, token.unanswered) == (2, 0)
    assert mirror.clock.monotonic() < back_at + 10
    assert statuses(mirror.sync()) == OK
