"""`/metrics` for Prometheus: read from the database at each scrape, so any process may be asked, also a restarted one.

Labels name portals by `member_id`, resources and states: nothing that belongs to a person. `METRICS` is the one list
that docs/web.md is held against by a test.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf

from flask import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.breaker import BreakerState
from worker.overview import REFRESH_LIFE, count_all_rows
from worker.resources import RESOURCES
from worker.storage import portals
from worker.storage.freshness import whole_at
from worker.storage.models import Account, RejectedRecord
from worker.storage.tokens import token_dates
from worker.storage.totals import list_totals
from worker.web.context import wiring

Sample = tuple[Sequence[str], float]


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric: "counter" (only grows; its name ends in `_total`) or "gauge", its labels, and what it says."""

    kind: str
    labels: tuple[str, ...]
    meaning: str


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
    registry = CollectorRegistry(auto_describe=False)
    with wiring().ready_database.read() as session:
        samples = read(session, wiring().clock.now())
    registry.register(_Collected(samples))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Collected(Collector):
    def __init__(self, samples: Mapping[str, Iterable[Sample]]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        for name, definition in METRICS.items():
            kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
            family = kind(name, definition.meaning, labels=definition.labels)
            for labels, value in self._samples.get(name, ()):
                family.add_metric(labels, value)
            yield family


def read(session: Session, now: datetime) -> dict[str, list[Sample]]:
    """The samples of every metric, by name."""
    known = {portal.id: portal for portal in portals.list_portals(session)}
    names = {number: portal.member_id for number, portal in known.items()}
    return {
        "b24sync_portal_info": [
            ((portal.member_id, portal.domain, portal.status, portal.events_mode or "unknown"), 1.0)
            for portal in known.values()
        ],
        "b24sync_circuit_state": [
            ((portal.member_id,), float(CIRCUIT.index(portals.breaker_of(portal).state(now))))
            for portal in known.values()
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
    access: dict[str, float] = {}
    refresh: dict[str, float] = {}
    versions: dict[str, int] = {}
    for pair in token_dates(session):
        if pair.kind != "oauth" or pair.portal_id not in names:
            continue
        name = names[pair.portal_id]
        left = (pair.access_expires_at - now).total_seconds()
        refresh_left = (pair.refresh_issued_at + REFRESH_LIFE - now).total_seconds()
        access[name] = min(left, access.get(name, inf))
        refresh[name] = min(refresh_left, refresh.get(name, inf))
        versions[name] = versions.get(name, 0) + pair.version
    left_of = {"access": access, "refresh": refresh}
    return {
        "b24sync_token_seconds_left": [
            ((name, token), seconds) for token, ends in left_of.items() for name, seconds in ends.items()
        ],
        "b24sync_token_pairs_total": [((name,), float(version)) for name, version in versions.items()],
    }


def _totals(session: Session, names: Mapping[int, str]) -> dict[str, list[Sample]]:
    """The counters. A sum over all statuses, but for the runs themselves."""
    by_status: list[Sample] = []
    guarded: dict[tuple[str, str], float] = {}
    sums: dict[tuple[str, str, str], float] = {}
    for total in list_totals(session):
        if total.portal_id not in names:
            continue
        key = (names[total.portal_id], total.resource)
        by_status.append(((*key, total.status), float(total.runs)))
        guarded[key] = guarded.get(key, 0.0) + (total.runs if total.status == "guarded" else 0)
        for column in (*SUMS.values(), *WRITTEN):
            sums[*key, column] = sums.get((*key, column), 0.0) + getattr(total, column)
    return {
        "b24sync_runs_total": by_status,
        "b24sync_guard_trips_total": list(guarded.items()),
        "b24sync_rows_written_total": [((*key, change), sums[*key, change]) for key in guarded for change in WRITTEN],
        **{name: [(key, sums[*key, column]) for key in guarded] for name, column in SUMS.items()},
    }
