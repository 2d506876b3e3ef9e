"""One cell of the chaos matrix: a resource is read while a fault is on order, and then once more without."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.chaos.troubles import ALWAYS, FIRST, SWEEP, Impatient, Trouble, order
from tests.integration.mirror import MONDAY, Mirror, Stage
from worker.bitrix24.client import Client
from worker.emulator.rest.limits import Operating
from worker.emulator.world.recurrence import Rule
from worker.errors import NeedsReauth
from worker.storage.models import Account
from worker.storage.models import Portal as PortalRow
from worker.sync.report import Mode, Report

REPAIRED, RECONNECT = "repaired", "reconnect"
TABLES: Mapping[str, tuple[str, ...]] = {
    "users": ("users",),
    "tasks": ("tasks",),
    "planner": ("planner_tasks",),
    "calendar": ("calendar_sections", "calendar_events", "calendar_occurrences", "event_attendees"),
    "events": ("tasks",),
}

# What the portal itself says wrong of a single record, the mirror holds as it was said, or keeps aside.
_SPOILING = frozenset({"surrogate", "junk_field"})


@dataclass(frozen=True)
class Cell:
    """What became of a run.

    Args:
        outcome: In a word: repaired, or the run's status.
        requests: HTTP requests to the portal and to the token server.
    """

    outcome: str
    requests: int

    def __str__(self) -> str:
        return self.outcome if self.outcome == "-" else f"{self.outcome} {self.requests}"


class Bench:
    """One resource of one small portal, to be read in one mode under every trouble."""

    def __init__(self, folder: Path, run: str, resource: str) -> None:
        self.stage = Stage(folder)
        self.stage.emulator.start()
        self.stage.emulator.token_server.lifetime = 10**8  # a token ends when a trouble ends it
        self.run, self.resource = run, resource
        self.reads = "tasks" if resource == "events" else resource
        self.mode = Mode.RECONCILE if run == SWEEP else None
        self.portal = self.stage.portal(
            seed=7,
            tasks=53,
            events=6,
            users=5,
            limits=False,
            operating_seconds=0.1,
            offline_events=resource == "events",
        )
        self._calendar()
        self._number = 0

    def close(self) -> None:
        self.stage.__exit__(None, None, None)

    @cached_property
    def _kept(self) -> Mirror:
        mirror = self._new_mirror()
        mirror.sync()
        return mirror

    def _new_mirror(self) -> Mirror:
        mirror = self.stage.mirror(self.portal)
        client_for = mirror.wiring.client_for

        def steady(portal: PortalRow, account: Account) -> Client:
            client = client_for(portal, account)
            client._jitter = lambda: 0.5
            return client

        transport = mirror.wiring.transport
        transport._send = Impatient(transport, [self.portal.faults, self.portal.tokens.faults])  # type: ignore[method-assign]
        mirror.wiring.client_for = steady  # type: ignore[method-assign]
        return mirror

    def cell(self, trouble: Trouble | None) -> Cell:
        """Read under the trouble, hold the run to its promises, then read without: the mirror is right."""
        mirror = self._new_mirror() if self.run == FIRST else self._kept
        if self.run != FIRST:
            self._live()
        before = mirror.cursor(self.reads)
        order(self.portal, trouble, self.resource)
        self.portal.requests.reset()
        grants = len(self.portal.tokens.log)
        report = mirror.sync(self.mode, resources=[self.reads])[self.reads]
        met = trouble is None or self._met(trouble)
        cell = Cell(
            self._outcome(report, mirror, trouble, met=met),
            self.portal.requests.http + len(self.portal.tokens.log) - grants,
        )
        if report.status != "ok" and mirror.cursor(self.reads).cursor_at != before.cursor_at:
            # A sweep reads what changed as well: that part may be whole where the other is not.
            assert self.run == SWEEP, f"{trouble}: the cursor moved"
            left = [text for text in self._differences(mirror) if not text.endswith("only in the mirror")]
            assert left == [], f"{trouble}: the cursor moved past {left}"
        assert invented_deletions(mirror) == [], f"{trouble}: deleted what is there"
        self._heal(mirror)
        spoilt = trouble is not None and trouble.kind in _SPOILING and self.resource != "calendar"
        if self.run != FIRST and cell.outcome == REPAIRED and not spoilt:
            return cell  # equal already; whatever it left behind would show in the next cell of this mirror
        if cell.outcome == RECONNECT:
            mirror.connect(self.portal.admin_id)
        mode = Mode.FULL if spoilt else self.mode
        after = mirror.sync(mode, resources=[self.reads])[self.reads]
        if isinstance(after.failure, NeedsReauth):  # the answer that was waited for held the only live token
            cell = replace(cell, outcome=RECONNECT)
            mirror.connect(self.portal.admin_id)
            after = mirror.sync(mode, resources=[self.reads])[self.reads]
        assert (str(after.status), after.error) == ("ok", None), f"{trouble}: not healed"
        assert (left := self._differences(mirror)) == [], f"{trouble}: healed, and not equal: {left}"
        assert mirror.rejected() == [], f"{trouble}: healed, and still kept aside"
        return cell

    def _outcome(self, report: Report, mirror: Mirror, trouble: Trouble | None, *, met: bool) -> str:
        """The outcome in a word. A run that says ok must be equal to the truth, but for what it says it kept aside."""
        if report.status != "ok":
            assert report.error, f"{trouble}: {report.status} without a reason"
            return RECONNECT if isinstance(report.failure, NeedsReauth) else str(report.status)
        differences = self._differences(mirror)
        if kept := mirror.rejected():
            assert len(kept) <= report.rejected
            return "kept aside"
        if trouble and trouble.kind == "surrogate":
            differences = [text for text in differences if "\\ufffd" not in ascii(text)]
        if (
            self.resource == "events"
            and all(text.endswith("only in the mirror") for text in differences)
            and differences
        ):
            return "later"
        assert differences == [], f"{trouble}: ok with a difference: {differences}"
        return "ok" if trouble is None else REPAIRED if met else "-"

    def _differences(self, mirror: Mirror) -> list[str]:
        return mirror.differences(*TABLES[self.resource])

    def _met(self, trouble: Trouble) -> bool:
        """Whether the fault came to pass: it is used up, or not as often left as it was ordered."""
        faults = (self.portal.tokens if trouble.where == "token" else self.portal).faults._faults
        return not faults or (faults[0].times < ALWAYS and trouble.lasts)

    def _heal(self, mirror: Mirror) -> None:
        """A quarter of an hour later all is well."""
        self.portal.faults.clear()
        self.portal.tokens.faults.clear()
        self.portal.spoiled.clear()
        self.portal.operating = Operating(480.0)
        mirror.clock.advance(900)

    def _live(self) -> None:
        """An hour on the portal: something of what this run promises to find."""
        self._number += 1
        self.stage.clock.advance(3_600)
        acts = {"users": self._people, "tasks": self._work, "planner": self._plan, "calendar": self._meet}
        acts[self.reads]()

    def _people(self) -> None:
        chosen = sorted(self.portal.world.users)[self._number % 5 :][:3]
        for user_id in chosen:
            self.portal.update_user(user_id, work_position=f"Position {self._number}")

    def _work(self) -> None:
        for task_id in self.portal.world.task_ids[self._number % 40 :][:8]:
            self.portal.update_task(task_id, title=f"Title {self._number}")
        self.portal.create_task(title="New")
        if self.run == SWEEP or self.resource == "events":
            tasks = self.portal.world.tasks
            parents = {task.parent_id for task in tasks.values()}  # their children would be moved without a date
            self.portal.delete_task(next(task_id for task_id in sorted(tasks) if task_id not in parents))

    def _plan(self) -> None:
        tasks = self.portal.world.task_ids[self._number % 40 :][:4]
        self.portal.set_planner(self.portal.admin_id, tasks)

    def _calendar(self) -> None:
        """A few events of every kind, for the invented ones may be somebody else's."""
        admin, guest = sorted(self.portal.world.users)[:2]
        kinds: list[dict[str, Any]] = [{"rule": Rule("WEEKLY", count=9)}, {}, {"attendees": {guest: "Y"}}, {}, {}]
        for days, values in enumerate(kinds):
            starts = MONDAY + timedelta(days=days)
            self.portal.create_event(admin, starts, starts + timedelta(hours=1), name=f"Event {days}", **values)

    def _meet(self) -> None:
        """One event changes, one goes, one comes."""
        admin = self.portal.admin_id
        mine = [event for event in self.portal.world.events.values() if event.owner_id == admin and event.rule is None]
        mine = [event for event in mine if not event.is_meeting]
        starts = MONDAY + timedelta(days=self._number % 60)
        self.portal.update_event(mine[1].event_id, name=f"Name {self._number}")
        self.portal.delete_event(mine[0].event_id)
        self.portal.create_event(admin, starts, starts + timedelta(hours=1), name="New")


def invented_deletions(mirror: Mirror) -> list[str]:
    """Rows marked as deleted whose record is there."""
    world = mirror.portal.world
    there = {
        "tasks": world.tasks.keys(),
        "users": world.users.keys(),
        "calendar_events": world.events.keys(),
        "calendar_sections": world.sections.keys(),
    }
    key = {"tasks": "task_id", "users": "user_id", "calendar_events": "event_id", "calendar_sections": "section_id"}
    return [
        f"{table} {row[key[table]]}"
        for table, ids in there.items()
        for row in mirror.rows(table, deleted=True)
        if row["deleted_at"] and row[key[table]] in ids
    ]
