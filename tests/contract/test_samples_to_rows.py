"""The vendor's printed answers, and every other spelling of them that has been seen, end as the same rows in SQL."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import select

from tests.conftest import FakeClock
from tests.contract.player import Player, printed
from worker.bitrix24.client import Client
from worker.config import Settings
from worker.emulator.rest.methods import METHODS
from worker.resources.probe import rest3
from worker.storage import portals
from worker.storage.capabilities import load_capabilities
from worker.storage.models import Account, Base, Portal
from worker.sync.portal import Wish
from worker.sync.report import Mode, Report
from worker.wiring import Wiring

Json: TypeAlias = Any

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 9, 21, 14, 30, tzinfo=UTC)
OWN = {"portal_id", "raw", "content_hash", "visible_hash", "first_seen_at", "updated_at", "read_at"}
WATERED = (
    *((9, 21), (9, 23), (9, 30), (10, 7), (10, 14), (10, 21), (10, 28)),
    *((11, 2), (11, 4), (11, 9), (11, 11), (11, 16), (11, 18), (11, 23), (11, 25), (11, 30)),
    *((12, 2), (12, 7), (12, 9), (12, 14), (12, 16), (12, 21), (12, 23)),
)
"""Mondays and Wednesdays up to 24 December but for five Mondays, read off a calendar on the wall. The page prints one
row of such a series, of a window that holds four of its days: so b24sync makes the instances."""
LAST_SUMMER_DAY = (10, 24)

EXPECTED = {
    "tasks": [
        {
            "task_id": 512,
            "title": "Prune the roses",
            "description": "Above the [B]third[/B] bud",
            "status": 2,
            "priority": 2,
            "responsible_id": 14,
            "deadline": datetime(2026, 10, 24, 17, 0, tzinfo=UTC),
            "created_at": datetime(2026, 6, 4, 14, 15, 55, tzinfo=UTC),
            "accomplices": "[]",
            "auditors": "[11,17]",
            "tags": '["garden"]',
            "crm_links": "[]",
        }
    ],
    "users": [
        {"user_id": 11, "name": "Vera", "last_name": "Holt", "email": "vera@example.com"}
        | {"active": True, "departments": "[1]", "user_type": "employee"},
        {"user_id": 14, "name": "Nils", "last_name": "Berg", "email": "nils@example.com"}
        | {"active": True, "departments": "[1]", "user_type": "employee"},
    ],
    "planner_tasks": [
        {"user_id": 11, "planned_on": date(2026, 9, 21), "task_id": task_id, "position": position}
        for position, task_id in enumerate((512, 498, 530, 507))
    ],
    "calendar_sections": [
        {"section_id": 4, "calendar_type": "user", "owner_id": 11, "name": "Garden", "description": "What grows when"}
        | {"color": "#9cbeee", "text_color": "#283000"},
    ],
    "calendar_events": [
        {
            "event_id": 70,
            "section_id": 4,
            "recurrence_event_id": 72,
            "calendar_type": "user",
            "owner_id": 11,
            "name": "Watering",
            "description": "With rain water",
            "location": "greenhouse",
            "all_day": False,
            "starts_at": datetime(2026, 9, 21, 14, 59, tzinfo=UTC),
            "ends_at": datetime(2026, 9, 21, 15, 59, tzinfo=UTC),
            "time_zone": "Europe/Riga",
            "recurrence_rule": "FREQ=WEEKLY;UNTIL=20261224T215959Z;BYDAY=MO,WE",
            "excluded_dates": '["2026-09-28","2026-10-05","2026-10-12","2026-10-19","2026-10-26"]',
            "meeting_host_id": 11,
            "is_meeting": True,
            "importance": "normal",
            "accessibility": "free",
            "private": False,
            "color": "#9dcf00",
            "masked": False,
            "title_masked": False,
        }
    ],
    "calendar_occurrences": [
        {
            "event_id": 70,
            "starts_at": datetime(2026, *day, 14 + (day > LAST_SUMMER_DAY), 59, tzinfo=UTC),
            "ends_at": datetime(2026, *day, 15 + (day > LAST_SUMMER_DAY), 59, tzinfo=UTC),
            "all_day": False,
        }
        for day in WATERED
    ],
    "event_attendees": [{"event_id": 70, "user_id": 11, "status": "H"}],
}


class Stage:
    """A player and the mirror of what it plays."""

    def __init__(self, folder: Path) -> None:
        self.player = Player()
        self.clock = FakeClock(NOW)
        self.wiring = Wiring(
            Settings.load(
                {
                    "B24SYNC_DATA_DIR": str(folder),
                    "B24SYNC_CLIENT_ID": "local.x",
                    "B24SYNC_CLIENT_SECRET": "y",
                    "B24SYNC_OAUTH_URL": f"http://{self.player.server.host}",
                }
            )
        )
        self.wiring.clock = self.clock  # type: ignore[assignment]  # before anything was made with it
        client_for = self.wiring.client_for

        def steady(portal: Portal, account: Account, **options: Any) -> Client:  # noqa: ANN401 - client_for's
            """Pauses not left to chance: the clock jumps over them, and no heartbeat renews a lease meanwhile."""
            client = client_for(portal, account, **options)
            client._jitter = lambda: 0.5
            return client

        self.wiring.client_for = steady  # type: ignore[method-assign,assignment]
        self.portal_id = 0

    def connect(self) -> None:
        self.portal_id = self.wiring.connector.with_tokens(self.player.grant()).portal_id

    def sync(self, mode: Mode | None = None) -> list[Report]:
        self.clock.advance(60)
        outcome = self.wiring.sync.run(self.portal_id, Wish(mode=mode, at_once=True))
        assert outcome is not None
        return outcome.reports

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """What is in the tables, without what is NULL."""
        with self.wiring.ready_database.read() as session:
            return {
                name: [
                    {key: value for key, value in row.items() if key not in OWN and value is not None}
                    for row in session.execute(select(Base.metadata.tables[name])).mappings()
                ]
                for name in EXPECTED
            }


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Synced once from what the pages print."""
    stage = Stage(tmp_path_factory.mktemp("samples"))
    with stage.player.server:
        stage.connect()
        assert [str(report.status) for report in stage.sync()] == ["ok"] * 4
        yield stage
        stage.wiring.close()


