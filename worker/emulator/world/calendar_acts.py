"""What people do in their calendars."""

import random
import threading
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import date, datetime, timedelta
from typing import Any

from worker.emulator.world.model import Event, Section, World
from worker.emulator.world.offline import Queue
from worker.emulator.world.recurrence import Rule
from worker.emulator.world.seed_calendar import CalendarSeed

_EVENT_FIELDS = {known.name for known in fields(Event)}
_OWN = frozenset({"status", "private", "accessibility", "color", "section_id"})
"""What each copy of a meeting has for itself."""


class CalendarActs:
    """Verbs of calendars; a change of a meeting reaches its parent and its copies."""

    world: World
    queue: Queue
    dice: random.Random
    lock: threading.RLock

    def now(self) -> datetime:
        raise NotImplementedError

    def new_section(self, calendar_type: str, owner_id: int, name: str, *, others: str = "full") -> int:
        with self.lock:
            section_id = max(self.world.sections, default=0) + 1
            self.world.sections[section_id] = Section(
                section_id, calendar_type, owner_id, name, self.now(), others=others
            )
            author = owner_id if calendar_type == "user" else min(self.world.users)
            self.queue.happened("ONCALENDARSECTIONADD", {"id": str(section_id)}, author, self.now())
            return section_id

    def create_event(
        self,
        owner_id: int,
        starts: datetime,
        ends: datetime,
        *,
        calendar_type: str = "user",
        name: str = "New event",
        attendees: Mapping[int, str] | None = None,
        **values: Any,  # noqa: ANN401  fields of Event
    ) -> int:
        """An event, or with attendees (user: Y, N or Q) a meeting. Times are a wall clock in `zone` (the owner's)."""
        with self.lock:
            seed = CalendarSeed(self.world, self.dice, self.now())
            author = owner_id if calendar_type == "user" else min(self.world.users)
            event = seed.add(seed.section_of(calendar_type, owner_id), author, name, starts, ends)
            if not values.get("all_day"):
                event.zone_from = event.zone_to = values.pop("zone", self.world.zone_of(author))
            _assign(event, values)
            copies = seed.invite(event, list(attendees), list(attendees.values())) if attendees else []
            self._fire("ONCALENDARENTRYADD", [event, *copies])
            return event.event_id

    def update_event(self, event_id: int, **values: Any) -> None:  # noqa: ANN401  fields of Event
        """Of a copy only what is its own changes; of a parent, all copies change with it."""
        with self.lock:
            rows = self._rows(event_id)
            for row in rows:
                shared = {key: value for key, value in values.items() if row is rows[0] or key not in _OWN}
                _assign(row, shared)
                row.changed, row.version = self.now(), row.version + 1
            self._fire("ONCALENDARENTRYUPDATE", rows)

    def delete_event(self, event_id: int) -> None:
        """The copies of a deleted meeting vanish without an event of their own."""
        with self.lock:
            gone = self._rows(event_id)
            for row in gone:
                del self.world.events[row.event_id]
            self._fire("ONCALENDARENTRYDELETE", gone[:1])

    def delete_occurrence(self, series_id: int, day: date) -> None:
        """That day of a series becomes an exception."""
        with self.lock:
            rows = self._rows(series_id)
            for row in rows:
                row.excluded = row.excluded | {day}
                row.changed, row.version = self.now(), row.version + 1
            self._fire("ONCALENDARENTRYUPDATE", rows)

    def move_occurrence(self, series_id: int, day: date, starts: datetime, **values: Any) -> int:  # noqa: ANN401  fields of Event
        """One instance edited: a row of its own, and an exception in the series. Gives the new row's id."""
        with self.lock:
            self.delete_occurrence(series_id, day)
            rows = self._rows(series_id)
            length = rows[0].wall_length
            made: list[Event] = []
            for row in rows:
                new = self._copy_of(row, starts, starts + length, made[0].event_id if made else None)
                new.recurrence_id, new.original_starts = row.event_id, datetime.combine(day, row.starts.time())
                new.rule, new.excluded = None, set()
                made.append(new)
            for new in made:
                _assign(new, values)
            self._fire("ONCALENDARENTRYADD", made)
            return made[0].event_id

    def split_series(self, series_id: int, day: date, **values: Any) -> int:  # noqa: ANN401  fields of Event
        """This and following: the old series ends the day before, a new one begins. Gives the new one's id."""
        with self.lock:
            rows = self._rows(series_id)
            rule = rows[0].rule
            if rule is None:
                raise ValueError(f"event {series_id} is no series")
            before = 0
            for found in rule.days(rows[0].starts.date()):
                if found >= day:
                    day = found
                    break
                before += 1
            made: list[Event] = []
            for row in rows:
                starts = datetime.combine(day, row.starts.time())
                new = self._copy_of(row, starts, starts + row.wall_length, made[0].event_id if made else None)
                new.rule = replace(rule, count=rule.count - before) if rule.count is not None else rule
                new.excluded = {gone for gone in row.excluded if gone >= day}
                new.split_from = row.event_id
                row.rule = Rule(rule.freq, rule.interval, rule.byday, until=day - timedelta(days=1))
                row.excluded = {gone for gone in row.excluded if gone < day}
                row.changed, row.version = self.now(), row.version + 1
                made.append(new)
            for new in made:
                _assign(new, values)
            self._fire("ONCALENDARENTRYUPDATE", rows)
            self._fire("ONCALENDARENTRYADD", made)
            return made[0].event_id

    def _rows(self, event_id: int) -> list[Event]:
        """The row first; with it, if it is the parent of a meeting, its copies."""
        event = self.world.events[event_id]
        if event.parent_id != event_id:
            return [event]
        return [event, *(copy for copy in self.world.copies(event_id) if copy is not event)]

    def _copy_of(self, row: Event, starts: datetime, ends: datetime, parent_id: int | None) -> Event:
        seed = CalendarSeed(self.world, self.dice, self.now())
        base = seed.add(self.world.sections[row.section_id], row.created_by, row.name, starts, ends)
        new = replace(
            row,
            event_id=base.event_id,
            parent_id=parent_id or base.event_id,
            starts=starts,
            ends=ends,
            created=self.now(),
            changed=self.now(),
            excluded=set(row.excluded),
            version=1,
        )
        self.world.events[new.event_id] = new
        return new

    def _fire(self, name: str, rows: list[Event]) -> None:
        for row in rows:
            # An id is a number or a text, as it comes (events/on-calendar-entry-add.md).
            event_id = row.event_id if row.event_id % 2 else str(row.event_id)
            self.queue.happened(name, {"id": event_id}, row.created_by, self.now())


def _assign(event: Event, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if name not in _EVENT_FIELDS or name == "event_id":
            raise TypeError(f"an event has no field {name!r} to change")
        setattr(event, name, value)
