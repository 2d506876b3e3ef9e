"""Calendars become rows: sections, events, instances and attendees, and what the window lacks."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Table, delete
from sqlalchemy.orm import Session

from worker.resources.calendar_calls import Owner, Window, window
from worker.resources.calendar_events import EventSeen, read_events
from worker.resources.calendar_mask import Verdict, judge
from worker.resources.viewer import Viewer
from worker.storage.lookup import stored_rows
from worker.storage.models import Base, CalendarOccurrence, EventAttendee
from worker.storage.rejected import kept_keys, put_rejected, remove_rejected
from worker.storage.remembered import Remembered
from worker.storage.upsert import SetCounts, known_ids, mark_deleted, replace_set, stored_hashes, upsert
from worker.sync.calendar_attendees import hand_down, write_attendees
from worker.sync.calendar_doubts import Doubts
from worker.sync.calendar_held import EVENTS, SECTIONS, Held, forget_old_instances, held_of
from worker.sync.calendar_known import known_of, rows_to_write
from worker.sync.calendar_memory import CalendarMemory
from worker.sync.calendar_owner import OwnerReading, Shown
from worker.sync.calendar_owners import judges, viewer_of, zones_of
from worker.sync.report import Report
from worker.sync.turn import Turn
from worker.sync.watch import Watch

OCCURRENCES = Base.metadata.tables["calendar_occurrences"]

ROWS = 2000
"""Instances in one transaction: with their events and attendees it stays below 2,500 rows."""


class CalendarRows:
    """Writes what owners' windows hold.

    Gathers what the windows lack (`missing`) out of `live` events of the mirror.
    """

    def __init__(self, turn: Turn, report: Report, doubts: Doubts | None = None) -> None:
        self._turn = turn
        self._report = report
        self._portal_id = turn.portal_id
        self._watch = Watch(turn, "calendar")
        self._doubts = doubts or Doubts(None, turn.clock.now(), force=False)
        self._memory = CalendarMemory(turn, self._doubts)
        self.window: Window = window(turn.clock.now(), turn.options.past_days, turn.options.future_days)
        self.missing: list[int] = []
        self._gone_sections: set[int] = set()
        self.live = 0

    def meaning(self, owner: Owner, viewer: Viewer) -> str:
        """All that an answer of this owner means, besides its text and what was asked."""
        return self._memory.meaning(owner, viewer, self.window)

    def take_known(self, owner: Owner, digest: str) -> bool:
        """Count an answer that need not be read, as a reading of it would be counted; False where it must be read."""
        known = self._memory.known(owner, digest)
        if known is None:
            return False
        self._report.fetched += known.records
        self._report.unchanged += known.unchanged
        self.live += known.live
        return True

    def unknown_series(self, series: Sequence[EventSeen]) -> set[int]:
        """Series that the mirror does not hold as they are now: their first instance must be asked for."""
        with self._turn.read() as session:
            known = known_of(session, self._portal_id, [seen.event_id for seen in series])
        live = {event_id for event_id, row in known.items() if row["deleted_at"] is None}
        return {
            seen.event_id
            for seen in series
            if judge(seen.row, known.get(seen.event_id)) is not Verdict.SAME
            and (seen.occurrences or seen.event_id in live)
        }

    def news(self, owner: Owner, shown: Shown) -> bool:
        """Whether an answer says anything that the mirror does not hold."""
        (sections, bad_sections), (events, rejects) = shown
        with self._turn.read() as session:
            held = self._held(session, owner)
            known = known_of(session, self._portal_id, [seen.event_id for seen in events])
            live = {event_id for event_id, row in known.items() if row["deleted_at"] is None}
            hashes = stored_hashes(session, SECTIONS, self._portal_id, [row["section_id"] for row in sections])
            bad = {reject.record_key for reject in (*bad_sections, *rejects)}
            kept = kept_keys(session, self._portal_id, self._report.resource, bad) if bad else set()
        return bool(
            bad - kept
            or held.lacking(events)
            or held.gone_sections(row["section_id"] for row in sections)
            or any(hashes.get(row["section_id"]) != row["content_hash"] for row in sections)
            or any(
                held.moved(seen) or judge(seen.row, known.get(seen.event_id)) is not Verdict.SAME
                for seen in events
                if seen.occurrences or seen.event_id in live
            )
        )

    def _held(self, session: Session, owner: Owner) -> Held:
        held = held_of(session, self._portal_id, owner, self.window)
        return replace(held, judged=judges(self._turn, owner))

    def write(self, reading: OwnerReading) -> None:
        """Write one owner's window and note what it lacks; and that it held nothing new, where that is so."""
        unchanged = self._report.unchanged
        (sections, bad_sections), (events, rejects) = reading.shown
        with self._turn.write() as session:
            held = self._held(session, reading.owner)
            self._upsert(session, SECTIONS, sections)
            if not bad_sections:
                self._gone_sections |= held.gone_sections(row["section_id"] for row in sections)
            for key, payload, reason in [*bad_sections, *rejects]:
                self._reject(session, key, payload, reason)
            self._heal(session, {f"event:{seen.event_id}" for seen in events})
            if events:
                self._watch.look(session, events[0].row["raw"].encode())
            self._memory.wrote(session, forget_old_instances(session, self._portal_id, reading.owner, self.window))
        self._report.fetched += len(sections) + len(events)
        self.live += len(held.hashes) if held.judged else 0
        rejected = {reject.record_key for reject in rejects}
        lacking = held.lacking(events)
        self.missing += sorted(i for i in lacking if f"event:{i}" not in rejected)
        doubted = self._doubts.weigh(held.hashes, held.too_few(events))
        for chunk in _chunks([seen for seen in events if seen.event_id not in doubted]):
            with self._turn.write() as session:
                self._write_events(session, self._worth_keeping(session, chunk))
        lacking |= held.sections - {row["section_id"] for row in sections} if held.judged else set()
        if reading.no_news and not (bad_sections or rejects or lacking or doubted):
            live = len(held.hashes) if held.judged else 0
            figures = len(sections) + len(events), self._report.unchanged - unchanged, live
            self._memory.remember(reading.owner, Remembered(reading.answer, *figures))

    def drop_sections(self) -> None:
        """Calendars that their owners do not show any more: only once the guard has passed."""
        if not self._gone_sections:
            return
        with self._turn.write() as session:
            deleted = mark_deleted(session, SECTIONS, self._portal_id, self._gone_sections, now=self._turn.clock.now())
            self._memory.wrote(session, deleted)
        self._report.deleted += deleted

    def settle(self, event_id: int, master: msgspec.Raw | None, *, told: bool = True) -> None:
        """An event that the window lacked, asked for by its ID: deleted, or moved out of the window.

        Where nobody `told` of the deletion it may only be hidden, while its copies are shown: each answers for itself.
        """
        viewer = self._turn.viewer if master is None else self._viewer_of(self._owner_of(event_id))
        with self._turn.write() as session:
            if master is None:
                self._report.deleted += self._delete(session, event_id, with_copies=told)
                return
            as_list = msgspec.Raw(b"[" + bytes(master) + b"]")
            read = read_events([as_list], viewer, self.window, Owner("", 0))
            for key, payload, reason in read.rejects:
                self._reject(session, key, payload, reason)
            known = known_of(session, self._portal_id, [event_id])
            for seen in read.events:
                if not seen.is_series:
                    self._write_events(session, [seen])
                elif judge(seen.row, known.get(event_id)) is not Verdict.SAME:
                    # It has no instance here: its listing showed none, and the first one, which is all that a master
                    # tells, may be one of those that were deleted.
                    self._write_events(session, [replace(seen, occurrences=[])])
                # else the answer had lost it: its instances are where they were

    def _viewer_of(self, owner: Owner) -> Viewer:
        return viewer_of(self._turn, owner, zones_of(self._turn, [owner]))

    def _owner_of(self, event_id: int) -> Owner:
        """In whose calendar the mirror has an event."""
        place = (EVENTS.c.calendar_type, EVENTS.c.owner_id)
        with self._turn.read() as session:
            found = stored_rows(session, EVENTS, self._portal_id, [event_id], place).get(event_id, {})
        return Owner(found.get("calendar_type") or "", found.get("owner_id") or 0)

    def _write_events(self, session: Session, events: Sequence[EventSeen]) -> None:
        rows, same = rows_to_write(session, self._portal_id, events)
        self._report.unchanged += same
        self._upsert(session, EVENTS, rows)
        # Instances and attendees are parts of events, and not counted by themselves.
        occurrences = [{"portal_id": self._portal_id, **row} for seen in events for row in seen.occurrences]
        scope = {"portal_id": self._portal_id, "event_id": [seen.event_id for seen in events]}
        for written in (
            replace_set(session, OCCURRENCES, occurrences, scope=scope),
            write_attendees(session, self._portal_id, events),
        ):
            self._memory.wrote(session, written != SetCounts())

    def _worth_keeping(self, session: Session, events: Sequence[EventSeen]) -> list[EventSeen]:
        """Without strangers from the padding around the window: they have no instance in it."""
        outside = [seen.event_id for seen in events if not seen.occurrences]
        held = stored_hashes(session, EVENTS, self._portal_id, outside)
        return [seen for seen in events if seen.occurrences or seen.event_id in held]

    def _delete(self, session: Session, event_id: int, *, with_copies: bool) -> int:
        """Mark the event, and of a deleted meeting the copies (their deletion fires no event of its own)."""
        self._memory.wrote(session, True)
        gone = {event_id}
        copies = known_ids(session, EVENTS, self._portal_id, where=EVENTS.c.parent_event_id == event_id)
        if with_copies:
            gone |= copies
        else:
            hand_down(session, self._portal_id, event_id, copies)
        for model in (CalendarOccurrence, EventAttendee):
            session.execute(delete(model).where(model.portal_id == self._portal_id, model.event_id.in_(gone)))
        return mark_deleted(session, EVENTS, self._portal_id, sorted(gone), now=self._turn.clock.now())

    def _upsert(self, session: Session, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        counts = upsert(session, table, rows, portal_id=self._portal_id, now=self._turn.clock.now())
        self._report.inserted += counts.inserted
        self._report.updated += counts.updated
        self._report.unchanged += counts.unchanged
        self._report.revived += counts.revived
        self._memory.wrote(session, counts.inserted + counts.updated + counts.revived)

    def _heal(self, session: Session, keys: set[str]) -> None:
        """Forget kept records that became rows now."""
        if self._report.resource not in self._turn.standing.rejected:
            return
        kept = kept_keys(session, self._portal_id, self._report.resource, keys)
        remove_rejected(session, self._portal_id, self._report.resource, kept)

    def _reject(self, session: Session, key: str, payload: str, reason: str) -> None:
        self._report.rejected += 1
        self._turn.standing.rejected.add(self._report.resource)
        put_rejected(
            session,
            self._portal_id,
            self._report.resource,
            key,
            payload=payload,
            reason=reason,
            now=self._turn.clock.now(),
        )


def _chunks(events: Sequence[EventSeen]) -> Iterator[list[EventSeen]]:
    """Events whose instances fit into one transaction; one event alone may exceed it."""
    chunk: list[EventSeen] = []
    rows = 0
    for seen in events:
        size = 1 + len(seen.occurrences) + len(seen.attendees or ())
        if chunk and rows + size > ROWS:
            yield chunk
            chunk, rows = [], 0
        chunk.append(seen)
        rows += size
    if chunk:
        yield chunk
