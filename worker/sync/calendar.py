"""The pull of the calendars: every window is read whole in every run, owner by owner, many owners a batch.

The portal gives no paging, no order and no "changed since" for events, and expands every series (what a portal that
shows them once needs, calendar_series.py does). So a run reads each owner's window completely, writes what differs, and
asks `calendar.event.getbyid` for two kinds of events only: new or changed series (the expansion hides their first
instance) and events that are not in the window any more.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from worker.bitrix24.calls import Answers, Call
from worker.errors import B24SyncError, IncompleteRun, MissingScope, PortalError
from worker.resources.calendar_calls import Owner, Window, master_call, master_found, window
from worker.resources.viewer import Viewer
from worker.storage.cursors import Cursor, update_cursor
from worker.sync import guard
from worker.sync.calendar_doubts import Doubts
from worker.sync.calendar_owner import OwnerReading
from worker.sync.calendar_owners import owners_of, viewer_of, zones_of
from worker.sync.calendar_rows import CalendarRows
from worker.sync.report import Report
from worker.sync.sweep import note_sweep, scopes
from worker.sync.turn import Turn

CLOCK_TOLERANCE = timedelta(days=1)
"""The calls go out before the portal has told its clock, in a window by ours padded by two days on both sides (one of
them is what series leak over an edge, the other is this)."""


class CalendarPull:
    """Reads owner after owner; then asks for what is missing, under the guard of the whole resource."""

    def __init__(self, turn: Turn, report: Report, cursor: Cursor, ready: Callable[[], bool]) -> None:
        self.report = report
        self._turn = turn
        self._cursor = cursor
        self._ready = ready
        kept = turn.standing.cursor(report.resource).bookmark  # another account may have read its part in this turn
        self._kept_doubts = kept
        self._doubts = Doubts(kept, turn.clock.now(), force=turn.options.force)
        self._rows = CalendarRows(turn, report, self._doubts)
        self._requested = self._window_at(turn.clock.now())
        self._owners: deque[Owner] | None = None
        self._everybody: list[Owner] = []
        self._zones: Mapping[int, str | None] | None = None
        self._reading: list[OwnerReading] = []
        self._started = 0
        self._missing: list[int] | None = None
        self._confirming: dict[int, Call] = {}
        self._trouble: B24SyncError | None = None

    @property
    def done(self) -> bool:
        return self._missing == []

    def calls(self, room: int) -> list[Call]:
        if self._owners is None:
            if not self._ready():
                return []
            self._everybody = owners_of(self._turn)
            self._owners = deque(self._everybody)
            if not self._owners:  # another account's calendars, or no group yet
                self._missing = []
        if self._missing is not None:
            return self._confirm(room)
        calls: list[Call] = []
        for reading in self._reading:
            calls += reading.calls(room - len(calls))
        while self._owners and len(calls) < room:
            reading = self._open(self._owners.popleft())
            self._reading.append(reading)
            calls += reading.calls(room - len(calls))
        return calls

    def _open(self, owner: Owner) -> OwnerReading:
        self._started += 1
        return OwnerReading(owner, self._started, self._requested, self._rows)

    def apply(self, answers: Answers) -> None:
        """Raises IncompleteRun, at the end, when an owner could not be read; what was read stays written."""
        if self._missing is not None:
            self._take_confirmations(answers)
            return
        actual = self._window_at(self._turn.viewer.portal_now)
        if abs(actual.start - self._requested.start) > CLOCK_TOLERANCE:
            self._start_again(actual)
            return
        self._rows.window = actual
        for reading in list(self._reading):
            self._take(reading, answers)
        if not self._owners and not self._reading:
            self._close()

    def _window_at(self, now: datetime) -> Window:
        return window(now, self._turn.options.past_days, self._turn.options.future_days)

    def _start_again(self, actual: Window) -> None:
        """Our clock is more than a day off: ask once more, for the window by the portal's."""
        self._requested = actual
        self._owners, self._reading = None, []

    def _take(self, reading: OwnerReading, answers: Answers) -> None:
        try:
            reading.take(answers, self._viewer_of(reading.owner), self._rows.window)
        except MissingScope:
            raise
        except (PortalError, IncompleteRun) as error:  # this owner's calendar is not whole; the others may be
            self._trouble = error
            self._reading.remove(reading)
            return
        if reading.done:
            self._reading.remove(reading)
            if not reading.as_held:
                self._rows.write(reading)

    def _viewer_of(self, owner: Owner) -> Viewer:
        if self._zones is None:  # not sooner: the users may be read before
            self._zones = zones_of(self._turn, self._everybody)
        return viewer_of(self._turn, owner, self._zones)

    def _close(self) -> None:
        """All owners are read: may what is missing be asked for?"""
        self._keep_doubts()
        if self._trouble is not None:
            raise IncompleteRun(f"a calendar could not be read: {self._trouble}") from self._trouble
        if doubted := sorted(self._doubts.standing):
            raise IncompleteRun(
                f"{len(doubted)} events show fewer instances than before though nothing about them changed (event "
                f"{doubted[0]}): they are kept as they were, and the portal is believed if it says so for a day, or "
                "with `b24sync sync --resource calendar --force`"
            )
        missing = self._rows.missing
        if not self._turn.options.force:
            self._judge(len(missing))
        self._rows.drop_sections()
        self._missing = missing
        self._note_end()

    def _keep_doubts(self) -> None:
        if (doubts := self._doubts.dump()) != self._kept_doubts:
            with self._turn.write() as session:
                update_cursor(session, self._turn.portal_id, self.report.resource, bookmark=doubts)
            cursors = self._turn.standing.cursors  # for the turn's other accounts
            cursors[self.report.resource] = replace(self._turn.standing.cursor(self.report.resource), bookmark=doubts)

    def _judge(self, missing: int) -> None:
        """Raises GuardTripped when the missing events may not be believed deleted."""
        if self._turn.is_primary:  # whoever reads only what is its own needs no rights for it
            guard.judge_rights(
                resource=self.report.resource,
                was_admin=self._cursor.complete_as_admin,
                is_admin=self._turn.is_admin,
                had_scope=scopes(self._cursor.complete_scope),
                scope=self._turn.scope,
            )
        guard.judge(
            resource=self.report.resource,
            missing=missing,
            live=self._rows.live,
            max_share=self._turn.options.max_delete_share,
        )

    def _note_end(self) -> None:
        """All is read and confirmed: put on record by whom, if that is news."""
        turn, known = self._turn, self._cursor
        if not self.done or not turn.is_primary:
            return
        if (known.complete_as_admin, scopes(known.complete_scope)) != (turn.is_admin, turn.scope):
            with turn.write() as session:
                note_sweep(session, turn, self.report.resource)

    def _confirm(self, room: int) -> list[Call]:
        self._confirming = {
            event_id: master_call(f"cg{event_id}", event_id) for event_id in (self._missing or [])[:room]
        }
        return list(self._confirming.values())

    def _take_confirmations(self, answers: Answers) -> None:
        """Gone for `getbyid` too: deleted. Still there: it left the window, and its row is brought up to date."""
        for event_id, call in self._confirming.items():
            try:
                master = master_found(answers.get(call))
            except PortalError as error:
                raise IncompleteRun(f"event {event_id} could not be asked for: {error}") from error
            self._rows.settle(event_id, master, told=False)
        self._missing = [event_id for event_id in self._missing or [] if event_id not in self._confirming]
        self._note_end()
