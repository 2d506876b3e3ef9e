"""`b24sync record` and `b24sync replay`: a portal's answers as a file without its people, and a run against it."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click

from worker import recording
from worker.cli.console import App, pass_app, say
from worker.cli.program import exit_code
from worker.cli.sync import show, stopped_by_signals, trouble
from worker.errors import B24SyncError, UsageError
from worker.sync.report import Report


@click.command()
@click.argument("portal", metavar="P")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The file to write; new.")
@pass_app
def record(app: App, *, portal: str, out: Path) -> None:
    r"""Write a portal's answers to a file, without its people.

    One whole reading and one by its changes, with everything that people wrote replaced. The mirror is not touched, and
    nothing on the portal is changed. See docs/recording.md for what the file holds.

    \b
    Example:
      b24sync record acme.bitrix24.com --out acme.jsonl
    """
    chosen = app.portal(portal)
    with stopped_by_signals(app.stop), _new(out) as file:
        reports = recording.record(app.wiring, *chosen, file)
    show(reports, {chosen[0].member_id: chosen[0].domain})
    say(f"{out} holds the answers, without names, texts, addresses and secrets; read it before you send it")
    _exit(reports)


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--database", metavar="URL", help="Keep the mirror in this database instead of throwing it away.")
@click.option("--json", "as_json", is_flag=True, help="Print the runs as JSON.")
@pass_app
def replay(app: App, *, file: Path, database: str | None, as_json: bool) -> None:
    r"""Read everything from a recording instead of a portal.

    What comes of it is a mirror of its own, thrown away unless a database is named.

    \b
    Examples:
      b24sync replay acme.jsonl
      b24sync replay acme.jsonl --database sqlite:///acme.db
    """
    with stopped_by_signals(app.stop):
        reports = recording.replay(app.wiring, file, database)
    if as_json:
        click.echo(json.dumps({"runs": [report.as_dict() for report in reports]}))
    else:
        show(reports, {report.portal: str(file) for report in reports})
    _exit(reports)


@contextmanager
def _new(path: Path) -> Iterator[TextIO]:
    """A file that only we may read, and that was not there before."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} is there already: name a new file") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file
    except OSError as error:  # the disk is full, say
        raise B24SyncError(f"{path} could not be written to its end: {error.strerror}") from None


def _exit(reports: Sequence[Report]) -> None:
    click.get_current_context().exit(exit_code(filter(None, map(trouble, reports))))
