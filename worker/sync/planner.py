"""The pull of the planner: the day's plan of the account's own user, stamped with that user's day.

The portal keeps one list without a date (vendor: api-reference/tasks/planner/task-planner-get-list.md); the day is
ours, read by the portal's clock in the user's zone. Plans of earlier days stay.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, select

from worker.bitrix24.calls import Answer, Answers, Call
from worker.resources.planner import planner_call, read_planner
from worker.storage.models import Base
from worker.storage.upsert import SetCounts, replace_set
from worker.sync.report import Report
from worker.sync.turn import Turn

PLANNED = Base.metadata.tables["planner_tasks"]
_OF_DAY = (
    select(PLANNED.c.task_id)
    .where(*(PLANNED.c[name] == bindparam(name) for name in ("portal_id", "user_id", "planned_on")))
    .order_by(PLANNED.c.position)
)


class PlannerPull:
    """One call; the rows of this user and day become what it answered."""

    def __init__(self, turn: Turn, report: Report) -> None:
        self.report = report
        self._turn = turn
        self._call = planner_call("planner")
        self.done = False

    def calls(self, room: int) -> list[Call]:  # noqa: ARG002 - the engine's protocol; one call always fits
        return [self._call]

    def apply(self, answers: Answers) -> None:
        outcome = answers.get(self._call)
        if not isinstance(outcome, Answer):
            raise outcome
        turn = self._turn
        task_ids = read_planner(outcome.result)
        viewer = turn.viewer
        planned_on = viewer.portal_now.astimezone(viewer.zone).date() if viewer.zone else viewer.portal_now.date()
        self.report.fetched += len(task_ids)
        day = {"portal_id": turn.portal_id, "user_id": turn.user_id, "planned_on": planned_on}
        counts = SetCounts()
        if self._stored(day) != task_ids:
            with turn.write() as session:
                counts = replace_set(
                    session,
                    PLANNED,
                    [{**day, "task_id": task_id, "position": position} for position, task_id in enumerate(task_ids)],
                    scope=day,
                    stamp={"read_at": turn.clock.now()},
                )
        self.report.inserted += counts.inserted
        self.report.updated += counts.updated
        self.report.deleted += counts.deleted
        self.report.unchanged += len(task_ids) - counts.inserted - counts.updated
        self.done = True

    def _stored(self, day: Mapping[str, Any]) -> list[int]:
        """The plan of that day as the mirror has it."""
        with self._turn.read() as session:
            return list(session.scalars(_OF_DAY, day))
