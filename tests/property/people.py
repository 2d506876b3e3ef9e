"""What people may do on an emulated portal; each act is drawn from one number, by a seed or by hypothesis."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from worker.emulator import Portal
from worker.emulator.world.model import Event, Task
from worker.emulator.world.recurrence import WEEK, Rule

T = TypeVar("T")

_TITLES = ("Offer", "Планёрка 🎂", "", "a\0b", "Half \ud800", " spaces ", "x" * 300)


class Draw:
    """Small choices out of one number: 0 chooses the first of everything."""

    def __init__(self, number: int) -> None:
        self._number = number

    def below(self, count: int) -> int:
        self._number, chosen = divmod(self._number, count)
        return chosen

    def one(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]


class People:
    """The verbs. The sets say which tasks changed in a way that no date of change tells."""

    def __init__(self, portal: Portal, *, accounts: Sequence[int]) -> None:
        self.portal = portal
        self.accounts = list(accounts)
        """Users that a mirror reads as: they stay."""
        self.silent: set[int] = set()
        """Tasks changed past the task service, also the children of a deleted one."""
        self.deleted: set[int] = set()
        self.returned: set[int] = set()
        """Restored, and not found by a sweep yet."""
        self.restored: set[int] = set()
        self.told: set[int] = set()
        """Deleted tasks that the portal wrote down in its queue of events."""

    # Tasks

    def create_task(self, draw: Draw) -> None:
        self.portal.create_task(
            title=draw.one(_TITLES),
            by=self._somebody(draw),
            responsible=self._somebody(draw),
            deadline=self._instant(draw),
            group_id=draw.one([0, *self.portal.world.groups]),
            tags={1: "vip", 2: "ёж"} if draw.below(2) else {},
            description="[b]x[/b]" if draw.below(2) else "",
        )

    def update_task(self, draw: Draw) -> None:
        if task := self._task(draw):
            values = draw.one(
                [
                    {"title": draw.one(_TITLES)},
                    {"deadline": self._instant(draw)},
                    {"responsible": self._somebody(draw)},
                    {"auditors": sorted({self._somebody(draw), self._somebody(draw)})},
                    {"parent_id": draw.one(self.portal.world.task_ids)},
                    {},
                ]
            )
            self.portal.update_task(task.task_id, **values)

    def complete_task(self, draw: Draw) -> None:
        if task := self._task(draw):
            self.portal.update_task(task.task_id, status=5 if task.status != 5 else 2)

    def change_silently(self, draw: Draw) -> None:
        if task := self._task(draw):
            self.portal.silent_change_task(task.task_id, title=f"{task.title[:40]}+", priority=draw.below(3))
            self.silent.add(task.task_id)

    def reparent(self, draw: Draw) -> None:
        if task := self._task(draw):
            self.portal.reparent(task.task_id, draw.one([0, *self.portal.world.task_ids]))
            self.silent.add(task.task_id)

    def comment(self, draw: Draw) -> None:
        if task := self._task(draw):
            self.portal.comment_task(task.task_id)

    def delete_task(self, draw: Draw) -> None:
        if len(self.portal.world.tasks) > 3 and (task := self._task(draw)):
            children = {child.task_id for child in self.portal.world.tasks.values() if child.parent_id == task.task_id}
            self.portal.delete_task(task.task_id)
            self.silent |= children
            self.deleted.add(task.task_id)
            self.restored.discard(task.task_id)
            if any(bound.offline and bound.event == "ONTASKDELETE" for bound in self.portal.queue.bindings):
                self.told.add(task.task_id)
            self.returned.discard(task.task_id)

    def restore_task(self, draw: Draw) -> None:
        if self.portal.world.bin:
            task_id = draw.one(sorted(self.portal.world.bin))
            self.portal.restore_task(task_id)
            self.restored.add(task_id)
            self.told.discard(task_id)
            self.returned.add(task_id)

    def plan_the_day(self, draw: Draw) -> None:
        ids = self.portal.world.task_ids
        chosen = dict.fromkeys(draw.one(ids) for _ in range(draw.below(4)) if ids)
        self.portal.set_planner(draw.one(self.accounts), list(chosen))

    # Users

    def add_user(self, draw: Draw) -> None:
        if len(self.portal.world.users) < 14:
            self.portal.add_user(name=draw.one(("Ann", "Юля", "")), zone=draw.one(("Europe/Berlin", "Asia/Tokyo", "")))

    def update_user(self, draw: Draw) -> None:
        user_id = draw.one(sorted(self.portal.world.users))
        values = draw.one([{"last_name": "Lee"}, {"email": ""}, {"work_position": "CEO"}, {"departments": [2, 1]}])
        self.portal.update_user(user_id, **values)

    def dismiss_user(self, draw: Draw) -> None:
        others = sorted(self.portal.world.users.keys() - set(self.accounts))
        if others:
            user_id = draw.one(others)
            self.portal.update_user(user_id, active=not self.portal.world.users[user_id].active)

    # Calendars

    def create_event(self, draw: Draw) -> None:
        self._event(draw)

    def create_series(self, draw: Draw) -> None:
        starts = self._wall(draw)
        freq = draw.one(("DAILY", "WEEKLY", "MONTHLY", "YEARLY"))
        limit = draw.below(3)
        rule = Rule(
            freq,  # type: ignore[arg-type]
            1 + draw.below(2),
            tuple(sorted({WEEK[starts.weekday()], draw.one(WEEK)}, key=WEEK.index)) if freq == "WEEKLY" else (),
            count=1 + draw.below(9) if limit == 1 else None,
            until=starts.date() + timedelta(days=draw.below(60)) if limit == 2 else None,
        )
        self._event(draw, starts=starts, rule=rule)

    def create_meeting(self, draw: Draw) -> None:
        """Of one hour or a series, hosted by anybody with a calendar."""
        host = self._somebody(draw)
        guests = [user_id for user_id in self._people() if user_id != host]
        chosen = {draw.one(guests) for _ in range(1 + draw.below(3)) if guests}
        rule = Rule("DAILY", count=2 + draw.below(4)) if draw.below(2) else None
        statuses = {user_id: draw.one(("Q", "Y", "N")) for user_id in sorted(chosen)}
        self._event(draw, host=host, attendees=statuses, rule=rule)

    def update_event(self, draw: Draw) -> None:
        if event := self._any(draw, lambda each: each.event_id == each.parent_id):  # copies follow
            step = timedelta(days=1) if event.all_day else timedelta(hours=1)
            values = draw.one(
                [
                    {"name": draw.one(_TITLES)},
                    {"starts": event.starts + step, "ends": event.ends + step},
                    {"starts": event.starts + timedelta(days=7), "ends": event.ends + timedelta(days=7)},
                    {"starts": event.starts + timedelta(days=400), "ends": event.ends + timedelta(days=400)},
                    {"ends": event.ends + timedelta(days=1)},
                    {"location": "Room 4", "description": "Bring cake"},
                    {"importance": "high", "accessibility": "free"},
                ]
            )
            self.portal.update_event(event.event_id, **values)

    def answer_invitation(self, draw: Draw) -> None:
        if event := self._any(draw, lambda each: each.is_meeting and each.event_id != each.parent_id):
            self.portal.update_event(event.event_id, status=draw.one(("Y", "N", "Q")))

    def hide_event(self, draw: Draw) -> None:
        """Private, or for all to see again."""
        if event := self._any(draw, lambda each: each.calendar_type == "user"):
            self.portal.update_event(event.event_id, private=not event.private)

    def hide_calendar(self, draw: Draw) -> None:
        """What others than the owner see of a section; administrators see it all the same."""
        section = self.portal.world.sections[draw.one(sorted(self.portal.world.sections))]
        section.others = draw.one(("full", "title", "time"))

    def delete_event(self, draw: Draw) -> None:
        if len(self.portal.world.events) > 3 and (event := self._any(draw)):
            self.portal.delete_event(event.event_id)

    def delete_meeting(self, draw: Draw) -> None:
        """The parent: its copies go along."""
        if event := self._any(draw, lambda each: each.is_meeting and each.event_id == each.parent_id):
            self.portal.delete_event(event.event_id)

    def cancel_day(self, draw: Draw) -> None:
        if found := self._day_of_series(draw):
            event, day = found
            self.portal.delete_occurrence(event.event_id, day)

    def move_day(self, draw: Draw) -> None:
        if found := self._day_of_series(draw):
            event, day = found
            hours = draw.one((24, 48, -24) if event.all_day else (2, 26, -3))
            starts = datetime.combine(day, event.starts.time()) + timedelta(hours=hours)
            self.portal.move_occurrence(event.event_id, day, starts)

    def split_series(self, draw: Draw) -> None:
        if (found := self._day_of_series(draw)) and found[1] > found[0].starts.date():
            event, day = found
            self.portal.split_series(event.event_id, day, name="From now on")

    def new_calendar(self, draw: Draw) -> None:
        if len(self.portal.world.sections) < 30:
            self.portal.new_section("user", draw.one(self._people()), "Side project")

    def rename_calendar(self, draw: Draw) -> None:
        self.portal.world.sections[draw.one(sorted(self.portal.world.sections))].name = draw.one(("Main", "Дом"))

    # What they choose from

    def _people(self) -> list[int]:
        return sorted(user.user_id for user in self.portal.world.users.values() if user.active)

    def _somebody(self, draw: Draw) -> int:
        return draw.one(self._people())

    def _task(self, draw: Draw) -> Task | None:
        ids = self.portal.world.task_ids
        return self.portal.world.tasks[draw.one(ids)] if ids else None

    def _instant(self, draw: Draw) -> datetime | None:
        """None, or days and hours from now; some of them fall into an hour that comes twice."""
        if not draw.below(3):
            return None
        twice = datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
        near = self.portal.now() + timedelta(days=draw.below(40), hours=draw.below(24))
        return draw.one([near, *twice, twice[1] + timedelta(hours=1)])

    def _wall(self, draw: Draw) -> datetime:
        """A wall clock of the coming or past weeks, around noon, at night or over midnight."""
        today = self.portal.now().astimezone(ZoneInfo("Europe/Berlin")).replace(tzinfo=None)
        hour, minute = draw.one(((10, 0), (2, 30), (23, 45), (0, 0)))
        return today.replace(hour=hour, minute=minute, second=0) + timedelta(
            days=draw.one((1, 0, -3, 7, -31, -29, 150, 179, 181, 250)) + draw.below(3)
        )

    def _event(
        self,
        draw: Draw,
        *,
        starts: datetime | None = None,
        host: int | None = None,
        attendees: dict[int, str] | None = None,
        rule: Rule | None = None,
    ) -> int:
        starts = starts or self._wall(draw)
        all_day = draw.below(4) == 3
        if all_day:
            starts = starts.replace(hour=0, minute=0)
        ends = starts + (timedelta(days=draw.below(3)) if all_day else draw.one(_LENGTHS))
        values = {"all_day": True} if all_day else {"zone": draw.one(("Europe/Berlin", "America/New_York", "UTC"))}
        company = host is None and not draw.below(3)
        return self.portal.create_event(
            0 if company else host or draw.one([*self.accounts, *self._people()]),
            starts,
            ends,
            calendar_type="company_calendar" if company else "user",
            name=draw.one(_TITLES),
            attendees=attendees,
            rule=rule,
            **values,
        )

    def _any(self, draw: Draw, fits: Callable[[Event], bool] | None = None) -> Event | None:
        found = [event for event in self.portal.world.events.values() if fits is None or fits(event)]
        return draw.one(found) if found else None

    def _day_of_series(self, draw: Draw) -> tuple[Event, date] | None:
        """A day that the series still has; of a meeting the parent's, for its copies follow."""
        event = self._any(draw, lambda each: each.rule is not None and each.event_id == each.parent_id)
        if event is None or event.rule is None:
            return None
        days = []
        for day in event.rule.days(event.starts.date()):
            if day not in event.excluded:
                days.append(day)
            if len(days) == 40:
                break
        return (event, draw.one(days)) if days else None


_LENGTHS = (timedelta(hours=1), timedelta(0), timedelta(hours=14), timedelta(hours=30), timedelta(minutes=15))

VERBS: tuple[Callable[[People, Draw], None], ...] = (
    People.create_task,
    People.update_task,
    People.complete_task,
    People.change_silently,
    People.reparent,
    People.comment,
    People.delete_task,
    People.restore_task,
    People.plan_the_day,
    People.add_user,
    People.update_user,
    People.dismiss_user,
    People.create_event,
    People.create_series,
    People.create_meeting,
    People.update_event,
    People.answer_invitation,
    People.hide_event,
    People.hide_calendar,
    People.delete_event,
    People.delete_meeting,
    People.cancel_day,
    People.move_day,
    People.split_series,
    People.new_calendar,
    People.rename_calendar,
)
