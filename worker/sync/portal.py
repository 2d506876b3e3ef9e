"""One portal's turn: take the lease, let each account read what is due, leave a run row for each resource."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from worker.bitrix24.client import Client
from worker.breaker import Breaker, BreakerState
from worker.clock import Clock, Stopwatch
from worker.errors import B24SyncError, NeedsReauth, PortalError, TransientError
from worker.log import about
from worker.resources import RESOURCES
from worker.resources.capabilities import Ways
from worker.resources.registry import LISTED
from worker.storage import portals
from worker.storage.models import Account, Portal, PortalCapability
from worker.storage.session import Database
from worker.storage.standing import Standing, load_standing
from worker.sync.account import WAITING, account_status
from worker.sync.closing import Outcome, Result, close, judge
from worker.sync.engine import drive
from worker.sync.lease import LeaseKeeper
from worker.sync.pace import Pace
from worker.sync.plan import Intervals, Plan, is_due, plan
from worker.sync.probe import Halted
from worker.sync.pulls import pulls_of
from worker.sync.report import Mode, Report
from worker.sync.telling import Teller
from worker.sync.turn import Fence, SyncOptions, Turn

__all__ = ["DEADLINE", "Outcome", "PortalSync", "Wish"]

DEADLINE = timedelta(minutes=20)
"""The longest turn, looked at before every request. What it could not read the next one reads on, from the bookmarks.
Counted by the clock that never steps; Celery's own time limits do nothing on threads."""

OVERTIME = timedelta(minutes=4)
"""What one request may take beyond it, with its answer still written: the lease is renewed so long."""

NEWS = frozenset({"tasks", "calendar"})
"""What an online event's hint makes due."""


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
class _Agenda:
    """What this turn is to read."""

    standing: Standing
    plans: Mapping[str, Plan]
    reports: Mapping[str, Report]
    fence: Fence
    halted: Halted
    options: SyncOptions
    probe: bool

    @property
    def portal(self) -> Portal:
        return self.standing.portal


