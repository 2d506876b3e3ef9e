"""How long the mirror holds on to what the portal does not show any more."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.sync.calendar_doubts import Doubts

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def weigh(text: str | None, now: datetime, *doubtful: int, force: bool = False) -> tuple[set[int], str | None]:
    """Events 1 to 3 were read; what is doubted, and what the next run is told."""
    doubts = Doubts(text, now, force=force)
    return doubts.weigh({1, 2, 3}, doubtful), doubts.dump()


def test_nothing_doubtful_leaves_nothing_to_remember():
    assert weigh(None, NOW) == (set(), None)


@pytest.mark.parametrize(("hours", "doubted"), [(0, {1}), (23, {1}), (24, set()), (100, set())])
def test_a_portal_that_insists_is_believed_after_a_day(hours: int, doubted: set[int]):
    _, told = weigh(None, NOW, 1)
    assert weigh(told, NOW + timedelta(hours=hours), 1)[0] == doubted


def test_what_was_seen_whole_meanwhile_is_doubted_from_the_start_again():
    _, told = weigh(None, NOW, 1, 2)
    _, told = weigh(told, NOW + timedelta(hours=20), 2)
    assert weigh(told, NOW + timedelta(hours=30), 1, 2)[0] == {1}


def test_what_another_account_doubts_is_not_settled_by_not_reading_it():
    first = Doubts(None, NOW, force=False)
    first.weigh({7}, {7})
    _, told = weigh(first.dump(), NOW + timedelta(hours=1))
    late = Doubts(told, NOW + timedelta(hours=25), force=False)
    assert late.weigh({7}, {7}) == set()


def test_an_operator_is_believed_and_nothing_is_remembered():
    assert weigh(None, NOW, 1, force=True) == (set(), None)


def test_a_clock_that_was_set_back_starts_the_patience_anew():
    _, told = weigh(None, NOW + timedelta(days=30), 1)
    _, told = weigh(told, NOW, 1)
    assert weigh(told, NOW + timedelta(hours=23), 1)[0] == {1}
    assert weigh(told, NOW + timedelta(hours=25), 1)[0] == set()


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"x": 1}', '{"mode":"full"}'])
def test_what_cannot_be_read_counts_as_nothing(text: str):
    assert weigh(text, NOW, 1)[0] == {1}
