"""An invented office: people, groups and tasks. Everything comes from the seed and the hour of the start."""

import random
from collections.abc import Collection
from datetime import datetime, timedelta

from worker.emulator.spec import PortalSpec
from worker.emulator.world.model import Group, Task, User, World
from worker.emulator.world.seed_calendar import fill_calendar
from worker.emulator.world.zones import told_apart

_NAMES = (
    ("Анна", "Кузнецова", "F"), ("Jo", "Park", "M"), ("Пётр", "Щёголев", "M"), ("Kim", "Roe", "F"),
    ("Ольга", "Ёлкина", "F"),
    ("Jürgen", "Weiß", "M"), ("Ann", "Lee", "F"), ("Иван", "Соколов", "M"), ("Zoë", "O'Hara", "F"), ("Liam", "", "M"),
    ("Мария", "Белова", "F"), ("Nuño", "Prado", "M"), ("Сергей", "Чижов", "M"), ("李", "娜", "F"), ("Дарья", "", "F"),
    ("Tom", 'van "T" Berg', "M"),
)  # fmt: skip
_POSITIONS = ("CEO", "Бухгалтер", "Sales manager", "Tester", "", "Юрист", "Designer", "R&D <lead>")
_ACTS = ("Prepare", "Согласовать", "Send", "Проверить", "Call about", "Review", "Обновить", "Fix", "Заказать", "Plan")
_THINGS = (
    "offer", "договор № 17/«Б»", "invoice", "смету 📊", 'the "Big One"', "стенд", "landing page", "отчёт",
    "release 2.0",
    "O'Neil's order", "склад\u00a0№2", "photos 🎉🎂",
)  # fmt: skip
_TEXTS = (
    "",
    "Details in the chat.",
    "Первая строка\nвторая строка\n\n[B]важно[/B]",  # noqa: RUF001  Cyrillic is meant
    'He said: "now or never" \\ and left.\r\nTab\there.',
    "Check <b>everything</b> & report 👩‍💻",
    "  leading and trailing blanks  ",
)
_TAGS = ("vip", "срочно", "Q4", "ёж", "to be; split, maybe", "🔥")
_OWN_FIELDS = ("UF_AUTO_128374650192", "UF_CONTRACT_NO")
_GROUPS = ("Sales", "Стройка", "R&D «Север»", "Support 24/7", "Маркетинг", "Event team")


class Dice(random.Random):
    """Seeded chance with the few throws we need."""

    zones: Collection[str] = ()
    """No clock of theirs shows a thrown instant twice: a portal's answers could not tell one from the other."""

    def told(self, at: datetime) -> datetime:
        return told_apart(at, self.zones)

    def often(self, share: float) -> bool:
        return self.random() < share

    def past(self, now: datetime, least_days: float, most_days: float) -> datetime:
        return self.told(now - timedelta(seconds=self.randrange(int(least_days * 86400), int(most_days * 86400))))


def make_world(spec: PortalSpec, now: datetime) -> World:
    dice = Dice(spec.seed)
    dice.zones = spec.zones
    world = World(server_zone=spec.server_zone)
    world.user_fields = {"UF_CRM_TASK": False, "UF_TASK_WEBDAV_FILES": False, "UF_MAIL_MESSAGE": None}
    world.user_fields |= dict.fromkeys(_OWN_FIELDS)
    _fill_users(world, spec, dice, now)
    _fill_groups(world, spec, dice)
    _fill_tasks(world, spec, dice, now)
    fill_calendar(world, spec, random.Random(spec.seed + 1), now)
    return world


