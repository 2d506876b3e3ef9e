"""`b24sync doctor`: is everything as it must be? Each line says ok, note or problem, and a problem its cure."""

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

import click
from rich.text import Text
from sqlalchemy.exc import DBAPIError

from worker.bitrix24.calls import Answer, Call
from worker.cli.console import App, now, pass_app, plain, stdout
from worker.cli.program import database_sentence, sentences
from worker.connect import missing_scopes
from worker.errors import B24SyncError
from worker.overview import REFRESH_LIFE
from worker.resources.viewer import is_admin
from worker.storage import migrate, portals
from worker.storage.models import Account, Portal
from worker.storage.tokens import TokenDates, token_dates

CLOCK_SKEW = timedelta(minutes=2)
"""More than that and dates in the logs of the two sides cannot be compared any more."""

REFRESH_OLD = timedelta(days=28)
"""What older texts of the vendor give a refresh token; the daemon renews one long before."""


class Verdict(StrEnum):
    """How a line begins. Only a problem makes the exit code 1."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    verdict: Verdict
    text: str


@click.command()
@pass_app
def doctor(app: App) -> None:
    r"""Check settings, keys, database, clock and every portal; exit 1 when something is wrong.

    \b
    Example:
      b24sync doctor
    """
    console = stdout()
    colours = {Verdict.OK: "green", Verdict.NOTE: "cyan", Verdict.PROBLEM: "red"}
    wrong = False
    for finding in examine(app):
        wrong = wrong or finding.verdict is Verdict.PROBLEM
        console.print(
            Text.assemble((f"{finding.verdict:8}", colours[finding.verdict]), plain(finding.text)), soft_wrap=True
        )
    click.get_current_context().exit(1 if wrong else 0)


def examine(app: App) -> Iterator[Finding]:
    """Everything, in the order in which one thing needs the other."""
    yield from _settings(app)
    yield from _guarded(lambda: _key_file(app))
    for finding in _guarded(lambda: _schema(app)):
        yield finding
        if finding.verdict is Verdict.PROBLEM:
            return  # nothing below can be read
    with app.wiring.ready_database.read() as session:
        found = list(portals.list_portals(session))
        accounts = {portal.id: list(portals.list_accounts(session, portal.id)) for portal in found}
        dates = {pair.account_id: pair for pair in token_dates(session)}
    if not found:
        yield Finding(Verdict.NOTE, "no portal is connected: run `b24sync connect your-portal.bitrix24.com`")
    for portal in found:
        yield from _portal(portal)
        for account in accounts[portal.id]:
            yield from _guarded(lambda portal=portal, account=account: _account(app, portal, account, dates))  # type: ignore[misc]


def _guarded(examination: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """An examination that fails is itself a finding, and the next one goes on."""
    try:
        yield from examination()
    except B24SyncError as error:
        for sentence in sentences(error):
            yield Finding(Verdict.PROBLEM, sentence)
    except DBAPIError as error:
        yield Finding(Verdict.PROBLEM, database_sentence(error))


def _settings(app: App) -> Iterator[Finding]:
    settings = app.settings  # wrong ones have ended the program already, each with a sentence
    yield Finding(Verdict.OK, "the settings can be read")
    if settings.client_id is None:
        yield Finding(Verdict.NOTE, "B24SYNC_CLIENT_ID is not set: only webhooks can be connected, no application")
    back = urlsplit(settings.redirect_uri)
    if back.hostname in {"127.0.0.1", "localhost"} and back.port != settings.web_listen[1]:
        text = f"portals send the browser to {back.netloc}, but b24sync listens on port {settings.web_listen[1]}"
        yield Finding(Verdict.NOTE, f"{text}: B24SYNC_REDIRECT_URI and B24SYNC_WEB_LISTEN should name one port")


def _key_file(app: App) -> Iterator[Finding]:
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


def _schema(app: App) -> Iterator[Finding]:
    database = app.wiring.ready_database
    differences = migrate.check(database)
    if differences:
        text = f"the schema differs from revision {migrate.head()}: {'; '.join(differences)[:500]}"
        yield Finding(Verdict.PROBLEM, f"{text}; restore a backup, or mirror into a new database")
    else:
        where = database.url.render_as_string(hide_password=True)
        yield Finding(Verdict.OK, f"the database {where} is at revision {migrate.head()}")


def _portal(portal: Portal) -> Iterator[Finding]:
    if portal.status == "paused":
        yield Finding(Verdict.NOTE, f"{portal.domain} is paused: `b24sync portals resume {portal.domain}` wakes it")
    elif portal.status != "active":
        cure = f"mend it there, then run `b24sync portals resume {portal.domain}`"
        yield Finding(Verdict.PROBLEM, f"{portal.domain} is {portal.status}: {portal.status_reason or ''}; {cure}")


def _account(app: App, portal: Portal, account: Account, dates: dict[int, TokenDates]) -> Iterator[Finding]:
    """Ask the portal as this account: all in one request."""
    name = f"{portal.domain} as user {account.user_id}"
    pair = dates.get(account.id)
    if account.kind == "oauth" and pair is not None and account.status == "ok":
        yield _refresh_age(name, portal, pair)
    client = app.wiring.client_for(portal, account)
    profile, scope = Call("profile", "profile"), Call("scope", "scope")
    before = now()
    answers = client.batch([profile, scope])
    after = now()
    who = answers.get(profile)
    if not isinstance(who, Answer):
        raise who
    yield Finding(Verdict.OK, f"{name} ({account.kind}): the portal answers")
    if answers.time.portal_now is not None:
        yield _clock(portal, answers.time.portal_now, before, after)
    granted = answers.get(scope)
    scopes = tuple(granted.decode(list[str])) if isinstance(granted, Answer) else tuple(account.scope.split(","))
    missing = missing_scopes(scopes)
    cure = f"add it to the application (or webhook) on the portal, then run `b24sync connect {portal.domain}`"
    for one, what in missing.items():
        yield Finding(Verdict.PROBLEM, f"{name}: the scope {one} is missing, so no {what}: {cure}")
    if not missing:
        yield Finding(Verdict.OK, f"{name}: scopes {', '.join(scopes)}")
    if is_admin(who.result):
        yield Finding(Verdict.OK, f"{name}: an administrator, who sees all tasks")
    else:
        text = "no administrator: only what this user may see is mirrored; connect as an administrator to mirror all"
        yield Finding(Verdict.NOTE, f"{name}: {text}")


def _clock(portal: Portal, portal_now: datetime, before: datetime, after: datetime) -> Finding:
    """The portal took its time between our two looks: only what lies outside of them is a difference."""
    off = max(before - portal_now, portal_now - after, timedelta(0))
    if off > CLOCK_SKEW:
        text = f"the clock here and that of {portal.domain} are {off.total_seconds():.0f} s apart"
        return Finding(Verdict.PROBLEM, f"{text}: set this machine's clock (timedatectl set-ntp true)")
    return Finding(Verdict.OK, f"the clock agrees with that of {portal.domain}")


def _refresh_age(name: str, portal: Portal, pair: TokenDates) -> Finding:
    age = now() - pair.refresh_issued_at
    text = f"{name}: the refresh token is {age.days} days old and good for {(REFRESH_LIFE - age).days} more"
    if age < REFRESH_OLD:
        return Finding(Verdict.OK, text)
    cure = f"keep `b24sync run` running; if it is refused, run `b24sync connect {portal.domain}`"
    return Finding(Verdict.PROBLEM, f"{text}: nothing has renewed it; {cure}")
