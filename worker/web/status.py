"""`/`: the state of the mirror at a glance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from worker.breaker import BreakerState
from worker.overview import AccountState, Overview, PortalState, ResourceState, look
from worker.storage import history, portals
from worker.storage.history import Changed, RejectedView
from worker.storage.models import SyncRun
from worker.sync.account import WAITING
from worker.web import strips, texts
from worker.web.context import wiring
from worker.web.needs import Need, needs
from worker.web.render import render
from worker.web.strips import Bar

BEHIND_INTERVALS = 3
"""A resource is behind when it missed this many runs."""

LATELY = timedelta(hours=24)
BARS, BARS_OF_MANY, MANY = 60, 20, 5
"""Bars of a strip; fewer where there are more than five portals: fifty of them would make a page of two megabytes."""

LATEST = 8
REJECTED_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Life:
    """How much of a token's life is left: a sentence, and a share from 0 to 100."""

    text: str
    percent: int


@dataclass(frozen=True, slots=True)
class AccountView:
    name: str
    status: str
    ok: bool
    lives: Sequence[Life]


@dataclass(frozen=True, slots=True)
class ResourceView:
    name: str
    rows: str
    fresh: str
    late: bool
    mood: str
    next_run: str
    trouble: str | None
    bars: Sequence[Bar]
    summary: str


@dataclass(frozen=True, slots=True)
class PortalView:
    """One portal.

    Args:
        trouble: What ails all its resources alike; what ails one alone stands with it.
        silent: That it does not answer, and when it is asked again.
    """

    domain: str
    status: str
    mood: str
    events: str | None
    resume: str | None
    trouble: str | None
    silent: str | None
    resources: Sequence[ResourceView]
    accounts: Sequence[AccountView]
    rejected: Sequence[RejectedView]
    rejected_count: int


def index() -> str:
    """All portals, what needs a person, and what changed."""
    parts = wiring()
    now, interval = parts.clock.now(), parts.settings.sync_interval
    overview = look(parts.ready_database, now)
    with parts.ready_database.read() as session:
        bars = BARS if len(overview.portals) <= MANY else BARS_OF_MANY
        views = [_portal(session, portal, now, interval, bars) for portal in overview.portals]
        sums = history.sums_since(session, now - LATELY)
        latest = history.latest_changes(session, now - LATELY, limit=LATEST)
    wanted = needs(overview, now)
    return render(
        "status.html",
        now=now,
        schema=overview.schema,
        portals=views,
        needs=wanted,
        mood=_mood(views, wanted),
        headline=_headline(overview, views, wanted),
        rows=sum(resource.rows for portal in overview.portals for resource in portal.resources),
        sums=[describe(it) for it in sums],
        latest=[describe(it) for it in latest],
        several=len(views) > 1,
    )


def _mood(views: Sequence[PortalView], wanted: Sequence[Need]) -> str:
    """The colour of the whole."""
    if wanted:
        return "bad"
    moods = {resource.mood for view in views for resource in view.resources}
    return "warn" if moods & {"warn", "bad"} else "good" if views else "idle"


def _headline(overview: Overview, views: Sequence[PortalView], wanted: Sequence[Need]) -> str:
    active = [portal for portal in overview.portals if portal.status == "active"]
    unread = sum(any(resource.last_run_at is None for resource in portal.resources) for portal in active)
    behind = sum(any(resource.mood != "good" for resource in view.resources) for view in views)
    return texts.headline(len(views), len(wanted), behind, unread)


