"""One portal's turn: take the lease, let each account read what is due, leave a run row for each resource."""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from worker.bitrix24 import retry
from worker.bitrix24.client import Client
from worker.clock import Clock
from worker.errors import Interrupted, NeedsReauth, PortalClosed, TokenRejected, TransientError
from worker.resources import RESOURCES
from worker.resources.registry import LISTED
from worker.storage import cursors, leases, portals, runs
from worker.storage.cursors import Cursor
from worker.storage.models import Account, Portal
from worker.storage.session import Database
from worker.sync.account import AccountPull
from worker.sync.calendar import CalendarPull
from worker.sync.engine import Pull, drive
from worker.sync.lease import LeaseKeeper
from worker.sync.listing import ListingPull, SweepPull
from worker.sync.plan import Intervals, Plan, is_due, plan
from worker.sync.planner import PlannerPull
from worker.sync.report import Mode, Report
from worker.sync.turn import Fence, SyncOptions, Turn

log = logging.getLogger(__name__)

DEADLINE = timedelta(minutes=20)
"""The longest turn. What it could not read the next one reads on, from the bookmarks."""

CLOSED_PAUSE = timedelta(days=1)
"""A portal that will not serve us until a person acts is asked once a day."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator asked of this turn; the default is the daemon's: what is due, as it is due.

    Args:
        resources: Only these; None for all.
        mode: Full or reconcile instead of what would be due.
        at_once: Also what is not due yet.
        force: Go on where the guard stopped.
    """

    resources: frozenset[str] | None = None
    mode: Mode | None = None
    at_once: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a turn came to.

    Args:
        reports: One for each resource that was due.
        retry_after: Seconds until the same turn should be tried again; None when the interval is soon enough.
    """

    reports: list[Report] = field(default_factory=list)
    retry_after: float | None = None


class PortalSync:
    """Runs portals' turns; holds what all of them share. Safe to use from many threads."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        leases: LeaseKeeper,
        client_for: Callable[[Portal, Account], Client],
        intervals: Intervals,
        options: SyncOptions,
        stopping: Callable[[], bool],
    ) -> None:
        self._database = database
        self._clock = clock
        self._leases = leases
        self._client_for = client_for
        self._intervals = intervals
        self._options = options
        self._stopping = stopping

    def run(self, portal_id: int, wish: Wish | None = None, *, attempt: int = 1) -> Outcome | None:
        """One turn of one portal; None when another process holds its lease.

        Args:
            portal_id: Our number of the portal.
            wish: What an operator asked; None for the daemon.
            attempt: Which try of the same job this is, from 1: failures are tried again after growing pauses.

        Raises LeaseLost when the lease was lost on the way: then nothing of this turn's end is recorded.
        """
        wish = wish or Wish()
        deadline = self._clock.now() + DEADLINE
        with self._leases.hold(portal_id, until=deadline) as fence:
            if fence is None:
                return None
            with self._database.read() as session:
                portal = portals.get_portal(session, portal_id)
                accounts = portals.list_accounts(session, portal_id)
                states = {name: cursors.load_cursor(session, portal_id, name) for name in RESOURCES}
            due = self._due(portal, states, wish)
            started_at = self._clock.now()
            reports = self._read(portal, accounts, states, due, wish, fence, deadline) if portal and due else []
            return self._close(fence, states, reports, started_at, attempt)

    def _due(self, portal: Portal | None, states: Mapping[str, Cursor], wish: Wish) -> list[str]:
        if portal is None or portal.status != "active":
            return []
        now = self._clock.now()
        return [
            name
            for name in RESOURCES
            if (wish.resources is None or name in wish.resources) and (wish.at_once or is_due(states[name], now))
        ]

    def _read(
        self,
        portal: Portal,
        accounts: Sequence[Account],
        states: Mapping[str, Cursor],
        due: Sequence[str],
        wish: Wish,
        fence: Fence,
        deadline: datetime,
    ) -> list[Report]:
        plans = {
            name: plan(states[name], self._clock.now(), self._intervals, wish.mode) for name in due if name in LISTED
        }
        reports = {
            name: Report(portal.member_id, name, plans[name].mode if name in plans else Mode.FULL) for name in due
        }
        for account in accounts:
            if account.status == "needs_reauth":
                reason = NeedsReauth(account.status_reason or "authorize it again", portal=portal.domain)
                for name in due:
                    if account.is_primary or name not in LISTED:
                        reports[name].fail(reason)
                continue
            turn = Turn(
                portal_id=portal.id,
                member_id=portal.member_id,
                account_id=account.id,
                user_id=account.user_id,
                is_primary=account.is_primary,
                client=self._client_for(portal, account),
                database=self._database,
                clock=self._clock,
                fence=fence,
                options=replace(self._options, force=wish.force),
                scope=frozenset(filter(None, account.scope.split(","))),
            )
            trouble = drive(turn.client, pulls_of(turn, plans, states, reports), self._clock, self._halted(deadline))
            if isinstance(trouble, NeedsReauth):  # whatever noticed it, the row says it
                with turn.write() as session:
                    portals.set_account_status(session, account.id, "needs_reauth", str(trouble))
        return list(reports.values())

    def _halted(self, deadline: datetime) -> Callable[[], str | None]:
        def halted() -> str | None:
            if self._stopping():
                return "stopped before the end; the next run goes on from there"
            if self._clock.now() >= deadline:
                return f"not finished within {DEADLINE}; the next run goes on from there"
            return None

        return halted

    def _close(
        self,
        fence: Fence,
        states: Mapping[str, Cursor],
        reports: Sequence[Report],
        started_at: datetime,
        attempt: int,
    ) -> Outcome:
        """Leave the run rows, say when each resource is due again, and give the lease back: one transaction."""
        now = self._clock.now()
        retry_after = self._retry_after(reports, attempt)
        next_runs = {name: state.next_run_at for name, state in states.items()}
        with self._database.write() as session:
            leases.check_fence(session, fence.portal_id, owner=fence.owner, fence=fence.number, now=now)
            for report in reports:
                next_run_at = next_runs[report.resource] = now + self._pause(report, retry_after)
                runs.add_run(
                    session,
                    {**report.as_dict(), "portal_id": fence.portal_id, "started_at": started_at, "finished_at": now},
                )
                cursors.update_cursor(
                    session,
                    fence.portal_id,
                    report.resource,
                    next_run_at=next_run_at,
                    last_run_at=now,
                    last_status=str(report.status),
                )
            times = [at for at in next_runs.values() if at is not None]
            due_at = min(times) if len(times) == len(next_runs) else None  # None: one of them never ran
            leases.release_lease(session, fence.portal_id, owner=fence.owner, fence=fence.number, next_run_at=due_at)
        return Outcome(list(reports), retry_after)

    def _retry_after(self, reports: Sequence[Report], attempt: int) -> float | None:
        """Seconds to the next try of this job when something passing failed; None when the interval is soon enough."""
        for report in reports:
            if isinstance(report.failure, TransientError | TokenRejected):
                decision = retry.decide_job(report.failure, attempt, jitter=random.random)
                if decision is not None and decision.after < self._intervals.sync.total_seconds():
                    return decision.after
        return None

    def _pause(self, report: Report, retry_after: float | None) -> timedelta:
        if isinstance(report.failure, Interrupted):
            return timedelta(0)
        if isinstance(report.failure, PortalClosed):
            return CLOSED_PAUSE
        if retry_after is not None and isinstance(report.failure, TransientError | TokenRejected):
            return timedelta(seconds=retry_after)
        return self._intervals.sync


def pulls_of(
    turn: Turn, plans: Mapping[str, Plan], states: Mapping[str, Cursor], reports: Mapping[str, Report]
) -> list[Pull]:
    """What this account reads: the primary one everything, another one only what is its own.

    Tasks come last, for a long listing fills whatever room the others leave in a batch.
    """
    pulls: list[Pull] = [AccountPull(turn)]
    listings: list[Pull] = []
    if turn.is_primary:
        for name, what in plans.items():
            pull = ListingPull(turn, LISTED[name], what, reports[name], states[name])
            listings.append(pull)
            if what.mode is Mode.RECONCILE:
                listings.append(SweepPull(turn, LISTED[name], reports[name], states[name]))
    others: list[Pull] = []
    if "planner" in reports:
        others.append(PlannerPull(turn, reports["planner"]))
    if "calendar" in reports:
        needs_lists = bool({"groups", "everyone"} & set(turn.options.calendars))
        others.append(
            CalendarPull(
                turn, reports["calendar"], ready=lambda: not needs_lists or all(listing.done for listing in listings)
            )
        )
    return [*pulls, *others, *listings]