def each(change: Callable[[Json], Json]) -> Callable[[str, Json], Json]:
    """A variant that changes every value of an answer, the inner ones first."""

    def walk(value: Json) -> Json:
        if isinstance(value, dict):
            value = {key: walk(item) for key, item in value.items()}
        elif isinstance(value, list):
            value = [walk(item) for item in value]
        return change(value)

    return lambda _method, answer: {name: walk(part) for name, part in answer.items()}


def named(change: Callable[[str, Json], Json]) -> Callable[[str, Json], Json]:
    """A variant that changes values by their names."""
    return each(
        lambda value: {key: change(key, item) for key, item in value.items()} if isinstance(value, dict) else value
    )


def is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def empty(value: Json) -> bool:
    return value in (None, "", [], {}) and value is not False and not is_number(value)


FLAGS = {"ACTIVE", "ADMIN", "IS_MEETING", "DT_SKIP_TIME", "DELETED"}
_US = re.compile(r"(\d\d)/(\d\d)/(\d{4})(?: (\d\d):(\d\d):(\d\d) ([ap]m))?")
_ISO = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\+(\d\d):(\d\d)")


def cultured(form: str) -> Callable[[Json], Json]:
    """Dates in the portal's own culture: `{d}` and `{m}` change places, the hours have twenty-four."""

    def one(found: re.Match[str]) -> str:
        month, day, year, hour, minute, second, half = found.groups()
        text = form.format(d=day, m=month, y=year)
        if hour is None:
            return text
        return f"{text} {int(hour) % 12 + (12 if half == 'pm' else 0):02d}:{minute}:{second}"

    def change(value: Json) -> Json:
        texts = value.split(";") if isinstance(value, str) else []
        return ";".join(_US.sub(one, text) for text in texts) if texts and all(map(_US.fullmatch, texts)) else value

    return change


def at_server_zone(method: str, answer: Json) -> Json:
    """The server's clock elsewhere, at the same moment."""
    time = answer.get("time", {}) | {
        "date_start": "2026-09-21T17:30:00+03:00",
        "date_finish": "2026-09-21T17:30:00+03:00",
    }
    return answer | {"time": time}


