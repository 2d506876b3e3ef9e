"""What a run leaves behind."""

import pytest

from worker.errors import B24SyncError, BadAnswer, GuardTripped, IncompleteRun, NeedsReauth, PortalMoved
from worker.sync.report import Mode, Report

INCOMPLETE, GUARDED, FAILED = IncompleteRun("half"), GuardTripped("too many"), NeedsReauth("again")


def report() -> Report:
    return Report("member", "tasks", Mode.INCREMENTAL)


@pytest.mark.parametrize(
    ("errors", "status", "kept"),
    [
        ([], "ok", None),
        ([INCOMPLETE], "incomplete", INCOMPLETE),
        ([INCOMPLETE, GUARDED], "guarded", GUARDED),
        ([GUARDED, INCOMPLETE], "guarded", GUARDED),
        ([FAILED, GUARDED], "failed", FAILED),
        ([INCOMPLETE, FAILED, BadAnswer("later")], "failed", FAILED),
    ],
)
def test_the_worst_status_stays_with_the_first_error_that_led_to_it(
    errors: list[B24SyncError], status: str, kept: B24SyncError | None
):
    """Two accounts may write into one report."""
    one = report()
    for error in errors:
        one.fail(error)
    assert str(one.status) == status
    assert one.failure is kept
    assert one.error == (str(kept) if kept else None)


def test_the_figures_are_those_of_the_contract():
    """In its order; the exception itself is not among them, and need not be one that can be copied."""
    one = report()
    one.fail(PortalMoved("renamed", location="https://other.example/"))
    one.waited_seconds, one.seconds = 1.23456, 2.00049
    figures = one.as_dict()
    assert list(figures) == [
        *("portal", "resource", "mode", "status", "fetched", "inserted", "updated", "unchanged", "deleted", "revived"),
        *("rejected", "http_requests", "calls", "retries", "refreshes", "waited_seconds", "seconds", "error"),
    ]
    assert (figures["status"], figures["error"]) == ("failed", "renamed")
    assert (figures["waited_seconds"], figures["seconds"]) == (1.235, 2.0)


def test_changes_are_entity_rows_written():
    """What was read or refused is none."""
    one = report()
    one.fetched, one.unchanged, one.rejected = 90, 80, 5
    one.inserted, one.updated, one.deleted, one.revived = 1, 2, 3, 4
    assert one.changes == 10
