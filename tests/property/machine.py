"""Acts, troubles, deaths and runs in any order: nothing is invented or falsely believed, whole runs make it true.

What a mirror cannot know yet is modelled by name (`Unseen`), and each kind ends with the run that finds it.
"""

from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.integration.deaths import Died, dying
from tests.integration.mirror import ENTITIES, OK, Mirror, Stage, statuses
from tests.integration.statements import counted_writes
from tests.property.choices import ACTS, CALENDARS, PAGES, RUBBISH, STARTS, TROUBLE, WHOLE, Trouble
from tests.property.history import History, parts
from tests.property.people import Draw, People
from tests.property.unseen import Unseen
from worker.storage import portals
from worker.storage.cursors import Cursor
from worker.sync import engine
from worker.sync.plan import Bookmark
from worker.sync.report import Mode, Report, Status

TABLES = {
    "tasks": ("tasks",),
    "users": ("users",),
    "planner": ("planner_tasks",),
    "calendar": ("calendar_sections", "calendar_events", "calendar_occurrences", "event_attendees"),
}
MARKED = ("tasks", "users", "calendar_sections", "calendar_events")


class Before(NamedTuple):
    """What was there before a run; `blind`: its account has no rights."""

    cursors: dict[str, Cursor]
    marked: dict[str, set[int]]
    blind: bool


