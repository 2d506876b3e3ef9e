"""`/`: the state of the mirror at a glance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import request
from sqlalchemy.orm import Session

from worker.breaker import BreakerState
from worker.overview import AccountState, PortalState, ResourceState
from worker.storage import history
from worker.storage.history import Changed, RejectedView, RunView
from worker.storage.ranking import Counts, Rank
from worker.storage.revisions import current
from worker.sync.account import WAITING
from worker.web import strips, texts
from worker.web.context import wiring
from worker.web.listing import BEHIND_INTERVALS, list_portals
from worker.web.needs import needs
from worker.web.render import render
from worker.web.strips import Bar

LATELY = timedelta(hours=24)
BARS, BARS_OF_MANY, MANY = 60, 20, 5
"""Bars of a strip; fewer where there are more than five portals: fifty of them would make a page of two megabytes."""

LATEST = 8
REJECTED_SHOWN = 5

MOODS = {Rank.NEEDS: "bad", Rank.BEHIND: "warn", Rank.PAUSED: "idle", Rank.NEW: "idle", Rank.WELL: "good"}


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
    """A page of portals, what needs a person, and what changed."""
    parts = wiring()
    now, interval = parts.clock.now(), parts.settings.sync_interval
    schema = current(parts.ready_database)
    with parts.ready_database.read() as session:
        listing = list_portals(session, now, interval, request.args.get("page", default=1, type=int))
        views = _portals(session, listing.portals, now, interval)
        sums = history.sums_since(session, list(listing.portals), now - LATELY)
        latest = history.latest_changes(session, list(listing.portals), now - LATELY, limit=LATEST)
    counts = listing.counts
    return render(
        "status.html",
        now=now,
        schema=schema,
        listing=listing,
        portals=views,
        needs=needs(listing.portals.values(), now),
        mood=_mood(counts),
        headline=_headline(counts),
        ranks=[(MOODS[rank], texts.rank(rank, counts.portals[rank])) for rank in Rank if rank in counts.portals],
        many=counts.total > MANY,
        sums=[describe(it) for it in sums],
        latest=[describe(it) for it in latest],
        several=counts.total > 1,
    )


def _mood(counts: Counts) -> str:
    """The colour of the whole."""
    if counts.needs:
        return "bad"
    return "warn" if _behind(counts) else "good" if counts.total else "idle"


def _headline(counts: Counts) -> str:
    return texts.headline(counts.total, counts.needs, _behind(counts), counts.portals.get(Rank.NEW, 0))


def _behind(counts: Counts) -> int:
    return counts.portals.get(Rank.BEHIND, 0) + counts.portals.get(Rank.PAUSED, 0)


def _portals(
    session: Session, shown: Mapping[int, PortalState], now: datetime, interval: timedelta
) -> list[PortalView]:
    runs = history.last_runs(session, list(shown), limit=BARS if len(shown) <= MANY else BARS_OF_MANY)
    rejected = history.latest_rejected(session, list(shown), limit=REJECTED_SHOWN)
    return [
        _portal(
            portal,
            [_resource(it, runs.get((number, it.name), ()), now, interval, portal) for it in portal.resources],
            rejected.get(number, ()),
            now,
        )
        for number, portal in shown.items()
    ]


def _portal(
    portal: PortalState, resources: Sequence[ResourceView], rejected: Sequence[RejectedView], now: datetime
) -> PortalView:
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
        resources=resources,
        accounts=[_account(account, now) for account in portal.accounts],
        rejected=rejected,
        rejected_count=portal.rejected,
    )


def _resource(
    it: ResourceState, runs: Sequence[RunView], now: datetime, interval: timedelta, portal: PortalState
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
