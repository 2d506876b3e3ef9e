"""When a resource comes again, and when a job is repeated before that."""

from datetime import timedelta

import pytest

from worker.errors import (
    B24SyncError,
    GuardTripped,
    IncompleteRun,
    Interrupted,
    MethodClosed,
    NeedsReauth,
    PortalClosed,
    TokenRejected,
    TransientError,
    Unreachable,
)
from worker.sync.due import pause, retry_after
from worker.sync.report import Mode, Report

INTERVAL = timedelta(minutes=5)


def ended(error: B24SyncError | None = None, *, cause: B24SyncError | None = None) -> Report:
    report = Report("member", "tasks", Mode.FULL)
    if error is not None:
        error.__cause__ = cause
        report.fail(error)
    return report


def asking(error: TransientError, seconds: float) -> TransientError:
    error.retry_after = seconds
    return error


@pytest.mark.parametrize(
    ("report", "again_after", "seconds"),
    [
        (ended(), None, 300),
        (ended(), 20.0, 300),
        (ended(Interrupted("stopped")), None, 0),
        (ended(Unreachable("away")), 20.0, 20),
        (ended(Unreachable("away")), None, 300),
        (ended(TokenRejected("no")), 20.0, 20),
        (ended(NeedsReauth("again")), 20.0, 300),
        (ended(PortalClosed("gone")), None, 86_400),
        (ended(GuardTripped("many")), 20.0, 300),
        (ended(IncompleteRun("half")), 20.0, 300),
        (ended(IncompleteRun("half"), cause=asking(MethodClosed("used up"), 700)), 20.0, 700),
        (ended(IncompleteRun("half"), cause=asking(MethodClosed("used up"), 7)), None, 300),
        (ended(asking(MethodClosed("used up"), 700)), None, 700),
    ],
)
def test_a_resource_comes_again_after_its_interval_unless(report: Report, again_after: float | None, seconds: float):
    """It was cut (at once), failed (with the job), the portal asks for patience, or has closed (a day)."""
    assert pause(report, again_after, INTERVAL) == timedelta(seconds=seconds)


def test_the_pauses_of_a_job_grow_and_end():
    """Never as long as the interval, which is soon enough by itself."""
    pauses = [
        retry_after([ended(), ended(Unreachable("away"))], attempt, INTERVAL, lambda: 1.0) for attempt in range(1, 8)
    ]
    assert pauses == [10.0, 20.0, 40.0, 80.0, 120.0, None, None]
    assert retry_after([ended(Unreachable("away"))], 5, timedelta(seconds=60), lambda: 1.0) is None


@pytest.mark.parametrize(
    "error", [NeedsReauth("again"), IncompleteRun("half"), GuardTripped("many"), PortalClosed("x")]
)
def test_what_does_not_pass_by_itself_is_not_tried_again_soon(error: B24SyncError):
    """Nor is a run that only was not whole: its bookmark keeps."""
    assert retry_after([ended(error)], 1, INTERVAL) is None
