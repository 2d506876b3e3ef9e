"""The emulator answers in the vendor's shapes: same keys, same JSON types, page by page of the documentation."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlencode

import pytest

from worker.emulator import Emulator, Portal, PortalSpec
from worker.emulator.world.recurrence import WEEK, Rule

Json: TypeAlias = Any

SAMPLES = Path(__file__).parents[1] / "samples"
NAMES = sorted(path.stem for path in SAMPLES.glob("*.json"))


@dataclass
class Stage:
    emulator: Emulator
    portal: Portal
    token: str
    rich: dict[str, int]


def post(host: str, path: str, body: dict[str, Json], *, form: bool = False) -> Json:
    connection = HTTPConnection(host, timeout=5)
    try:
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        connection.request("POST", path, urlencode(body) if form else json.dumps(body), {"Content-Type": kind})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Emulator() as emulator:
        portal = emulator.add_portal(PortalSpec(tasks=300, events=10, limits=False))
        yield Stage(emulator, portal, portal.issue_tokens(1)["access_token"], furnish(portal))


def furnish(portal: Portal) -> dict[str, int]:
    """One task and one event with everything a sample shows, and a queue of events."""
    others = list(portal.world.users)[1:3]
    token = portal.issue_tokens(1)["access_token"]
    for body in (
        {"event": "ONTASKADD", "handler": "https://example.com/h"},
        {"event": "ONTASKDELETE", "event_type": "offline"},
    ):
        post(portal.domain, "/rest/event.bind", body | {"auth": token})
    task_id = portal.create_task(
        title="Everything",
        description="[B]all[/B]",
        deadline=datetime(2026, 1, 1, 9, tzinfo=UTC),
        mark="P",
        accomplices=[others[0]],
        auditors=[others[1]],
        tags={41: "garden"},
        uf={"UF_CRM_TASK": ["C_4"], "UF_TASK_WEBDAV_FILES": [7], "UF_MAIL_MESSAGE": None},
    )
    portal.set_planner(1, [task_id])
    for _ in range(2):
        portal.delete_task(portal.create_task(title="gone"))
    section = portal.new_section("user", 1, "Samples")
    starts = (portal.now() - timedelta(days=3)).replace(tzinfo=None, hour=15, minute=0, second=0)
    event_id = portal.create_event(
        1,
        starts,
        starts + timedelta(hours=1),
        name="Everything",
        description="d",
        location="l",
        color="#fff",
        attendees={others[0]: "Y"},
        section_id=section,
    )
    portal.update_event(event_id, rule=weekly(starts.date()), excluded={starts.date() + timedelta(days=7)})
    return {"task": task_id, "event": event_id, "section": section}


def weekly(first: date) -> Rule:
    return Rule("WEEKLY", 1, (WEEK[first.weekday()],), until=first + timedelta(days=40))


def filled(value: Json, rich: dict[str, int]) -> Json:
    if isinstance(value, dict):
        return {key: filled(item, rich) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, rich) for item in value]
    return rich[value.strip("{}")] if isinstance(value, str) and value.startswith("{") else value


def differences(sample: Json, answer: Json, path: str, optional: set[str], nullable: set[str]) -> list[str]:
    """Where an answer departs from a sample; `*` is any key of a map."""
    if answer is None and path in nullable:
        return []
    if isinstance(sample, dict) and isinstance(answer, dict):
        found = []
        if "*" in sample:
            return [
                problem
                for item in answer.values()
                for problem in differences(sample["*"], item, f"{path}.*", optional, nullable)
            ]
        for key in sample.keys() | answer.keys():
            here = f"{path}.{key}".lstrip(".")
            if key not in sample or key not in answer:
                found += [] if here in optional else [f"{here}: {'too much' if key in answer else 'missing'}"]
            else:
                found += differences(sample[key], answer[key], here, optional, nullable)
        return found
    if isinstance(sample, list) and isinstance(answer, list):
        if sample and not answer:
            return [f"{path}: nothing to compare"]
        return [
            problem
            for item in answer
            if sample
            for problem in differences(sample[0], item, f"{path}.*", optional, nullable)
        ]
    # A whole number has no point, as in the vendor's `"operating": 0`.
    same = type(sample) is type(answer) or (type(sample) is float and type(answer) is int)
    return [] if same else [f"{path}: {answer!r} instead of a {type(sample).__name__}"]


@pytest.mark.parametrize("name", NAMES)
def test_shapes_are_those_of_the_vendors_page(name: str, stage: Stage) -> None:
    """Keys and types of an answer are those the page shows."""
    sample = json.loads((SAMPLES / f"{name}.json").read_text())
    portal, method = stage.portal, sample["method"]
    if name.startswith("oauth"):
        base = {"grant_type": method, "client_id": portal.client_id, "client_secret": portal.client_secret}
        if method == "authorization_code":
            base["code"] = stage.emulator.token_server.new_code(portal, 1)
        else:
            base["refresh_token"] = portal.issue_tokens(1)["refresh_token"]
        answer = post(stage.emulator.token_server.host, "/oauth/token/", base | sample["params"], form=True)
    else:
        if name in {"event-offline-list", "event-offline-get"}:
            portal.queue.rows.clear()
            portal.queue.happened("ONTASKDELETE", sample_data(sample), 1, portal.now())
        if name == "event-get":
            portal.queue.bindings[:] = [bound for bound in portal.queue.bindings if not bound.offline]
        if name.startswith("event-offline"):
            post(
                portal.domain,
                "/rest/event.bind",
                {"auth": stage.token, "event": "ONTASKDELETE", "event_type": "offline"},
            )
            portal.queue.happened("ONTASKDELETE", sample_data(sample), 1, portal.now())
        params = filled(sample["params"], stage.rich) | {"auth": stage.token}
        answer = post(portal.domain, f"/rest/{method}", params)

    assert differences(sample["answer"], answer, "", set(sample["optional"]), set(sample["nullable"])) == []


def sample_data(sample: dict[str, Json]) -> Json:
    result = sample["answer"]["result"]
    rows = result["events"] if isinstance(result, dict) else result
    return rows[0]["EVENT_DATA"] if isinstance(rows, list) else {"FIELDS_BEFORE": {"ID": 1}}
