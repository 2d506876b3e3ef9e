"""One portal's turn: take the lease, let each account read what is due, leave a run row for each resource."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from worker.bitrix24.client import Client
from worker.clock import Clock
from worker.errors import B24SyncError, NeedsReauth
from worker.resources import RESOURCES
from worker.resources.registry import LISTED
from worker.storage import cursors, leases, portals, rejected, runs
from worker.storage.cursors import Cursor
from worker.storage.models import Account, Portal
from worker.storage.session import Database
from worker.storage.tokens import token_dates
from worker.sync import due as timing
from worker.sync.account import WAITING, account_status
from worker.sync.engine import drive
from worker.sync.lease import LeaseKeeper
from worker.sync.plan import Intervals, Plan, is_due, plan
from worker.sync.pulls import pulls_of
from worker.sync.report import Mode, Report, Status
from worker.sync.turn import Fence, SyncOptions, Turn

DEADLINE = timedelta(minutes=20)
"""The longest turn. What it could not read the next one reads on, from the bookmarks."""


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


@dataclass(frozen=True, slots=True)
class _Agenda:
    """What this turn is to read."""

    portal: Portal
    states: Mapping[str, Cursor]
    plans: Mapping[str, Plan]
    reports: Mapping[str, Report]
    fence: Fence
    deadline: datetime
    force: bool
    token_versions: Mapping[int, int]


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
        self._queue_looked_at: dict[int, datetime] = {}

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
                versions = {pair.account_id: pair.version for pair in token_dates(session, portal_id=portal_id)}
                states = {name: cursors.load_cursor(session, portal_id, name) for name in RESOURCES}
            due = self._due(portal, states, wish)
            started_at = self._clock.now()
            reports: list[Report] = []
            if portal and due:
                plans = {
                    name: plan(states[name], started_at, self._intervals, wish.mode) for name in due if name in LISTED
                }
                modes = {name: plans[name].mode if name in plans else Mode.FULL for name in due}
                agenda = _Agenda(
                    portal=portal,
                    states=states,
                    plans=plans,
                    reports={name: Report(portal.member_id, name, mode) for name, mode in modes.items()},
                    fence=fence,
                    deadline=deadline,
                    force=wish.force,
                    token_versions=versions,
                )
                reports = self._read(agenda, accounts)
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

    def _read(self, agenda: _Agenda, accounts: Sequence[Account]) -> list[Report]:
        """Let each account read its part; a part that nobody reads is a failure, not an empty success."""
        unread = set(agenda.reports)
        for account in accounts:
            mine = {name: report for name, report in agenda.reports.items() if account.is_primary or name not in LISTED}
            unread -= mine.keys()
            trouble = self._read_as(account, agenda, mine)
            if trouble is not None:
                for report in mine.values():
                    report.fail(trouble)
        for name in unread:
            agenda.reports[name].fail(NeedsReauth("no account reads it: connect it again", portal=agenda.portal.domain))
        return list(agenda.reports.values())

    def _read_as(self, account: Account, agenda: _Agenda, reports: Mapping[str, Report]) -> B24SyncError | None:
        """One account's part. Returns what kept it from beginning; what happens later the reports tell themselves."""
        if account.status in WAITING:
            return NeedsReauth(account.status_reason or "authorize it again", portal=agenda.portal.domain)
        try:
            client = self._client_for(agenda.portal, account)
        except B24SyncError as error:  # its secret cannot be read, say; that is no trouble of the others
            return error
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
            options=replace(self._options, force=agenda.force),
            scope=frozenset(filter(None, account.scope.split(","))),
            queue_looked_at=self._queue_looked_at,
        )
        pulls = pulls_of(turn, agenda.plans, agenda.states, reports)
        trouble = drive(client, pulls, self._clock, self._halted(agenda.deadline))
        if status := account_status(trouble):  # whatever noticed it, the row says it
            with turn.write() as session:
                version = agenda.token_versions.get(account.id, 0)
                portals.set_account_status(session, account.id, status, str(trouble), token_version=version)
        return None

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
        retry_after = timing.retry_after(reports, attempt, self._intervals.sync)
        next_runs = {name: state.next_run_at for name, state in states.items()}
        with self._database.write() as session:
            leases.check_fence(session, fence.portal_id, owner=fence.owner, fence=fence.number, now=now)
            for report in reports:
                next_run_at = next_runs[report.resource] = now + timing.pause(report, retry_after, self._intervals.sync)
                runs.add_run(
                    session,
                    {**report.as_dict(), "portal_id": fence.portal_id, "started_at": started_at, "finished_at": now},
                )
                if report.resource not in LISTED and report.status is Status.OK:
                    # Read whole: what was kept before this turn and was not rejected again has healed, or is gone.
                    rejected.remove_stale(session, fence.portal_id, report.resource, before=started_at)
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
