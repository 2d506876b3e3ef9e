"""The pull of a resource that is listed by rising ID: full, incremental, or resumed; and the sweep of its IDs."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from worker.bitrix24.calls import Answers, Call
from worker.bitrix24.paging import KeysetListing
from worker.errors import BadAnswer, IncompleteRun
from worker.resources.registry import ListedResource
from worker.storage.cursors import Cursor, update_cursor
from worker.sync.plan import Bookmark, Plan, cursor_from
from worker.sync.records import Records
from worker.sync.report import Mode, Report
from worker.sync.sweep import Sweep
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
        self._state = cursor
        self._records = Records(turn, resource, report)
        self._full = plan.mode is Mode.FULL
        self._sweep = (
            Sweep(turn, resource, report, cursor, self._records, fetch=False)
            if self._full and plan.finds_deletions
            else None
        )
        self._earned: datetime | None = plan.resume.cursor if plan.resume else None
        self._listing = KeysetListing(
            resource.method,
            prefix=resource.name,
            after=plan.resume.last_id if plan.resume else 0,
            filter=resource.changed_filter(plan.since) if plan.since else None,
            probe=self._full,
        )
        self._begun = False

    @property
    def done(self) -> bool:
        return self._listing.done and (self._sweep is None or self._sweep.done)

    def calls(self, room: int) -> list[Call]:
        if not self._listing.done:
            return self._listing.calls(room)
        return self._sweep.calls(room) if self._sweep else []

    def apply(self, answers: Answers) -> None:
        """Raises IncompleteRun when the listing cannot be trusted to be whole; what it read stays written."""
        if self._listing.done and self._sweep:
            self._sweep.apply(answers)
        else:
            self._take(answers)
        if self._sweep and self.done:
            note_sweep(self._turn, self._resource.name)

    def _take(self, answers: Answers) -> None:
        if self._earned is None:
            # The clock of the first batch: whatever changes while we read lies behind it and is read again.
            if answers.time.portal_now is None:
                raise BadAnswer("the portal did not tell its time", method=self._resource.method.method)
            self._earned = cursor_from(answers.time.portal_now)
        after = self._listing.last_id
        records = self._listing.take(answers)
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
        if self._listing.done and not self._listing.complete:
            raise IncompleteRun(self._listing.problem or "the listing did not come to its end")
        if self._listing.done and self._sweep:
            self._sweep.close()

    def _save_cursor(self, session: Session, earned: datetime) -> None:
        """The cursor moves with the last page's rows; until then the bookmark does."""
        if self._listing.complete:
            changes: dict[str, Any] = {"cursor_at": earned, "bookmark": None}
            if self._full:
                changes["last_full_at"] = self._turn.clock.now()
        else:
            changes = {
                "bookmark": Bookmark(
                    mode=Mode.FULL if self._full else Mode.INCREMENTAL,
                    since=self._plan.since,
                    last_id=self._listing.last_id,
                    cursor=earned,
                ).dump()
            }
        update_cursor(session, self._turn.portal_id, self._resource.name, **changes)


class SweepPull:
    """Reads nothing but IDs: finds deleted rows, and rows that came back without a change of date."""

    def __init__(self, turn: Turn, resource: ListedResource, report: Report, cursor: Cursor) -> None:
        self.report = report
        self._turn = turn
        self._resource = resource
        self._sweep = Sweep(turn, resource, report, cursor, Records(turn, resource, report), fetch=True)
        only_ids = replace(resource.method, params={**resource.method.params, "select": [resource.method.id_param]})
        self._listing = KeysetListing(only_ids, prefix=f"{resource.name}_ids", probe=True)

    @property
    def done(self) -> bool:
        return self._listing.done and self._sweep.done

    def calls(self, room: int) -> list[Call]:
        return self._sweep.calls(room) if self._listing.done else self._listing.calls(room)

    def apply(self, answers: Answers) -> None:
        """Raises IncompleteRun when the listing cannot be trusted to be whole: then nothing is deleted."""
        if self._listing.done:
            self._sweep.apply(answers)
        else:
            self._take(answers)
        if self.done:
            note_sweep(self._turn, self._resource.name)

    def _take(self, answers: Answers) -> None:
        after = self._listing.last_id
        listed = [record.id for record in self._listing.take(answers)]
        self.report.fetched += len(listed)
        with self._turn.read() as session:
            through = None if self._listing.done else self._listing.last_id
            self._sweep.saw(session, after=after, through=through, listed=listed)
        if self._listing.done:
            if not self._listing.complete:
                raise IncompleteRun(self._listing.problem or "the listing of IDs did not come to its end")
            self._sweep.close()


def note_sweep(turn: Turn, resource: str) -> None:
    """Put on record that deletions were looked for, completely, by an account with these rights."""
    with turn.write() as session:
        update_cursor(
            session,
            turn.portal_id,
            resource,
            last_reconcile_at=turn.clock.now(),
            complete_as_admin=turn.is_admin,
            complete_scope=",".join(sorted(turn.scope)),
        )
