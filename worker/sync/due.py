"""When a resource is due again after its run, and when a failed job is worth repeating before that. Pure."""

import random
from collections.abc import Callable, Iterable
from datetime import timedelta

from worker.bitrix24 import retry
from worker.errors import Interrupted, PortalClosed, PortalError, TokenRejected, TransientError
from worker.sync.report import Report

CLOSED_PAUSE = timedelta(days=1)
"""A portal that will not serve us until a person acts is asked once a day."""


def retry_after(
    reports: Iterable[Report], attempt: int, interval: timedelta, jitter: Callable[[], float] = random.random
) -> float | None:
    """Seconds to the next try of this job when something passing failed; None when the interval is soon enough."""
    for report in reports:
        if isinstance(report.failure, TransientError | TokenRejected):
            decision = retry.decide_job(report.failure, attempt, jitter=jitter)
            if decision is not None and decision.after < interval.total_seconds():
                return decision.after
    return None


def pause(report: Report, again_after: float | None, interval: timedelta) -> timedelta:
    """From the end of a run to the next one of the resource.

    Args:
        report: How it ended.
        again_after: When the job is tried again, where something passing failed.
        interval: Between two runs; a portal that asks for more patience (a closed method) gets it.
    """
    if isinstance(report.failure, Interrupted):
        return timedelta(0)
    trouble = _cause(report)
    if isinstance(trouble, PortalClosed):
        return CLOSED_PAUSE
    if again_after is not None and isinstance(report.failure, TransientError | TokenRejected):
        return timedelta(seconds=again_after)
    asked = trouble.retry_after if isinstance(trouble, TransientError) else None
    return max(interval, timedelta(seconds=asked or 0))


def _cause(report: Report) -> PortalError | None:
    """What the portal said: the failure, or what made the run incomplete."""
    for error in (report.failure, report.failure and report.failure.__cause__):
        if isinstance(error, PortalError):
            return error
    return None
