"""What was ever true on an emulated portal, and what a mirror of it may therefore hold."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.integration.mirror import ENTITIES, Mirror
from worker.emulator import Portal
from worker.emulator.world.mirror import View
from worker.emulator.world.model import Event, Section, World
from worker.emulator.world.truth import truth
from worker.emulator.world.truth_calendar import CalendarTruth
from worker.storage.models import Base

Rows = list[dict[str, Any]]
Key = tuple[Any, ...]
_DIFFERENCE = re.compile(r"(\w+) \((\d+),?.*?\)(?:\.(\w+))?: (.*)", re.DOTALL)
_LEVELS = ("none", "time", "title", "full")


class _Eyes:
    """A world as several accounts see it together: of a calendar that two of them read, the better view counts."""

    def __init__(self, world: World, readers: Mapping[int, Sequence[str]]) -> None:
        self._world = world
        self._readers = readers

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a world has
        return getattr(self._world, name)

    def access(self, _viewer: int, section: Section) -> str:
        return max((self._world.access(who, section) for who in self._of(section)), key=_LEVELS.index, default="none")

    def event_access(self, _viewer: int, event: Event) -> str:
        who = self._of(self._world.sections[event.section_id])
        return max((self._world.event_access(each, event) for each in who), key=_LEVELS.index, default="none")

    def _of(self, section: Section) -> Iterator[int]:
        for user_id, calendars in self._readers.items():
            own = section.calendar_type == "user" and section.owner_id == user_id and "mine" in calendars
            company = section.calendar_type == "company_calendar" and "company" in calendars
            if own or company or ("everyone" in calendars and section.calendar_type == "user"):
                yield user_id


class History:
    """Looks at the portal after every act (`look`) and remembers each value that a row ever had."""

    def __init__(self, portal: Portal, accounts: Sequence[int], calendars: Sequence[str]) -> None:
        self.portal = portal
        self.accounts = list(accounts)
        """The first one is the primary one."""
        self._calendars = calendars
        self._parents: dict[int, int] = {}
        """Of copies of meetings, ever."""
        self._known: dict[str, dict[Key, dict[str, set[Any]]]] = {name: {} for name in ENTITIES}

    @property
    def world(self) -> World:
        """As all accounts see it together."""
        readers: dict[int, Sequence[str]] = dict.fromkeys(self.accounts, ("mine",))
        readers[self.accounts[0]] = self._calendars
        return _Eyes(self.portal.world, readers)  # type: ignore[return-value]  # it looks like one

    @property
    def _primary_alone(self) -> World:
        return _Eyes(self.portal.world, {self.accounts[0]: self._calendars})  # type: ignore[return-value]

    def truth(self, window: tuple[datetime, datetime]) -> dict[str, Rows]:
        """What the mirror must hold now; the primary account's tasks and plan, the calendars of all."""
        view = self._view(window)
        return truth(self.portal.world, replace(view, calendars=())) | _Calendars(self.world, view).tables()

    def look(self) -> None:
        """Remember what is true now, of all events, and of the instances around the mirror's window."""
        now = self.portal.clock()
        for table, rows in self.truth((now - timedelta(days=40), now + timedelta(days=190))).items():
            self._remember(table, rows)
        events = self.portal.world.events.values()
        self._parents |= {event.event_id: event.parent_id for event in events}
        guests = [event for event in events if event.is_meeting]
        self._remember(
            "event_attendees",
            [{"event_id": each.parent_id, "user_id": each.owner_id, "status": each.status} for each in guests],
        )
        for eyes in (self.world, self._primary_alone):  # the better view is not known before its account has read
            calendars = _Calendars(eyes, self._view((now, now)))
            self._remember("calendar_events", [calendars._event(event) for event in events])
        for user_id in self.accounts:
            for zone in {"UTC", self.portal.world.zone_of(user_id)}:
                day = now.astimezone(ZoneInfo(zone)).date()
                ids = self.portal.world.planner.get(user_id, [])
                self._remember(
                    "planner_tasks",
                    [
                        {"user_id": user_id, "planned_on": day, "task_id": task_id, "position": position}
                        for task_id in ids
                        for position in range(len(ids))
                    ],
                )

    def admit(self, mirror: Mirror) -> None:
        """The portal sent rubbish in fields of rows: what the mirror holds of them now counts as told."""
        for table in ENTITIES:
            for row in mirror.rows(table):
                for column, ever in self._known[table].get(_key(table, row), {}).items():
                    ever.add(row[column])

    def invented(self, mirror: Mirror) -> list[str]:
        """What the mirror holds live that was never true."""
        zone = ZoneInfo(self.portal.world.zone_of(self.accounts[0]))
        found: list[str] = []
        for table in ENTITIES:
            for row in mirror.rows(table):
                if table == "event_attendees":  # a copy holds them as long as its parent was not read
                    row |= {"event_id": self._parents.get(row["event_id"], row["event_id"])}
                key = _key(table, row)
                values = self._known[table].get(key)
                if values is None:
                    found.append(f"{table} {key} was never there")
                    continue
                for column, ever in values.items():
                    if row[column] not in ever and _wall(row[column], zone) not in {_wall(at, zone) for at in ever}:
                        found.append(f"{table} {key}.{column}: {row[column]!r} was never true")
        return found

    def shows(self, table: str, own_id: int) -> bool:
        """Whether the portal shows a row to one of the accounts now."""
        real = self.portal.world
        if table == "tasks":
            return own_id in real.tasks and real.sees_task(self.accounts[0], real.tasks[own_id])
        if table == "users":
            return own_id in real.users
        if table == "calendar_sections":
            return own_id in real.sections and self.world.access(0, real.sections[own_id]) != "none"
        return own_id in real.events and self.world.event_access(0, real.events[own_id]) != "none"

    def exists(self, table: str, own_id: int) -> bool:
        """Whether a row is there, for whomever."""
        world = self.portal.world
        tables = {"tasks": world.tasks, "users": world.users, "calendar_sections": world.sections}
        return own_id in tables.get(table, world.events)

    def _shows_no_calendar_of(self, section_id: int) -> bool:
        """Whether the owner of a section, which is still there, shows no other one to an account either."""
        sections = self.portal.world.sections
        if section_id not in sections:
            return False
        owner = (sections[section_id].calendar_type, sections[section_id].owner_id)
        theirs = [each for each in sections.values() if (each.calendar_type, each.owner_id) == owner]
        return all(self.world.access(0, each) == "none" for each in theirs)

    def _is_masked(self, event_id: int) -> bool:
        """Whether no account is shown this event's content, or that of a row of the same meeting."""
        events = self.portal.world.events
        event = events.get(event_id)
        if event is None:
            return False
        family = [event, *(each for each in events.values() if each.parent_id == event.parent_id)]
        return any(self.world.event_access(0, each) != "full" for each in family)

    def explains(self, mirror: Mirror, text: str) -> bool:
        """Whether a difference of the calendars is one that the portal or the window hides by its nature.

        - An event that no account is shown (any more) keeps what was known of it; but it is not lost.
        - An event without an instance in the window is not followed: it may change there, and go.
        - An owner who shows no calendar keeps his sections: "none is readable" looks like "there is none".
        """
        table, own_id, _, told = parts(text)
        if table == "calendar_sections":
            return told == "only in the mirror" and self._shows_no_calendar_of(own_id)
        if table == "event_attendees":
            return self._is_masked(own_id)
        if table != "calendar_events" or told == "lost":
            return False
        return self._is_masked(own_id) or all(row["event_id"] != own_id for row in mirror.rows("calendar_occurrences"))

    def _view(self, window: tuple[datetime, datetime]) -> View:
        portal = self.portal
        scopes = frozenset(portal.scope.split(","))
        return View(self.accounts[0], self._calendars, window, portal.clock(), scopes, portal.spec.language)

    def _remember(self, table: str, rows: Rows) -> None:
        for row in rows:
            known = self._known[table].setdefault(_key(table, row), defaultdict(set))
            for column, value in row.items():
                known[column].add(value)


class _Calendars(CalendarTruth):
    """The calendar tables where the world says who sees what."""

    def _wanted(self, section_id: int, calendars: Sequence[str]) -> bool:  # noqa: ARG002 - the world knows them
        return self.world.access(self.viewer, self.world.sections[section_id]) != "none"


def parts(text: str) -> tuple[str, int, str | None, str]:
    """Table, ID, column and what is told of them, of a difference."""
    found = _DIFFERENCE.fullmatch(text)
    if found is None:
        raise ValueError(f"this is no difference: {text}")
    return found[1], int(found[2]), found[3], found[4]


def _key(table: str, row: Mapping[str, Any]) -> Key:
    return tuple(row[column.name] for column in Base.metadata.tables[table].primary_key if column.name != "portal_id")


def _wall(value: object, zone: ZoneInfo) -> object:
    """Two instants that the portal prints alike are one."""
    if isinstance(value, datetime):
        return value.astimezone(UTC if value.tzinfo is None else zone).replace(tzinfo=None, fold=0)
    return value
