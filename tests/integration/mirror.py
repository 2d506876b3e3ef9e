"""Emulated portals with a mirror each: connect, sync, and compare what is in the database with what is true."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zoneinfo import ZoneInfo

from sqlalchemy import select

from tests.conftest import FakeClock, app_settings
from worker.bitrix24.client import Client
from worker.config import Settings
from worker.emulator import Emulator, Portal, PortalSpec
from worker.storage import migrate, portals, schema
from worker.storage.cursors import Cursor, load_cursor
from worker.storage.models import Account, Base, RejectedRecord
from worker.storage.models import Portal as PortalRow
from worker.storage.rejected import list_rejected
from worker.storage.session import Database
from worker.sync.lease import LEASE, LeaseKeeper
from worker.sync.plan import Intervals
from worker.sync.portal import Outcome, PortalSync, Wish
from worker.sync.report import Mode, Report
from worker.sync.turn import SyncOptions
from worker.wiring import Wiring

ENTITIES = (
    "tasks",
    "users",
    "planner_tasks",
    "calendar_sections",
    "calendar_events",
    "calendar_occurrences",
    "event_attendees",
)
_DATES = (
    "deadline",
    "created_at",
    "changed_at",
    "activity_at",
    "closed_at",
    "start_plan_at",
    "end_plan_at",
    "started_at",
)
_EVER = timedelta(days=900)
MONDAY = datetime(2026, 11, 30, 10)  # noqa: DTZ001 - a wall clock, as the portal keeps them
"""A week after the day that a stage begins with."""
INTERVALS = Intervals(sync=timedelta(minutes=5), reconcile=timedelta(days=1), full=timedelta(days=7))
ALL_CALENDARS = "mine,company,groups,everyone"


class Stage:
    """An emulator and the clock that it and everybody else goes by; `skew` sets the portals' clock off."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.skew = timedelta(0)
        self.emulator = Emulator(clock=lambda: self.clock.now() + self.skew)
        self._folder = folder
        self._mirrors: list[Mirror] = []
        self._database = Database(f"sqlite:///{folder / 'b24sync.db'}")
        schema.ensure(self._database)
        self._elsewhere: dict[str, Database] = {}

    def __enter__(self) -> Self:
        self.emulator.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for mirror in self._mirrors:
            mirror.close()
        for database in (self._database, *self._elsewhere.values()):
            database.dispose()
        self.emulator.stop()

    def portal(self, **spec: Any) -> Portal:  # noqa: ANN401 - fields of PortalSpec
        """A portal more; small unless told otherwise. Without offline events: most tests are about polling."""
        number = len(self.emulator.portals)
        values = {"name": f"portal{number}", "seed": number + 1, "tasks": 120, "events": 60, "users": 8}
        values |= {"offline_events": False} | spec
        return self.emulator.add_portal(PortalSpec(**values))

    def mirror(
        self,
        portal: Portal | None = None,
        *,
        calendars: str = "mine,company",
        url: str | None = None,
        clock: FakeClock | None = None,
        accounts: Sequence[int] | None = None,
        intervals: Intervals | None = None,
        **spec: Any,  # noqa: ANN401 - fields of PortalSpec
    ) -> "Mirror":
        """A portal and its empty mirror, in the one database of all or at `url`: connected, not synced yet."""
        portal = portal or self.portal(**spec)
        database = self._database if url is None else self._at(url)
        with database.write() as session:
            if before := portals.find_portal(session, portal.member_id):
                portals.remove_portal(session, before.id)
        settings = Settings.load(
            {
                **app_settings(self.emulator, portal),
                "B24SYNC_CALENDARS": calendars,
                "B24SYNC_DATA_DIR": str(self._folder),
            }
        )
        mirror = Mirror(portal, settings, database, clock or self.clock, intervals)
        self._mirrors.append(mirror)
        mirror.clock.beats.append(mirror.beat)
        for user_id in accounts or [portal.admin_id]:
            mirror.connect(user_id)
        return mirror

    def let_go(self, mirror: "Mirror") -> None:
        """Of a stage with many mirrors: this one is not needed any more."""
        self._mirrors.remove(mirror)
        mirror.clock.beats.remove(mirror.beat)
        mirror.stop()

    @contextmanager
    def lent_mirror(self, **how: Any) -> Iterator["Mirror"]:  # noqa: ANN401 - as `mirror`
        """As `mirror`, alone in its database: it leaves nothing there."""
        mirror = self.mirror(**how)
        try:
            yield mirror
        finally:
            mirror.close()
            with mirror.database.write() as session:
                portals.remove_portal(session, mirror.portal_id)

    def _at(self, url: str) -> Database:
        """One for each address: SQLAlchemy compiles its statements once."""
        if url not in self._elsewhere:
            self._elsewhere[url] = Database(url)
            migrate.upgrade(self._elsewhere[url])
        return self._elsewhere[url]


