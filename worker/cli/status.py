"""`b24sync status`: how fresh the mirror is, and how long the tokens live."""

import json
import time
from collections.abc import Iterator
from datetime import datetime

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from worker.cli.console import App, ago, ahead, coloured, now, pass_app, plain, span, stdout
from worker.web.overview import AccountState, Overview, PortalState, look


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
        console.print(picture(look(database, now()), now()))
        return
    if not console.is_terminal:  # a pipe gets one picture after another; Live would show it the last one only
        while True:
            console.print(picture(look(database, now()), now()))
            console.file.flush()
            time.sleep(1)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            live.update(picture(look(database, now()), now()), refresh=True)
            time.sleep(1)


def picture(overview: Overview, at: datetime) -> RenderableType:
    """All portals as a person reads them."""
    if not overview.portals:
        return Text("No portal is connected: run `b24sync connect your-portal.bitrix24.com`.")
    resources = Table(box=None, pad_edge=False)
    for name in ("portal", "state", "resource", "last run", "status", "up to date"):
        resources.add_column(name)
    resources.add_column("rows", justify="right")
    resources.add_column("next run")
    accounts = Table(box=None, pad_edge=False)
    for name in ("portal", "user", "kind", "account", "access token", "refresh token", "scopes", "rejected records"):
        accounts.add_column(name)
    for portal in overview.portals:
        for cells in _resource_rows(portal, at):
            resources.add_row(*cells)
        for number, account in enumerate(portal.accounts):
            rejected = f"{portal.rejected:,}" if number == 0 else ""
            accounts.add_row(plain(portal.domain), *_account_cells(account, at), rejected)
    return Group(resources, Text(), accounts, Text(f"\nschema {overview.schema}", style="dim"))


def _resource_rows(portal: PortalState, at: datetime) -> Iterator[list[RenderableType]]:
    for number, resource in enumerate(portal.resources):
        fresh = resource.fresh_seconds
        yield [
            plain(portal.domain) if number == 0 else "",
            coloured(portal.status) if number == 0 else "",
            resource.name,
            ago(resource.last_run_at, at),
            coloured(resource.last_status),
            "never" if fresh is None else f"{span(fresh)} ago",
            f"{resource.rows:,}",
            ahead(resource.next_run_at, at) if portal.status == "active" else "-",
        ]


def _account_cells(account: AccountState, at: datetime) -> list[RenderableType]:
    return [
        f"{account.user_id}{' (primary)' if account.is_primary else ''}",
        account.kind,
        coloured(account.status),
        _left(account.access_expires_at, at),
        _left(account.refresh_expires_at, at),
        plain(account.scope),
    ]


def _left(moment: datetime | None, at: datetime) -> str:
    if moment is None:
        return "no end"
    seconds = (moment - at).total_seconds()
    return f"{span(seconds)} left" if seconds > 0 else "over"