class MirrorMachine(RuleBasedStateMachine):
    """One portal, one mirror, one or two accounts."""

    def __init__(self, stage: Stage, url: str | None = None) -> None:
        super().__init__()
        self.stage = stage
        self.url = url

    @initialize(
        starts=st.sampled_from(STARTS),
        calendars=st.sampled_from(CALENDARS),
        batch=st.sampled_from((50, 5)),
        server_zone=st.sampled_from(("UTC", "Europe/Moscow")),
        events=st.sampled_from(("none", "confirm", "hints")),
        series=st.sampled_from(("expanded", "once")),
    )
    def connect(
        self,
        *,
        starts: datetime,
        calendars: str,
        batch: int,
        server_zone: str,
        events: str,
        series: Literal["expanded", "once"],
    ) -> None:
        clock = self.stage.clock
        clock.advance((starts - clock.now()).total_seconds())
        engine.BATCH_CALLS = batch
        self.portal = self.stage.portal(
            name="machine",
            seed=7,
            tasks=12,
            events=8,
            users=4,
            groups=1,
            server_zone=server_zone,
            operating_seconds=0.001,
            offline_events=events != "none",
            offline_extended=events == "confirm",
            series=series,
        )
        self.portal.bucket.admit = lambda _now: True  # type: ignore[method-assign]  # its patience is tested elsewhere
        self.mirror: Mirror = self.stage.mirror(self.portal, calendars=calendars, url=self.url)
        self.people = People(self.portal, accounts=[self.portal.admin_id])
        self.history = History(self.portal, self.people.accounts, calendars.split(","))
        self.mirror.truth = self.history.truth  # type: ignore[method-assign]  # of all accounts
        self.unseen = Unseen(self.people)
        self.made_whole = False
        self.history.look()

    def teardown(self) -> None:
        engine.BATCH_CALLS = 50
        if hasattr(self, "portal"):
            self.portal.faults.clear()
            self.portal.stop()
            self.stage.emulator.portals.remove(self.portal)
            self.stage.emulator.token_server._portals.remove(self.portal)
        if hasattr(self, "mirror"):
            self.stage.let_go(self.mirror)

    @rule(acts=ACTS)
    def people_act(self, acts: list[tuple[str, int]]) -> None:
        self._act(acts)

    def _act(self, acts: list[tuple[str, int]]) -> None:
        self.made_whole = False
        for name, number in acts:
            self.stage.clock.advance(7)
            getattr(self.people, name)(Draw(number))
            self.history.look()

    @rule(minutes=st.sampled_from((None, 4, 30, 61, 24 * 60, 8 * 24 * 60, 40 * 24 * 60)))
    def wait(self, minutes: int | None) -> None:
        """None: to half a minute before midnight UTC, so that the next run is in another day."""
        now = self.stage.clock.now()
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        self.made_whole = False
        self.stage.clock.advance(minutes * 60 if minutes else (midnight - now).total_seconds() - 30)
        self._authorize()

    def _authorize(self) -> None:
        for user_id in self.people.accounts:
            self.mirror.connect(user_id)

    @rule(admin=st.booleans())
    def give_or_take_rights(self, admin: bool) -> None:
        self.made_whole = False
        self.portal.set_admin(self.portal.admin_id, admin)
        self.history.look()

    @precondition(lambda self: len(self.people.accounts) == 1)
    @rule()
    def connect_a_second_account(self) -> None:
        self.made_whole = False
        others = [user.user_id for user in self.portal.world.users.values() if user.active and not user.admin]
        if second := [user_id for user_id in others if user_id != self.portal.admin_id][:1]:
            self.people.accounts += second
            self.history.accounts += second
            self._authorize()
            self.history.look()

    @rule(
        acts=ACTS,
        mode=st.sampled_from((None, None, Mode.RECONCILE, Mode.FULL)),
        stop_after=st.sampled_from((None, None, None, 1, 2, 4)),
        force=st.sampled_from((False, False, False, True)),
        trouble=st.none() | TROUBLE,
    )
    def people_act_and_it_runs(
        self,
        acts: list[tuple[str, int]],
        mode: Mode | None,
        stop_after: int | None,
        force: bool,
        trouble: Trouble | None,
    ) -> None:
        self._act(acts)
        self._run(mode, stop_after=stop_after, force=force, trouble=trouble)
        self.made_whole = False

    @rule(
        acts=ACTS,
        mode=st.sampled_from((None, None, Mode.RECONCILE, Mode.FULL)),
        commit=st.integers(1, 14),
        kept=st.booleans(),
    )
    def people_act_and_a_run_dies(
        self, acts: list[tuple[str, int]], mode: Mode | None, commit: int, kept: bool
    ) -> None:
        """Its process is gone, before or after one of its transactions; the next one starts with nothing in memory."""
        self._act(acts)
        before = self._before()
        try:
            with dying(self.mirror.database, commit, kept=kept):
                self._run(mode)
        except Died:
            self.mirror.start_again()
            self._authorize()
            self.history.look()
            self._check_rows(before, force=False)
            self._note_hidden()
            known = before.cursors["tasks"]
            if self.mirror.cursor("tasks").cursor_at != known.cursor_at and not self._stitched("tasks", known):
                _none(self._differences("tasks"))
        self.made_whole = False

    @precondition(lambda self: not self.made_whole)
    @rule()
    def run_healthy_and_whole(self) -> None:
        """Rights are back, nothing is in the way, an operator nods: then the mirror is the portal."""
        self._heal()
        self.portal.set_admin(self.portal.admin_id, True)
        self.history.look()
        events_mode = self._events_mode()
        reports = self._run(Mode.FULL)
        if Status.GUARDED in {report.status for report in reports.values()}:
            reports = self._run(Mode.FULL, force=True)
        assert statuses(reports) == OK, {name: report.error for name, report in reports.items()}
        _none(self._differences(*ENTITIES))
        while events_mode != (now := self._events_mode()):  # the turn after the one that bound them reads the queue
            events_mode = now
            assert statuses(self._run()) == OK

        today = self._today()
        with counted_writes() as writes:
            assert statuses(self._run()) == OK
        if today == self._today():
            assert not writes.keys() & set(ENTITIES), "the portal did not change"
        self.made_whole = True

    def _heal(self) -> None:
        self.portal.operating = type(self.portal.operating)(480.0)
        self.stage.clock.advance(900)
        self._authorize()

    def _run(
        self,
        mode: Mode | None = None,
        *,
        stop_after: int | None = None,
        force: bool = False,
        trouble: Trouble | None = None,
    ) -> dict[str, Report]:
        """One turn, and all that must hold after it."""
        before = self._before()
        if trouble:
            self._arm(*trouble)
        events_mode = self._events_mode()
        today = self._today(timedelta(seconds=60))
        reports = self.mirror.sync(mode, stop_after=stop_after, force=force)
        self.portal.faults.clear()
        if trouble:
            self.portal.operating = type(self.portal.operating)(480.0)
            self._authorize()
        rubbish = trouble is not None and trouble[0] in RUBBISH
        if rubbish:
            self.history.admit(self.mirror)
            self.unseen.rubbish = True
        self.history.look()

        self._check_rows(before, force=force)
        self._check_tasks(reports["tasks"], before.cursors["tasks"], rubbish=rubbish)
        if trouble is None and not before.blind and reports["tasks"].status is Status.OK:
            self._check_events(events_mode)
        self._check_users(reports["users"], before.cursors["users"], rubbish=rubbish)
        spoiled = trouble is not None and trouble[0] in (*PAGES, *RUBBISH)
        if today == self._today() and not spoiled:
            for name in ("planner", "calendar"):
                if reports[name].status is Status.OK:
                    _none(self._differences(*TABLES[name]))
        return reports

    def _before(self) -> Before:
        return Before(
            {name: self.mirror.cursor(name) for name in TABLES},
            {table: self._marked(table) for table in MARKED},
            blind=not self.portal.world.is_admin(self.portal.admin_id),
        )

    def _check_rows(self, before: Before, *, force: bool) -> None:
        """Nothing is invented, and nothing is marked deleted that may not be."""
        _none(self.history.invented(self.mirror))
        for table, marked in before.marked.items():
            new = self._marked(table) - marked
            believed = [own_id for own_id in new if self.history.shows(table, own_id)]
            assert not believed, f"{table} {believed} are marked deleted, and the portal shows them"
            if before.blind and before.cursors[table.split("_")[0]].complete_as_admin and not force:
                hidden = [own_id for own_id in new if self.history.exists(table, own_id)]
                assert not hidden, f"{table} {hidden} are marked deleted, and are only hidden since the rights are lost"

    def _arm(self, kind: str, method: str | None, after: int, times: int) -> None:
        """A page of a calendar that goes wrong twice in a row is believed: it has no count to tell."""
        method = None if kind in WHOLE else method
        if kind in PAGES and (method is None or method.startswith("calendar")):
            times = 1
        self.portal.faults.add(kind, times=times, after=after, method=method)

    def _check_tasks(self, report: Report, before: Cursor, *, rubbish: bool) -> None:
        """An earned cursor says that all before it was read; and an ok what its mode promises."""
        now = self.mirror.cursor("tasks")
        self._note_hidden()
        if not self._moved(report, before, now) or self._stitched("tasks", before):
            return
        swept = now.last_reconcile_at != before.last_reconcile_at
        assert swept or report.status is not Status.OK or report.mode not in {Mode.FULL, Mode.RECONCILE}
        if swept:
            self.unseen.swept()
        if report.mode is Mode.FULL and not rubbish:
            restored = set(self.people.restored)
            self.unseen.reread(with_rights=self.portal.world.is_admin(self.portal.admin_id))
            if not swept:
                self.people.restored |= restored
        _none(self._differences("tasks"))

    def _events_mode(self) -> str | None:
        with self.mirror.database.read() as session:
            portal = portals.get_portal(session, self.mirror.portal_id)
        return portal.events_mode if portal else None

    def _check_events(self, mode: str | None) -> None:
        """In the mode of confirmed events a healthy run knows every deletion of the queue, and leaves it empty."""
        if mode == self._events_mode() == "confirm":
            assert not self.people.told & self.mirror.ids("tasks"), "deleted tasks of the queue are still there"
            assert self.portal.queue.rows == [], "what was taken is confirmed"

    def _check_users(self, report: Report, before: Cursor, *, rubbish: bool) -> None:
        moved = self._moved(report, before, self.mirror.cursor("users"))
        if moved and not self._stitched("users", before) and not rubbish:
            _none(self._differences("users"))

    def _note_hidden(self) -> None:
        """What an account without rights did not see in a run."""
        if not self.portal.world.is_admin(self.portal.admin_id):
            shown = {task_id for task_id in self.portal.world.tasks if self.history.shows("tasks", task_id)}
            self.unseen.hidden |= (self.portal.world.tasks.keys() | self.mirror.ids("tasks")) - shown

    def _stitched(self, resource: str, before: Cursor) -> bool:
        """Whether the listing that has just earned a cursor is put together from two runs."""
        bookmark = Bookmark.load(before.bookmark)
        return (
            bookmark is not None
            and bool(bookmark.last_id)
            and bookmark.cursor == self.mirror.cursor(resource).cursor_at
        )

    @staticmethod
    def _moved(report: Report, before: Cursor, now: Cursor) -> bool:
        """Whether the listing was whole: then its promise is looked at, however the run ended.

        A run of tasks has more parts than the listing (the sweep, offline events), which may fail after it was whole.
        """
        moved = now.cursor_at != before.cursor_at
        if report.status is Status.OK:
            assert now.cursor_at is not None
        elif report.mode is Mode.INCREMENTAL and report.resource != "tasks":
            assert not moved, f"the cursor of {report.resource} moved though the run was {report.status}"
        return moved or report.status is Status.OK

    def _marked(self, table: str) -> set[int]:
        return {_own_id(table, row) for row in self.mirror.rows(table, deleted=True) if row["deleted_at"]}

    def _today(self, ahead: timedelta = timedelta(0)) -> set[Any]:
        """The days that windows and plans go by."""
        now = self.portal.clock() + ahead
        zones = {"UTC", *(self.portal.world.zone_of(user_id) for user_id in self.people.accounts)}
        return {(zone, now.astimezone(ZoneInfo(zone)).date()) for zone in zones}

    def _differences(self, *tables: str) -> list[str]:
        """What nothing explains."""
        return [text for text in self.mirror.differences(*tables) if not self._explained(text)]

    def _explained(self, text: str) -> bool:
        return self.history.explains(self.mirror, text) or self.unseen.explains(*parts(text))


def _none(problems: list[str]) -> None:
    assert not problems, "\n".join(problems[:10])


def _own_id(table: str, row: dict[str, Any]) -> int:
    return int(row[{"tasks": "task_id", "users": "user_id", "calendar_sections": "section_id"}.get(table, "event_id")])


def tell_stories(stage: Stage, url: str | None = None, **how: Any) -> None:  # noqa: ANN401 - hypothesis' settings
    checks = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
    run_state_machine_as_test(
        lambda: MirrorMachine(stage, url), settings=settings(deadline=None, suppress_health_check=checks, **how)
    )
