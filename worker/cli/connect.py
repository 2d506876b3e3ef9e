"""`b24sync connect`: by the code flow, by an incoming webhook, or by a token server's answer."""

import errno
import json
import os
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO
from urllib.parse import urlsplit

import click
import msgspec

from worker.cli.console import App, pass_app, plain
from worker.connect import Connected, ConnectError, missing_scopes
from worker.errors import PortalError, UsageError
from worker.storage import logins, portals
from worker.storage.tokens import token_dates

POLL_SECONDS = 0.3
FAREWELL_SECONDS = 0.5


@click.command()
@click.argument("domain", required=False)
@click.option("--no-browser", is_flag=True, help="Only print the address; open it yourself.")
@click.option("--webhook", metavar="URL", help="Connect by an incoming webhook instead.")
@click.option(
    "--tokens", type=click.File(), metavar="FILE", help="Connect by a token server's answer (JSON; - is stdin)."
)
@pass_app
def connect(app: App, *, domain: str | None, no_browser: bool, webhook: str | None, tokens: IO[str] | None) -> None:
    r"""Connect a portal, or authorize it again.

    \b
    Examples:
      b24sync connect acme.bitrix24.com
      b24sync connect --webhook https://acme.bitrix24.com/rest/1/abc123/
      b24sync connect --tokens answer.json
    """
    if sum(way is not None for way in (domain, webhook, tokens)) != 1:
        raise UsageError("name a portal's DOMAIN, or --webhook URL, or --tokens FILE: one of them")
    if webhook is not None:
        _report(app.wiring.connector.with_webhook(webhook))
    elif tokens is not None:
        _report(app.wiring.connector.with_tokens(_read_tokens(tokens)))
    else:
        _report(_by_code(app, domain or "", open_browser=not no_browser))


def _read_tokens(file: IO[str]) -> dict[str, object]:
    """The answer as an object. What is wrong with it is told without a word of it: it holds tokens."""
    try:
        return msgspec.json.decode(file.read(), type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UsageError(f"{file.name} is not the JSON object that a token server answers") from None


def _by_code(app: App, domain: str, *, open_browser: bool) -> Connected:
    connector = app.wiring.connector
    address, state = connector.begin(domain)
    with _callback_served(app):
        host = urlsplit(address).netloc
        click.echo(f"Open this address in a browser that is signed in to {host}, and allow the application:", err=True)
        click.echo(f"\n  {address}\n", err=True)
        if open_browser and _has_desktop():
            webbrowser.open(address)
        click.echo("Waiting for your consent; Ctrl-C gives up.", err=True)
        return _wait(app, state)


def _wait(app: App, state: str) -> Connected:
    """Whichever process serves the callback, the outcome stands in the database."""
    clock, connector = app.wiring.clock, app.wiring.connector
    end = clock.monotonic() + logins.LIFE.total_seconds()
    while clock.monotonic() < end:
        login = connector.outcome(state)
        if login is None:
            break
        if login.outcome == "connected":
            return _connected(app, login.domain)
        if login.outcome is not None:
            raise ConnectError(login.error or "the portal was not connected")
        clock.sleep(POLL_SECONDS)
    raise ConnectError("nobody allowed the application within 10 minutes: run the command again")


def _connected(app: App, domain: str) -> Connected:
    """What the login came to, read from where the callback stored it: the account whose pair is the newest."""
    with app.wiring.ready_database.read() as session:
        portal = portals.find_portal(session, domain)
        pairs = [pair for pair in token_dates(session, portal_id=portal.id) if pair.kind == "oauth"] if portal else []
        newest = max(pairs, key=lambda pair: (pair.refresh_issued_at, pair.account_id), default=None)
        account = portals.get_account(session, newest.account_id) if newest else None
    if portal is None or account is None:
        raise ConnectError(f"{domain} was removed while it was being connected: connect again")
    scope = tuple(filter(None, account.scope.split(",")))
    return Connected(
        portal_id=portal.id,
        member_id=portal.member_id,
        domain=portal.domain,
        user_id=account.user_id,
        kind=account.kind,
        is_admin=bool(account.is_admin),
        scope=scope,
        missing=missing_scopes(scope),
    )


@contextmanager
def _callback_served(app: App) -> Iterator[None]:
    """Serve the callback while we wait, unless our own daemon does so already."""
    from worker.web.app import create_app  # noqa: PLC0415 - Flask is of no use to the other two ways
    from worker.web.server import WebServer  # noqa: PLC0415

    host, port = app.settings.web_listen
    try:
        server = WebServer(create_app(app.wiring), host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not _is_ours(app, host, port):
            raise cannot_listen(host, port, error) from error
        yield
        return
    server.start()
    try:
        yield
        app.stop.wait(FAREWELL_SECONDS)  # the browser that has just come back asks for the page's style, too
    finally:
        server.close()


def cannot_listen(host: str, port: int, error: OSError) -> UsageError:
    """What to say when the address of the web pages is not to be had."""
    why = "another program has it" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
    return UsageError(
        f"{host}:{port} cannot be listened on: {why}; set B24SYNC_WEB_LISTEN (and B24SYNC_REDIRECT_URI with it)"
    )


def _is_ours(app: App, host: str, port: int) -> bool:
    """Whether b24sync answers there."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    try:
        reply = app.wiring.transport.get(f"http://{name}:{port}/healthz", {}, read_timeout=5, total=5)
        answer = json.loads(reply.body)
    except (PortalError, ValueError):
        return False
    return isinstance(answer, dict) and answer.get("service") == "b24sync"


def _has_desktop() -> bool:
    """Without one Python would start a browser of the terminal's own, which takes the terminal over."""
    if sys.platform in {"darwin", "win32"}:
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _report(connected: Connected) -> None:
    """Say what the account may see, and what will not work."""
    role = "an administrator" if connected.is_admin else "no administrator: only what this user may see is mirrored"
    kind = "a webhook" if connected.kind == "webhook" else "an application"
    lines = [
        f"Connected {connected.domain} ({connected.member_id}) by {kind} as user {connected.user_id}, {role}.",
        f"Scopes: {', '.join(connected.scope) or 'the portal named none'}.",
        *(f"The scope {scope} is missing: no {what}." for scope, what in connected.missing.items()),
    ]
    for line in lines:
        click.echo(plain(line), err=True)
