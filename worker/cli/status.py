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

from worker.cli.console import App, ago, ahead, coloured, now, pass_app, plain, stdout
from worker.overview import AccountState, Overview, PortalState, look
from worker.storage.ranking import Rank
from worker.storage.revisions import current
from worker.web import texts
from worker.web.listing import Listing, list_portals
from worker.web.needs import needs
from worker.wording import span

EVENTS = {
    "confirm": "yes, each confirmed once the mirror has it",
    "hints": "yes, as hints; polling finds what they miss",
    "polling": "none; deletions are found by the sweep",
}
"""What `portals.events_mode` means to a person."""

DRIFT = {"field": "a", "shape": "now a", "code": "the word"}
DRIFT_SHOWN = 3


@click.command()
@click.option("--portal", "name", metavar="P", help="Only this portal: a member_id, a domain or a number.")
@click.option("--json", "as_json", is_flag=True, help="Print the state as JSON.")
@click.option("--watch", is_flag=True, help="Show it anew every second, until Ctrl-C.")
@pass_app
def status(app: App, name: str | None, as_json: bool, watch: bool) -> None:
    r"""Show how fresh the mirror of each portal is.

    With the last run, rows and next run of each resource, and how long the accounts' tokens live. Of more than fifty
    portals people are shown those that want to be looked at first; --json has all of them.

    \b
    Examples:
      b24sync status
      b24sync status --portal acme.bitrix24.com
      b24sync status --watch
      b24sync status --json
    """
    if as_json and watch:
        raise click.UsageError("--json and --watch exclude each other.")
    chosen = None if name is None else app.portal(name)[0].id
    if as_json:
        click.echo(json.dumps(_overview(app, chosen).as_dict()))
        return
    console = stdout()
    if not watch:
        console.print(_current(app, chosen))
        return
    if not console.is_terminal:  # a pipe gets one picture after another; Live would show it the last one only
        while True:
            console.print(_current(app, chosen))
            console.file.flush()
            time.sleep(1)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            hint = Text(f"{now().astimezone():%H:%M:%S}, Ctrl-C ends", style="dim")
            live.update(Group(_current(app, chosen), hint), refresh=True)
            time.sleep(1)


def _current(app: App, chosen: int | None) -> RenderableType:
    at = now()
    if chosen is not None:
        return picture(_overview(app, chosen), at)
    schema = current(app.wiring.ready_database)
    with app.wiring.ready_database.read() as session:
        listing = list_portals(session, at, app.settings.sync_interval)
    return Group(picture(Overview(list(listing.portals.values()), schema), at), *_others(listing))


def _overview(app: App, chosen: int | None) -> Overview:
    """Of the chosen portal, or of all."""
    return look(app.wiring.ready_database, now(), None if chosen is None else [chosen])


def _others(listing: Listing) -> list[Text]:
    """That there are more portals than are shown."""
    if listing.pages == 1:
        return []
    counts = listing.counts
    ranks = ", ".join(texts.rank(rank, counts.portals[rank]) for rank in Rank if rank in counts.portals)
    shown = f"{len(listing.portals)} of {counts.total:,} portals are shown: {ranks}."
    return [Text(f"{shown} `--portal P` shows one, `--json` all.", style="bold")]


def picture(overview: Overview, at: datetime) -> RenderableType:
    """All portals as a person reads them, one below the other: it fits into 80 columns."""
    if not overview.portals:
        return Text("No portal is connected: run `b24sync connect your-portal.bitrix24.com`.")
    parts: list[RenderableType] = []
    for portal in overview.portals:
        parts += [
            Text.assemble((plain(portal.domain), "bold"), "  ", coloured(portal.status)),
            *(_indented(line) for line in _silence(portal, at)),
            _indented(_resources(portal, at)),
            *(_indented(line) for line in _errors(portal)),
            *(_indented(line) for account in portal.accounts for line in _account(account, at)),
            _indented(_events(portal)),
            _indented(_rejected(portal)),
            *(_indented(line) for line in _drift(portal)),
            Text(),
        ]
    return Group(*parts, *_needs(overview, at), Text(f"schema {overview.schema}", style="dim"))


def _needs(overview: Overview, at: datetime) -> list[RenderableType]:
    """What waits for a person, as the status page has it, with the command for it."""
    lines: list[RenderableType] = []
    for need in needs(overview.portals, at):
        lines.append(Text(plain(f"{need.what} {need.how}"), style="yellow"))
        command = need.command or (f"b24sync connect {need.portal}" if need.portal else None)
        if command:
            lines.append(_indented(Text(plain(command), style="bold")))
    return [Text("What needs you", style="bold"), *lines, Text()] if lines else []


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


def _indented(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 2), expand=False)


def _errors(portal: PortalState) -> list[Text]:
    """Why the last runs were not whole; one reason that several share is told once."""
    told: dict[str, list[str]] = {}
    for resource in portal.resources:
        if resource.error:
            told.setdefault(resource.error, []).append(resource.name)
    return [Text.assemble((", ".join(names), "yellow"), f": {plain(error)}") for error, names in told.items()]


def _account(account: AccountState, at: datetime) -> list[Text]:
    primary = " (primary)" if account.is_primary else ""
    lines = [Text.assemble(f"{account.kind} of user {account.user_id}{primary}: ", coloured(account.status))]
    if account.status == "ok" and account.access_expires_at is not None:
        access, refresh = _left(account.access_expires_at, at), _left(account.refresh_expires_at, at)
        lines.append(Text(f"  access token {access}, refresh token {refresh}"))
    lines.append(Text(f"  scopes {plain(account.scope).replace(',', ', ') or 'unknown'}"))
    return lines


def _events(portal: PortalState) -> Text:
    words = EVENTS.get(portal.events_mode or "", "not asked about yet")
    return Text(f"offline events: {words}", style="dim")


def _silence(portal: PortalState, at: datetime) -> list[Text]:
    """Nothing while the portal answers."""
    breaker = portal.breaker
    if not breaker.failures:
        return []
    times = "once" if breaker.failures == 1 else f"{breaker.failures} times in a row"
    again = f"asked again {ahead(breaker.until, at)}" if breaker.state == "open" else "asked again now"
    text = f"it did not answer, {times}; {again}: {plain(breaker.reason or '')}"
    return [Text(text, style="yellow")]


def _drift(portal: PortalState) -> list[Text]:
    """What the portal sends that this program does not know; a few examples, for the rest is in --json."""
    if not portal.drift:
        return []
    told = ", ".join(
        f"{one.resource}.{one.field} ({DRIFT[one.kind]} {one.example})" for one in portal.drift[:DRIFT_SHOWN]
    )
    more = len(portal.drift) - DRIFT_SHOWN
    rest = f", and {more} more" if more > 0 else ""
    return [Text(plain(f"new to b24sync: {told}{rest}"), style="dim")]


def _rejected(portal: PortalState) -> Text:
    return Text(f"{portal.rejected:,} rejected records", style="yellow" if portal.rejected else "dim")


def _left(moment: datetime | None, at: datetime) -> str:
    seconds = 0.0 if moment is None else (moment - at).total_seconds()
    return f"{span(seconds)} left" if seconds > 0 else "over"
