"""A token server that gives nobody an answer is left alone; one portal's tokens that it chokes on are that portal's."""

import pytest

from tests.conftest import FakeClock
from worker.bitrix24.outage import FIRST_PAUSE, LONGEST_PAUSE, Outages
from worker.errors import BadAnswer, NeedsReauth, TokenServerAway, Unreachable

SERVER = "oauth.example"


@pytest.fixture
def outages(clock: FakeClock) -> Outages:
    return Outages(clock)


def ask(outages: Outages, portal: str, trouble: Exception | None = None) -> None:
    with outages.asking(SERVER, portal):
        if trouble is not None:
            raise trouble


def fail(outages: Outages, *portals: str) -> None:
    for portal in portals:
        with pytest.raises((Unreachable, BadAnswer)) as told:
            ask(outages, portal, Unreachable("no answer in time"))
        assert told.value.token_server
        assert not isinstance(told.value, TokenServerAway)


def turned_away(outages: Outages, portal: str = "c") -> float:
    """How long it is left alone, by the error."""
    with pytest.raises(TokenServerAway) as away:
        ask(outages, portal)
    assert away.value.never_sent
    assert away.value.retry_after is not None
    return away.value.retry_after


def test_after_two_portals_without_an_answer_no_third_asks(outages: Outages, clock: FakeClock):
    """Then one asks for all; each time it gets none the pause is twice as long, up to a minute."""
    fail(outages, "a", "b")
    pauses = []
    for _ in range(6):
        pauses.append(turned_away(outages))
        clock.advance(pauses[-1])
        fail(outages, "c")
    assert pauses == [5, 10, 20, 40, 60, 60]
    assert (pauses[0], pauses[-1]) == (FIRST_PAUSE, LONGEST_PAUSE)

    clock.advance(60)
    ask(outages, "c")
    ask(outages, "d")
    fail(outages, "a")
    ask(outages, "b")


def test_a_portal_that_alone_gets_no_answer_keeps_no_other_waiting(outages: Outages):
    for _ in range(5):
        fail(outages, "a")
    ask(outages, "b")
    fail(outages, "a")
    ask(outages, "b")


def test_while_one_asks_for_all_nobody_else_does(outages: Outages, clock: FakeClock):
    """A server that hangs holds one thread."""
    fail(outages, "a", "b")
    clock.advance(5)
    with outages.asking(SERVER, "a"):
        turned_away(outages)
    ask(outages, "c")


def test_requests_that_were_under_way_make_the_pause_no_longer(outages: Outages):
    slow = outages.asking(SERVER, "c")
    slow.__enter__()
    fail(outages, "a", "b")
    late = Unreachable("no answer in time")
    assert not slow.__exit__(Unreachable, late, None)
    assert turned_away(outages) == 5


def test_a_refusal_is_an_answer(outages: Outages):
    fail(outages, "a")
    with pytest.raises(NeedsReauth):
        ask(outages, "b", NeedsReauth("invalid_grant"))
    fail(outages, "b")
    ask(outages, "c")


def test_servers_are_known_one_by_one(outages: Outages):
    fail(outages, "a", "b")
    with outages.asking("oauth.elsewhere", "c"):
        pass
