"""When missing rows are too many, or the eyes that miss them too weak."""

import pytest

from worker.errors import GuardTripped
from worker.sync import guard


@pytest.mark.parametrize(
    ("missing", "live", "share", "trips"),
    [
        (0, 0, 0.2, False),
        (0, 100, 0.2, False),
        (20, 100, 0.2, False),
        (21, 100, 0.2, True),
        (100, 100, 0.2, True),
        (1, 2, 0.2, False),
        (1, 4, 0.2, False),
        (2, 4, 0.2, True),
        (1, 1, 0.2, True),
        (1, 100, 0.0, True),
        (0, 100, 0.0, False),
        (99, 100, 1.0, False),
        (100, 100, 1.0, False),
        (100, 100, 0.999, True),
    ],
)
def test_the_share_decides_one_row_is_no_catastrophe_and_all_of_them_are(
    missing: int, live: int, share: float, trips: bool
):
    """Nothing missing is never an alarm; a share of 1 lets everything pass, a share of 0 nothing."""
    if trips:
        with pytest.raises(GuardTripped, match=f"{missing} of {live} tasks"):
            guard.judge(resource="tasks", missing=missing, live=live, max_share=share)
    else:
        guard.judge(resource="tasks", missing=missing, live=live, max_share=share)


ALL, SOME = frozenset({"task", "user"}), frozenset({"task"})


@pytest.mark.parametrize(
    ("was_admin", "is_admin", "had", "has", "trips"),
    [
        (True, True, ALL, ALL, None),
        (True, False, ALL, ALL, "administrator rights"),
        (False, True, ALL, ALL, None),
        (None, False, frozenset(), SOME, None),
        (True, True, ALL, SOME, "the scope user"),
        (True, False, ALL, SOME, "the scope user"),
        (True, True, SOME, ALL, None),
    ],
)
def test_lost_rights_prove_nothing(
    was_admin: bool | None, is_admin: bool, had: frozenset[str], has: frozenset[str], trips: str | None
):
    """Gained ones are no trouble, and a first run has lost nothing."""

    def judge() -> None:
        guard.judge_rights(resource="tasks", was_admin=was_admin, is_admin=is_admin, had_scope=had, scope=has)

    if trips is None:
        judge()
    else:
        with pytest.raises(GuardTripped, match=trips):
            judge()
