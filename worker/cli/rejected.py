"""`b24sync rejected`: the records that could not become rows, and why."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.table import Table

from worker.cli.console import App, ago, now, pass_app, plain, say, stdout
from worker.errors import UsageError
from worker.storage import portals
from worker.storage.models import Portal, RejectedRecord
from worker.storage.rejected import list_rejected

Kept = tuple[Portal, RejectedRecord]


@click.command()
@click.option("--portal", metavar="P", help="Only this portal: a member_id, a domain or a number.")
@click.option("--json", "as_json", is_flag=True, help="Print the records with their payloads as JSON.")
@pass_app
def rejected(app: App, *, portal: str | None, as_json: bool) -> None:
    r"""List the records that could not become rows.

    With the reason of each. They are tried again at every run.

    \b
    Examples:
      b24sync rejected
      b24sync rejected --portal acme.bitrix24.com
      b24sync rejected --json
    """
    records = _kept(app, portal)
    if as_json:
        click.echo(json.dumps({"rejected": [_figures(one, record) for one, record in records]}))
    elif records:
        stdout().print(_picture(records, now()))
    else:
        say("no record is rejected")


def _kept(app: App, name: str | None) -> list[Kept]:
    """Portal by portal; what was tried longest ago comes first."""
    with app.wiring.ready_database.read() as session:
        found = portals.list_portals(session) if name is None else [portals.find_portal(session, name)]
        kept: list[Kept] = []
        for portal in found:
            if portal is None:
                raise UsageError(f"no portal {name!r} is connected: `b24sync portals` lists those that are")
            kept += [(portal, record) for record in list_rejected(session, portal.id)]
        return kept


def _figures(portal: Portal, record: RejectedRecord) -> dict[str, Any]:
    return {
        "portal": portal.member_id,
        "resource": record.resource,
        "key": record.record_key,
        "reason": record.reason,
        "first_seen_at": _iso(record.first_seen_at),
        "last_tried_at": _iso(record.last_tried_at),
        "attempts": record.attempts,
        "payload": record.payload,
    }


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _picture(records: Sequence[Kept], at: datetime) -> Table:
    """Without the payloads: they may be long, and hold what people wrote."""
    table = Table(box=None, pad_edge=False)
    for name in ("portal", "resource", "key", "first seen", "last tried"):
        table.add_column(name, no_wrap=name != "key")
    table.add_column("attempts", justify="right")
    table.add_column("reason", overflow="fold")
    for portal, record in records:
        table.add_row(
            plain(portal.domain),
            record.resource,
            plain(record.record_key),
            ago(record.first_seen_at, at),
            ago(record.last_tried_at, at),
            f"{record.attempts:,}",
            plain(record.reason),
        )
    return table
