"""Try again, and when? One value, one place; the client asks it and so does Celery. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from worker.errors import (
    BadAnswer,
    MethodClosed,
    PortalError,
    RateLimited,
    TokenRejected,
    TokenServerAway,
    TransientError,
    Unreachable,
)

LONGEST_PAUSE: Final = 60.0  # a longer one ends the job, which comes again at its due time


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after so many seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how slowly.

    Args:
        attempts: In all, with the first one.
        floor: Never less than this; full jitter alone gave four attempts within 1.1 seconds (measured).
        base: The first ceiling, doubled with each attempt.
        ceiling: Its limit.
    """

    attempts: int
    floor: float
    base: float
    ceiling: float


POLICY: Final[dict[type[TransientError], Policy]] = {
    RateLimited: Policy(attempts=6, floor=1.0, base=4.0, ceiling=30.0),
    MethodClosed: Policy(attempts=3, floor=1.0, base=4.0, ceiling=30.0),
    Unreachable: Policy(attempts=4, floor=0.5, base=2.0, ceiling=20.0),
    BadAnswer: Policy(attempts=4, floor=0.5, base=2.0, ceiling=20.0),
    TransientError: Policy(attempts=4, floor=0.5, base=2.0, ceiling=20.0),
}


JOB: Final = Policy(attempts=6, floor=5.0, base=10.0, ceiling=120.0)
"""Of a whole job, whose requests were already tried several times: slower, so that it outlives minutes."""

_LONGEST_JOB_PAUSE: Final = 900.0


def decide(
    error: PortalError,
    attempt: int,
    *,
    jitter: Callable[[], float],
    longest: float = LONGEST_PAUSE,
) -> Retry | None:
    """What to do after the `attempt`-th failure of a request (the first is 1): a Retry, or None to give up.

    Args:
        error: The failure; only a TransientError is tried again.
        attempt: How many have failed, this one included.
        jitter: A number from 0 to 1, anew each time.
        longest: A pause longer than this is not made here.
    """
    if not isinstance(error, TransientError):
        return None
    if isinstance(error, TokenServerAway):
        return None  # no thread is to wait for it
    if isinstance(error, MethodClosed) and error.retry_after is None:
        return None  # nobody knows when it opens: not a matter of seconds
    policy = next(POLICY[kind] for kind in type(error).__mro__ if kind in POLICY)
    return _retry(policy, attempt, jitter, error.retry_after, longest)


def decide_job(error: PortalError, attempt: int, *, jitter: Callable[[], float]) -> Retry | None:
    """What to do after the `attempt`-th failure of a job: for what may pass, and for a token rejected even when new."""
    if not isinstance(error, TransientError | TokenRejected):
        return None
    asked = error.retry_after if isinstance(error, TransientError) else None
    return _retry(JOB, attempt, jitter, asked, _LONGEST_JOB_PAUSE)


def _retry(
    policy: Policy, attempt: int, jitter: Callable[[], float], asked: float | None, longest: float
) -> Retry | None:
    """Exponential with full jitter, never under the floor; what the other side asked for comes first."""
    if attempt >= policy.attempts:
        return None
    high = min(policy.ceiling, policy.base * 2.0 ** min(attempt - 1, 30))
    after = max(policy.floor, jitter() * high)
    if asked:
        after = asked + min(after, policy.base)  # not all at the same moment
    return None if after > longest else Retry(after)
