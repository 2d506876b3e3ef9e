"""The circuit breaker as a value: pauses that grow, and states that a wrong clock cannot freeze."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from worker.breaker import LONGEST_ASKED, LONGEST_PAUSE, Breaker, BreakerState

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
INTERVAL = timedelta(minutes=5)


def after(failures: int, *, interval: timedelta = INTERVAL, jitter: float = 1.0) -> Breaker:
    breaker = Breaker()
    for _ in range(failures):
        breaker = breaker.failed("away", NOW, interval=interval, jitter=lambda: jitter)
    return breaker


def seconds(breaker: Breaker) -> float:
    assert breaker.until is not None
    return (breaker.until - NOW).total_seconds()


def test_pauses_double_up_to_a_quarter_of_an_hour():
    pauses = [seconds(after(failures)) for failures in range(1, 12)]

    assert pauses[:4] == [10, 20, 40, 80]
    assert all(later >= earlier for earlier, later in pairwise(pauses))
    assert pauses[-1] == LONGEST_PAUSE.total_seconds()


def test_the_first_pause_is_never_longer_than_the_interval():
    assert seconds(after(1, interval=timedelta(seconds=2))) == 2


def test_chance_takes_at_most_half_of_a_pause():
    """A thousand portals of one dead gateway do not come back in one moment."""
    assert seconds(after(3, jitter=0.0)) == 20


@pytest.mark.parametrize(("asked", "pause"), [(None, 10), (5, 10), (120, 120), (10**6, LONGEST_ASKED.total_seconds())])
def test_what_the_portal_asks_for_is_given_up_to_an_hour(asked: float | None, pause: float):
    breaker = Breaker().failed("busy", NOW, interval=INTERVAL, asked=asked, jitter=lambda: 1.0)

    assert seconds(breaker) == pause


@pytest.mark.parametrize(
    ("breaker", "state"),
    [
        (Breaker(), BreakerState.CLOSED),
        (Breaker(1, NOW + timedelta(seconds=1), "away"), BreakerState.OPEN),
        (Breaker(1, NOW, "away"), BreakerState.HALF_OPEN),
        (Breaker(1, None, "away"), BreakerState.HALF_OPEN),
        (Breaker(9, NOW + timedelta(days=1), "written by a clock that was a day ahead"), BreakerState.HALF_OPEN),
    ],
)
def test_the_state_follows_from_the_time(breaker: Breaker, state: BreakerState):
    assert breaker.state(NOW) is state