VARIANTS: dict[str, Callable[[str, Json], Json]] = {
    "texts of digits are numbers": each(
        lambda v: int(v) if isinstance(v, str) and re.fullmatch(r"-?[0-9]{1,18}", v) else v
    ),
    "numbers are texts": each(lambda v: str(v) if is_number(v) else v),
    "whole numbers have a point": each(lambda v: float(v) if is_number(v) else v),
    "empty maps are lists": each(lambda v: [] if v == {} else v),
    "empty lists are maps": each(lambda v: {} if v == [] else v),
    "lists of single values are maps": each(
        lambda v: (
            {str(index): item for index, item in enumerate(v)}
            if isinstance(v, list) and v and not any(isinstance(item, dict | list) for item in v)
            else v
        )
    ),
    "lists of attendees and of events are maps": lambda method, answer: (
        each(
            lambda v: (
                {str(i + 1): item for i, item in enumerate(v)}
                if isinstance(v, list) and v and isinstance(v[0], dict)
                else v
            )
        )(method, answer)
        if method.startswith("calendar.")
        else answer
    ),
    "maps with numbers for keys are lists": each(
        lambda v: list(v.values()) if isinstance(v, dict) and v and all(key.isdecimal() for key in v) else v
    ),
    "nothing is null": each(lambda v: None if v in ("", [], {}) and not is_number(v) and v is not False else v),
    "nothing is an empty text": each(lambda v: "" if v is None else v),
    "nothing is false": each(lambda v: False if v is None else v),
    "what is nothing is not there": named(lambda _key, v: v),
    "flags are letters": named(lambda k, v: ("Y" if v else "N") if k in FLAGS and isinstance(v, bool) else v),
    "flags are digits": named(lambda k, v: str(int(v)) if k in FLAGS and isinstance(v, bool) else v),
    "letters are flags": named(lambda k, v: v == "Y" if k in FLAGS and v in ("Y", "N") else v),
    "the day comes first, with dots": each(cultured("{d}.{m}.{y}")),
    "the day comes first, with strokes": each(cultured("{d}/{m}/{y}")),
    "the year comes first": each(cultured("{y}-{m}-{d}")),
    "offsets have no colon": each(lambda v: _ISO.sub(r"\1+\2\3", v) if isinstance(v, str) else v),
    "the server is in another zone": at_server_zone,
    "no counters in the time block": lambda _method, answer: (
        answer | {"time": {key: value for key, value in answer.get("time", {}).items() if "operating" not in key}}
    ),
    "fields that nobody has heard of": each(
        lambda v: v | {"brandNew": {"deep": [1, "two"]}} if isinstance(v, dict) and ("id" in v or "ID" in v) else v
    ),
    "texts with half an emoji elsewhere": each(
        lambda v: v | {"note": "cut \ud83d"} if isinstance(v, dict) and ("id" in v or "ID" in v) else v
    ),
}
VARIANTS["what is nothing is not there"] = each(
    lambda v: {key: item for key, item in v.items() if not empty(item)} if isinstance(v, dict) else v
)


def test_every_method_that_we_call_has_a_sample():
    """Every name of a method (as the emulator knows them) that stands in our code, and `batch`."""
    files = [path for path in (ROOT / "worker").rglob("*.py") if "emulator" not in path.parts]
    quoted = {word for path in files for word in re.findall(r'"([a-z._]+)"', path.read_text(encoding="utf-8"))}
    called = (quoted & METHODS.keys()) | {"batch", rest3.METHOD}

    assert {"tasks.task.list", "calendar.event.get", "event.offline.get", "app.info", "methods"} <= called
    assert called - printed().keys() == set()


def test_the_printed_answers_become_these_rows(stage: Stage):
    assert stage.rows() == EXPECTED
    assert stage.player.calls >= {"tasks.task.list", "user.get", "event.bind", "feature.get", rest3.METHOD}
    with stage.wiring.ready_database.read() as session:
        found = {name: row.value for name, row in load_capabilities(session, stage.portal_id).items()}
    assert found["calendar.expanded"] == "no"


def test_an_answer_with_every_instance_makes_the_same_row_of_the_series(tmp_path: Path):
    """As the vendor's PHP has it; then the series itself is asked for by its ID."""

    def expanded(method: str, answer: Json) -> Json:
        if method != "calendar.event.get":
            return answer
        (row,) = answer["result"]
        second = row | {
            "DATE_FROM": "09/23/2026 05:59:00 pm",
            "DATE_TO": "09/23/2026 06:59:00 pm",
            "DATE_FROM_FORMATTED": "Wed Sep 23 2026 17:59:00",
            "DATE_TO_FORMATTED": "Wed Sep 23 2026 18:59:00",
        }
        return answer | {"result": [row | {"RINDEX": 0}, second | {"RINDEX": 1}]}

    stage = Stage(tmp_path)
    stage.player.change = expanded
    with stage.player.server:
        stage.connect()
        assert [str(report.status) for report in stage.sync()] == ["ok"] * 4
        rows = stage.rows()
        stage.wiring.close()

    assert "calendar.event.getbyid" in stage.player.calls
    assert rows["calendar_occurrences"] == EXPECTED["calendar_occurrences"][:2]
    assert rows | {"calendar_occurrences": EXPECTED["calendar_occurrences"]} == EXPECTED


