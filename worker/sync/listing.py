"""The pull of a resource that is listed by rising ID: full, incremental, or resumed; and the sweep of its IDs."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from worker.bitrix24.calls import Answers, Call
from worker.bitrix24.paging import KeysetListing
from worker.errors import B24SyncError, BadAnswer, IncompleteRun, TransientError
from worker.resources.registry import ListedResource
from worker.storage.cursors import Cursor, update_cursor
from worker.sync.plan import Bookmark, Plan, cursor_from
from worker.sync.records import Records
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
        self._started_at = turn.clock.now()
        self._records = Records(turn, resource, report)
        self._full = plan.mode is Mode.FULL
        self._sweep = (
            Sweep(turn, resource, report, cursor, self._records, fetch=False)
            if self._full and plan.finds_deletions
            else None
        )
        self._earned: datetime | None = plan.resume.cursor if plan.resume else None
        # Always probed: without the count, a page that lost a row would look like the end of what changed.
        self._listing = KeysetListing(
            resource.method,
            prefix=resource.name,
            after=plan.resume.last_id if plan.resume else 0,
            filter=resource.changed_filter(plan.since) if plan.since else None,
            probe=True,
            early_pages=1,
        )
        self._begun = False

    @property
    def whole(self) -> bool:
        """Every row that was asked for is in the mirror; deletions may still be looked for."""
        return self._listing.complete

    @property
    def done(self) -> bool:
        return self.whole and (self._sweep is None or self._sweep.done)

    def calls(self, room: int) -> list[Call]:
        if not self._listing.done:
            return self._listing.calls(room)
        return self._sweep.calls(room) if self._sweep else []

    def apply(self, answers: Answers) -> None:
        """Raises what keeps the listing from being whole; what it read stays written."""
        if self._listing.done and self._sweep:
            self._sweep.apply(answers)
        else:
            self._take(answers)
        if self._sweep and self.done:
            with self._turn.write() as session:
                note_sweep(session, self._turn, self._resource.name)
                self._records.forget_unseen(session, since=self._started_at)

    def _take(self, answers: Answers) -> None:
        after = self._listing.last_id
        records = self._listing.take(answers)
        if self._earned is None:
            # The clock of the first batch: whatever changes while we read lies behind it and is read again.
            if answers.time.portal_now is None:
                raise self._listing.error or BadAnswer("the portal did not tell its time", method="batch")
            self._earned = cursor_from(answers.time.portal_now)
        with self._turn.write() as session:
            if not self._begun:
                self._begun = True
                self._records.begin(session)
            if self._sweep:
                through = None if self._listing.done else self._listing.last_id
                self._sweep.saw(session, after=after, through=through, listed=[record.id for record in records])
            self._records.write(session, records)
            for number, raw in enumerate(self._listing.unreadable):
                self._records.reject(
                    session, f"unreadable after {after} #{number}", bytes(raw), "it has no readable ID"
                )
            self._save_cursor(session, self._earned)
        if self._listing.done:
            if trouble := not_whole(self._listing):
                raise trouble
            if self._sweep:
                self._sweep.close()

    def _save_cursor(self, session: Session, earned: datetime) -> None:
        """The cursor moves with the last page's rows; until then the bookmark does."""
        changes: dict[str, Any] = {"bookmark": None}
        if self._listing.complete:
            changes["cursor_at"] = earned
            if self._full:
                changes["last_full_at"] = self._turn.clock.now()
        elif not (self._listing.done and self._listing.error is None):
            changes["bookmark"] = Bookmark(
                mode=Mode.FULL if self._full else Mode.INCREMENTAL,
                since=self._plan.since,
                last_id=self._listing.last_id,
                cursor=earned,
            ).dump()
        # else IDs fell or the count disagrees: rows may be missing before `last_id`, so the next run begins afresh
        update_cursor(session, self._turn.portal_id, self._resource.name, **changes)


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
        self._listing = KeysetListing(only_ids, prefix=f"{resource.name}_ids", probe=True, early_pages=1)
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
        after = self._listing.last_id
        listed = [record.id for record in self._listing.take(answers)]
        self.report.fetched += len(listed)
        with self._turn.read() as session:
            through = None if self._listing.done else self._listing.last_id
            self._sweep.saw(session, after=after, through=through, listed=listed)
        if self._listing.done and (trouble := not_whole(self._listing)):
            raise trouble

    def _note_end(self) -> None:
        if self.done:
            with self._turn.write() as session:
                note_sweep(session, self._turn, self._resource.name)


def not_whole(listing: KeysetListing) -> B24SyncError | None:
    """Why a listing that came to its end may not be believed; None when it may.

    A refusal that will not pass by itself is told as it is; anything else makes the run incomplete.
    """
    if listing.complete:
        return None
    error = listing.error
    if error is not None and not isinstance(error, TransientError):
        return error
    trouble = IncompleteRun(listing.problem or "the listing did not come to its end")
    trouble.__cause__ = error
    return trouble
