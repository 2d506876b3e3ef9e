"""What the demo shows: the mirror's database at a glance, and three queries on it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from worker.resources import RESOURCES
from worker.storage.models import Base, CalendarEvent, SyncRun, Task
from worker.storage.session import Database
from worker.storage.tokens import TokenDates, token_dates
from worker.storage.upsert import count_live

SHOWN = (
    "tasks",
    "calendar_events",
    "calendar_occurrences",
    "event_attendees",
    "calendar_sections",
    "planner_tasks",
    "users",
)
CHANGES = 8
COLOURS = {"ok": "green", "incomplete": "yellow", "guarded": "yellow", "failed": "red"}

QUERIES = {
    "Who has most overdue tasks?": """SELECT responsible, count(*) AS overdue
FROM overdue_tasks GROUP BY responsible ORDER BY overdue DESC LIMIT 3""",
    "What is next in the calendars?": """SELECT starts_at, name, owner
FROM upcoming_events WHERE NOT all_day ORDER BY starts_at LIMIT 3""",
    "What changed last?": """SELECT updated_at, task_id, title
FROM tasks WHERE deleted_at IS NULL ORDER BY updated_at DESC LIMIT 3""",
}


@dataclass(frozen=True, slots=True)
class Change:
    """A row of the mirror that was written: when, which, and what became of it."""

    at: datetime
    what: str
    name: str


@dataclass(frozen=True, slots=True)
class Glance:
    """The mirror at one moment.

    Args:
        rows: Table to its number of live rows.
        runs: Resource to its last run.
        finished: Resource to when its last whole (`ok`) run began.
        changes: The last rows written after the first mirror.
        token: The account's pair, without secrets; None before the connection.
    """

    rows: Mapping[str, int]
    runs: Mapping[str, SyncRun]
    finished: Mapping[str, datetime]
    changes: Sequence[Change]
    token: TokenDates | None

    @property
    def mirrored(self) -> bool:
        """Every resource was read whole at least once."""
        return set(RESOURCES) <= set(self.finished)

    def incremental_since(self, moment: datetime) -> bool:
        """Every resource has had a whole run that began after `moment`."""
        return self.mirrored and all(began > moment for began in self.finished.values())


def glance(database: Database) -> Glance:
    """Read what the frame shows."""
    with database.read() as session:
        last = select(func.max(SyncRun.id)).group_by(SyncRun.resource)
        runs = {run.resource: run for run in session.scalars(select(SyncRun).where(SyncRun.id.in_(last)))}
        finished = session.execute(
            select(SyncRun.resource, func.max(SyncRun.started_at))
            .where(SyncRun.status == "ok")
            .group_by(SyncRun.resource)
        ).tuples()
        began = session.scalar(
            select(func.max(SyncRun.finished_at)).where(SyncRun.mode == "full", SyncRun.resource == "tasks")
        )
        pairs = token_dates(session)
        return Glance(
            rows={name: count_live(session, Base.metadata.tables[name], 1) for name in SHOWN},
            runs=runs,
            finished=dict(finished.all()),
            changes=_changes(session, began) if began else [],
            token=pairs[0] if pairs else None,
        )


def _changes(session: Session, since: datetime) -> list[Change]:
    """The last rows written after `since`, tasks and events alike, the newest first."""
    changes: list[Change] = []
    for what, model, title in (("task", Task, Task.title), ("event", CalendarEvent, CalendarEvent.name)):
        for at in (model.deleted_at, model.updated_at):
            last = select(model.first_seen_at, model.updated_at, model.deleted_at, title).where(at > since)
            for first_seen, updated, deleted, name in session.execute(last.order_by(at.desc()).limit(CHANGES)).tuples():
                verb = "deleted" if deleted else "new" if first_seen == updated else "changed"
                changes.append(Change(deleted or updated, f"{what} {verb}", name or ""))
    return sorted(set(changes), key=lambda change: change.at, reverse=True)[:CHANGES]


def frame(seen: Glance, acts: Sequence[tuple[datetime, str]], renewals: Sequence[datetime]) -> RenderableType:
    """The whole picture."""
    return Group(
        Columns([_mirror(seen), _runs(seen)], padding=(0, 2)),
        Panel(_token(seen, renewals), title="Access token", title_align="left"),
        Panel(
            _told(acts) or Text("nobody has done anything yet", style="dim"),
            title="What people did on the portal",
            title_align="left",
        ),
        Panel(
            _written(seen) or Text("nothing since the first mirror", style="dim"),
            title="What the mirror wrote",
            title_align="left",
        ),
    )


def _mirror(seen: Glance) -> Table:
    table = Table(title="The mirror", title_justify="left")
    table.add_column("table")
    table.add_column("rows", justify="right")
    for name, rows in seen.rows.items():
        table.add_row(name, f"{rows:,}")
    return table


def _runs(seen: Glance) -> Table:
    table = Table(title="Last run of each resource", title_justify="left")
    for name in ("resource", "mode", "status"):
        table.add_column(name)
    for name in ("read", "written", "requests", "seconds", "ago"):
        table.add_column(name, justify="right")
    for name in RESOURCES:
        run = seen.runs.get(name)
        if run is None:
            table.add_row(name, *["…"] * 7, style="dim")
            continue
        written = run.inserted + run.updated + run.deleted + run.revived
        ago = (datetime.now(UTC) - run.finished_at).total_seconds()
        status = Text(run.status, style=COLOURS.get(run.status, ""))
        table.add_row(
            name,
            run.mode,
            status,
            f"{run.fetched:,}",
            f"{written:,}",
            f"{run.http_requests}",
            f"{run.seconds:.1f}",
            f"{ago:.0f} s",
        )
    return table


def _token(seen: Glance, renewals: Sequence[datetime]) -> Text:
    if seen.token is None:
        return Text("none yet", style="dim")
    left = (seen.token.access_expires_at - datetime.now(UTC)).total_seconds()
    times = ", ".join(f"{at.astimezone():%H:%M:%S}" for at in renewals[-5:])
    return Text.assemble(
        (f"{max(0.0, left):.0f} s left", "bold"),
        f" of {seen.token.expires_in} s (a real one lives an hour) · pair no. {seen.token.version}",
        f" · renewed at {times}" if times else " · not renewed yet",
    )


def _told(acts: Sequence[tuple[datetime, str]]) -> Text | None:
    lines = [f"{at.astimezone():%H:%M:%S}  {sentence}" for at, sentence in reversed(acts)]
    return Text("\n".join(lines)) if lines else None


def _written(seen: Glance) -> Text | None:
    """A meeting has a copy for each participant: what looks alike is one line."""
    alike = Counter(f"{change.at.astimezone():%H:%M:%S}  {change.what}: {change.name}" for change in seen.changes)
    lines = [f"{line} ({count} copies)" if count > 1 else line for line, count in alike.items()]
    return Text("\n".join(lines)) if lines else None


def _shown(value: object) -> str:
    """SQLite keeps times as texts, to the microsecond."""
    return re.sub(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.\d{6}$", r"\1", str(value))


def queries(console: Console, database: Database) -> None:
    """Three questions, as SQL that can be typed anywhere, with the mirror's answers."""
    with database.read() as session:
        for question, sql in QUERIES.items():
            console.print(f"[bold]{question}[/]\n[cyan]{sql};[/]", highlight=False)
            for row in session.execute(text(sql)):
                console.print("   " + " | ".join(_shown(value) for value in row), highlight=False, markup=False)
            console.print()
