"""A listing by page numbers says that it is complete only when it is, in any order and while rows go."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.bitrix24.fakes import answer
from worker.bitrix24.calls import Answer, Answers, Call, Outcome, Time
from worker.bitrix24.counted import CountedListing
from worker.bitrix24.rows import ListMethod, Span
from worker.errors import AccessDenied, Unreachable

TASKS = ListMethod("tasks.task.list", {"select": ["ID"]}, items=("tasks",))


class Shuffled:
    """A list in an order of its own that stays, as long as nobody is deleted before a page."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = list(ids)
        self.requests = 0
        self.counts = True

    def batch(self, calls: Sequence[Call]) -> Answers:
        self.requests += 1
        return Answers({call.key: self.page(call) for call in calls}, Time())

    def page(self, call: Call) -> Outcome:
        self.before()
        start: Any = call.params["start"]
        rows = [{"id": one} for one in self.ids[start : start + 50]]
        return answer({"tasks": rows}, call.method, total=len(self.ids) if self.counts else None)

    def before(self) -> None:
        """What others do meanwhile."""


def run(one: CountedListing, portal: Shuffled, *, room: int = 50) -> list[int]:
    ids: list[int] = []
    for _ in range(1000):
        if one.done:
            return ids
        calls = one.calls(room)
        assert 0 < len(calls) <= room
        ids += [record.id for record in one.take(portal.batch(calls))]
    raise AssertionError("it does not end")


def shuffled(rows: int) -> list[int]:
    return sorted(range(1, rows + 1), key=lambda one: one * 7919 % 10_007)


@pytest.mark.parametrize(("rows", "requests"), [(0, 1), (1, 1), (50, 1), (51, 2), (1000, 2), (2450, 2), (10_000, 6)])
def test_every_row_comes_once_in_few_requests(rows: int, requests: int):
    one, portal = CountedListing(TASKS, prefix="t"), Shuffled(shuffled(rows))

    assert run(one, portal) == portal.ids
    assert (one.complete, one.problem, one.count, one.last_id) == (True, None, rows, 0)
    assert one.span == Span(0, None, list(range(1, rows + 1)))
    assert portal.requests == requests


def test_nothing_is_proven_before_the_end():
    """A sweep that took half of a list for all of it would ask for the other half by ID."""
    one, portal = CountedListing(TASKS, prefix="t"), Shuffled(shuffled(200))
    one.take(portal.batch(one.calls(50)))

    assert not one.done
    assert one.span is None


def test_a_page_needs_the_one_before_it():
    one, portal = CountedListing(TASKS, prefix="t"), Shuffled(shuffled(200))
    one.take(portal.batch(one.calls(1)))

    assert one.calls(1) == []
    assert len(one.calls(2)) == 2


def test_a_page_that_lost_a_row_makes_no_complete_list():
    portal = Shuffled(shuffled(120))
    one = CountedListing(TASKS, prefix="t")
    portal.before = lambda: None  # type: ignore[method-assign]
    page = portal.page

    def losing(call: Call) -> Outcome:
        outcome = page(call)
        assert isinstance(outcome, Answer)
        rows = outcome.decode(dict[str, list[dict[str, int]]])["tasks"]
        return answer({"tasks": rows[1:]}, call.method, total=outcome.total)

    portal.page = losing  # type: ignore[method-assign]
    run(one, portal)

    assert not one.complete
    assert "rows read where the portal counts 120" in (one.problem or "")


def test_a_portal_that_counts_nothing_proves_nothing():
    one, portal = CountedListing(TASKS, prefix="t"), Shuffled(shuffled(10))
    portal.counts = False
    run(one, portal)

    assert "counts nothing" in (one.problem or "")


@pytest.mark.parametrize(("error", "tries"), [(AccessDenied("no"), 1), (Unreachable("gone"), 3)])
def test_a_page_that_does_not_come_is_asked_a_few_times(error: Exception, tries: int):
    one = CountedListing(TASKS, prefix="t")
    for _ in range(tries):
        assert not one.done
        (call,) = one.calls(50)
        one.take(Answers({call.key: error}, Time()))  # type: ignore[dict-item]

    assert (one.done, one.complete) == (True, False)


@settings(max_examples=200)
@given(
    rows=st.integers(0, 700), room=st.integers(2, 9), seed=st.randoms(use_true_random=False), often=st.floats(0, 0.4)
)
def test_a_complete_listing_has_lost_no_row(rows: int, room: int, seed: Any, often: float):  # noqa: ANN401
    """Whoever was there from the first call to the last was read, whoever went meanwhile and whoever came."""
    portal = Shuffled(shuffled(rows))
    newest = [10_000]

    def meanwhile() -> None:
        if portal.ids and seed.random() < often:
            del portal.ids[seed.randrange(len(portal.ids))]
        elif seed.random() < often / 2:
            newest[0] += 1
            portal.ids.append(newest[0])

    portal.before = meanwhile  # type: ignore[method-assign]
    one = CountedListing(TASKS, prefix="t")
    ids = run(one, portal, room=room)

    assert len(ids) == len(set(ids))
    assert one.complete != bool(one.problem)
    if one.complete:
        assert {i for i in portal.ids if i <= rows} <= set(ids)
