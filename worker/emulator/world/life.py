"""Believable life on a portal: one act of somebody at a time."""

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from worker.emulator.world.acts import Acts
from worker.emulator.world.model import Event, Task
from worker.emulator.world.zones import zone

if TYPE_CHECKING:
    from collections.abc import Callable

_TITLES = (
    "Call the supplier",
    "Обновить прайс-лист",
    "Fix the footer 🐛",
    "Подписать акт",
    'Read "Q4 plan"',
    "Order cake 🎂",
)


class Life:
    """Acts of people, seeded; `step` does one and tells it in a sentence."""

    def __init__(self, portal: Acts, seed: int) -> None:
        self._portal = portal
        self._dice = random.Random(seed)

    def step(self) -> str:
        acts: list[Callable[[], str | None]] = [
            self._create, self._complete, self._complete, self._rename, self._deadline, self._comment, self._start,
            self._meet, self._move, self._skip, self._delete, self._plan,
        ]  # fmt: skip
        with self._portal.lock:
            for _ in range(20):
                if told := self._dice.choice(acts)():
                    return told
            return self._create()

    def _who(self, user_id: int) -> str:
        user = self._portal.world.users.get(user_id)
        return user.name if user else f"user {user_id}"

    def _people(self) -> list[int]:
        return [user.user_id for user in self._portal.world.users.values() if user.active]

    def _task(self, *, open_only: bool = True) -> Task | None:
        tasks = self._portal.world.tasks
        ids = self._portal.world.task_ids
        for _ in range(20):
            task = tasks[self._dice.choice(ids)] if ids else None
            if task and (task.status != 5 or not open_only):
                return task
        return None

    def _create(self) -> str:
        author, title = self._dice.choice(self._people()), self._dice.choice(_TITLES)
        self._portal.create_task(by=author, title=title, responsible=self._dice.choice(self._people()))
        return f'{self._who(author)} created "{title}"'

    def _complete(self) -> str | None:
        task = self._task()
        if task is None:
            return None
        self._portal.update_task(task.task_id, status=5)
        return f'{self._who(task.responsible)} completed "{task.title}"'

    def _start(self) -> str | None:
        task = self._task()
        if task is None or task.status == 3:
            return None
        self._portal.update_task(task.task_id, status=3, started=self._portal.now())
        return f'{self._who(task.responsible)} started "{task.title}"'

    def _rename(self) -> str | None:
        task = self._task()
        if task is None:
            return None
        old = task.title
        self._portal.update_task(task.task_id, title=f"{old.removesuffix(' (new)')} (new)")
        return f'{self._who(task.created_by)} renamed "{old}" to "{task.title}"'

    def _deadline(self) -> str | None:
        task = self._task()
        if task is None:
            return None
        until = (self._portal.now() + timedelta(days=self._dice.randrange(1, 20))).replace(minute=0, second=0)
        self._portal.update_task(task.task_id, deadline=until)
        return f'{self._who(task.created_by)} moved the deadline of "{task.title}" to {until:%d %B}'

    def _comment(self) -> str | None:
        task = self._task(open_only=False)
        if task is None:
            return None
        self._portal.comment_task(task.task_id)
        return f'{self._who(task.created_by)} commented on "{task.title}"'

    def _delete(self) -> str | None:
        task = self._task(open_only=False)
        if task is None or len(self._portal.world.tasks) < 10:
            return None
        self._portal.delete_task(task.task_id)
        return f'{self._who(task.created_by)} deleted "{task.title}"'

    def _plan(self) -> str | None:
        user_id = self._portal.admin_id
        mine = [
            task.task_id for task in self._portal.world.tasks.values() if user_id in task.members and task.status != 5
        ]
        self._portal.set_planner(user_id, self._dice.sample(mine, min(3, len(mine))))
        return f"{self._who(user_id)} planned the day" if mine else None

    def _meet(self) -> str:
        host, *guests = self._dice.sample(self._people(), min(3, len(self._people())))
        hour = self._portal.now().astimezone(zone(self._portal.world.zone_of(host))).replace(tzinfo=None)
        starts = hour.replace(hour=self._dice.randrange(9, 18), minute=0, second=0)
        starts += timedelta(days=self._dice.randrange(1, 15))
        name = self._dice.choice(("Sync", "Планёрка", "Interview"))
        self._portal.create_event(
            host, starts, starts + timedelta(minutes=45), name=name, attendees=dict.fromkeys(guests, "Q")
        )
        return f'{self._who(host)} called the meeting "{name}" for {starts:%d %B, %H:%M}'

    def _event(self, *, series: bool) -> tuple[Event, datetime] | None:
        """An event of the next weeks and the start of one of its occurrences."""
        events = list(self._portal.world.events.values())
        for event in self._dice.sample(events, min(40, len(events))):
            if event.parent_id != event.event_id or event.all_day or (event.rule is not None) is not series:
                continue
            today = self._portal.now().date()
            days = [event.starts.date()] if event.rule is None else event.rule.days(event.starts.date())
            for day in days:
                if day > today + timedelta(days=30):
                    break
                if day > today and day not in event.excluded:
                    return event, datetime.combine(day, event.starts.time())
        return None

    def _move(self) -> str | None:
        found = self._event(series=False)
        if found is None:
            return None
        event, starts = found
        later = timedelta(hours=1)
        self._portal.update_event(event.event_id, starts=starts + later, ends=event.ends + later)
        return f'{self._who(event.created_by)} moved "{event.name}" to {starts + later:%H:%M}'

    def _skip(self) -> str | None:
        found = self._event(series=True)
        if found is None:
            return None
        event, starts = found
        if self._dice.random() < 0.5:
            self._portal.delete_occurrence(event.event_id, starts.date())
            return f'{self._who(event.created_by)} cancelled "{event.name}" of {starts:%d %B}'
        self._portal.move_occurrence(event.event_id, starts.date(), starts + timedelta(hours=2))
        return f'{self._who(event.created_by)} moved "{event.name}" of {starts:%d %B} by two hours'
