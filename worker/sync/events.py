"""The pull of offline events: what the portal wrote down for us since the last turn, deletions before all.

Polling goes on beside it and needs none of this; events make a deletion known one turn later instead of by the next
sweep of all IDs. Where the plan allows it, rows are handed out marked with a process and cleared once what they name is
in the mirror (vendor: api-reference/events/offline-events.md). The process is stored before anything else is done, so
a crash after that repeats the work; a crash before it leaves marked rows, which `event.offline.list` shows.
"""

import logging
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from worker.bitrix24.calls import Answer, Answers, Call, Outcome
from worker.clock import is_over
from worker.errors import CallRefused, IncompleteRun, PortalError
from worker.resources import events
from worker.resources.events import EventsMode, Package
from worker.resources.registry import TASKS
from worker.storage import portals
from worker.storage.capabilities import correct_capability
from worker.storage.upsert import mark_deleted
from worker.sync.calendar_rows import CalendarRows
from worker.sync.records import Records
from worker.sync.report import Mode, Report
from worker.sync.turn import Turn

log = logging.getLogger(__name__)

PACKAGES = 10
"""In one turn: up to 5,000 rows. A queue that grows faster than it is read goes on in the next turn."""

LOOK = timedelta(days=1)
"""How often marked rows are looked for that nobody knows of; also in a process's first turn and after a lost answer."""


