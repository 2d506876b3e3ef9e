"""What `b24sync doctor` asks a portal, and what it reads of one from the database."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from worker.bitrix24.calls import Answer, Answers, Call
from worker.cli.console import App, now
from worker.cli.findings import Finding, Verdict
from worker.connect import missing_scopes
from worker.errors import PortalError, TransientError
from worker.overview import REFRESH_LIFE
from worker.resources import events
from worker.resources.events import EventsMode
from worker.resources.viewer import granted_scopes, is_admin
from worker.storage.cursors import Cursor
from worker.storage.models import Account, Portal
from worker.storage.tokens import TokenDates
from worker.wiring import MAX_ATTEMPTS_OF_PEOPLE
from worker.wording import span

CLOCK_SKEW = timedelta(minutes=2)
"""More than that and dates in the logs of the two sides cannot be compared any more."""

REFRESH_OLD = timedelta(days=28)
"""What older texts of the vendor give a refresh token; the daemon renews one long before."""

LATE = timedelta(minutes=10)
"""A portal that has been due for longer than this (and than two intervals) is read by nobody."""


_USED: Mapping[str, str] = {
    EventsMode.CONFIRM: "confirmed",
    EventsMode.HINTS: "as hints (this plan of the portal has no confirmation)",
    EventsMode.POLLING: "but not used: `b24sync doctor --probe` asks again what they are good for",
}


def examine_portal(app: App, portal: Portal, cursors: Mapping[str, Cursor]) -> Iterator[Finding]:
    """What the database says of a portal."""
    if portal.status == "paused":
        yield Finding(Verdict.NOTE, f"{portal.domain} is paused: `b24sync portals resume {portal.domain}` wakes it")
        return
    if portal.status != "active":
        cure = f"mend it there, then run `b24sync portals resume {portal.domain}`"
        yield Finding(Verdict.PROBLEM, f"{portal.domain} is {portal.status}: {portal.status_reason or ''}; {cure}")
        return
    times = [cursor.last_run_at for cursor in cursors.values() if cursor.last_run_at is not None]
    if not times:
        yield Finding(
            Verdict.NOTE, f"{portal.domain} was not read yet: `b24sync sync` reads it once, `b24sync run` always"
        )
    elif portal.next_run_at is not None and now() - portal.next_run_at > max(LATE, 2 * app.settings.sync_interval):
        age = span((now() - max(times)).total_seconds())
        yield Finding(Verdict.NOTE, f"{portal.domain} was last read {age} ago: is `b24sync run` running?")


def examine_account(app: App, portal: Portal, account: Account, pair: TokenDates | None) -> Iterator[Finding]:
    """Ask the portal as this account: all in one request."""
    name = f"{portal.domain} as user {account.user_id}"
    if account.kind == "oauth" and pair is not None and account.status == "ok":
        yield _refresh_age(name, portal, pair)
    client = app.wiring.client_for(portal, account, max_attempts=MAX_ATTEMPTS_OF_PEOPLE)
    profile, scope = Call("profile", "profile"), Call("scope", "scope")
    queue = [events.bound_call()] if account.kind == "oauth" and account.is_primary else []
    before = now()
    try:
        answers = client.batch([profile, scope, *queue])
    except TransientError as error:
        origin = portal.rest_url.removesuffix("/").removesuffix("/rest")
        cure = f"see that {origin} opens from this machine; the mirror goes on by itself once it does"
        yield Finding(Verdict.PROBLEM, f"{error}: {cure}")
        return
    after = now()
    who = answers.get(profile)
    if not isinstance(who, Answer):
        raise who
    yield Finding(Verdict.OK, f"{name} ({account.kind}): the portal answers")
    if answers.time.portal_now is not None:
        yield _clock(portal, answers.time.portal_now, before, after)
    granted = answers.get(scope)
    scopes = tuple(granted_scopes(granted)) if isinstance(granted, Answer) else tuple(account.scope.split(","))
    yield from _scopes(name, portal, scopes)
    admin = is_admin(who.result)
    if admin:
        yield Finding(Verdict.OK, f"{name}: an administrator, who sees all tasks")
    else:
        text = "no administrator: only what this user may see is mirrored; connect as an administrator to mirror all"
        yield Finding(Verdict.NOTE, f"{name}: {text}")
    if account.is_primary:
        yield _events(app, name, portal, answers, queue, admin=admin)


def _scopes(name: str, portal: Portal, scopes: tuple[str, ...]) -> Iterator[Finding]:
    missing = missing_scopes(scopes)
    cure = f"add it to the application (or webhook) on the portal, then run `b24sync connect {portal.domain}`"
    for one, what in missing.items():
        yield Finding(Verdict.PROBLEM, f"{name}: the scope {one} is missing, so no {what}: {cure}")
    if not missing:
        yield Finding(Verdict.OK, f"{name}: scopes {', '.join(scopes)}")


def _events(app: App, name: str, portal: Portal, answers: Answers, queue: list[Call], *, admin: bool) -> Finding:
    """Whether the portal writes down for us what happens. Without that nothing is wrong, only slower."""
    sweep = (
        f"what is deleted there is found by the sweep, every {span(app.settings.reconcile_interval.total_seconds())}"
    )
    if not queue:
        return Finding(Verdict.NOTE, f"{name}: webhooks get no offline events: {sweep}")
    bound = answers.get(queue[0])
    if not admin or not isinstance(bound, Answer):
        why = "this user is no administrator" if not admin else f"the portal refuses ({bound})"
        return Finding(Verdict.NOTE, f"{name}: no offline events, for {why}: {sweep}")
    try:
        count = len(events.bound(bound))
    except PortalError as error:
        return Finding(Verdict.NOTE, f"{name}: what events are possible cannot be told ({error})")
    if not count:
        return Finding(Verdict.NOTE, f"{name}: offline events are possible; the next run binds them")
    how = _USED.get(portal.events_mode or "", "and used from the next run on")
    return Finding(Verdict.OK, f"{name}: {count} offline events are bound, {how}")


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
