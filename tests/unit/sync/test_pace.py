"""Batches shrink at once where the portal is slow, and grow back slowly."""

from worker.sync.pace import Pace


def test_a_batch_that_takes_too_long_is_halved():
    pace = Pace()
    assert pace.room == 50
    pace.took(50, 21)
    assert pace.room == 25
    pace.took(25, 61)
    assert pace.room == 12
    for _ in range(9):
        pace.took(pace.room, 30)
    assert pace.room == 1


def test_it_grows_back_slowly_and_only_by_what_was_tried():
    pace = Pace()
    pace.took(50, 21)
    pace.took(3, 0.1)  # a small batch proves nothing
    pace.took(25, 15)  # neither slow nor quick
    assert pace.room == 25
    grown = []
    for _ in range(9):
        pace.took(pace.room, 2)
        grown.append(pace.room)
    assert grown[0] == 27
    assert grown[-1] == 50
    assert grown == sorted(grown)


def test_a_small_batch_that_is_slow_shrinks_from_its_own_size():
    pace = Pace()
    pace.took(8, 25)
    assert pace.room == 4