def test_a_task_that_an_event_names_is_read_by_its_page_and_confirmed(tmp_path: Path):
    """event.offline.get, tasks.task.get and event.offline.clear, one after the other."""

    def told(method: str, answer: Json) -> Json:
        if method == "event.offline.get":
            (row,) = answer["result"]["events"]
            sides = {"FIELDS_BEFORE": {"ID": 513}, "FIELDS_AFTER": {"ID": 513}}
            return answer | {"result": {"process_id": "k3Jd82mX", "events": [row | {"EVENT_DATA": sides}]}}
        if method == "tasks.task.get":
            return answer | {"result": {"task": answer["result"]["task"] | {"id": "513"}}}
        return answer

    stage = Stage(tmp_path)
    with stage.player.server:
        stage.connect()
        stage.sync()
        stage.player.change = told
        assert [str(report.status) for report in stage.sync()] == ["ok"] * 4
        tasks = {row["task_id"]: row for row in stage.rows()["tasks"]}
        stage.wiring.close()

    assert stage.player.calls >= {"tasks.task.get", "event.offline.clear"}
    assert tasks[512] == EXPECTED["tasks"][0]
    assert tasks[513].items() >= {
        ("title", "Prune the roses"),
        ("deadline", datetime(2026, 10, 24, 17, 0, tzinfo=UTC)),
        ("created_by_id", 11),
        ("responsible_id", 14),
        ("crm_links", '["C_4","CO_7","L_9","T88_3","D_12"]'),
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_another_spelling_changes_no_row(stage: Stage, name: str):
    """Not even the hash: the same fact in other words is no change."""
    stage.player.change = VARIANTS[name]
    try:
        reports = stage.sync(Mode.FULL)
    finally:
        stage.player.change = lambda _method, answer: answer

    assert [(str(one.status), one.error, one.rejected, one.changes) for one in reports] == [("ok", None, 0, 0)] * 4
    assert stage.rows() == EXPECTED


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_one(name: str):
    change, played = VARIANTS[name], printed()
    changed = [name for name, answer in played.items() if json.dumps(change(name, answer)) != json.dumps(answer)]

    assert changed, "nothing was changed: the test above would say nothing"


REFUSALS = [
    # code, what it means to the run, the page's status, the one in the vendor's own code (notes; system-errors.md)
    ("expired_token", "TokenRejected", 401, 401),
    ("NO_AUTH_FOUND", "CallRefused", 401, 401),
    ("authorization_error", "NeedsReauth", 401, 401),
    ("INVALID_CREDENTIALS", "NeedsReauth", 403, 401),
    ("insufficient_scope", "MissingScope", 403, 401),
    ("user_access_error", "AccessDenied", 403, 401),
    ("ACCESS_DENIED", "AccessDenied", 403, 401),
    ("OVERLOAD_LIMIT", "PortalClosed", 503, 401),
    ("PORTAL_DELETED", "PortalClosed", 500, 403),
    ("QUERY_LIMIT_EXCEEDED", "RateLimited", 503, 429),
    ("ERROR_CORE", "TransientError", 500, 400),
    ("INTERNAL_SERVER_ERROR", "TransientError", 500, 500),
    ("ERROR_UNEXPECTED_ANSWER", "TransientError", 500, 200),
]


@pytest.mark.parametrize(("code", "meaning", "page", "source"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_a_refusal_means_the_same_under_either_status(stage: Stage, code: str, meaning: str, page: int, source: int):
    """A run that was refused fails and changes nothing, whichever of the two tables the portal follows."""
    seen = []
    for status in (page, source):
        stage.player.refusal = status, {"error": code, "error_description": "No"}
        try:
            reports = stage.sync()
        finally:
            stage.player.refusal = None
        with stage.wiring.database.read() as session:
            portal, account = portals.get_portal(session, stage.portal_id), portals.get_account(session, 1)
        assert portal is not None
        assert account is not None
        seen.append(([type(one.failure).__name__ for one in reports], portal.status, account.status))
        stage.clock.advance(86400)
        with stage.wiring.database.write() as session:
            portals.set_portal_status(session, stage.portal_id, "active")
            portals.set_account_status(session, 1, "ok")

    assert seen[0] == seen[1]
    assert seen[0][0] == [meaning] * 4
    assert stage.rows() == EXPECTED
