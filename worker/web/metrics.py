"""`/metrics` for Prometheus: read from the database at each scrape, so any process may be asked, also a restarted one.

Labels name portals by `member_id`, resources and states: nothing that belongs to a person. `METRICS` is the one list
that docs/web.md is held against by a test.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from math import inf

from flask import Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from sqlalchemy import Double, cast, func, select
from sqlalchemy.orm import Session

from worker.breaker import Breaker, BreakerState
from worker.overview import REFRESH_LIFE, count_all_rows
from worker.resources import RESOURCES
from worker.storage.freshness import whole_at
from worker.storage.models import Account, OAuthToken, Portal, RejectedRecord
from worker.storage.totals import FIGURES, count_runs, sum_totals
from worker.web.context import wiring
from worker.web.exposition import Definition, Sample, expose

PR = ("portal", "resource")
METRICS: Mapping[str, Definition] = {
    "b24sync_portal_info": Definition(
        "gauge", ("portal", "domain", "status", "events"), "1 for each portal, with its state"
    ),
    "b24sync_accounts": Definition("gauge", ("portal", "status"), "Accounts in each state"),
    "b24sync_circuit_state": Definition(
        "gauge", ("portal",), "Circuit breaker: 0 closed (it answers), 1 half open (asked again next), 2 open"
    ),
    "b24sync_fresh_seconds": Definition("gauge", PR, "Seconds since the last run that was whole; +Inf: never"),
    "b24sync_rows": Definition("gauge", PR, "Rows of the mirror, without those marked as deleted"),
    "b24sync_rejected_records": Definition("gauge", PR, "Records that could not become rows, and wait"),
    "b24sync_token_seconds_left": Definition(
        "gauge", ("portal", "token"), "Life of the access or refresh token that ends first; below 0: it is over"
    ),
    "b24sync_token_pairs_total": Definition(
        "counter", ("portal",), "Token pairs received: refreshes and new authorizations"
    ),
    "b24sync_runs_total": Definition("counter", (*PR, "status"), "Runs, by how they ended"),
    "b24sync_guard_trips_total": Definition("counter", PR, "Runs that the guard against mass deletion stopped"),
    "b24sync_run_seconds_total": Definition("counter", PR, "Time spent in runs"),
    "b24sync_records_fetched_total": Definition("counter", PR, "Records read"),
    "b24sync_rows_written_total": Definition(
        "counter", (*PR, "change"), "Rows inserted, updated, deleted (marked) or revived"
    ),
    "b24sync_rows_unchanged_total": Definition("counter", PR, "Records read whose row was left as it was"),
    "b24sync_records_rejected_total": Definition(
        "counter", PR, "Rejections: a record that is tried again and fails again counts again"
    ),
    "b24sync_http_requests_total": Definition("counter", PR, "HTTP requests to portals"),
    "b24sync_calls_total": Definition("counter", PR, "REST calls; up to 50 are one request"),
    "b24sync_retries_total": Definition("counter", PR, "Requests repeated after a failure"),
    "b24sync_refreshes_total": Definition("counter", PR, "Tokens refreshed in the middle of a run"),
    "b24sync_waited_seconds_total": Definition("counter", PR, "Time waited for the portals' limits"),
}

SUMS = {
    "b24sync_run_seconds_total": "seconds",
    "b24sync_records_fetched_total": "fetched",
    "b24sync_rows_unchanged_total": "unchanged",
    "b24sync_records_rejected_total": "rejected",
    "b24sync_http_requests_total": "http_requests",
    "b24sync_calls_total": "calls",
    "b24sync_retries_total": "retries",
    "b24sync_refreshes_total": "refreshes",
    "b24sync_waited_seconds_total": "waited_seconds",
}
"""Counters that are one column of the sums."""

CIRCUIT = (BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN)
"""In the order of their numbers."""

WRITTEN = ("inserted", "updated", "deleted", "revived")


def metrics() -> Response:
    """All metrics, in Prometheus' text form."""
    with wiring().ready_database.read() as session:
        samples = read(session, wiring().clock.now())
    return Response(expose(METRICS, samples), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def read(session: Session, now: datetime) -> dict[str, Iterable[Sample]]:
    """The samples of every metric, by name."""
    columns = (Portal.member_id, Portal.domain, Portal.status, Portal.events_mode)
    known = session.execute(select(Portal.id, *columns, Portal.breaker_failures, Portal.breaker_until)).all()
    names = {number: member_id for number, member_id, *_ in known}
    return {
        "b24sync_portal_info": [
            ((member_id, domain, status, mode or "unknown"), 1.0) for _, member_id, domain, status, mode, *_ in known
        ],
        "b24sync_circuit_state": [
            ((member_id,), float(CIRCUIT.index(Breaker(failures, until).state(now))))
            for _, member_id, *_, failures, until in known
        ],
        "b24sync_accounts": _accounts(session, names),
        "b24sync_fresh_seconds": _freshness(session, names, now),
        "b24sync_rows": [
            ((names[portal_id], resource), float(rows))
            for (portal_id, resource), rows in count_all_rows(session).items()
            if portal_id in names
        ],
        "b24sync_rejected_records": _rejected(session, names),
        **_tokens(session, names, now),
        **_totals(session, names),
    }


def _accounts(session: Session, names: Mapping[int, str]) -> list[Sample]:
    groups = session.execute(
        select(Account.portal_id, Account.status, func.count()).group_by(Account.portal_id, Account.status)
    )
    return [((names[portal_id], status), float(count)) for portal_id, status, count in groups if portal_id in names]


def _freshness(session: Session, names: Mapping[int, str], now: datetime) -> list[Sample]:
    whole = whole_at(session)
    ages: list[Sample] = []
    for number, member_id in names.items():
        for resource in RESOURCES:
            moment = whole.get((number, resource))
            ages.append(((member_id, resource), inf if moment is None else max(0.0, (now - moment).total_seconds())))
    return ages


def _rejected(session: Session, names: Mapping[int, str]) -> list[Sample]:
    kept = select(RejectedRecord.portal_id, RejectedRecord.resource, func.count())
    groups = session.execute(kept.group_by(RejectedRecord.portal_id, RejectedRecord.resource))
    counts = {(portal_id, resource): count for portal_id, resource, count in groups}
    return [
        ((member_id, resource), float(counts.get((number, resource), 0)))
        for number, member_id in names.items()
        for resource in RESOURCES
    ]


def _tokens(session: Session, names: Mapping[int, str], now: datetime) -> dict[str, list[Sample]]:
    """Of each portal the pair that ends first; webhooks have none."""
    first = (func.min(OAuthToken.access_expires_at), func.min(OAuthToken.refresh_issued_at))
    pairs = select(Account.portal_id, *first, cast(func.sum(OAuthToken.version), Double))
    pairs = pairs.join(Account, Account.id == OAuthToken.account_id).where(Account.kind == "oauth")
    left: list[Sample] = []
    versions: list[Sample] = []
    for number, access_ends, refresh_issued, version in session.execute(pairs.group_by(Account.portal_id)):
        if name := names.get(number):
            left.append(((name, "access"), (access_ends - now).total_seconds()))
            left.append(((name, "refresh"), (refresh_issued + REFRESH_LIFE - now).total_seconds()))
            versions.append(((name,), version))
    return {"b24sync_token_seconds_left": left, "b24sync_token_pairs_total": versions}


def _totals(session: Session, names: Mapping[int, str]) -> dict[str, Iterable[Sample]]:
    """The counters. A sum over all statuses, but for the runs themselves."""
    runs: list[Sample] = [
        ((names[number], *rest), count) for number, *rest, count in count_runs(session) if number in names
    ]
    guarded = {(name, resource): count for (name, resource, status), count in runs if status == "guarded"}
    sums = [((names[row.portal_id], row.resource), row) for row in sum_totals(session) if row.portal_id in names]

    def of(figure: str) -> Iterator[Sample]:
        place = 2 + FIGURES.index(figure)
        return ((labels, row[place]) for labels, row in sums)

    return {
        "b24sync_runs_total": runs,
        "b24sync_guard_trips_total": ((labels, float(guarded.get(labels, 0))) for labels, _ in sums),
        "b24sync_rows_written_total": (
            ((*labels, change), value) for change in WRITTEN for labels, value in of(change)
        ),
        **{name: of(figure) for name, figure in SUMS.items()},
    }
