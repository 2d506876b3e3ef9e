"""What a monitoring system is told: health, and metrics that only grow where they say so."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from math import inf

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import FakeClock
from tests.integration.conftest import connect
from tests.integration.stage import Stage
from worker.storage import runs
from worker.storage.cursors import update_cursor
from worker.storage.models import Portal
from worker.storage.session import Database
from worker.web.app import create_app
from worker.web.metrics import METRICS, read
from worker.wiring import Wiring

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(client: FlaskClient) -> Samples:
    """Every sample by name and labels, as Prometheus' own parser reads them."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


def value(samples: Samples, metric: str, **labels: str) -> float:
    return samples[metric, frozenset(labels.items())]


def test_a_run_is_counted(client: FlaskClient, stage: Stage):
    stage.connect()
    report = {run["resource"]: run for run in stage.json("sync", "--json")["runs"]}["tasks"]
    samples, labels = scraped(client), {"portal": stage.portal.member_id, "resource": "tasks"}

    assert value(samples, "b24sync_runs_total", **labels, status="ok") == 1
    assert value(samples, "b24sync_rows", **labels) == 12
    assert value(samples, "b24sync_rows_written_total", **labels, change="inserted") == report["inserted"] == 12
    assert value(samples, "b24sync_http_requests_total", **labels) == report["http_requests"]
    assert value(samples, "b24sync_guard_trips_total", **labels) == 0
    assert 0 <= value(samples, "b24sync_fresh_seconds", **labels) < 60
    assert 3000 < value(samples, "b24sync_token_seconds_left", portal=stage.portal.member_id, token="access") <= 3600
    assert value(samples, "b24sync_accounts", portal=stage.portal.member_id, status="ok") == 1


def test_a_portal_that_was_never_read_is_infinitely_old(client: FlaskClient, stage: Stage):
    stage.connect()

    assert value(scraped(client), "b24sync_fresh_seconds", portal=stage.portal.member_id, resource="tasks") == inf


def test_every_metric_is_described_and_none_shows_more_than_it_says(client: FlaskClient, stage: Stage):
    stage.connect()
    stage.json("sync", "--json")
    text = client.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}

    assert set(families) == {name.removesuffix("_total") for name in METRICS}
    for name, definition in METRICS.items():
        samples = families[name.removesuffix("_total")].samples
        assert samples, name
        assert all(set(sample.labels) == set(definition.labels) for sample in samples), name


def test_no_metric_names_a_person(client: FlaskClient, stage: Stage):
    stage.connect()
    stage.json("sync", "--json")
    text = client.get("/metrics").text

    for user in stage.portal.world.users.values():
        assert user.name not in text
        assert user.last_name not in text
    assert "user" not in text.replace('resource="users"', "")


def test_counters_do_not_fall_when_old_runs_are_deleted(database: Database, portal_id: int, clock: FakeClock):
    report = {"portal_id": portal_id, "resource": "tasks", "mode": "full", "fetched": 3, "waited_seconds": 0.5}
    report |= {"started_at": clock.now(), "finished_at": clock.now()}
    with database.write() as session:
        for status in ("ok", "ok", "guarded"):
            runs.add_run(session, {**report, "status": status})
        runs.delete_old_runs(session, clock.now() + timedelta(days=99))
    with database.read() as session:
        samples = read(session, clock.now())

    assert dict(samples["b24sync_records_fetched_total"]) == {("m1", "tasks"): 9}
    assert dict(samples["b24sync_waited_seconds_total"]) == {("m1", "tasks"): 1.5}
    assert dict(samples["b24sync_guard_trips_total"]) == {("m1", "tasks"): 1}
    assert dict(samples["b24sync_runs_total"]) == {("m1", "tasks", "guarded"): 1, ("m1", "tasks", "ok"): 2}


def test_metrics_ask_for_the_password(stage: Stage):
    with stage.wiring(B24SYNC_WEB_PASSWORD="x") as wiring:
        assert create_app(wiring).test_client().get("/metrics").status_code == HTTPStatus.UNAUTHORIZED


def test_the_health_check_tells_the_oldest_of_the_active_portals(client: FlaskClient, wiring: Wiring):
    now = datetime.now(UTC)
    with wiring.ready_database.write() as session:
        young, old, paused = (
            connect(session, now, member_id=name, domain=f"{name}.example").portal_id for name in ("a", "b", "c")
        )
        for portal_id, age in ((young, 10), (old, 500), (paused, 9000)):
            at = now - timedelta(seconds=age)
            runs_at = {"started_at": at, "finished_at": at}
            runs.add_run(
                session, {"portal_id": portal_id, "resource": "tasks", "mode": "full", "status": "ok", **runs_at}
            )
            update_cursor(session, portal_id, "tasks", last_run_at=now, last_status="failed")
        session.get_one(Portal, paused).status = "paused"

    told = client.get("/healthz").json
    assert told is not None
    assert 500 <= told["fresh_seconds"]["tasks"] < 560
    assert told["fresh_seconds"]["users"] is None


@pytest.mark.parametrize("answer", ["beat has not ticked for 99 s", OSError("s3cret")])
def test_the_health_check_tells_which_part_is_not_well(wiring: Wiring, answer: str | OSError):
    def check() -> str:
        if isinstance(answer, OSError):
            raise answer
        return answer

    told = create_app(wiring, {"tick": check}).test_client().get("/healthz")

    assert told.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert told.json is not None
    assert told.json["checks"]["database"] == "ok"
    assert told.json["checks"]["tick"] in {"beat has not ticked for 99 s", "the tick cannot be reached"}
    assert "s3cret" not in told.text
