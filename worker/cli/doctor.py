"""`b24sync doctor`: is everything as it must be? Each line says ok, note or problem, and a problem its cure."""

import stat
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

import click
from rich.text import Text

from worker.cli.console import App, amount, pass_app, plain, say, stdout
from worker.cli.doctor_portal import examine_account, examine_portal
from worker.cli.doctor_probe import examine_behaviour
from worker.cli.findings import Finding, Verdict, guarded
from worker.storage import migrate, portals, revisions
from worker.storage.cursors import load_cursors
from worker.storage.tokens import token_dates

BROKER_SECONDS = 5.0
COLOURS = {Verdict.OK: "green", Verdict.NOTE: "cyan", Verdict.PROBLEM: "red"}


@click.command()
@click.option("--probe", is_flag=True, help="Ask every portal anew how it behaves, and show what was found.")
@pass_app
def doctor(app: App, probe: bool) -> None:
    r"""Look for what is wrong, and name the cure.

    Checks settings, keys, database, broker and clock, and of every portal whether it answers, the age of its tokens,
    its scopes, rights, events, and what it does otherwise than its documentation says. Exit 1 when something is wrong.

    \b
    Examples:
      b24sync doctor
      b24sync doctor --probe
    """
    console = stdout()
    counts = dict.fromkeys(Verdict, 0)
    for finding in examine(app, probe=probe):
        counts[finding.verdict] += 1
        console.print(
            Text.assemble((f"{finding.verdict:8}", COLOURS[finding.verdict]), plain(finding.text)), soft_wrap=True
        )
    problems = counts[Verdict.PROBLEM]
    say(f"{amount(problems, 'problem')} found" if problems else "nothing is wrong")
    click.get_current_context().exit(1 if problems else 0)


def examine(app: App, *, probe: bool = False) -> Iterator[Finding]:
    """Everything, in the order in which one thing needs the other."""
    yield from _settings(app)
    yield from guarded(lambda: _keys(app))
    yield from _broker(app)
    for finding in guarded(lambda: _schema(app)):
        yield finding
        if finding.verdict is Verdict.PROBLEM:
            return  # nothing below can be read
    with app.wiring.ready_database.read() as session:
        found = list(portals.list_portals(session))
        accounts = {portal.id: list(portals.list_accounts(session, portal.id)) for portal in found}
        cursors = {portal.id: load_cursors(session, portal.id) for portal in found}
        dates = {pair.account_id: pair for pair in token_dates(session)}
    if not found:
        yield Finding(Verdict.NOTE, "no portal is connected: run `b24sync connect your-portal.bitrix24.com`")
    for portal in found:
        yield from examine_portal(app, portal, cursors[portal.id])
        for account in accounts[portal.id]:
            yield from guarded(partial(examine_account, app, portal, account, dates.get(account.id)))
            if account.is_primary and portal.status == "active":
                yield from guarded(partial(examine_behaviour, app, portal, account, probe=probe))


def _settings(app: App) -> Iterator[Finding]:
    settings = app.settings  # wrong ones have ended the program already, each with a sentence
    yield Finding(Verdict.OK, "the settings can be read")
    if settings.client_id is None:
        yield Finding(Verdict.NOTE, "B24SYNC_CLIENT_ID is not set: only webhooks can be connected, no application")
    back = urlsplit(settings.redirect_uri)
    if back.hostname in {"127.0.0.1", "localhost"} and back.port != settings.web_listen[1]:
        text = f"portals send the browser to {back.netloc}, but b24sync listens on port {settings.web_listen[1]}"
        yield Finding(Verdict.NOTE, f"{text}: B24SYNC_REDIRECT_URI and B24SYNC_WEB_LISTEN should name one port")


def _keys(app: App) -> Iterator[Finding]:
    app.wiring.cipher  # noqa: B018 - raises what is wrong with the keys
    if app.settings.encryption_keys:
        yield Finding(Verdict.OK, "the encryption keys come from B24SYNC_ENCRYPTION_KEYS")
        return
    path = app.settings.key_file
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield Finding(Verdict.PROBLEM, f"the key file {path} can be read by others: chmod 600 {path}")
    else:
        yield Finding(Verdict.OK, f"the key file {path} is there and private; keep a copy of it")


def _broker(app: App) -> Iterator[Finding]:
    """Whether the broker lets us in. It has no say in what the other commands do."""
    url = app.settings.broker_url
    if url is None:
        yield Finding(Verdict.OK, "no broker is set, and none is needed: `b24sync run` is one process")
        return
    from kombu.connection import Connection  # noqa: PLC0415 - takes its time to come up

    with Connection(url, connect_timeout=BROKER_SECONDS) as connection:  # type: ignore[no-untyped-call]
        where = connection.as_uri()  # without the password
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_SECONDS)
        except ImportError as error:
            cure = "pip install 'b24sync[redis]'" if url.startswith("redis") else f"install {error.name}"
            yield Finding(Verdict.PROBLEM, f"the broker {where} needs a library that is not installed: {cure}")
        except Exception as error:  # noqa: BLE001 - each broker's library has errors of its own
            why = str(error) or type(error).__name__
            cure = "start it, or correct CELERY_BROKER_URL; unset it to run everything in one process"
            yield Finding(Verdict.PROBLEM, f"the broker {where} cannot be used ({why}): {cure}")
        else:
            yield Finding(Verdict.OK, f"the broker {where} answers")


def _schema(app: App) -> Iterator[Finding]:
    database = app.wiring.ready_database
    differences = migrate.check(database)
    if differences:
        text = f"the schema differs from revision {revisions.head()}: {'; '.join(differences)[:500]}"
        yield Finding(Verdict.PROBLEM, f"{text}; restore a backup, or mirror into a new database")
    else:
        where = database.url.render_as_string(hide_password=True)
        yield Finding(Verdict.OK, f"the database {where} is at revision {revisions.head()}")
