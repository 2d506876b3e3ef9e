"""Calendars become rows: sections, events, instances and attendees, and what the window lacks."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Table, delete, select
from sqlalchemy.orm import Session

from worker.resources.calendar_calls import COMPANY, Owner, Window, window
from worker.resources.calendar_events import EventSeen, read_events
from worker.resources.calendar_mask import Verdict, judge
from worker.storage.models import Account, Base, CalendarOccurrence, EventAttendee, Task, User
from worker.storage.rejected import list_rejected, put_rejected, remove_rejected
from worker.storage.upsert import known_ids, mark_deleted, replace_set, stored_hashes, upsert
from worker.sync.account import WAITING
from worker.sync.calendar_attendees import hand_down, write_attendees
from worker.sync.calendar_held import EVENTS, SECTIONS, Held, forget_old_instances, held_of
from worker.sync.calendar_known import known_of, rows_to_write
from worker.sync.calendar_owner import OwnerReading
from worker.sync.report import Report
from worker.sync.turn import Turn

OCCURRENCES = Base.metadata.tables["calendar_occurrences"]

ROWS = 2000
"""Instances in one transaction: with their events and attendees it stays below 2,500 rows."""


class CalendarRows:
    """Writes what owners' windows hold; gathers what they lack (`missing`) out of `live` events of the mirror."""

    def __init__(self, turn: Turn, report: Report) -> None:
        self._turn = turn
        self._report = report
        self._portal_id = turn.portal_id
        self.window: Window = window(turn.clock.now(), turn.options.past_days, turn.options.future_days)
        self.missing: list[int] = []
        self.live = 0

    def owners(self) -> list[Owner]:
        """Whose calendars this account reads. Only the primary account reads what is not its own."""
        chosen = self._turn.options.calendars
        owners = [Owner("user", self._turn.user_id)] if "mine" in chosen else []
        if not self._turn.is_primary:
            return owners
        if "company" in chosen:
            owners.append(COMPANY)
        with self._turn.read() as session:
            if "groups" in chosen:
                owners += [Owner("group", group_id) for group_id in self._groups(session)]
            if "everyone" in chosen:
                owners += [Owner("user", user_id) for user_id in self._users(session)]
        return list(dict.fromkeys(owners))

    def _groups(self, session: Session) -> Iterable[int]:
        """Groups that have tasks: the scopes asked for give no list of groups."""
        groups = select(Task.group_id).where(Task.portal_id == self._portal_id, Task.group_id.is_not(None))
        return [group_id for group_id in session.scalars(groups.distinct().order_by(Task.group_id)) if group_id]

    def _users(self, session: Session) -> Iterable[int]:
        users = select(User.user_id).where(User.portal_id == self._portal_id, User.deleted_at.is_(None))
        return session.scalars(users.order_by(User.user_id)).all()

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

    def held(self, owner: Owner) -> Held:
        """What the mirror holds of an owner."""
        with self._turn.read() as session:
            held = held_of(session, self._portal_id, owner, self.window)
            return replace(held, judged=self._judges(session, owner))

    def _judges(self, session: Session, owner: Owner) -> bool:
        """Whether what this account is not shown of a calendar may be taken for gone.

        What its owner's own account reads may be hidden from this one: else the two would delete and revive the same
        rows turn by turn. Where that account waits for a person, an administrator, who is shown every calendar, judges.
        """
        turn = self._turn
        if owner.type != "user" or owner.id == turn.user_id or "mine" not in turn.options.calendars:
            return True
        own = select(Account.status).where(Account.portal_id == self._portal_id, Account.user_id == owner.id)
        statuses = set(session.scalars(own))
        return not statuses or (turn.is_admin and statuses <= WAITING)

    def write(self, reading: OwnerReading, held: Held) -> None:
        """Write one owner's window and note which events of the mirror (`held`) it lacks."""
        sections, bad_sections = reading.sections
        read = reading.read
        with self._turn.write() as session:
            self._upsert(session, SECTIONS, sections)
            if held.judged and sections and not bad_sections:  # "no readable section" looks the same as "no section"
                gone = sorted(held.sections - {row["section_id"] for row in sections})
                now = self._turn.clock.now()
                self._report.deleted += mark_deleted(session, SECTIONS, self._portal_id, gone, now=now)
            for key, payload, reason in [*bad_sections, *read.rejects]:
                self._reject(session, key, payload, reason)
            self._heal(session, {f"event:{seen.event_id}" for seen in read.events})
            forget_old_instances(session, self._portal_id, reading.owner, self.window)
        self._report.fetched += len(sections) + len(read.events)
        live = set(held.hashes) if held.judged else set()
        self.live += len(live)
        rejected = {reject.record_key for reject in read.rejects}
        there = {seen.event_id for seen in read.events}
        self.missing += sorted(event_id for event_id in live - there if f"event:{event_id}" not in rejected)
        for chunk in _chunks(read.events):
            with self._turn.write() as session:
                self._write_events(session, self._worth_keeping(session, chunk))

    def settle(self, event_id: int, master: msgspec.Raw | None, *, told: bool = True) -> None:
        """An event that the window lacked, asked for by its ID: deleted, or moved out of the window.

        Where nobody `told` of the deletion it may only be hidden, while its copies are shown: each answers for itself.
        """
        with self._turn.write() as session:
            if master is None:
                self._report.deleted += self._delete(session, event_id, with_copies=told)
                return
            as_list = msgspec.Raw(b"[" + bytes(master) + b"]")
            read = read_events([as_list], self._turn.viewer, self.window, Owner("", 0))
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

    def _write_events(self, session: Session, events: Sequence[EventSeen]) -> None:
        rows, same = rows_to_write(session, self._portal_id, events)
        self._report.unchanged += same
        self._upsert(session, EVENTS, rows)
        # Instances and attendees are parts of events, and not counted by themselves.
        occurrences = [{"portal_id": self._portal_id, **row} for seen in events for row in seen.occurrences]
        scope = {"portal_id": self._portal_id, "event_id": [seen.event_id for seen in events]}
        replace_set(session, OCCURRENCES, occurrences, scope=scope)
        write_attendees(session, self._portal_id, events)

    def _worth_keeping(self, session: Session, events: Sequence[EventSeen]) -> list[EventSeen]:
        """Without strangers from the padding around the window: they have no instance in it."""
        outside = [seen.event_id for seen in events if not seen.occurrences]
        held = stored_hashes(session, EVENTS, self._portal_id, outside)
        return [seen for seen in events if seen.occurrences or seen.event_id in held]

    def _delete(self, session: Session, event_id: int, *, with_copies: bool) -> int:
        """Mark the event, and of a deleted meeting the copies (their deletion fires no event of its own)."""
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

    def _heal(self, session: Session, keys: set[str]) -> None:
        """Forget kept records that became rows now."""
        kept = {record.record_key for record in list_rejected(session, self._portal_id, self._report.resource)}
        remove_rejected(session, self._portal_id, self._report.resource, kept & keys)

    def _reject(self, session: Session, key: str, payload: str, reason: str) -> None:
        self._report.rejected += 1
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
