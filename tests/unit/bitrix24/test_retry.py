"""Again, and when: a table."""

import pytest

from worker.bitrix24.retry import Retry, decide, decide_job
from worker.errors import (
    AccessDenied,
    BadAnswer,
    CallRefused,
    MethodClosed,
    NeedsReauth,
    PortalClosed,
    PortalError,
    PortalMoved,
    RateLimited,
    TokenRejected,
    TransientError,
    Unreachable,
)


def asking(error: TransientError, seconds: float) -> TransientError:
    error.retry_after = seconds
    return error


@pytest.mark.parametrize(
    ("error", "attempt", "jitter", "after"),
    [
        (Unreachable(), 1, 0.0, 0.5),
        (Unreachable(), 1, 1.0, 2.0),
        (Unreachable(), 2, 1.0, 4.0),
        (Unreachable(), 3, 1.0, 8.0),
        (Unreachable(), 3, 0.5, 4.0),
        (Unreachable(), 4, 0.0, None),
        (BadAnswer(), 1, 0.0, 0.5),
        (BadAnswer(), 4, 0.0, None),
        (TransientError(), 3, 1.0, 8.0),
        (TransientError(), 4, 1.0, None),
        (RateLimited(), 1, 0.0, 1.0),
        (RateLimited(), 1, 1.0, 4.0),
        (RateLimited(), 5, 1.0, 30.0),
        (RateLimited(), 6, 1.0, None),
        (asking(RateLimited(), 10), 1, 0.0, 11.0),
        (asking(Unreachable(), 10), 1, 1.0, 12.0),
        (asking(Unreachable(), 59), 1, 1.0, None),
        (asking(Unreachable(), 0), 1, 0.0, 0.5),
        (asking(MethodClosed(), 20), 1, 0.0, 21.0),
        (asking(MethodClosed(), 61), 1, 0.0, None),
        (asking(MethodClosed(), 20), 3, 0.0, None),
        (MethodClosed(), 1, 0.0, None),
        (CallRefused(), 1, 0.0, None),
        (AccessDenied(), 1, 0.0, None),
        (NeedsReauth(), 1, 0.0, None),
        (PortalClosed(), 1, 0.0, None),
        (TokenRejected(), 1, 0.0, None),
        (PortalMoved(location=""), 1, 0.0, None),
        (PortalError(), 1, 0.0, None),
        (Unreachable(), 10**6, 1.0, None),
    ],
    ids=range(30),
)
def test_requests(error: PortalError, attempt: int, jitter: float, after: float | None):
    assert decide(error, attempt, jitter=lambda: jitter) == (None if after is None else Retry(after))


@pytest.mark.parametrize(
    ("error", "attempt", "jitter", "after"),
    [
        (Unreachable(), 1, 0.0, 5.0),
        (Unreachable(), 3, 1.0, 40.0),
        (TokenRejected(), 5, 1.0, 120.0),
        (TokenRejected(), 6, 1.0, None),
        (asking(MethodClosed(), 300), 1, 0.0, 305.0),
        (asking(MethodClosed(), 1000), 1, 0.0, None),
        (NeedsReauth(), 1, 0.0, None),
        (CallRefused(), 1, 0.0, None),
    ],
    ids=range(8),
)
def test_jobs(error: PortalError, attempt: int, jitter: float, after: float | None):
    assert decide_job(error, attempt, jitter=lambda: jitter) == (None if after is None else Retry(after))
