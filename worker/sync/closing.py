"""The end of a portal's turn: what it says of the portal, and when which resource is due again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from worker.breaker import Breaker, BreakerState
from worker.clock import Stopwatch
from worker.errors import B24SyncError, TransientError
from worker.resources import RESOURCES
from worker.resources.registry import LISTED
from worker.storage import cursors, hints, leases, portals, rejected, runs
from worker.storage.remembered import save_answers
from worker.storage.session import Database
from worker.storage.standing import Standing
from worker.sync import due
from worker.sync.report import Report, Status
from worker.sync.turn import Fence


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a turn came to.

    Args:
        reports: One for each resource that was due.
        retry_after: Seconds until the same turn should be tried again; None when the interval is soon enough.
        run_ids: `sync_runs.id` of each report.
    """

    reports: list[Report] = field(default_factory=list)
    retry_after: float | None = None
    run_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Result:
    """What a turn found, and how it ended.

    Args:
        standing: The portal as the turn found it, and what its end is to write.
        reports: Of what was due.
        breaker: As it is after the turn.
        watch: Since the turn began.
        attempt: Which try of the same job this was, from 1.
        hint: Of an online event, as the turn found it and read what it told of; None: there was none.
    """

    standing: Standing
    reports: Sequence[Report]
    breaker: Breaker
    watch: Stopwatch
    attempt: int
    hint: datetime | None = None


def judge(
    breaker: Breaker,
    troubles: Sequence[B24SyncError | None],
    now: datetime,
    interval: timedelta,
    jitter: Callable[[], float],
) -> Breaker:
    """The breaker after a turn with these troubles, one for each account, None where it was answered. Pure.

    One answer closes it. What never asked the portal (a stop, a missing key, no token) says nothing of it.
    """
    if any(trouble is None for trouble in troubles):
        return Breaker()
    silence = next((one for one in troubles if isinstance(one, TransientError) and not one.token_server), None)
    if silence is None:
        return breaker
    return breaker.failed(str(silence), now, interval=interval, asked=silence.retry_after, jitter=jitter)


def close(database: Database, fence: Fence, result: Result, now: datetime, interval: timedelta) -> Outcome:
    """Leave the run rows, say when each resource is due again, and give the lease back: one transaction.

    A portal that does not answer comes again when its breaker says so, not by a message of its own.
    """
    until = result.breaker.until if result.breaker.state(now) is BreakerState.OPEN else None
    again = None if until else due.retry_after(result.reports, result.attempt, interval)
    pause = (until - now).total_seconds() if until else again
    due_at = {report.resource: now + due.pause(report, pause, interval) for report in result.reports}
    next_runs = {name: result.standing.cursor(name).next_run_at for name in RESOURCES} | due_at
    next_run_at = _next_run(next_runs, result.breaker, now)
    with database.write() as session:
        leases.end_lease(
            session, fence.portal_id, owner=fence.owner, fence=fence.number, next_run_at=next_run_at, now=now
        )
        run_ids = _leave(session, fence.portal_id, result, due_at, now)
    return Outcome(list(result.reports), again, run_ids)


def _leave(
    session: Session, portal_id: int, result: Result, due_at: Mapping[str, datetime], now: datetime
) -> list[int]:
    """Write what the turn leaves behind; a quiet one leaves its run rows and when it was. Returns their numbers."""
    reports, standing = result.reports, result.standing
    times = {"portal_id": portal_id, "started_at": result.watch.started_at, "finished_at": now}
    run_ids = runs.add_runs(session, [{**report.as_dict(), **times} for report in reports])
    whole = {report.resource for report in reports if report.status is Status.OK}
    if not result.watch.set_back:
        for resource in sorted((whole - LISTED.keys()) & standing.rejected):
            # Read whole: what was kept before this turn and was not rejected again has healed, or is gone.
            rejected.remove_stale(session, portal_id, resource, before=result.watch.started_at)
    ends = {
        report.resource: {
            "next_run_at": due_at[report.resource],
            "last_run_at": now,
            "last_status": str(report.status),
            **standing.moved.get(report.resource, {}),
        }
        for report in reports
    }
    cursors.update_cursors(session, portal_id, ends)
    if "calendar" in whole and not standing.calendar_written:
        save_answers(session, portal_id, standing.read)
    if result.hint is not None:
        hints.clear_hint(session, portal_id, result.hint)
    if reports and result.breaker != portals.breaker_of(standing.portal):
        portals.save_breaker(session, portal_id, result.breaker)
    return run_ids


def _next_run(next_runs: Mapping[str, datetime | None], breaker: Breaker, now: datetime) -> datetime | None:
    """When the portal is due: with its first resource; at once (None) where one never ran; not while left alone."""
    times = [at for at in next_runs.values() if at is not None]
    due_at = min(times) if len(times) == len(next_runs) else None
    if breaker.state(now) is BreakerState.OPEN and breaker.until is not None:
        return max(due_at or now, breaker.until)
    return due_at
