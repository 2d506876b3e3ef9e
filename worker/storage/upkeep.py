"""What keeps the database small: quiet runs are folded, old rows forgotten."""

from collections.abc import Callable, Sequence

from worker.clock import Clock
from worker.storage import budget, drift, logins, rejected, runs
from worker.storage.session import Database

MOST_ROUNDS = 1000
"""Of one kind in one go: half a million folded rows, the runs of 10,000 portals in an hour."""

_WORK: Sequence[Callable[..., int]] = (
    runs.fold_quiet_runs,
    runs.delete_old_runs,
    rejected.prune_rejected,
    drift.prune_drift,
    logins.prune_logins,
    budget.prune_closed_methods,
)


def maintain(database: Database, clock: Clock, *, stopping: Callable[[], bool]) -> None:
    """All of it, in short transactions, until nothing is left or the process is to end."""
    now = clock.now()
    for work in _WORK:
        for _ in range(MOST_ROUNDS):
            with database.write() as session:
                left = work(session, now)
            if not left or stopping():
                break
