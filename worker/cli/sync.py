"""`b24sync sync`: portals' turns at once, in this process, without a broker."""

import json
import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

import click
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from worker.cli.console import App, coloured, pass_app, plain, say, stderr
from worker.cli.program import exit_code, sentences
from worker.errors import B24SyncError, IncompleteRun, Interrupted, LeaseLost, PortalClosed
from worker.overview import count_rows
from worker.resources import RESOURCES
from worker.storage import portals
from worker.storage.models import Portal
from worker.storage.trouble import UNUSABLE, database_sentence
from worker.sync.portal import Wish
from worker.sync.report import Mode, Report, Status

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds to wait for another process that works on the same portal: as long as a lease outlives its holder."""

_POLL_SECONDS = 0.5


@click.command()
@click.option("--portal", metavar="P", help="Only this portal: a member_id, a domain or a number.")
@click.option(
    "--resource", "resources", multiple=True, type=click.Choice(RESOURCES), help="Only this; may be repeated."
)
@click.option("--reconcile", is_flag=True, help="Sweep all IDs: find what is deleted or restored.")
@click.option("--full", is_flag=True, help="Read everything again, and find what is deleted.")
@click.option("--force", is_flag=True, help="Delete even where the guard against mass deletion stops.")
@click.option("--json", "as_json", is_flag=True, help="Print the runs as JSON.")
@pass_app
def sync(
    app: App, *, portal: str | None, resources: tuple[str, ...], reconcile: bool, full: bool, force: bool, as_json: bool
) -> None:
    r"""Bring the mirror up to date now.

    \b
    Examples:
      b24sync sync
      b24sync sync --portal acme.bitrix24.com --resource tasks --full
      b24sync sync --json
    """
    if reconcile and full:
        raise click.UsageError("--reconcile and --full exclude each other: --full finds deletions too.")
    mode = Mode.FULL if full else Mode.RECONCILE if reconcile else None
    wish = Wish(resources=frozenset(resources) or None, mode=mode, at_once=True, force=force)
    chosen = [app.portal(portal)[0]] if portal is not None else _all(app)
    active = [one for one in chosen if not _skipped(one)]
    with stopped_by_signals(app.stop):
        reports = _run(app, active, wish)
    if as_json:
        click.echo(json.dumps({"runs": [report.as_dict() for report in reports]}))
    else:
        show(reports, {one.member_id: one.domain for one in active})
    click.get_current_context().exit(exit_code(filter(None, map(trouble, reports))))


def _all(app: App) -> list[Portal]:
    with app.wiring.ready_database.read() as session:
        chosen = list(portals.list_portals(session))
    if not chosen:
        say("no portal is connected: run `b24sync connect your-portal.bitrix24.com`")
    return chosen


def _skipped(portal: Portal) -> bool:
    if portal.status != "paused":
        return False
    say(f"{portal.domain} is paused and was skipped; `b24sync portals resume {portal.domain}` wakes it")
    return True


@dataclass(frozen=True, slots=True)
class _Job:
    portal: Portal
    future: Future[list[Report]]


def _run(app: App, chosen: Sequence[Portal], wish: Wish) -> list[Report]:
    """All turns, side by side: a slow portal does not hold up the others. In the order of the portals."""
    if not chosen:
        return []
    app.wiring.sync  # noqa: B018 - made here, not in several threads at once
    with ThreadPoolExecutor(min(len(chosen), app.settings.concurrency), thread_name_prefix="sync") as pool:
        jobs = [_Job(portal, pool.submit(_turn, app, portal, wish)) for portal in chosen]
        try:
            with _progress(app, jobs, _wanted(wish)):
                wait(job.future for job in jobs)
        except BaseException:
            app.stop.set()  # each turn ends at its next page; what was read stays, and the next run goes on from there
            raise
    return [report for job in jobs for report in job.future.result()]


def _turn(app: App, portal: Portal, wish: Wish) -> list[Report]:
    """One portal's turn. Whatever ends it is this portal's trouble alone: a report says so."""
    try:
        return _patient_turn(app, portal, wish)
    except (LeaseLost, Interrupted) as error:
        return _not_read(portal, wish, IncompleteRun(str(error)))
    except UNUSABLE as error:
        return _not_read(portal, wish, B24SyncError(database_sentence(error)))
    except Exception as error:
        log.exception("an error that b24sync did not expect, while it read %s", portal.domain)
        return _not_read(portal, wish, B24SyncError(f"a mistake in b24sync, please report it: {type(error).__name__}"))


def _patient_turn(app: App, portal: Portal, wish: Wish) -> list[Report]:
    """A turn that begins when nobody else is at work on the portal."""
    clock = app.wiring.clock
    end = clock.monotonic() + PATIENCE
    while True:
        asked_at = clock.monotonic()
        outcome = app.wiring.sync.run(portal.id, wish)
        if outcome is not None:
            if portal.status == "closed":
                reason = PortalClosed(portal.status_reason or "it serves us no more", portal=portal.domain)
                return outcome.reports or _not_read(portal, wish, reason)
            return outcome.reports
        if asked_at >= end or app.stop.is_set():
            busy = f"{portal.domain}: another process is at work on it and did not finish within {PATIENCE:.0f} s"
            return _not_read(portal, wish, IncompleteRun(busy))
        clock.sleep(min(_POLL_SECONDS, max(0.0, end - clock.monotonic())))


def _wanted(wish: Wish) -> list[str]:
    return [name for name in RESOURCES if wish.resources is None or name in wish.resources]


def _not_read(portal: Portal, wish: Wish, error: B24SyncError) -> list[Report]:
    reports = [Report(portal.member_id, name, wish.mode or Mode.INCREMENTAL) for name in _wanted(wish)]
    for report in reports:
        report.fail(error)
    return reports


def trouble(report: Report) -> B24SyncError | None:
    """What the exit code is made of; None where the run went well."""
    if report.status is Status.OK:
        return None
    return report.failure or B24SyncError(report.error or "it failed")


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """SIGTERM ends the turns at their next page, as the daemon does; the reports then say that they are incomplete."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(app: App, jobs: Sequence[_Job], names: Sequence[str]) -> Iterator[None]:
    """A line for each resource with its rows, while a person watches."""
    console = stderr()
    if not console.is_terminal:
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.fields[rows]:,} rows"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        lines = {
            (job.portal.id, name): progress.add_task(plain(f"{job.portal.domain} {name}"), total=None, rows=0)
            for job in jobs
            for name in names
        }
        ended = threading.Event()
        watcher = threading.Thread(target=_watch, args=(app, progress, lines, ended), name="progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _watch(app: App, progress: Progress, lines: dict[tuple[int, str], TaskID], ended: threading.Event) -> None:
    """What a turn has written is read from the database: the turn itself tells nobody before its end."""
    while not ended.wait(0.5):
        for (portal_id, name), line in lines.items():
            with app.wiring.ready_database.read() as session:
                progress.update(line, rows=count_rows(session, portal_id, name))


def show(reports: Sequence[Report], domains: dict[str, str]) -> None:
    """A table for each portal, narrow enough for 80 columns."""
    console = stderr()
    for member_id, domain in domains.items():
        mine = [report for report in reports if report.portal == member_id]
        if mine:
            console.print(Text(plain(domain), style="bold"))
            console.print(_table(mine))
    troubles = [line for error in map(trouble, reports) if error is not None for line in sentences(error)]
    say(*dict.fromkeys(troubles))


def _table(reports: Sequence[Report]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("resource", "mode", "status"):
        table.add_column(name)
    for name in ("read", "new", "changed", "deleted", "rejected", "seconds"):
        table.add_column(name, justify="right")
    for report in reports:
        changed = report.updated + report.revived
        figures = (report.fetched, report.inserted, changed, report.deleted, report.rejected)
        table.add_row(
            report.resource,
            report.mode,
            coloured(report.status),
            *(f"{figure:,}" for figure in figures),
            f"{report.seconds:.1f}",
        )
    return table
