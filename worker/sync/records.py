"""Records become rows: the one place where payloads are turned, written, counted and, where bad, kept aside."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from sqlalchemy.orm import Session

from worker.errors import Rejected
from worker.resources.registry import ListedResource
from worker.storage.models import Base
from worker.storage.rejected import put_rejected, remove_rejected, remove_stale, some_rejected
from worker.storage.upsert import upsert
from worker.sync.report import Report
from worker.sync.turn import Turn
from worker.sync.watch import Watch

if TYPE_CHECKING:
    from sqlalchemy import Column, Table

RETRIED = 500
"""Kept records in memory, and in one transaction, at a time."""


class Read(NamedTuple):
    """Records on their way.

    Args:
        fetched: How many there were.
        first: The first of them as it came.
        rows: What became of those that could be read.
        bad: The others, each with its ID and the reason.
    """

    fetched: int
    first: msgspec.Raw | None
    rows: list[dict[str, Any]]
    bad: list[tuple[int, msgspec.Raw, str]]


class Records:
    """The records of one listed resource on their way into its table."""

    def __init__(self, turn: Turn, resource: ListedResource, report: Report) -> None:
        self._turn = turn
        self._resource = resource
        self._report = report
        self.table: Table = Base.metadata.tables[resource.name]
        self.key_column: Column[int] = self.table.c[resource.key]
        self._watch = Watch(turn, resource.name)

    def read(self, records: Sequence[tuple[int, msgspec.Raw]]) -> Read:
        """Turn records into rows: before the transaction that writes them, which others wait for."""
        rows: list[dict[str, Any]] = []
        bad: list[tuple[int, msgspec.Raw, str]] = []
        for record_id, raw in records:
            try:
                rows.append(self._resource.to_row(raw, self._turn.viewer))
            except Rejected as error:
                bad.append((record_id, raw, str(error)))
        return Read(len(records), records[0][1] if records else None, rows, bad)

    def write(self, session: Session, read: Read) -> None:
        """Upsert what changed and count it; what cannot become a row is kept with its reason."""
        self._report.fetched += read.fetched
        for record_id, raw, reason in read.bad:
            self.reject(session, str(record_id), bytes(raw), reason)
        self._upsert(session, read.rows)
        self._heal(session, read.rows)
        if read.first is not None:
            self._watch.look(session, read.first)

    def reject(self, session: Session, key: str, payload: bytes, reason: str) -> None:
        """Keep a record aside with the reason; the run goes on."""
        self._report.rejected += 1
        self._turn.standing.rejected.add(self._resource.name)
        put_rejected(
            session,
            self._turn.portal_id,
            self._resource.name,
            key,
            payload=payload.decode(errors="replace"),
            reason=reason,
            now=self._turn.clock.now(),
        )

    def retry_kept(self) -> None:
        """Try the records kept by earlier runs again: a newer program may read what an older one could not.

        Before anything of this run is written: a payload of yesterday must not cover today's.
        """
        after = ""
        while self._resource.name in self._turn.standing.rejected:
            with self._turn.read() as session:
                kept = some_rejected(session, self._turn.portal_id, self._resource.name, after=after, limit=RETRIED)
            rows = self._readable(record.payload for record in kept)
            if rows:
                with self._turn.write() as session:
                    self._upsert(session, rows)
                    self._heal(session, rows)
            if len(kept) < RETRIED:
                return
            after = kept[-1].record_key

    def _readable(self, payloads: Iterable[str]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for payload in payloads:
            with suppress(Rejected):
                rows.append(self._resource.to_row(msgspec.Raw(payload.encode()), self._turn.viewer))
        return rows

    def forget_unseen(self, session: Session, *, since: datetime) -> None:
        """Everything was read: a record kept before that and not rejected again has healed, or is gone."""
        remove_stale(session, self._turn.portal_id, self._resource.name, before=since)

    def _heal(self, session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
        """Forget the kept payloads of records that became rows: tried again, an old one would cover the newer row."""
        if rows and self._resource.name in self._turn.standing.rejected:
            keys = [str(row[self._resource.key]) for row in rows]
            remove_rejected(session, self._turn.portal_id, self._resource.name, keys)

    def _upsert(self, session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
        counts = upsert(session, self.table, rows, portal_id=self._turn.portal_id, now=self._turn.clock.now())
        self._report.inserted += counts.inserted
        self._report.updated += counts.updated
        self._report.unchanged += counts.unchanged
        self._report.revived += counts.revived
