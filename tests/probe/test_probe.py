"""The probe against the emulated portal, honest and lying: what is found, and how the sync goes then."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.integration.mirror import Mirror, Stage
from tests.probe.page import HONEST, MEANINGS, MODES, Probed, page
from worker.resources.capabilities import slower
from worker.storage.capabilities import load_capabilities
from worker.storage.models import PortalCapability

PAGE = Path(__file__).parents[2] / "docs" / "capabilities.md"
WRITE = bool(os.environ.get("WRITE_CAPABILITIES"))
"""Set by `make capabilities`."""

MOST = 12
"""Requests that a probe may cost."""


def known(mirror: Mirror) -> dict[str, PortalCapability]:
    with mirror.database.read() as session:
        return dict(load_capabilities(session, mirror.portal_id))


def values(mirror: Mirror) -> dict[str, str]:
    return {name: row.value for name, row in known(mirror).items()}


@pytest.fixture(scope="module")
def probed(stage: Stage) -> Any:  # noqa: ANN401 - a cached function
    @cache
    def probe(mode: str | None) -> Probed:
        spec = HONEST | {"tasks": 1000} | (MODES[mode] if mode else {})
        mirror = stage.mirror(stage.portal(**spec))
        found = known(mirror)
        asked = mirror.portal.requests.requests[1:]  # the first one is the connection's own
        return Probed({name: row.value for name, row in found.items()}, asked, slower(found))

    return probe


@pytest.mark.first_world
def test_an_honest_portal_keeps_to_its_pages(probed: Any):  # noqa: ANN401
    honest = probed(None)

    assert not honest.slower
    assert len(honest.requests) <= MOST
    assert {name for name, value in honest.values.items() if value == "unknown"} == set()


def test_every_name_is_explained(probed: Any):  # noqa: ANN401
    names = {name.replace("users.", "tasks.") for name in probed(None).values}

    assert names == set(MEANINGS)


ANYWAY = {"writes the day first", "shows a series once"}
"""What the second world's portals do, too."""


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=pytest.mark.first_world) if mode in ANYWAY else mode for mode in MODES]
)
def test_what_a_portal_does_otherwise_is_found(probed: Any, mode: str):  # noqa: ANN401
    """In all modes but one, which changes what calls cost and nothing else."""
    probed_mode = probed(mode)

    assert (probed_mode.values != probed(None).values) is (mode != "bills the batch")
    assert len(probed_mode.requests) <= MOST


@pytest.mark.first_world
def test_the_published_page_is_what_was_just_found(probed: Any):  # noqa: ANN401
    now = page(probed(None), {mode: probed(mode) for mode in MODES})
    if WRITE:
        PAGE.write_text(now, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == now, "run `make capabilities`, and read what changed"


def test_nothing_personal_is_evidence(stage: Stage):
    """No name, text or address of the portal's records gets into the findings."""
    mirror = stage.mirror(stage.portal(**HONEST | {"tasks": 60}))
    world = mirror.portal.world
    personal = {user.last_name for user in world.users.values()} | {task.title for task in world.tasks.values()}
    personal |= {user.email for user in world.users.values()} | {event.name for event in world.events.values()}
    evidence = "\n".join(row.evidence for row in known(mirror).values())

    assert not [text for text in personal if text and len(text) > 3 and text in evidence]


def test_a_probe_only_reads(stage: Stage):
    mirror = stage.mirror(stage.portal(**HONEST | {"tasks": 60}))
    calls = {call for request in mirror.portal.requests.requests for call in request}

    assert calls <= {
        *("profile", "scope", "app.info", "server.time", "feature.get", "method.get"),
        *("tasks.task.list", "user.get", "calendar.event.get", "api/tasks.task.list"),
    }


@pytest.mark.parametrize(
    ("kind", "method"), [("html", None), ("internal_error", "server.time"), ("wrong_shape", "server.time")]
)
def test_a_probe_that_fails_fails_no_connection(stage: Stage, kind: str, method: str | None):
    """Nothing is known then; the next turn asks again."""
    portal = stage.portal(tasks=60)
    portal.faults.add(kind, after=0 if method else 1, method=method)
    mirror = stage.mirror(portal)

    assert known(mirror) == {}
    mirror.sync()
    assert values(mirror)["tasks.order"] == "yes"


@pytest.mark.parametrize("method", ["calendar.event.get", "api/tasks.task.list", "tasks.task.list"])
@pytest.mark.parametrize("kind", ["html", "empty", "reset", "rate_limit", "cut"])
def test_what_does_not_answer_is_unknown(stage: Stage, kind: str, method: str):
    """A request lost on the way says nothing of the portal; the others are believed."""
    portal = stage.portal(**HONEST | {"tasks": 60})
    portal.faults.add(kind, method=method, after=1 if method == "tasks.task.list" else 0)
    mirror = stage.mirror(portal)
    found = values(mirror)

    assert found["account.admin"] == "yes"
    assert "unknown" in found.values()
    assert "no" not in {found[name] for name in ("tasks.after_id", "tasks.order", "tasks.reference", "dates.z")}


def test_a_portal_is_probed_again_after_a_week(stage: Stage):
    mirror = stage.mirror(stage.portal(tasks=60))
    mirror.sync()
    first = known(mirror)["tasks.order"].probed_at
    mirror.clock.advance(6 * 86_400)
    mirror.sync()
    assert known(mirror)["tasks.order"].probed_at == first
    mirror.clock.advance(86_400)
    mirror.portal.spec = stage.portal(tasks=0, ordered=False).spec
    mirror.sync()

    assert known(mirror)["tasks.order"].probed_at > first
    assert values(mirror)["tasks.order"] == "no"


def test_an_empty_portal_is_probed_again_the_next_day(stage: Stage):
    mirror = stage.mirror(stage.portal(tasks=0, events=0))
    assert values(mirror)["tasks.reference"] == "unknown"
    for _ in range(3):
        mirror.portal.create_task()
    mirror.clock.advance(86_400)
    mirror.sync()

    assert values(mirror)["tasks.reference"] == "yes"


def test_a_second_account_does_not_change_what_is_known(stage: Stage):
    """It sees less, so it would have less to look at."""
    mirror = stage.mirror(stage.portal(tasks=60))
    before = {name: row.probed_at for name, row in known(mirror).items()}
    mirror.clock.advance(60)
    mirror.connect(max(mirror.portal.world.users))

    assert {name: row.probed_at for name, row in known(mirror).items()} == before


def test_a_webhook_is_probed_too(stage: Stage):
    mirror = stage.mirror(stage.portal(**HONEST | {"tasks": 60}))
    mirror.wiring.connector.with_webhook(mirror.portal.webhook_url(mirror.portal.admin_id))
    other = stage.portal(**HONEST | {"tasks": 60, "name": "hook", "seed": 99})
    connected = mirror.wiring.connector.with_webhook(other.webhook_url(other.admin_id))
    with mirror.database.read() as session:
        found = {name: row.value for name, row in load_capabilities(session, connected.portal_id).items()}

    assert found["events"] == "polling"
    assert found["rest3"] == "yes"
    assert found["tasks.reference"] == "yes"
