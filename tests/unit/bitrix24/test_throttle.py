"""Budgets are reserved before requests and learned from answers, by the portal's clock."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.bitrix24.fakes import NOW, MemoryBudget, answer
from worker.bitrix24.calls import Time
from worker.bitrix24.throttle import Throttle
from worker.clock import Clock
from worker.errors import AccessDenied, MethodClosed, RateLimited

PORTAL_NOW = datetime(2030, 1, 1, tzinfo=UTC)  # a portal whose clock is years ahead


def closed(*, retry_after: float | None = None, reset_at: datetime | None = None) -> MethodClosed:
    error = MethodClosed("closed", method="tasks.task.list")
    error.retry_after, error.reset_at = retry_after, reset_at
    return error


def test_batches_are_reserved_one_by_one_and_wait_their_turn(clock: Clock):
    budget = MemoryBudget(room=2, drain=2)
    throttle = Throttle(budget, clock, 1)

    assert [throttle.before() for _ in range(4)] == [0.0, 0.0, 0.5, 0.5]
    assert clock.slept == [0.5, 0.5]  # type: ignore[attr-defined]
    assert budget.reserved == [1, 1, 1, 1]


def test_plain_calls_share_one_reservation_for_a_few_seconds(clock: Clock):
    budget = MemoryBudget()
    throttle = Throttle(budget, clock, 1)

    for _ in range(5):
        throttle.before(plain=True)
    assert budget.reserved == [5]
    throttle.before(plain=True)
    assert budget.reserved == [5, 5]
    clock.advance(4)  # type: ignore[attr-defined]
    throttle.before(plain=True)
    assert budget.reserved == [5, 5, 5]


def test_a_plain_call_takes_one_where_five_would_have_to_wait(clock: Clock):
    budget = MemoryBudget(room=3)
    throttle = Throttle(budget, clock, 1)

    throttle.before(plain=True)

    assert budget.reserved == [1]
    assert clock.slept == []  # type: ignore[attr-defined]


def test_a_long_wait_is_refused_with_its_length(clock: Clock):
    budget = MemoryBudget(room=1, drain=0.01)
    throttle = Throttle(budget, clock, 1, patience=60)
    throttle.before()

    with pytest.raises(RateLimited) as caught:
        throttle.before()
    assert caught.value.retry_after == pytest.approx(100)
    assert clock.slept == []  # type: ignore[attr-defined]


def test_a_refusal_fills_the_bucket_and_ends_the_spare_calls(clock: Clock):
    budget = MemoryBudget()
    throttle = Throttle(budget, clock, 1)
    throttle.before(plain=True)

    throttle.refused()
    throttle.before(plain=True)

    assert budget.filled == 1
    assert budget.reserved == [5, 5]


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        (Time(operating=299.0), None),
        (Time(), None),
        (Time(operating=301.0), 60),
        (Time(PORTAL_NOW, 301.0, PORTAL_NOW + timedelta(seconds=90)), 90),
        (Time(PORTAL_NOW, 301.0, PORTAL_NOW - timedelta(seconds=90)), 1),
        (Time(PORTAL_NOW, 301.0, PORTAL_NOW + timedelta(days=9)), 600),
        (Time(None, 301.0, PORTAL_NOW), 60),
    ],
    ids=range(7),
)
def test_a_method_near_its_limit_rests_by_the_portals_clock(clock: Clock, time: Time, seconds: int | None):
    budget = MemoryBudget()
    throttle = Throttle(budget, clock, 1)

    throttle.after([answer(1, "tasks.task.list", time=time), answer(1, "profile")])

    expected = {} if seconds is None else {"tasks.task.list": NOW + timedelta(seconds=seconds)}
    assert budget.closed == expected


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (closed(), 60),
        (closed(retry_after=30), 30),
        (closed(retry_after=0), 1),
        (closed(retry_after=10**6), 600),
        (closed(reset_at=NOW + timedelta(seconds=45)), 45),
    ],
    ids=range(5),
)
def test_a_method_closed_by_the_portal_rests(clock: Clock, error: MethodClosed, seconds: int):
    budget = MemoryBudget()
    throttle = Throttle(budget, clock, 1)

    throttle.after([error, AccessDenied("no", method="user.get")])

    assert budget.closed == {"tasks.task.list": NOW + timedelta(seconds=seconds)}
    shut = throttle.closed(["tasks.task.list", "profile"])
    assert shut.keys() == {"tasks.task.list"}
    assert shut["tasks.task.list"].retry_after == seconds
    assert shut["tasks.task.list"].method == "tasks.task.list"
    clock.advance(seconds)  # type: ignore[attr-defined]
    assert throttle.closed(["tasks.task.list"]) == {}


def test_of_several_answers_the_longest_rest_counts(clock: Clock):
    budget = MemoryBudget()

    Throttle(budget, clock, 1).after([closed(retry_after=50), closed(retry_after=20), closed(retry_after=40)])

    assert budget.closed["tasks.task.list"] == NOW + timedelta(seconds=50)


def test_a_refusal_that_does_not_say_until_when_takes_it_from_the_last_good_answer(clock: Clock):
    budget = MemoryBudget()
    throttle = Throttle(budget, clock, 1)
    throttle.after([answer(1, "tasks.task.list", time=Time(PORTAL_NOW, 20.0, PORTAL_NOW + timedelta(seconds=200)))])
    assert budget.closed == {}
    clock.advance(50)  # type: ignore[attr-defined]

    throttle.after([closed()])
    assert budget.closed["tasks.task.list"] == NOW + timedelta(seconds=200)
    clock.advance(300)  # type: ignore[attr-defined]
    throttle.after([closed()])
    assert budget.closed["tasks.task.list"] == NOW + timedelta(seconds=350 + 60)
