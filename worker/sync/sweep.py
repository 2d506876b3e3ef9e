"""Finds what vanished from the portal and what the mirror lacks, while a complete listing goes by.

The listing comes in rising IDs, so each stretch of it is compared with the same stretch of the mirror and forgotten:
memory holds only what is missing or lacking. Nothing is believed before the guard has passed and a `get` by ID has
found nothing either.
"""

from sqlalchemy.orm import Session

from worker.bitrix24.calls import Answers, Call
from worker.bitrix24.rows import Span
from worker.errors import CallRefused, IncompleteRun, PortalError
from worker.resources.registry import ListedResource
from worker.storage.cursors import Cursor, update_cursor
from worker.storage.upsert import count_live, known_ids, mark_deleted, stored_hashes
from worker.sync import guard
from worker.sync.records import Records
from worker.sync.report import Report
from worker.sync.turn import Turn


class Sweep:
    """Compares a listing with the mirror (`saw`, `close`), then asks by ID (`calls`, `apply`) until `done`.

    With `fetch`, listed IDs that the mirror lacks are asked for too; a full reading writes its rows by itself.
    """

    def __init__(
        self, turn: Turn, resource: ListedResource, report: Report, cursor: Cursor, records: Records, *, fetch: bool
    ) -> None:
        self._turn = turn
        self._resource = resource
        self._report = report
        self._cursor = cursor
        self._records = records
        self._fetch = fetch
        self._missing: list[int] = []
        self._lacking: list[int] = []
        self._asked: dict[str, int] = {}
        with turn.read() as session:
            self._live = count_live(session, records.table, turn.portal_id)

    @property
    def done(self) -> bool:
        return not self._missing and not self._lacking and not self._asked

    def saw(self, session: Session, span: Span) -> None:
        """The listing holds exactly these IDs in this span."""
        column, after, through = self._records.key_column, span.after, span.through
        stretch = column > after if through is None else (column > after) & (column <= through)
        known = known_ids(session, self._records.table, self._turn.portal_id, where=stretch)
        seen = set(span.ids)
        self._missing.extend(sorted(known - seen))
        if self._fetch:
            self._lacking.extend(sorted(seen - known))

    def close(self) -> None:
        """The listing is complete. Raises GuardTripped before anything is confirmed or deleted."""
        if self._lacking:
            with self._turn.read() as session:  # what the reading of changes has brought meanwhile
                held = stored_hashes(session, self._records.table, self._turn.portal_id, self._lacking)
            self._lacking = [record_id for record_id in self._lacking if record_id not in held]
        if self._turn.options.force:
            return
        name = self._resource.name
        guard.judge_rights(
            resource=name,
            was_admin=self._cursor.complete_as_admin,
            is_admin=self._turn.is_admin,
            had_scope=scopes(self._cursor.complete_scope),
            scope=self._turn.scope,
        )
        guard.judge(
            resource=name,
            missing=len(set(self._missing) - self._turn.told_deleted),
            live=self._live,
            max_share=self._turn.options.max_delete_share,
        )

    def calls(self, room: int) -> list[Call]:
        ids = (self._missing + self._lacking)[:room]
        self._asked = {f"g{record_id}": record_id for record_id in ids}
        return [self._resource.get_call(key, record_id) for key, record_id in self._asked.items()]

    def apply(self, answers: Answers) -> None:
        """Write what a `get` found; mark deleted what it did not find and the listing lacked."""
        asked, self._asked = self._asked, {}
        found, gone = [], []
        for key, record_id in asked.items():
            outcome = answers.get(self._resource.get_call(key, record_id))
            if isinstance(outcome, PortalError) and not isinstance(outcome, CallRefused):
                raise IncompleteRun(f"{record_id} could not be asked for: {outcome}") from outcome
            raw = self._resource.found(outcome)
            if raw is None:
                gone.append(record_id)
            else:
                found.append((record_id, raw))
        read = self._records.read(found)
        with self._turn.write() as session:
            self._records.write(session, read)
            deletable = sorted(set(gone) & set(self._missing))
            self._report.deleted += mark_deleted(
                session, self._records.table, self._turn.portal_id, deletable, now=self._turn.clock.now()
            )
        answered = set(asked.values())
        self._missing = [i for i in self._missing if i not in answered]
        self._lacking = [i for i in self._lacking if i not in answered]


def note_sweep(session: Session, turn: Turn, resource: str) -> None:
    """Put on record that deletions were looked for, completely, by an account with these rights."""
    update_cursor(
        session,
        turn.portal_id,
        resource,
        last_reconcile_at=turn.clock.now(),
        complete_as_admin=turn.is_admin,
        complete_scope=",".join(sorted(turn.scope)),
    )


def scopes(text: str | None) -> frozenset[str]:
    """The scopes in a stored list of them."""
    return frozenset((text or "").split(",")) - {""}
