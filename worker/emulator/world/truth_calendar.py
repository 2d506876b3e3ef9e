"""What a right mirror holds of the calendars."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

from worker.emulator.world.masks import mask
from worker.emulator.world.mirror import Row, View, clean, kept, packed
from worker.emulator.world.model import Event, World
from worker.emulator.world.recurrence import WEEK
from worker.emulator.world.zones import instant


class CalendarTruth:
    """The four calendar tables of one viewer."""

    def __init__(self, world: World, view: View) -> None:
        self.world = world
        self.viewer = view.viewer
        self.viewer_zone = world.zone_of(view.viewer)
        self.window = view.window
        self.language = view.language
        self.sections = [
            section for section in self.world.sections.values() if self._wanted(section.section_id, view.calendars)
        ]

    def _wanted(self, section_id: int, calendars: Sequence[str]) -> bool:
        section = self.world.sections[section_id]
        if self.world.access(self.viewer, section) == "none":
            return False
        if section.calendar_type == "company_calendar":
            return "company" in calendars
        if section.calendar_type == "group":
            return "groups" in calendars
        return "everyone" in calendars or ("mine" in calendars and section.owner_id == self.viewer)

    def tables(self) -> dict[str, list[Row]]:
        shown = {section.section_id for section in self.sections}
        occurrences: list[Row] = []
        events: dict[int, Event] = {}
        for event in self.world.events.values():
            if event.section_id in shown:
                found = list(self._occurrences(event))
                occurrences += found
                if found:
                    events[event.event_id] = event
        return {
            "calendar_sections": [
                {
                    "section_id": section.section_id,
                    "calendar_type": section.calendar_type,
                    "owner_id": section.owner_id,
                    "name": kept(section.name),
                    "description": clean(section.description),
                    "color": clean(section.color),
                    "text_color": clean(section.text_color),
                }
                for section in self.sections
            ],
            "calendar_events": [self._event(event) for event in events.values()],
            "calendar_occurrences": occurrences,
            "event_attendees": self._attendees(events),
        }

    def _span(self, event: Event, starts: datetime) -> tuple[datetime, datetime]:
        """Both instants of an occurrence that starts at a wall clock; whole days are midnights of UTC."""
        if event.all_day:
            begin = starts.replace(tzinfo=UTC)
            return begin, begin + event.wall_length
        zone = self._zone(event)
        begin = instant(starts, zone)
        return begin, begin + timedelta(seconds=event.length(zone))

    def _zone(self, event: Event) -> str:
        """An event without a zone is when its owner has it; what belongs to nobody, when the viewer has it."""
        of_owner = self.world.zone_of(event.owner_id) if event.calendar_type == "user" else self.viewer_zone
        return event.zone_from or of_owner

    def _overlaps(self, event: Event, begin: datetime, end: datetime) -> bool:
        first, last = self.window
        if event.all_day:
            return begin.date() < last.date() and end.date() >= first.date()
        return begin < last and (end > first or begin >= first)

    def _occurrences(self, event: Event) -> Iterator[Row]:
        days = [event.starts.date()] if event.rule is None else event.rule.days(event.starts.date())
        horizon = self.window[1].date() + timedelta(days=2)
        for day in days:
            if day > horizon:
                return
            if day in event.excluded:
                continue
            begin, end = self._span(event, datetime.combine(day, event.starts.time()))
            if self._overlaps(event, begin, end):
                yield {
                    "event_id": event.event_id,
                    "starts_at": begin,
                    "ends_at": end,
                    "all_day": event.all_day,
                    "starts_on": begin.date() if event.all_day else None,
                    "ends_on": end.date() if event.all_day else None,
                }

    def _event(self, event: Event) -> Row:
        begin, end = self._span(event, event.starts)
        level = self.world.event_access(self.viewer, event)
        hidden = mask(self.language, event.accessibility)
        name = {"full": event.name, "title": f"{event.name} {hidden}"}.get(level, hidden)
        parent = event.parent_id if event.parent_id != event.event_id else None
        return {
            "event_id": event.event_id,
            "section_id": event.section_id,
            "parent_event_id": parent,
            "recurrence_event_id": event.recurrence_id,
            "calendar_type": event.calendar_type,
            "owner_id": event.owner_id,
            "name": kept(name),
            "description": clean(event.description) if level == "full" else None,
            "location": clean(event.location) if level == "full" else None,
            "all_day": event.all_day,
            "starts_at": begin,
            "ends_at": end,
            "starts_on": begin.date() if event.all_day else None,
            "ends_on": end.date() if event.all_day else None,
            "time_zone": clean(event.zone_from),
            "recurrence_rule": self._rule(event),
            "excluded_dates": packed([day.isoformat() for day in sorted(event.excluded)]),
            "meeting_host_id": event.host if event.is_meeting else None,
            "is_meeting": event.is_meeting,
            "importance": clean(event.importance),
            "accessibility": clean(event.accessibility),
            "private": event.private,
            "color": clean(event.color),
            "masked": level != "full",
        }

    def _rule(self, event: Event) -> str | None:
        """UNTIL comes last but for BYDAY: the whole last day, in UTC unless the event has no hours."""
        rule = event.rule
        if rule is None:
            return None
        parts = [rule.text()]
        if rule.count is None and rule.until is not None:
            parts.append(f"UNTIL={self._until(event, rule.until)}")
        if rule.freq == "WEEKLY" and rule.byday:
            parts.append("BYDAY=" + ",".join(sorted(rule.byday, key=WEEK.index)))
        return ";".join(parts)

    def _until(self, event: Event, day: date) -> str:
        if event.all_day:
            return f"{day:%Y%m%d}"
        end = instant(datetime.combine(day, time(23, 59, 59)), self._zone(event))
        return f"{end:%Y%m%dT%H%M%SZ}"

    def _attendees(self, events: dict[int, Event]) -> list[Row]:
        """On the parent where the mirror has it, else on the copy; of masked rows nobody is known."""
        rows: dict[tuple[int, int], Row] = {}
        for event in events.values():
            if not event.is_meeting or self.world.event_access(self.viewer, event) != "full":
                continue
            holder = event.parent_id if event.parent_id in events else event.event_id
            for copy in self.world.copies(event.parent_id):
                key = (holder, copy.owner_id)
                rows[key] = {"event_id": holder, "user_id": copy.owner_id, "status": copy.status}
        return list(rows.values())
