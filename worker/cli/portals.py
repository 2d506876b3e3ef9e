"""`b24sync portals`: which portals are connected, and what is done with them."""

import click
from rich.table import Table

from worker.cli.console import App, coloured, pass_app, plain, say, stdout
from worker.storage import portals as store
from worker.storage.models import Portal


@click.group(invoke_without_command=True)
@click.pass_context
def portals(ctx: click.Context) -> None:
    r"""List the portals; pause, resume or remove one.

    \b
    Examples:
      b24sync portals
      b24sync portals pause acme.bitrix24.com
    """
    if ctx.invoked_subcommand is None:
        _list(ctx.ensure_object(App))


@portals.command("pause")
@click.argument("portal", metavar="P")
@pass_app
def pause(app: App, portal: str) -> None:
    r"""Stop reading a portal until it is resumed.

    Its tokens are kept alive.

    \b
    Example:
      b24sync portals pause acme.bitrix24.com
    """
    found = _change(app, portal, "paused", "paused by an operator")
    say(f"{found.domain} is paused; `b24sync portals resume {found.domain}` wakes it")


@portals.command("resume")
@click.argument("portal", metavar="P")
@pass_app
def resume(app: App, portal: str) -> None:
    r"""Go on reading a portal at once.

    One that was paused, or that was closed and is mended.

    \b
    Example:
      b24sync portals resume acme.bitrix24.com
    """
    found = _change(app, portal, "active", None)
    say(f"{found.domain} is read again")


@portals.command("remove")
@click.argument("portal", metavar="P")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_app
def remove(app: App, portal: str, yes: bool) -> None:
    r"""Forget a portal and all that was mirrored of it.

    Its tokens too; on the portal itself nothing is changed.

    \b
    Example:
      b24sync portals remove acme.bitrix24.com --yes
    """
    found = _find(app, portal)
    if not yes:
        question = f"Delete the tokens and all mirrored rows of {plain(found.domain)} from this database?"
        click.confirm(question, abort=True, err=True)
    with app.wiring.ready_database.write() as session:
        store.remove_portal(session, found.id)
    say(f"{found.domain} is forgotten; on the portal itself nothing was changed")


def _list(app: App) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("number", "domain", "member_id", "state", "accounts", "reason"):
        table.add_column(name, overflow="fold")
    with app.wiring.ready_database.read() as session:
        found = store.list_portals(session)
        for portal in found:
            users = [f"{account.kind} {account.user_id}" for account in store.list_accounts(session, portal.id)]
            cells = (str(portal.id), plain(portal.domain), plain(portal.member_id), coloured(portal.status))
            table.add_row(*cells, ", ".join(users), plain(portal.status_reason or ""))
    if found:
        stdout().print(table)
    else:
        say("no portal is connected: run `b24sync connect your-portal.bitrix24.com`")


def _find(app: App, name: str) -> Portal:
    return app.portal(name)[0]


def _change(app: App, name: str, status: str, reason: str | None) -> Portal:
    found = _find(app, name)
    with app.wiring.ready_database.write() as session:
        store.set_portal_status(session, found.id, status, reason)
    return found