class EventsPull:
    """Takes package after package from the queue, reads again what it names, writes, and only then confirms.

    Args:
        turn: The primary account's.
        report: Of the tasks.
        calendar: Of the calendar; figures that nobody sees where it is not due in this turn.
        mode: Confirm or hints.
        process_id: Of a package that was taken and not cleared.
        others_wait: Whether other pulls have something to ask: they get at least half of every batch.
    """

    def __init__(
        self,
        turn: Turn,
        report: Report,
        calendar: Report,
        *,
        mode: EventsMode,
        process_id: str | None,
        others_wait: Callable[[], bool],
    ) -> None:
        self.report = report
        self.done = False
        self._turn = turn
        self._confirms = mode is EventsMode.CONFIRM
        self._others_wait = others_wait
        self._records = Records(turn, TASKS, report)
        self._calendar = CalendarRows(turn, calendar)
        self._stored = process_id  # as the portal's row has it
        self._unfinished = deque([process_id] if process_id else [])
        self._looked_at = turn.queue_looked_at.get(turn.portal_id)
        self._retaken: str | None = None  # the process that was asked for again
        self._before = turn.client.stats.snapshot()
        self._ordered = False
        self._packages = 0
        self._drained = False
        self._package: Package | None = None  # being worked off
        self._tasks: list[int] = []
        self._asked: list[Call] = []

    def calls(self, room: int) -> list[Call]:
        if self._ordered:
            self._tasks = [task_id for task_id in self._tasks if task_id in self._turn.told_tasks]
        if self._package is None:
            self._asked = self._questions(room)
        elif self._tasks:
            share = max(1, room // 2) if self._others_wait() else room
            self._asked = [TASKS.get_call(f"ev{task_id}", task_id) for task_id in self._tasks[:share]]
        else:
            self._asked = [events.clear_call(self._package.process_id or "")]
        return self._asked

    def apply(self, answers: Answers) -> None:
        """Raises IncompleteRun when what the events name cannot be read: then they are not cleared."""
        if self._package is None:
            self._take(answers)
        elif self._tasks:
            self._write(answers)
        else:
            self._cleared(answers.get(self._asked[0]))
        if self._package is not None and not self._tasks and not self._package.process_id:
            self._next()  # there is nothing to confirm

    def _questions(self, room: int) -> list[Call]:
        """The head of the queue or, again, of an unfinished process; before it, now and then, what is marked."""
        self._turn.queue_looked_at.pop(self._turn.portal_id, None)  # should no answer come, the next turn looks
        self._before = self._turn.client.stats.snapshot()
        self._retaken = self._unfinished[0] if self._unfinished else None
        take = events.take_call(confirm=self._confirms, process_id=self._retaken)
        old = is_over(self._looked_at, self._turn.clock.now(), LOOK)
        return [events.marked_call(), take] if self._confirms and old and room > 1 else [take]

    def _take(self, answers: Answers) -> None:
        *looks, take = self._asked
        outcome = answers.get(take)
        try:
            package = events.package(outcome)
        except PortalError as error:
            self._refused(error)
            return
        if looks:
            self._look(answers.get(looks[0]))
        spent = self._turn.client.stats.minus(self._before)
        # A listing answers after the queue, in the same batch or a later one: what it brought is as new as the event.
        # Only where the batch was sent anew that is not sure.
        self._ordered = spent.http_requests == 1
        if self._looked_at is not None and not spent.retries:
            # Else a first answer may have been lost, and with it the process that its rows are marked with.
            self._turn.queue_looked_at[self._turn.portal_id] = self._looked_at
        if self._retaken:
            self._unfinished.popleft()
        else:
            self._drained = package.told.rows < events.PAGE
        self._packages += 1
        self._begin(package)

    def _look(self, outcome: Outcome) -> None:
        """Processes that a crash left behind; only one of ours at a time is at work, so all of them are unfinished."""
        if not isinstance(outcome, Answer):
            return
        marked, more = events.processes(outcome)
        self._unfinished.extend(process_id for process_id in marked if process_id not in self._unfinished)
        self._looked_at = None if more else self._turn.clock.now()

    def _begin(self, package: Package) -> None:
        """Keep the process, then mark what needs no reading: what is done before it is stored a crash would forget."""
        told = package.told
        process_id = (package.process_id or self._retaken) if told.rows and self._confirms else None
        self._store(process_id)
        self._package = Package(process_id, told)
        self._tasks = sorted(told.tasks)
        self._turn.told_tasks |= told.tasks
        self._turn.told_deleted |= told.deleted
        if told.tasks and self.report.mode is Mode.INCREMENTAL:
            self.report.mode = Mode.EVENTS
        for event_id in sorted(told.events_deleted):  # its copies vanish without an event of their own
            self._calendar.settle(event_id, None)
        if told.odd:
            log.info("%s: %d events name nothing that can be read", self._turn.client.portal, told.odd)

    def _write(self, answers: Answers) -> None:
        """The tasks as they are now. Not found and told deleted: deleted; not found otherwise proves nothing."""
        told = self._package.told if self._package else events.Told()
        found, gone = [], []
        for task_id, call in zip(self._tasks, self._asked, strict=False):
            outcome = answers.get(call)
            if isinstance(outcome, PortalError) and not isinstance(outcome, CallRefused):
                raise IncompleteRun(f"task {task_id} of an event could not be asked for: {outcome}") from outcome
            raw = TASKS.found(outcome)
            if raw is not None:
                found.append((task_id, raw))
            elif task_id in told.deleted:
                gone.append(task_id)
        read = self._records.read(found)
        with self._turn.write() as session:
            self._records.write(session, read)
            self.report.deleted += mark_deleted(
                session, self._records.table, self._turn.portal_id, gone, now=self._turn.clock.now()
            )
        self._tasks = self._tasks[len(self._asked) :]

    def _cleared(self, outcome: Outcome) -> None:
        if not isinstance(outcome, Answer):
            self._refused(outcome)  # all is written; the next turn takes the same package again
            return
        self._store(None)
        self._next()

    def _next(self) -> None:
        self._package = None
        self.done = self._packages >= PACKAGES or (self._drained and not self._unfinished)

    def _refused(self, outcome: PortalError) -> None:
        """No failure of the run: what the events would have told, polling finds."""
        self.done = True
        log.info("%s: no events in this turn: %s", self._turn.client.portal, outcome)
        if not isinstance(outcome, CallRefused):
            return
        # A plan that has ended still hands rows out; anything else is asked again tomorrow.
        hints = self._confirms and outcome.code.upper() == "WRONG_LICENSE"
        mode = EventsMode.HINTS if hints else EventsMode.POLLING
        with self._turn.write() as session:
            portals.save_events_mode(session, self._turn.portal_id, mode, now=self._turn.clock.now())
            if hints:
                correct_capability(session, self._turn.portal_id, "events", mode, f"the queue said {outcome.code}")

    def _store(self, process_id: str | None) -> None:
        if process_id != self._stored:
            with self._turn.write() as session:
                portals.save_events_process(session, self._turn.portal_id, process_id)
            self._stored = process_id