def _fill_users(world: World, spec: PortalSpec, dice: Dice, now: datetime) -> None:
    user_id = 1
    for number in range(max(1, spec.users)):
        name, last_name, gender = _NAMES[number % len(_NAMES)]
        if number >= len(_NAMES) and last_name:
            last_name = f"{last_name} {number // len(_NAMES) + 1}"
        others = spec.other_zones
        world.users[user_id] = User(
            user_id=user_id,
            name=name,
            last_name=last_name,
            second_name="Игоревич" if number % 7 == 2 else "",
            email=f"user{user_id}@example.com" if number % 11 != 10 else "",
            zone=spec.user_zone if number % 4 != 3 or not others else others[number // 4 % len(others)],
            active=number == 0 or number % 9 != 8,
            admin=number == 0,
            work_position=_POSITIONS[number % len(_POSITIONS)],
            departments=[1] if number < 4 else sorted(dice.sample(range(1, 9), dice.randint(1, 2)), reverse=True),
            gender=gender if number % 3 else "",
            registered=dice.past(now, 400, 1200),
            last_login=dice.past(now, 1, 30) if number % 6 != 5 else None,
            changed=dice.told(now - timedelta(days=7 + number)),
        )
        user_id += dice.choice((1, 2, 2, 5))


def _fill_groups(world: World, spec: PortalSpec, dice: Dice) -> None:
    users = list(world.users)
    for number in range(spec.groups):
        members = sorted(dice.sample(users, min(len(users), dice.randint(2, 8))))
        name = _GROUPS[number % len(_GROUPS)] + (f" {number // len(_GROUPS) + 1}" if number >= len(_GROUPS) else "")
        group_id = 3 + number * 4
        world.groups[group_id] = Group(group_id, name, members, opened=number % 3 != 1)


def _fill_tasks(world: World, spec: PortalSpec, dice: Dice, now: datetime) -> None:
    task_id = 2**31 + 10 if spec.big_ids else 10
    tags = {number * 2 + 31: tag for number, tag in enumerate(_TAGS)}
    for number in range(spec.tasks):
        task_id += dice.choice((1, 1, 1, 2, 2, 3, 7, 40))
        task = _make_task(world, dice, now, task_id)
        if number and dice.often(0.1):
            task.parent_id = dice.choice(world.task_ids)
        if dice.often(0.3):
            task.tags = {tag_id: tags[tag_id] for tag_id in sorted(dice.sample(list(tags), dice.randint(1, 3)))}
        if spec.long_description and number == spec.tasks // 2:
            task.description = "Очень длинное описание. 📜 " * 4000
        world.put_task(task)
    for user_id in list(world.users)[:3]:
        mine = [task.task_id for task in world.tasks.values() if user_id in task.members and task.status != 5]
        world.planner[user_id] = mine[:5]


def _make_task(world: World, dice: Dice, now: datetime, task_id: int) -> Task:
    users = list(world.users)
    created = dice.past(now, 30, 400)
    changed = created + (now - timedelta(days=7) - created) * dice.random()
    changed = dice.told(changed.replace(microsecond=0))
    task = Task(
        task_id=task_id,
        title=f"{dice.choice(_ACTS)} {dice.choice(_THINGS)}",
        created_by=dice.choice(users),
        responsible=dice.choice(users),
        created=created,
        # Rows that never changed may have no date of change: the filter then falls back on the creation.
        changed=None if dice.often(0.02) else changed,
        activity=None if dice.often(0.02) else dice.told(changed + timedelta(seconds=dice.randrange(0, 3 * 86400))),
        description=dice.choice(_TEXTS),
        status=dice.choice((2, 2, 3, 3, 4, 5, 5, 5, 6)),
        priority=dice.choice((0, 1, 1, 1, 2)),
        mark=dice.choice((None, None, None, "P", "N", "")),
        group_id=dice.choice((0, 0, *world.groups)),
    )
    task.changed_by = task.responsible
    if dice.often(0.5):
        deadline = now + timedelta(minutes=30 * dice.randrange(-48 * 120, 48 * 120))
        task.deadline = dice.told(deadline.replace(second=0))
    if task.status == 5:
        task.closed, task.closed_by = changed, task.responsible
    if task.status in {3, 4, 5}:
        task.started = dice.told(created + timedelta(hours=1))
    if dice.often(0.15):
        task.start_plan = dice.told(created + timedelta(days=1))
        task.end_plan = dice.told(task.start_plan + timedelta(days=5))
    if dice.often(0.2):
        task.time_estimate, task.time_spent = dice.choice((900, 3600, 86400)), dice.choice((None, 0, 540))
    task.stage_id = dice.choice((0, 17, 19)) if task.group_id else 0
    task.accomplices = dice.sample(users, dice.choice((0, 0, 0, 1, 2))) if len(users) > 2 else []
    task.auditors = dice.sample(users, dice.choice((0, 0, 0, 1, 3))) if len(users) > 3 else []
    task.viewed_by = set(dice.sample(users, len(users) // 2))
    task.favorite_of = {1} if dice.often(0.05) else set()
    if dice.often(0.2):
        task.uf["UF_CRM_TASK"] = dice.sample(["D_12", "C_7", "CO_3", "L_91", "T88_3"], 2)
    for name in _OWN_FIELDS:
        task.uf[name] = dice.choice((None, "", f"№ {task_id}", "да"))
    return task
