"""Rounds of hundreds of acts on a large portal: after each full run, not one difference."""

import random

import pytest

from tests.integration.mirror import OK, Mirror, Stage, statuses
from tests.property.history import History, parts
from tests.property.people import VERBS, Draw, People
from worker.emulator import Life
from worker.sync.report import Mode

UNDATED = frozenset({"title", "priority", "parent_id"})
"""Columns of tasks that a silent change or the deletion of a parent moves, and no date with them."""


class Rounds:
    """Lets people live on a portal and counts what its mirror has otherwise."""

    def __init__(self, stage: Stage, *, tasks: int, events: int, seed: int) -> None:
        self.mirror: Mirror = stage.mirror(tasks=tasks, events=events, users=20, calendars="mine,company,everyone")
        portal = self.mirror.portal
        self._dice = random.Random(seed)
        self._life = Life(portal, seed)
        self._people = People(portal, accounts=[portal.admin_id])
        self._history = History(portal, [portal.admin_id], ["mine", "company", "everyone"])
        assert statuses(self.mirror.sync()) == OK

    def act(self) -> None:
        """Every other one is what people do all day, the rest what is harder to follow."""
        self.mirror.clock.advance(self._dice.randrange(1, 600))
        if self._dice.random() < 0.5:
            before = set(self.mirror.portal.world.bin)
            children = {task.task_id: task.parent_id for task in self.mirror.portal.world.tasks.values()}
            self._life.step()
            gone = self.mirror.portal.world.bin.keys() - before
            self._people.deleted |= gone
            self._people.silent |= {task_id for task_id, parent_id in children.items() if parent_id in gone}
        else:
            self._dice.choice(VERBS)(self._people, Draw(self._dice.randrange(10**12)))

    def incremental(self) -> None:
        """What it leaves is of the kinds that no date of change tells."""
        self.mirror.connect(self.mirror.portal.admin_id)
        assert statuses(self.mirror.sync(Mode.INCREMENTAL)) == OK
        assert [text for text in self.mirror.differences() if not self._named(text)] == []

    def full(self) -> int:
        """How many differences are left after it."""
        self.mirror.connect(self.mirror.portal.admin_id)
        reports = self.mirror.sync(Mode.FULL)
        assert statuses(reports) == OK, {name: report.error for name, report in reports.items()}
        return len([text for text in self.mirror.differences() if not self._hidden(text)])

    def _named(self, text: str) -> bool:
        table, own_id, column, told = parts(text)
        if table != "tasks":
            return self._hidden(text)
        people = self._people
        if own_id in people.restored or (own_id in people.deleted and told == "only in the mirror"):
            return True
        return own_id in people.silent and column in UNDATED

    def _hidden(self, text: str) -> bool:
        return self._history.explains(self.mirror, text)


def rounds(stage: Stage, *, count: int, acts: int, tasks: int, events: int) -> list[int]:
    """Differences after each round's full run."""
    portal = Rounds(stage, tasks=tasks, events=events, seed=11)
    left = []
    for _ in range(count):
        for number in range(acts):
            portal.act()
            if number % 50 == 49:
                portal.incremental()
        left.append(portal.full())
    return left


def test_two_rounds_of_a_hundred_acts_leave_no_difference(own_stage: Stage):
    """On 200 tasks and 60 events."""
    assert rounds(own_stage, count=2, acts=100, tasks=200, events=60) == [0, 0]


@pytest.mark.long
def test_ten_rounds_of_two_hundred_acts_leave_no_difference(own_stage: Stage):
    """The figure of the README: 1,000 tasks, 200 events, 2,000 acts, and 0 differences ten times."""
    assert rounds(own_stage, count=10, acts=200, tasks=1000, events=200) == [0] * 10
