"""Every text of the pages, in one place. Plain English; what a template needs it finds here as `t.NAME`."""

from collections.abc import Mapping
from datetime import UTC, datetime

from worker.storage.history import RunView
from worker.storage.ranking import Rank
from worker.wording import span

PRODUCT = "b24sync"
STATUS_TITLE = "b24sync: state of the mirror"
CONNECT = "Connect a portal"
CONNECT_BUTTON = "Continue to the portal"
CONNECT_LABEL = "Address of your Bitrix24 portal"
CONNECT_EXAMPLE = "acme.bitrix24.com"
CONNECT_INTRO = (
    "You will be led to your portal, where you allow the application once. Connect as an administrator: other users are"
    " shown only what they take part in, and that is what the mirror will hold."
)
CONNECT_WHAT = "What is read: tasks, calendars and the names of users. None of them is ever changed."
KEYS_MISSING = (
    "The application's keys are not set yet. Set B24SYNC_CLIENT_ID and B24SYNC_CLIENT_SECRET from the application's"
    " card on the portal, and start b24sync again."
)
BACK = "Back to the state of the mirror"
GOING = "On to your portal"
GOING_HINT = "If nothing happens, open it yourself:"
CONNECTED = "Connected"
CONNECTED_NEXT = "The first reading begins within seconds where b24sync runs; large portals take some minutes."
CONNECTED_LOOK = "See the first run arrive"
NOT_ADMIN = "This user is no administrator: what only others may see is not mirrored."
CLOSE = "You may close this page."
NOT_CONNECTED = "Not connected"
OTHER_BROWSER = (
    "This login was begun in another browser, or more than 10 minutes ago. Nothing was stored. Begin again on the page"
    " “Connect a portal”, and finish it in the same browser."
)
FOREIGN_FORM = "This form was not sent from b24sync's own page, so it is not taken: open the page, and send it there."
PASSWORD = "Password needed"  # noqa: S105 - a heading
PASSWORD_CURE = "Any name, and the password of B24SYNC_WEB_PASSWORD."  # noqa: S105
WRONG_HOST = "Not known by this name"
WRONG_HOST_CURE = (
    "Open b24sync by the address it listens on or that of B24SYNC_REDIRECT_URI, or set B24SYNC_WEB_PASSWORD."
)
NO_INSTALLATION = "This is not what a portal sends when the application is installed or opened on it."
TOO_MANY_INSTALLATIONS = "Too many installations in this minute: open the application once more in a minute."
NO_EVENT = "This is no event of a portal: event, auth[member_id] and auth[application_token] are needed."
FORGED_EVENT = "This event is not taken: its application_token is not the one that the portal's installation brought."
EVENT_TAKEN = "Taken."
NOTHING_HERE = "There is nothing here for this request."
FAILED, FAILED_CURE = "Something went wrong", "The log of b24sync tells more."

NEEDS = "What needs you"
NEVER = "never"
AUTHORIZE = "Authorize again"
LAST_RUNS = "Last runs"
LEGEND = "Each bar is a run: the wider, the longer it took; the taller, the more rows it wrote."
CHANGES = "What changed"
CHANGES_HERE = "Of the portals on this page."
CHANGES_NONE = "Nothing was written in the last 24 hours."
CHANGES_SUMS = "In the last 24 hours"
CHANGES_LATEST = "Latest"
REJECTED = "Records that could not become rows"
REJECTED_HINT = "They are kept with their payload and tried again at every run. All of them, with their payloads:"
ACCOUNTS = "Accounts"
RESOURCE, ROWS, FRESH, NEXT = "Resource", "Rows", "Up to date", "Next run"
EMPTY = "No portal is connected yet"
EMPTY_HINT = "Connect your first portal here, or run on the machine:"
EMPTY_COMMAND = "b24sync connect your-portal.bitrix24.com"
PAGES, BEFORE, AFTER = "Pages of portals", "Previous", "Next"
LIVE = "updates by itself"
PAUSED_HINT = "An operator paused it. To go on:"

RESOURCES = {"tasks": "Tasks", "calendar": "Calendar", "planner": "Planner", "users": "Users"}
STATUSES = {
    "active": "active",
    "paused": "paused",
    "closed": "closed",
    "waiting": "waits for you",
    "silent": "does not answer",
    "needs_reauth": "must be authorized again",
    "payment_required": "plan has ended",
    "app_removed": "application removed",
    "ok": "ok",
    "incomplete": "not whole",
    "guarded": "stopped by the guard",
    "failed": "failed",
}
RANKS = {
    Rank.NEEDS: "waiting for you",
    Rank.BEHIND: "not up to date",
    Rank.PAUSED: "paused",
    Rank.NEW: "being read for the first time",
    Rank.WELL: "up to date",
}
EVENTS = {
    "confirm": "told of deletions by the portal, confirmed",
    "hints": "told of deletions by the portal",
    "polling": "deletions are found by sweeps",
}


def elsewhere(address: str) -> str:
    return f"Portals send people back to another address than the one you are on. Connect from here: {address}"


def clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M}"


def instant(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def ago(seconds: float | None) -> str:
    return NEVER if seconds is None else f"{span(max(0.0, seconds))} ago"


def ahead(seconds: float) -> str:
    return "now" if seconds < 1 else f"in {span(seconds)}"


def left(what: str, seconds: float) -> str:
    return f"{what} {span(seconds)} left" if seconds > 0 else f"{what} over"


def count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def as_of(now: datetime) -> str:
    return f"As of {instant(now)}"


def changed(inserted: int, updated: int, deleted: int, revived: int) -> str:
    """What was written: "3 new, 1 changed"."""
    words = ((inserted, "new"), (updated, "changed"), (deleted, "deleted"), (revived, "restored"))
    return ", ".join(f"{number:,} {word}" for number, word in words if number) or "nothing changed"


def run(it: RunView) -> str:
    """One run in a line."""
    runs = "" if it.folded == 1 else f" · {it.folded} quiet runs"
    did = changed(it.inserted, it.updated, it.deleted, it.revived)
    status = STATUSES.get(it.status, it.status)
    return f"{instant(it.started_at)} · {it.mode} · {status}{runs} · {it.seconds:.1f} s · {did}"


def trouble(status: str | None, error: str | None) -> str:
    """Why the last run was not ok."""
    word = STATUSES.get(status or "", status or "")
    return f"{word}: {error}" if error else word


def silent(reason: str | None, until: datetime | None, now: datetime) -> str:
    """That a portal does not answer, and when it is asked again."""
    again = ahead(0.0 if until is None else (until - now).total_seconds())
    return f"It does not answer; it is asked again {again}, by itself. {reason or ''}".strip()


def strip_summary(counts: Mapping[str, int]) -> str:
    if not counts:
        return "No runs yet"
    parts = ", ".join(f"{number} {STATUSES.get(status, status)}" for status, number in counts.items())
    return f"Last runs: {parts}"


def headline(portals: int, needs: int, behind: int, unread: int) -> str:
    if not portals:
        return EMPTY
    if needs:
        return "One thing needs you" if needs == 1 else f"{needs} things need you"
    if behind:
        return "Not everything is up to date"
    return "Reading for the first time" if unread else "Everything is up to date"


def subline(portals: int, rows: int) -> str:
    return f"{count(portals, 'portal', 'portals')} · {count(rows, 'row', 'rows')} mirrored"


def rank(which: Rank, portals: int) -> str:
    """How many of all portals are so well."""
    return f"{portals:,} {RANKS[which]}"


def page_of(page: int, pages: int) -> str:
    return f"Page {page:,} of {pages:,}"


def needs_here(here: int, all_of_them: int) -> str:
    return f"{here:,} of {all_of_them:,}: those of the portals on this page"


def account_name(user_id: int, kind: str, is_primary: bool) -> str:
    by = "webhook" if kind == "webhook" else "application"
    return f"User {user_id}, by {by}{', reads the portal' if is_primary else ''}"


def connected_as(domain: str, user_id: int) -> str:
    return f"{domain} is mirrored as user {user_id} sees it."


def events_line(mode: str) -> str:
    return f"Events: {mode}."


def schema(revision: str | None) -> str:
    return f"Schema {revision or 'unknown'}"


def reauth(domain: str, user_id: int) -> str:
    return f"{domain} does not take the authorization of user {user_id} any more."


REAUTH_HOW = "Sign in there as that user and allow the application once more."
REAUTH_WEBHOOK = "Make a new incoming webhook on the portal, then run:"


def removed(domain: str) -> str:
    return f"The application was removed from {domain}."


REMOVED_HOW = "Install it again on the portal, then authorize."


def unpaid(domain: str) -> str:
    return f"The plan or trial of {domain} has ended."


UNPAID_HOW = "Once it is paid, b24sync goes on by itself; it asks once a day."


def closed(domain: str) -> str:
    return f"{domain} does not serve b24sync any more."


CLOSED_HOW = "Once the portal is open again, authorize the application there."


def guarded(domain: str, resource: str) -> str:
    return f"{RESOURCES.get(resource, resource)} of {domain}: the guard against mass deletion stopped the run."


GUARDED_HOW = "Look at the portal. If so much is really gone, or the account really lost rights, say so:"


def missing(domain: str, scope: str, what: str) -> str:
    return f"The permission “{scope}” is missing on {domain}: no {what}."


MISSING_HOW = "Add it in the application's card on the portal, then authorize again."


def ending(domain: str, seconds: float) -> str:
    return f"The authorization for {domain} ends in {span(seconds)}, and was not renewed by itself."


def command_connect_webhook(domain: str) -> str:
    return f"b24sync connect --webhook https://{domain}/rest/USER/SECRET/"


def command_force(domain: str, resource: str) -> str:
    return f"b24sync sync --portal {domain} --resource {resource} --reconcile --force"


def command_resume(domain: str) -> str:
    return f"b24sync portals resume {domain}"


def command_rejected(domain: str) -> str:
    return f"b24sync rejected --portal {domain} --json"