def _portal(session: Session, portal: PortalState, now: datetime, interval: timedelta, bars: int) -> PortalView:
    stored = portals.find_portal(session, portal.member_id)
    number = stored.id if stored is not None else 0
    status = _status(portal)
    shared = _shared_trouble(portal)
    return PortalView(
        domain=portal.domain,
        status=texts.STATUSES.get(status, status),
        mood={"active": "good", "paused": "warn", "silent": "warn"}.get(status, "bad"),
        silent=texts.silent(portal.breaker.reason, portal.breaker.until, now) if status == "silent" else None,
        trouble=None if status in {"waiting", "silent"} else shared,  # then it is said already
        events=texts.EVENTS.get(portal.events_mode or ""),
        resume=texts.command_resume(portal.domain) if portal.status == "paused" else None,
        resources=[
            _resource(it, history.last_runs(session, number, it.name, limit=bars), now, interval, portal)
            for it in portal.resources
        ],
        accounts=[_account(account, now) for account in portal.accounts],
        rejected=history.latest_rejected(session, number, limit=REJECTED_SHOWN) if portal.rejected else (),
        rejected_count=portal.rejected,
    )


def _resource(
    it: ResourceState, runs: Sequence[SyncRun], now: datetime, interval: timedelta, portal: PortalState
) -> ResourceView:
    bars = strips.strip(runs)
    due = 0.0 if it.next_run_at is None else (it.next_run_at - now).total_seconds()
    return ResourceView(
        name=texts.RESOURCES.get(it.name, it.name),
        rows=f"{it.rows:,}",
        fresh=texts.ago(it.fresh_seconds),
        mood=resource_mood(it, interval),
        next_run=texts.ahead(due) if portal.status == "active" else "-",
        late=_is_late(it, interval),
        trouble=None if _shared_trouble(portal) else _trouble(portal.domain, it),
        bars=bars,
        summary=strips.summary(bars),
    )


def _status(portal: PortalState) -> str:
    """As it is stored, or: waiting (nothing is read before a person acts), silent (it does not answer)."""
    if portal.status != "active":
        return portal.status
    if any(account.is_primary and account.status in WAITING for account in portal.accounts):
        return "waiting"
    return portal.status if portal.breaker.state == BreakerState.CLOSED else "silent"


def _trouble(domain: str, it: ResourceState) -> str | None:
    if it.last_status in {None, "ok"}:
        return None
    error = it.error or ""
    while error.startswith(domain):  # the card says which portal it is
        error = error.removeprefix(domain).lstrip(": ")
    return texts.trouble(it.last_status, error)


def _shared_trouble(portal: PortalState) -> str | None:
    """What all resources say; None where they differ."""
    troubles = {_trouble(portal.domain, it) for it in portal.resources}
    return troubles.pop() if len(troubles) == 1 else None


def _is_late(it: ResourceState, interval: timedelta) -> bool:
    """Whether runs were missed."""
    if it.fresh_seconds is None:
        return it.last_run_at is not None
    return it.fresh_seconds > BEHIND_INTERVALS * interval.total_seconds()


def resource_mood(it: ResourceState, interval: timedelta) -> str:
    """good, warn (behind, or the last run was not whole), bad (failed or guarded), idle (not read yet)."""
    if it.last_run_at is None:
        return "idle"
    if it.last_status in {"failed", "guarded"}:
        return "bad"
    return "warn" if _is_late(it, interval) or it.last_status != "ok" else "good"


def _account(it: AccountState, now: datetime) -> AccountView:
    lives: list[Life] = []
    for what, ends, whole in (
        ("access token", it.access_expires_at, timedelta(hours=1)),
        ("sign-in", it.refresh_expires_at, timedelta(days=180)),
    ):
        if ends is not None and it.status == "ok":
            left = (ends - now).total_seconds()
            lives.append(Life(texts.left(what, left), max(0, min(100, round(100 * left / whole.total_seconds())))))
    return AccountView(
        name=texts.account_name(it.user_id, it.kind, it.is_primary),
        status=texts.STATUSES.get(it.status, it.status),
        ok=it.status == "ok",
        lives=lives,
    )


def describe(changed: Changed) -> Mapping[str, str]:
    """A change as the page tells it."""
    return {
        "at": texts.clock(changed.at),
        "instant": texts.instant(changed.at),
        "resource": texts.RESOURCES.get(changed.resource, changed.resource),
        "what": texts.changed(changed.inserted, changed.updated, changed.deleted, changed.revived),
        "domain": changed.domain,
    }
