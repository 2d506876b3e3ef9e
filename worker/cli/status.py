"""`b24sync status`: how fresh the mirror is, and how long the tokens live."""

import json
import time
from datetime import datetime

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from worker.cli.console import App, ago, ahead, coloured, now, pass_app, plain, span, stdout
from worker.overview import AccountState, Overview, PortalState, look
from worker.storage.session import Database


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the state as JSON.")
@click.option("--watch", is_flag=True, help="Show it anew every second, until Ctrl-C.")
@pass_app
def status(app: App, as_json: bool, watch: bool) -> None:
    r"""Show each portal's state: last runs, freshness, rows, accounts and their tokens.

    \b
    Examples:
      b24sync status
      b24sync status --watch
      b24sync status --json
    """
    if as_json and watch:
        raise click.UsageError("--json and --watch exclude each other.")
    database = app.wiring.ready_database
    if as_json:
        click.echo(json.dumps(look(database, now()).as_dict()))
        return
    console = stdout()
    if not watch:
        console.print(_current(database))
        return
    if not console.is_terminal:  # a pipe gets one picture after another; Live would show it the last one only
        while True:
            console.print(_current(database))
            console.file.flush()
            time.sleep(1)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            live.update(_current(database), refresh=True)
            time.sleep(1)


def _current(database: Database) -> RenderableType:
    at = now()
    return picture(look(database, at), at)


def picture(overview: Overview, at: datetime) -> RenderableType:
    """All portals as a person reads them, one below the other: it fits into 80 columns."""
    if not overview.portals:
        return Text("No portal is connected: run `b24sync connect your-portal.bitrix24.com`.")
    parts: list[RenderableType] = []
    for portal in overview.portals:
        parts += [
            Text.assemble((plain(portal.domain), "bold"), "  ", coloured(portal.status)),
            Padding(_resources(portal, at), (0, 0, 0, 2), expand=False),
            *(Padding(_account(account, at), (0, 0, 0, 2), expand=False) for account in portal.accounts),
            Padding(_rejected(portal), (0, 2), expand=False),
            Text(),
        ]
    return Group(*parts, Text(f"schema {overview.schema}", style="dim"))


def _resources(portal: PortalState, at: datetime) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("resource", "last run", "status", "up to date"):
        table.add_column(name)
    table.add_column("rows", justify="right")
    table.add_column("next run")
    for resource in portal.resources:
        fresh = resource.fresh_seconds
        table.add_row(
            resource.name,
            ago(resource.last_run_at, at),
            coloured(resource.last_status),
            "never" if fresh is None else f"{span(fresh)} ago",
            f"{resource.rows:,}",
            ahead(resource.next_run_at, at) if portal.status == "active" else "-",
        )
    return table


def _account(account: AccountState, at: datetime) -> Text:
    primary = " (primary)" if account.is_primary else ""
    tokens = ""
    if account.access_expires_at is not None:
        access, refresh = _left(account.access_expires_at, at), _left(account.refresh_expires_at, at)
        tokens = f"; access token {access}, refresh token {refresh}"
    start = f"{account.kind} of user {account.user_id}{primary}: "
    return Text.assemble(start, coloured(account.status), f"{tokens}; scopes {plain(account.scope)}")


def _rejected(portal: PortalState) -> Text:
    return Text(f"{portal.rejected:,} rejected records", style="yellow" if portal.rejected else "dim")


def _left(moment: datetime | None, at: datetime) -> str:
    seconds = 0.0 if moment is None else (moment - at).total_seconds()
    return f"{span(seconds)} left" if seconds > 0 else "over"
