"""The pull of a resource that is listed by rising ID: full, incremental, or resumed; and the sweep of its IDs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from worker.bitrix24.calls import Answers, Call
from worker.bitrix24.listings import listing
from worker.clock import Stopwatch
from worker.errors import BadAnswer
from worker.resources.registry import TASKS, ListedResource
from worker.storage.cursors import Cursor, update_cursor
from worker.sync.chains import IN_CHAINS, Chains, Range
from worker.sync.passes import Passes, Stretch, not_whole
from worker.sync.plan import Bookmark, Plan, cursor_from
from worker.sync.records import Read, Records
from worker.sync.report import Mode, Report
from worker.sync.sweep import Sweep, note_sweep
from worker.sync.turn import Turn


class ListingPull:
    """Reads changed rows (or all), page by page; each batch's rows and its bookmark are one transaction.

    A full reading that was not stitched together from two runs also finds deletions (`Sweep`).
    """

    def __init__(self, turn: Turn, resource: ListedResource, plan: Plan, report: Report, cursor: Cursor) -> None:
        self.report = report
        self._turn = turn
        self._resource = resource
        self._plan = plan
        self._watch = Stopwatch(turn.clock)
        self._records = Records(turn, resource, report)
        self._full = plan.mode is Mode.FULL
        self._sweep = (
            Sweep(turn, resource, report, cursor, self._records, fetch=False)
            if self._full and plan.finds_deletions
            else None
        )
        self._earned: datetime | None = plan.resume.cursor if plan.resume else None
        self._passes = self._listing(plan)
        self._begun = False
        self._answered = False

    def _listing(self, plan: Plan) -> Passes | Chains:
        turn, resource, cut = self._turn, self._resource, plan.resume
        way, chains = turn.ways.of(resource.name), turn.options.chains
        if way == IN_CHAINS and not plan.since and ((chains > 1 and not cut) or (cut and cut.ranges)):
            ranges = [Range(*one) for one in cut.ranges] if cut else []
            return Chains(resource.method, prefix=resource.name, chains=chains, ranges=ranges)
        return Passes(
            resource.method,
            way,
            prefix=resource.name,
            filters=turn.ways.changed(resource, plan.since) if plan.since else [{}],
            after=cut.last_ids if cut else (),
        )

    @property
    def parallel(self) -> bool:
        """Whether it has calls for several batches at the same time: once the first has told who reads."""
        return self._answered and isinstance(self._passes, Chains) and self._passes.parallel and not self._passes.done

    @property
    def whole(self) -> bool:
        """Every row that was asked for is in the mirror; deletions may still be looked for."""
        return self._passes.complete

    @property
    def done(self) -> bool:
        return self.whole and (self._sweep is None or self._sweep.done)

    def calls(self, room: int) -> list[Call]:
        if not self._passes.done:
            return self._passes.calls(room)
        return self._sweep.calls(room) if self._sweep else []

    def take(self, calls: Sequence[Call], answers: Answers) -> Callable[[], None] | None:
        """Note where the listing stands now, and return what writes the rows, which may wait until the next is asked.

        At the end of the listing nothing waits: others may build on what is written. Raises what keeps the listing from
        being whole; what it read stays written.
        """
        if self._passes.done and self._sweep:
            self._sweep.apply(answers)
            self._note_end()
            return None
        self._answered = True
        stretches = self._passes.take(calls, answers)
        if self._earned is None:
            # The clock of the first batch: whatever changes while we read lies behind it and is read again.
            if answers.time.portal_now is None:
                raise self._passes.error or BadAnswer("the portal did not tell its time", method="batch")
            self._earned = cursor_from(answers.time.portal_now)
        write = partial(self._keep, stretches, self._earned)
        if not self._passes.done:
            return write
        write()
        if trouble := self._passes.trouble:
            raise trouble
        if self._sweep:
            self._sweep.close()
        self._note_end()
        return None

    def _note_end(self) -> None:
        if self._sweep and self.done:
            with self._turn.write() as session:
                note_sweep(session, self._turn, self._resource.name)
                if not self._watch.set_back:  # else what was rejected in this very run may look older than it
                    self._records.forget_unseen(session, since=self._watch.started_at)

    def _keep(self, stretches: Sequence[Stretch], earned: datetime) -> None:
        """Write what a batch brought, and where the listing stands with it."""
        if not self._begun:
            self._begun = True
            self._records.retry_kept()
        if self.whole and not self._sweep and not any(one.records or one.unreadable for one in stretches):
            self._turn.move_later(self._resource.name, **self._moved(earned))
            return
        rows = [self._records.read(stretch.records) for stretch in stretches]
        with self._turn.write() as session:
            for stretch, read in zip(stretches, rows, strict=True):
                self._write(session, stretch, read)
            update_cursor(session, self._turn.portal_id, self._resource.name, **self._moved(earned))
        if self._resource is TASKS:
            self._turn.told_tasks.difference_update(record.id for stretch in stretches for record in stretch.records)

    def _write(self, session: Session, stretch: Stretch, read: Read) -> None:
        if self._sweep and stretch.span:  # then there is one pass, and it lists everything
            self._sweep.saw(session, stretch.span)
        self._records.write(session, read)
        self.report.fetched += stretch.twins
        for number, raw in enumerate(stretch.unreadable):
            key = f"unreadable after {stretch.after} #{number}"
            self._records.reject(session, key, bytes(raw), "it has no readable ID")

    def _moved(self, earned: datetime) -> dict[str, Any]:
        """What changes of the cursor: it moves with the last page of the last pass, until then the bookmark does."""
        changes: dict[str, Any] = {"bookmark": None}
        if self.whole:
            changes["cursor_at"] = earned
            if self._full:
                changes["last_full_at"] = self._turn.clock.now()
        elif last_ids := self._passes.last_ids:
            changes["bookmark"] = Bookmark(
                mode=Mode.FULL if self._full else Mode.INCREMENTAL,
                since=self._plan.since,
                last_id=last_ids[0],
                others=last_ids[1:],
                cursor=earned,
                ranges=self._passes.ranges,
            ).dump()
        return changes


class SweepPull:
    """Reads nothing but IDs: finds deleted rows, and rows that came back without a change of date.

    It confirms and deletes nothing before `changes` are read, and nothing at all when they are not read whole: a run is
    complete, or it deletes nothing.
    """

    def __init__(
        self, turn: Turn, resource: ListedResource, report: Report, cursor: Cursor, changes: ListingPull
    ) -> None:
        self.report = report
        self._turn = turn
        self._resource = resource
        self._changes = changes
        self._sweep = Sweep(turn, resource, report, cursor, Records(turn, resource, report), fetch=True)
        only_ids = replace(resource.method, params={**resource.method.params, "select": [resource.method.id_param]})
        self._listing = listing(turn.ways.of(resource.name), only_ids, prefix=f"{resource.name}_ids")
        self._judged = False

    @property
    def done(self) -> bool:
        return self._judged and self._sweep.done

    def calls(self, room: int) -> list[Call]:
        """Raises GuardTripped, before anything is asked for, when too much is missing."""
        if not self._listing.done:
            return self._listing.calls(room)
        if not self._changes.whole:
            return []
        if not self._judged:
            self._sweep.close()
            self._judged = True
            self._note_end()
        return self._sweep.calls(room)

    def apply(self, answers: Answers) -> None:
        """Raises what keeps the listing from being whole: then nothing is deleted."""
        if self._listing.done:
            self._sweep.apply(answers)
            self._note_end()
        else:
            self._take(answers)

    def _take(self, answers: Answers) -> None:
        self.report.fetched += len(self._listing.take(answers))
        if span := self._listing.span:
            with self._turn.read() as session:
                self._sweep.saw(session, span)
        if self._listing.done and (trouble := not_whole(self._listing)):
            raise trouble

    def _note_end(self) -> None:
        if self.done:
            with self._turn.write() as session:
                note_sweep(session, self._turn, self._resource.name)
