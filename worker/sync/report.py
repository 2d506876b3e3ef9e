"""What a run leaves behind: the figures of `sync --json` and of `sync_runs`."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from worker.errors import B24SyncError, GuardTripped, IncompleteRun


class Mode(StrEnum):
    """What a run set out to read."""

    FULL = "full"
    INCREMENTAL = "incremental"
    RECONCILE = "reconcile"
    EVENTS = "events"


class Status(StrEnum):
    """How a run ended; the later the worse."""

    OK = "ok"
    INCOMPLETE = "incomplete"
    GUARDED = "guarded"
    FAILED = "failed"

    @property
    def rank(self) -> int:
        return list(Status).index(self)


@dataclass(slots=True)
class Report:
    """One run of one resource for one portal. Filled while the run goes; the worst status seen stays.

    `seconds` and `waited_seconds` are wall time; the counters count records, requests and calls of this resource. A
    batch shared by several resources is counted once, for the resource that asked most of it.
    """

    portal: str
    resource: str
    mode: Mode
    status: Status = Status.OK
    fetched: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    revived: int = 0
    rejected: int = 0
    http_requests: int = 0
    calls: int = 0
    retries: int = 0
    refreshes: int = 0
    waited_seconds: float = 0.0
    seconds: float = 0.0
    error: str | None = None
    failure: B24SyncError | None = None

    def fail(self, error: B24SyncError) -> None:
        """Note a trouble: the worst status is kept, with the first error that led to it."""
        status = _status_of(error)
        if status.rank > self.status.rank:
            self.status, self.error, self.failure = status, str(error), error

    @property
    def changes(self) -> int:
        """Entity rows written."""
        return self.inserted + self.updated + self.deleted + self.revived

    def as_dict(self) -> dict[str, Any]:
        """The public figures, in the order of the contract."""
        # Not `asdict`: it would copy `failure`, and not every exception can be copied.
        figures = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "failure"}
        return {**figures, "waited_seconds": round(self.waited_seconds, 3), "seconds": round(self.seconds, 3)}


def _status_of(error: B24SyncError) -> Status:
    if isinstance(error, GuardTripped):
        return Status.GUARDED
    return Status.INCOMPLETE if isinstance(error, IncompleteRun) else Status.FAILED