class PortalSync:
    """Runs portals' turns; holds what all of them share. Safe to use from many threads."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        leases: LeaseKeeper,
        client_for: Callable[[Portal, Account], Client],
        ways: Callable[[Portal, Account, Mapping[str, PortalCapability], Halted], Ways],
        intervals: Intervals,
        options: SyncOptions,
        stopping: Callable[[], bool],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._clock = clock
        self._leases = leases
        self._client_for = client_for
        self._ways = ways
        self._intervals = intervals
        self._options = options
        self._stopping = stopping
        self._jitter = jitter
        self._paces: dict[int, Pace] = {}
        self._queue_looked_at: dict[int, datetime] = {}
        self._teller = Teller()

    def run(self, portal_id: int, wish: Wish | None = None, *, attempt: int = 1) -> Outcome | None:
        """One turn of one portal; None when another process holds its lease.

        Args:
            portal_id: Our number of the portal.
            wish: What an operator asked; None for the daemon.
            attempt: Which try of the same job this is, from 1: failures are tried again after growing pauses.

        Raises LeaseLost when the lease was lost on the way: then nothing of this turn's end is recorded.
        """
        wish = wish or Wish()
        halted = self._halted(self._clock.monotonic() + DEADLINE.total_seconds())
        held = self._leases.hold(portal_id, seconds=(DEADLINE + OVERTIME).total_seconds())
        with held as fence, about(turn=fence.number if fence else None):
            if fence is None:
                return None
            with self._database.read() as session:
                standing = load_standing(session, portal_id)
            if standing is None:  # removed just now, and its lease with it
                return Outcome()
            portal, watch = standing.portal, Stopwatch(self._clock)
            breaker = portals.breaker_of(portal)
            due = self._due(standing, wish, breaker)
            reports: list[Report] = []
            if due:
                now = watch.started_at
                plans = {
                    name: plan(standing.cursor(name), now, self._intervals, wish.mode) for name in due if name in LISTED
                }
                modes = {name: plans[name].mode if name in plans else Mode.FULL for name in due}
                agenda = _Agenda(
                    standing=standing,
                    plans=plans,
                    reports={name: Report(portal.member_id, name, mode) for name, mode in modes.items()},
                    fence=fence,
                    halted=halted,
                    options=replace(self._options, force=wish.force, anew=wish.force or wish.mode is not None),
                    probe=breaker.failures > 0 and not wish.at_once,
                )
                with about(portal=portal.member_id, domain=portal.domain):
                    reports, troubles = self._read(agenda, standing.accounts)
                breaker = judge(breaker, troubles, self._clock.now(), self._intervals.sync, self._jitter)
            hint = portal.hinted_at if set(due) >= NEWS else None
            result = Result(standing, reports, breaker, watch, attempt, hint)
            outcome = close(self._database, fence, result, self._clock.now(), self._intervals.sync)
            self._teller.tell(portal.domain, outcome.reports, outcome.run_ids)
            return outcome

    def _due(self, standing: Standing, wish: Wish, breaker: Breaker) -> list[str]:
        portal, now = standing.portal, self._clock.now()
        if portal.status != "active":
            return []
        if breaker.state(now) is BreakerState.OPEN and not wish.at_once:
            return []
        hinted = NEWS if portal.hinted_at is not None else frozenset()
        return [
            name
            for name in RESOURCES
            if (wish.resources is None or name in wish.resources)
            and (wish.at_once or name in hinted or is_due(standing.cursor(name), now))
        ]

    def _read(self, agenda: _Agenda, accounts: Sequence[Account]) -> tuple[list[Report], list[B24SyncError | None]]:
        """Let each account read its part; a part that nobody reads is a failure, not an empty success.

        Where the portal gave one account no answer the others are not tried: each would hold the thread as long.

        Returns:
            The reports, and each account's trouble, None where it was answered.
        """
        unread = set(agenda.reports)
        silence: B24SyncError | None = None
        troubles: list[B24SyncError | None] = []
        for account in accounts:
            mine = {name: report for name, report in agenda.reports.items() if account.is_primary or name not in LISTED}
            unread -= mine.keys()
            trouble = silence or self._read_as(account, agenda, mine)
            troubles.append(trouble)
            if silence is not None:
                _fail(mine, silence)
            if _is_silent(agenda.portal, trouble):
                silence = trouble
        for name in unread:
            agenda.reports[name].fail(NeedsReauth("no account reads it: connect it again", portal=agenda.portal.domain))
        return list(agenda.reports.values()), troubles

    def _read_as(self, account: Account, agenda: _Agenda, reports: Mapping[str, Report]) -> B24SyncError | None:
        """One account's part. Returns what ended all of it; the trouble of one resource its report tells."""
        if account.status in WAITING:
            return _fail(
                reports, NeedsReauth(account.status_reason or "authorize it again", portal=agenda.portal.domain)
            )
        try:
            client = self._client_for(agenda.portal, account)
            client.halted = agenda.halted
            if agenda.probe:
                client.probe()
        except B24SyncError as error:  # its secret cannot be read, say; that is no trouble of the others
            return _fail(reports, error)
        turn = Turn(
            portal_id=agenda.portal.id,
            member_id=agenda.portal.member_id,
            account_id=account.id,
            user_id=account.user_id,
            is_primary=account.is_primary,
            client=client,
            database=self._database,
            clock=self._clock,
            fence=agenda.fence,
            options=agenda.options,
            standing=agenda.standing,
            scope=frozenset(filter(None, account.scope.split(","))),
            ways=self._ways(agenda.portal, account, agenda.standing.capabilities, agenda.halted),
            queue_looked_at=self._queue_looked_at,
        )
        pulls = pulls_of(turn, agenda.plans, reports)
        pace = self._paces.setdefault(agenda.portal.id, Pace())
        trouble = drive(client, pulls, self._clock, agenda.halted, more=self._more_clients(account, agenda), pace=pace)
        if isinstance(trouble, PortalError) and (status := account_status(trouble)):
            with turn.write() as session:  # whatever noticed it, the row says it; who reads it knows the portal
                version = agenda.standing.token_versions.get(account.id, 0)
                changed = portals.set_account_status(session, account.id, status, trouble.reason, token_version=version)
            if changed:
                account.status = status  # for the turn's other accounts
        return trouble

    def _more_clients(self, account: Account, agenda: _Agenda) -> list[Client]:
        """For the further chains of a full reading: each sends from a thread of its own."""
        resumed = any(one.resume and one.resume.ranges for one in agenda.plans.values())
        if not account.is_primary or not (resumed or any(one.mode is Mode.FULL for one in agenda.plans.values())):
            return []
        more = [self._client_for(agenda.portal, account) for _ in range(1, self._options.chains)]
        for client in more:
            client.halted = agenda.halted
        return more

    def _halted(self, deadline: float) -> Halted:
        def halted() -> str | None:
            if self._stopping():
                return "stopped before the end; the next run goes on from there"
            if self._clock.monotonic() >= deadline:
                return f"not finished within {DEADLINE}; the next run goes on from there"
            return None

        return halted


def _is_silent(portal: Portal, trouble: B24SyncError | None) -> bool:
    """Whether it was the portal itself that gave no answer."""
    return isinstance(trouble, TransientError) and not trouble.token_server and trouble.portal in {"", portal.domain}


def _fail(reports: Mapping[str, Report], error: B24SyncError) -> B24SyncError:
    for report in reports.values():
        report.fail(error)
    return error