class Mirror:
    """One portal and the database that is to be its copy."""

    def __init__(
        self, portal: Portal, settings: Settings, database: Database, clock: FakeClock, intervals: Intervals | None
    ) -> None:
        self.portal = portal
        self.clock = clock
        self.database = database  # shared by all mirrors of a stage: SQLAlchemy compiles its statements once
        self.portal_id = 0
        self.chains = 1
        self._settings = settings
        self._intervals = intervals or Intervals(
            settings.sync_interval, settings.reconcile_interval, settings.full_interval
        )
        self._start()

    def _start(self) -> None:
        """As a process: with nothing in memory."""
        self.wiring = Wiring(self._settings)
        self.wiring.clock = self.clock  # type: ignore[assignment]  # before anything was made with it
        self.wiring.database = self.database
        self.leases = LeaseKeeper(self.wiring.ready_database, self.clock, "this process")

    def beat(self) -> None:
        """What the thread of leases does now and then; the time that a clock jumps over gives it no occasion to."""
        self.leases.renew()

    def stop(self) -> None:
        """End what the process has running; the database stays."""
        self.leases.stop()
        self.wiring.transport.close()

    def start_again(self) -> None:
        """As another process, once the lease of this one, which is gone, has run out."""
        self.stop()
        self.clock.advance(LEASE.total_seconds())
        self._start()

    def close(self) -> None:
        self.leases.stop()
        self.wiring.close()

    def connect(self, user_id: int) -> None:
        """Authorize as this user; the first one becomes the primary account."""
        self.portal_id = self.wiring.connector.with_tokens(self.portal.issue_tokens(user_id)).portal_id

    def engine(
        self,
        *,
        stopping: Callable[[], bool] = lambda: False,
        leases: LeaseKeeper | None = None,
        max_delete_share: float = 0.2,
    ) -> PortalSync:
        settings = self._settings
        return PortalSync(
            database=self.database,
            clock=self.clock,
            leases=leases or self.leases,
            client_for=self._client_for,
            ways=self.wiring.prober.ways,
            intervals=self._intervals,
            options=SyncOptions(
                calendars=settings.calendars,
                past_days=settings.calendar_past_days,
                future_days=settings.calendar_future_days,
                max_delete_share=max_delete_share,
                chains=self.chains,
            ),
            stopping=stopping,
            jitter=lambda: 1.0,
        )

    def _client_for(self, portal: PortalRow, account: Account) -> Client:
        """With pauses that are not left to chance: a story told again is the same."""
        client = self.wiring.client_for(portal, account)
        client._jitter = lambda: 0.5
        return client

    def turn(self, wish: Wish | None = None, *, attempt: int = 1, stop_after: int | None = None) -> Outcome:
        """One turn; with `stop_after` the stop flag is set once so many batches were asked."""
        asked = self.portal.requests.http

        def stopping() -> bool:
            return stop_after is not None and self.portal.requests.http - asked >= stop_after

        outcome = self.engine(stopping=stopping).run(self.portal_id, wish, attempt=attempt)
        assert outcome is not None
        return outcome

    def sync(
        self,
        mode: Mode | None = None,
        *,
        resources: Sequence[str] | None = None,
        force: bool = False,
        stop_after: int | None = None,
    ) -> dict[str, Report]:
        """What `b24sync sync` does: everything at once, a minute after whatever was before."""
        self.clock.advance(60)
        chosen = frozenset(resources) if resources else None
        wish = Wish(resources=chosen, mode=mode, at_once=True, force=force)
        return {report.resource: report for report in self.turn(wish, stop_after=stop_after).reports}

    def standing(self) -> PortalRow:
        """How the portal stands in the database."""
        with self.database.read() as session:
            return session.get_one(PortalRow, self.portal_id)

    def cursor(self, resource: str) -> Cursor:
        with self.database.read() as session:
            return load_cursor(session, self.portal_id, resource)

    def rejected(self, resource: str | None = None) -> Sequence[RejectedRecord]:
        with self.database.read() as session:
            return list_rejected(session, self.portal_id, resource)

    def rows(self, table: str, *, deleted: bool = False) -> list[dict[str, Any]]:
        """The rows of this portal, without those marked as deleted."""
        columns = Base.metadata.tables[table]
        statement = select(columns).where(columns.c.portal_id == self.portal_id)
        if "deleted_at" in columns.c and not deleted:
            statement = statement.where(columns.c.deleted_at.is_(None))
        with self.database.read() as session:
            return [dict(row) for row in session.execute(statement).mappings()]

    def row(self, table: str, own_id: int) -> dict[str, Any]:
        """One row, marked as deleted or not."""
        column = next(column.name for column in Base.metadata.tables[table].primary_key if column.name != "portal_id")
        (found,) = (row for row in self.rows(table, deleted=True) if row[column] == own_id)
        return found

    def ids(self, table: str) -> set[int]:
        column = next(column.name for column in Base.metadata.tables[table].primary_key if column.name != "portal_id")
        return {row[column] for row in self.rows(table)}

    @property
    def now(self) -> datetime:
        return self.portal.clock()

    def window(self) -> tuple[datetime, datetime]:
        """By the portal's clock, as the settings' defaults have it."""
        today = self.now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return today - timedelta(days=30), today + timedelta(days=181)

    def differences(self, *tables: str) -> list[str]:
        """What the mirror has otherwise than the portal; empty when they are equal.

        Events that left the window stay in the mirror: they are compared with the truth of all times. Two instants that
        the portal prints alike (the hour that comes twice when clocks go back) count as equal in dates of tasks.
        """
        truth = self.truth(self.window())
        found: list[str] = []
        for table in tables or ENTITIES:
            wanted, held = by_key(table, truth[table]), by_key(table, self._comparable(table))
            if table == "calendar_events" and held.keys() - wanted.keys():
                everything = by_key(table, self.truth((self.now - _EVER, self.now + _EVER))[table])
                wanted |= {key: everything[key] for key in held.keys() - wanted.keys() if key in everything}
                known = self.portal.world.events  # a series of which every day was deleted is there, and in no truth
                held = {key: row for key, row in held.items() if key in wanted or key[0] not in known}
            found += [f"{table} {key}: only in the mirror" for key in sorted(held.keys() - wanted.keys(), key=str)]
            found += [f"{table} {key}: lost" for key in sorted(wanted.keys() - held.keys(), key=str)]
            for key in sorted(held.keys() & wanted.keys(), key=str):
                for column, value in wanted[key].items():
                    if held[key][column] != value and not self._prints_alike(table, column, held[key][column], value):
                        found.append(f"{table} {key}.{column}: {held[key][column]!r} for {value!r}")
        return found

    def _comparable(self, table: str) -> list[dict[str, Any]]:
        """Without what the truth does not tell: plans of other days and users, attendees outside of the window."""
        rows = self.rows(table)
        if table == "event_attendees":
            inside = {row["event_id"] for row in self.rows("calendar_occurrences")}
            return [row for row in rows if row["event_id"] in inside]
        if table != "planner_tasks":
            return rows
        today = self.now.astimezone(ZoneInfo(self.portal.world.zone_of(self.portal.admin_id))).date()
        return [row for row in rows if (row["user_id"], row["planned_on"]) == (self.portal.admin_id, today)]

    def truth(self, window: tuple[datetime, datetime]) -> dict[str, list[dict[str, Any]]]:
        return self.portal.truth(self.portal.admin_id, calendars=self._settings.calendars, window=window)

    def _prints_alike(self, table: str, column: str, one: object, other: object) -> bool:
        if table != "tasks" or column not in _DATES or not isinstance(one, datetime) or not isinstance(other, datetime):
            return False
        zone = ZoneInfo(self.portal.world.zone_of(self.portal.admin_id))
        return one.astimezone(zone).replace(tzinfo=None, fold=0) == other.astimezone(zone).replace(tzinfo=None, fold=0)


def by_key(table: str, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    key = [column.name for column in Base.metadata.tables[table].primary_key if column.name != "portal_id"]
    return {tuple(row[name] for name in key): row for row in rows}


def shown_once() -> bool:
    """Whether portals show a series once, unless told otherwise: so in the second world (conftest.py).

    To be asked, for this module is older than the answer: folders that pytest is told are known before its options.
    """
    return Emulator.customs.portal.get("series") == "once"


def statuses(reports: Mapping[str, Report]) -> dict[str, str]:
    return {name: str(report.status) for name, report in reports.items()}


OK = {"users": "ok", "tasks": "ok", "planner": "ok", "calendar": "ok"}
