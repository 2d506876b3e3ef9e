"""Invented calendars: single events, all kinds of series, meetings with their copies, private ones, edited ones."""

import random
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from worker.emulator.spec import PortalSpec
from worker.emulator.world.model import Event, Section, World
from worker.emulator.world.recurrence import WEEK, Rule
from worker.emulator.world.zones import midnight, zone

if TYPE_CHECKING:
    from collections.abc import Callable

Freq = Literal["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]

_NAMES = (
    "Planning", "Планёрка", "1:1 с Анной", 'Demo "v2"', "Обед 🍲", "Interview", "Отпуск", "Release; part 2, final",  # noqa: RUF001  Cyrillic is meant
    "Звонок клиенту", "Déjà vu review", "Birthday 🎂", "Инвентаризация",
)  # fmt: skip
_PLACES = ("", "", "Room 4", "Переговорная «Байкал»", "https://meet.example.com/a?b=1&c=2")
_COLORS = ("#9dcf00", "#2fc6f6", "#ff5752", "#FFA900")


class CalendarSeed:
    """Puts events into a world; the verbs of a running portal use the same hand."""

    def __init__(self, world: World, dice: random.Random, now: datetime) -> None:
        self.world = world
        self.dice = dice
        self.now = now

    def section_of(self, calendar_type: str, owner_id: int) -> Section:
        for section in self.world.sections.values():
            if section.calendar_type == calendar_type and section.owner_id == owner_id:
                return section
        raise KeyError((calendar_type, owner_id))

    def add(self, section: Section, author: int, name: str, starts: datetime, ends: datetime) -> Event:
        """A plain event; the caller makes the rest of it."""
        event_id = self.world.next_event_id
        self.world.next_event_id += self.dice.choice((1, 1, 2, 3))
        event = Event(
            event_id=event_id,
            parent_id=event_id,
            section_id=section.section_id,
            calendar_type=section.calendar_type,
            owner_id=section.owner_id,
            name=name,
            starts=starts,
            ends=ends,
            created_by=author,
            created=self.now,
            changed=self.now,
        )
        self.world.events[event_id] = event
        return event

    def invite(self, parent: Event, attendees: list[int], statuses: list[str]) -> list[Event]:
        """Make an event a meeting: the parent belongs to the host, each attendee gets a copy."""
        parent.is_meeting, parent.host, parent.status = True, parent.owner_id, "H"
        copies = []
        for user_id, status in zip(attendees, statuses, strict=True):
            section = self.section_of("user", user_id)
            copy = self.add(section, parent.created_by, parent.name, parent.starts, parent.ends)
            for key in ("zone_from", "zone_to", "all_day", "description", "location", "rule", "created", "changed"):
                setattr(copy, key, getattr(parent, key))
            copy.excluded = set(parent.excluded)
            copy.parent_id, copy.is_meeting, copy.host, copy.status = parent.event_id, True, parent.host, status
            copies.append(copy)
        return copies


def fill_calendar(world: World, spec: PortalSpec, dice: random.Random, now: datetime) -> None:
    seed = CalendarSeed(world, dice, now)
    _fill_sections(world, dice, now)
    world.next_event_id = 101
    today = now.date()
    makers: list[Callable[[Event, date, random.Random], None]] = [_series, _all_day, _plain, _series, _plain, _yearly]
    sections = list(world.sections.values())
    for number in range(spec.events):
        section = sections[number % len(sections)]
        author = section.owner_id if section.calendar_type == "user" else min(world.users)
        day = today + timedelta(days=dice.randrange(-75, 200))
        starts = midnight(day) + timedelta(hours=dice.randrange(7, 20), minutes=dice.choice((0, 0, 15, 30)))
        event = seed.add(
            section, author, dice.choice(_NAMES), starts, starts + timedelta(minutes=dice.choice((15, 60, 90)))
        )
        event.created = now - timedelta(seconds=dice.randrange(90 * 86400, 200 * 86400))
        event.changed = now - timedelta(seconds=dice.randrange(8 * 86400, 80 * 86400))
        event.zone_from = event.zone_to = world.zone_of(author)
        event.description = dice.choice(("", "", "Agenda:\n1. …\n2. ✅", "Взять «ноутбук»"))
        event.location = dice.choice(_PLACES)
        event.color = dice.choice(_COLORS)
        event.importance = dice.choice(("normal", "normal", "high", "low"))
        event.accessibility = dice.choice(("busy", "busy", "free", "quest", "absent"))
        makers[number % len(makers)](event, day, dice)
        if section.calendar_type == "user":
            event.private = dice.random() < 0.1
            others = [user.user_id for user in world.users.values() if user.active and user.user_id != author]
            if spec.attendees and not event.private and others and dice.random() < 0.3:
                invited = sorted(dice.sample(others, min(len(others), dice.randint(1, 3))))
                seed.invite(event, invited, [dice.choice("YYNQ") for _ in invited])
    _at_the_clock_changes(seed)


def _fill_sections(world: World, dice: random.Random, now: datetime) -> None:
    section_id = 4
    owners = [("company_calendar", 0, "Company calendar")]
    owners += [("group", group.group_id, f"Calendar: {group.name}") for group in world.groups.values()]
    owners += [("user", user.user_id, user.full_name) for user in world.users.values()]
    for number, (calendar_type, owner_id, name) in enumerate(owners):
        for extra in range(2 if number % 6 == 2 else 1):
            world.sections[section_id] = Section(
                section_id=section_id,
                calendar_type=calendar_type,
                owner_id=owner_id,
                name=f"{name} (2) 🗓" if extra else name,
                created=now - timedelta(days=dice.randrange(200, 600)),
                description="" if number % 2 else "Календарь",
                color=dice.choice(_COLORS),
                others=("full", "title", "time", "title", "none")[number % 5],
            )
            section_id += dice.choice((1, 2, 3))


def _plain(event: Event, day: date, dice: random.Random) -> None:
    if dice.random() < 0.2:  # over midnight
        event.ends = event.starts + timedelta(hours=dice.choice((14, 30)))
    elif dice.random() < 0.1:  # a flight: lands in another zone
        event.name, event.zone_to = f"Flight {day:%d.%m}", "America/New_York"
        event.ends = event.starts + timedelta(hours=9)
    elif dice.random() < 0.1:
        event.ends = event.starts


def _all_day(event: Event, day: date, dice: random.Random) -> None:
    event.all_day, event.zone_from, event.zone_to = True, "", ""
    event.starts = midnight(day)
    event.ends = event.starts + timedelta(days=dice.choice((0, 0, 1, 13)))
    if dice.random() < 0.2:
        event.rule = Rule("WEEKLY", 1, (WEEK[day.weekday()],), count=dice.choice((None, 6)))


def _yearly(event: Event, day: date, dice: random.Random) -> None:
    _all_day(event, day, dice)
    event.rule = Rule("YEARLY")
    event.starts -= timedelta(days=365)
    event.ends = event.starts


def _series(event: Event, day: date, dice: random.Random) -> None:
    freq: Freq = dice.choice(("DAILY", "WEEKLY", "WEEKLY", "MONTHLY"))
    start_day = day - timedelta(days=dice.choice((0, 20, 90)))
    byday: tuple[str, ...] = ()
    if freq == "WEEKLY":
        byday = tuple(WEEK[at] for at in sorted({start_day.weekday(), *dice.sample(range(5), 2)}))
    end = dice.choice(("count", "until", "endless"))
    event.rule = Rule(
        freq,
        dice.choice((1, 1, 2)),
        byday,
        count=dice.randint(3, 30) if end == "count" else None,
        until=start_day + timedelta(days=dice.randrange(30, 200)) if end == "until" else None,
    )
    shift = midnight(start_day) - midnight(event.starts.date())
    event.starts, event.ends = event.starts + shift, event.ends + shift
    if dice.random() < 0.4:
        days = [found for found, _ in zip(event.rule.days(start_day), range(6), strict=False)]
        event.excluded = set(dice.sample(days, min(2, len(days) - 1)))


def _at_the_clock_changes(seed: CalendarSeed) -> None:
    """A series over each hour that is skipped or comes twice, in the zone of the first user's calendar."""
    owner = min(seed.world.users)
    section = seed.section_of("user", owner)
    name = seed.world.zone_of(owner)
    for change in clock_changes(name, seed.now.date() - timedelta(days=200), 400):
        starts = midnight(change - timedelta(days=4)) + timedelta(hours=2, minutes=30)
        event = seed.add(section, owner, f"Night shift {change}", starts, starts + timedelta(minutes=20))
        event.rule = Rule("DAILY", until=change + timedelta(days=4))
        event.zone_from = event.zone_to = name
        event.created = event.changed = seed.now - timedelta(days=30)
    late = seed.add(
        section, owner, "UTC stand-up", midnight(seed.now.date()) + timedelta(hours=23), midnight(seed.now.date())
    )
    late.starts -= timedelta(days=40)
    late.ends = late.starts + timedelta(minutes=45)
    late.zone_from = late.zone_to = "UTC"
    late.rule = Rule("WEEKLY", 1, (WEEK[late.starts.weekday()],))
    late.created = late.changed = seed.now - timedelta(days=45)


def clock_changes(name: str, first: date, days: int) -> list[date]:
    """The days on which a zone moves its clocks."""
    found = []
    for number in range(days):
        day = first + timedelta(days=number)
        noon = midnight(day).replace(hour=12, tzinfo=zone(name))
        if noon.utcoffset() != (noon - timedelta(days=1)).utcoffset():
            found.append(day)
    return found
