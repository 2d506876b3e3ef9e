"""What people do on a portal. Every verb holds the portal's lock, moves the dates it would move, and no others."""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from worker.emulator.world.calendar_acts import CalendarActs
from worker.emulator.world.model import Task, User, World
from worker.emulator.world.offline import Queue

_TASK_FIELDS = {known.name for known in fields(Task)}


class Acts(CalendarActs):
    """The verbs; `Portal` is one of these."""

    def __init__(self, world: World, queue: Queue, clock: Callable[[], datetime], seed: int) -> None:
        self.world = world
        self.queue = queue
        self.clock = clock
        self.admin_id = min(world.users)
        self.dice = random.Random(seed + 2)
        self.lock = threading.RLock()

    def create_task(self, *, by: int | None = None, title: str = "New task", **values: Any) -> int:  # noqa: ANN401  fields of Task
        """A task more; `task_id` may be given."""
        with self.lock:
            now = self.now()
            author = by or self.admin_id
            last = self.world.task_ids[-1] if self.world.task_ids else 0
            gone = max(self.world.bin, default=0)
            task = Task(
                task_id=values.pop("task_id", None) or max(last, gone) + self.dice.choice((1, 2, 3)),
                title=title,
                created_by=author,
                responsible=author,
                created=now,
                changed=now,
                activity=now,
                changed_by=author,
            )
            _assign(task, values)
            self.world.put_task(task)
            self._task_event("ONTASKADD", task.task_id, author, before=False)
            return task.task_id

    def update_task(self, task_id: int, *, by: int | None = None, **values: Any) -> None:  # noqa: ANN401  fields of Task
        """Through the task service: the date of change moves even if nothing differs."""
        with self.lock:
            task = self.world.tasks[task_id]
            now = self.now()
            if "status" in values and "closed" not in values and values["status"] != task.status:
                done = values["status"] == 5
                values |= {"closed": now if done else None, "closed_by": (by or task.responsible) if done else 0}
            task.changed = task.activity = now
            task.changed_by = by or task.responsible
            _assign(task, values)
            self._task_event("ONTASKUPDATE", task_id, task.changed_by)

    def comment_task(self, task_id: int, *, by: int | None = None) -> None:
        """Moves the date of activity and nothing else; no event."""
        with self.lock:
            task = self.world.tasks[task_id]
            task.activity = self.now()
            task.comments += 1
            task.viewed_by = {by or task.created_by}

    def silent_change_task(self, task_id: int, **values: Any) -> None:  # noqa: ANN401  fields of Task
        """Past the task service: no date moves, no event."""
        with self.lock:
            _assign(self.world.tasks[task_id], values)

    def reparent(self, task_id: int, parent_id: int) -> None:
        """As the portal does it by SQL: silently."""
        self.silent_change_task(task_id, parent_id=parent_id)

    def delete_task(self, task_id: int, *, by: int | None = None) -> None:
        """Into the bin; its children go silently to its parent."""
        with self.lock:
            task = self.world.drop_task(task_id)
            for child in self.world.tasks.values():
                if child.parent_id == task_id:
                    child.parent_id = task.parent_id
            self._task_event("ONTASKDELETE", task_id, by or task.created_by, after=False)

    def restore_task(self, task_id: int) -> None:
        """Back with the same id and the old dates; no event."""
        with self.lock:
            self.world.put_task(self.world.bin.pop(task_id))

    def add_user(self, **values: Any) -> int:  # noqa: ANN401  fields of User
        """A colleague more, with a calendar."""
        with self.lock:
            user_id = max(self.world.users) + self.dice.choice((1, 2, 5))
            base: dict[str, Any] = {
                "user_id": user_id,
                "name": "New",
                "last_name": "Colleague",
                "second_name": "",
                "email": f"user{user_id}@example.com",
                "zone": next(iter(self.world.users.values())).zone,
                "departments": [1],
                "registered": self.now(),
                "changed": self.now(),
            }
            self.world.users[user_id] = User(**(base | values))
            self.new_section("user", user_id, self.world.users[user_id].full_name)
            return user_id

    def update_user(self, user_id: int, **values: Any) -> None:  # noqa: ANN401  fields of User
        with self.lock:
            user = self.world.users[user_id]
            for name, value in values.items():
                setattr(user, name, value)
            user.changed = self.now()

    def dismiss_user(self, user_id: int) -> None:
        self.update_user(user_id, active=False)

    def set_admin(self, user_id: int, admin: bool) -> None:
        with self.lock:
            self.world.users[user_id].admin = admin

    def set_planner(self, user_id: int, ids: Sequence[int]) -> None:
        with self.lock:
            self.world.planner[user_id] = list(ids)

    def now(self) -> datetime:
        """The portal's clock, in whole seconds as its database keeps them."""
        return self.clock().replace(microsecond=0)

    def _task_event(self, name: str, task_id: int, by: int, *, before: bool = True, after: bool = True) -> None:
        data: dict[str, object] = {
            "FIELDS_BEFORE": {"ID": task_id} if before else "undefined",
            "FIELDS_AFTER": {"ID": task_id} if after else "undefined",
            "IS_ACCESSIBLE_BEFORE": "undefined",
            "IS_ACCESSIBLE_AFTER": "undefined",
        }
        self.queue.happened(name, data, by, self.now())


def _assign(task: Task, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if name not in _TASK_FIELDS or name == "task_id":
            raise TypeError(f"a task has no field {name!r} to change")
        setattr(task, name, value)
