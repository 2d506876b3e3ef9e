"""Series fall on the days that python-dateutil finds, and tables of truth agree with what the portal answers."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from http.client import HTTPConnection
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import DAILY, FR, MO, MONTHLY, TU, WE, WEEKLY, YEARLY, rrule

from worker.emulator import Emulator, Life, Portal, PortalSpec
from worker.emulator.world.recurrence import Rule

Json: TypeAlias = Any

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FIRST = date(2026, 1, 5)  # a Monday


@pytest.mark.parametrize(
    ("rule", "theirs"),
    [
        (Rule("DAILY", count=400), {"freq": DAILY, "count": 400}),
        (Rule("DAILY", 3, until=date(2026, 12, 1)), {"freq": DAILY, "interval": 3, "until": datetime(2026, 12, 1)}),  # noqa: DTZ001
        (Rule("WEEKLY", count=9), {"freq": WEEKLY, "count": 9}),
        (
            Rule("WEEKLY", 2, ("MO", "FR"), count=31),
            {"freq": WEEKLY, "interval": 2, "byweekday": (MO, FR), "count": 31},
        ),
        (Rule("WEEKLY", 1, ("TU", "WE"), count=5), {"freq": WEEKLY, "byweekday": (TU, WE), "count": 5}),
        (Rule("MONTHLY", count=30), {"freq": MONTHLY, "count": 30}),
        (Rule("YEARLY", count=9), {"freq": YEARLY, "count": 9}),
    ],
    ids=["daily", "every-third-day", "weekly", "fortnightly", "starts-before-its-days", "monthly", "yearly"],
)
@pytest.mark.parametrize("first", [FIRST, date(2026, 1, 28), date(2024, 2, 1)], ids=["monday", "28th", "first"])
def test_days_are_those_of_dateutil(rule: Rule, theirs: dict[str, Json], first: date) -> None:
    """Where no month lacks the day."""
    start = datetime.combine(first, time())
    expected = [found.date() for found in rrule(dtstart=start, **theirs) if found.year < 2038]

    assert list(rule.days(first)) == expected
    assert rule.last_day(first) == (expected[-1] if rule.count else rule.until)


@pytest.mark.parametrize(
    ("rule", "first", "expected"),
    [
        (
            Rule("MONTHLY", count=5),
            date(2026, 1, 31),
            ["2026-01-31", "2026-03-01", "2026-03-31", "2026-05-01", "2026-05-31"],
        ),
        (Rule("MONTHLY", 2, count=3), date(2027, 12, 30), ["2027-12-30", "2028-03-01", "2028-04-30"]),
        (
            Rule("YEARLY", count=5),
            date(2024, 2, 29),
            ["2024-02-29", "2025-03-01", "2026-03-01", "2027-03-01", "2028-02-29"],
        ),
    ],
    ids=["31st", "every-second-30th", "leap-day"],
)
def test_where_a_month_lacks_the_day_the_next_one_begins(rule: Rule, first: date, expected: list[str]) -> None:
    """The portal's own arithmetic, as read in the vendor's PHP; the RFC would have no instance."""
    assert [day.isoformat() for day in rule.days(first)] == expected


def test_an_endless_series_ends_in_2038() -> None:
    """Its last day by the portal's book is the first of January 2038."""
    days = list(Rule("YEARLY").days(FIRST))

    assert days[-1] == date(2037, 1, 5)
    assert Rule("YEARLY").last_day(FIRST) == date(2038, 1, 1)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 3, 29), [(1, 30), (1, 30), (0, 30)]),  # 02:30 is skipped: it is 03:30 in summer time
        (date(2026, 10, 25), [(0, 30), (0, 30), (1, 30)]),  # 02:30 comes twice: the first one counts
    ],
    ids=["spring", "autumn"],
)
def test_hours_stay_on_the_wall_over_a_clock_change(day: date, expected: list[tuple[int, int]]) -> None:
    """02:30 in Berlin, the day before, on and after the change, as UTC."""
    with Emulator(clock=lambda: NOW) as emulator:
        portal = emulator.add_portal(PortalSpec(tasks=0, events=0))
        starts = datetime.combine(day - timedelta(days=1), time(2, 30))
        event = portal.create_event(
            1, starts, starts + timedelta(minutes=20), zone="Europe/Berlin", rule=Rule("DAILY", count=3)
        )
        begin = datetime.combine(day - timedelta(days=5), time(), UTC)
        tables = portal.truth(1, window=(begin, begin + timedelta(days=10)))
    found = [row["starts_at"] for row in tables["calendar_occurrences"] if row["event_id"] == event]

    assert [(at.hour, at.minute) for at in found] == expected
    assert [
        row["ends_at"] - row["starts_at"] for row in tables["calendar_occurrences"] if row["event_id"] == event
    ] == [timedelta(minutes=20)] * 3


SPECS = {
    "berlin": PortalSpec(tasks=150, events=150, limits=False),
    "moscow": PortalSpec(
        tasks=80, events=150, limits=False, user_zone="America/New_York", server_zone="Europe/Moscow",
        culture="day_first", language="ru", seed=5, big_ids=True,
    ),
    "auckland": PortalSpec(
        tasks=80, events=150, limits=False, user_zone="Pacific/Auckland", server_zone="America/Los_Angeles", seed=9
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=SPECS)
def portal(request: pytest.FixtureRequest) -> Iterator[Portal]:
    with Emulator(clock=lambda: NOW) as emulator:
        portal = emulator.add_portal(SPECS[request.param])
        life = Life(portal, 3)
        for _ in range(60):
            assert life.step()
        series = [event.event_id for event in portal.world.events.values() if event.rule and event.owner_id == 1]
        portal.split_series(series[0], NOW.date() + timedelta(days=9), name="Split")
        yield portal


def asked(portal: Portal, user_id: int, method: str, **params: Json) -> Json:
    connection = HTTPConnection(portal.domain, timeout=10)
    try:
        body = json.dumps(params | {"auth": portal.issue_tokens(user_id)["access_token"]})
        connection.request("POST", f"/rest/{method}", body, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())["result"]
    finally:
        connection.close()


def begin_of(row: dict[str, Json]) -> tuple[datetime, datetime]:
    """As a reader must do it: the formatted text in the row's own zone, and the length."""
    if row["DT_SKIP_TIME"] == "Y":
        begin, end = (
            datetime.strptime(row[name], "%a %b %d %Y").replace(tzinfo=UTC)
            for name in ("DATE_FROM_FORMATTED", "DATE_TO_FORMATTED")
        )
        return begin, end
    wall = datetime.strptime(row["DATE_FROM_FORMATTED"], "%a %b %d %Y %H:%M:%S").replace(
        tzinfo=ZoneInfo(row["TZ_FROM"])
    )
    begin = wall.astimezone(UTC)
    return begin, begin + timedelta(seconds=row["DT_LENGTH"])


@pytest.mark.parametrize("viewer", [0, 1, 6], ids=["admin", "second", "seventh"])
def test_answers_and_truth_agree_on_calendars(portal: Portal, viewer: int) -> None:
    """What a padded window brings, cut to the window, is the truth: for every calendar that may be seen."""
    user_id = list(portal.world.users)[viewer]
    first = datetime(2026, 10, 24, tzinfo=UTC)
    last = datetime(2027, 5, 23, tzinfo=UTC)
    tables = portal.truth(user_id, calendars=("mine", "company", "groups", "everyone"), window=(first, last))
    owners = [("user", owner) for owner in portal.world.users] + [("group", group) for group in portal.world.groups]
    params = {"from": (first - timedelta(days=2)).isoformat(), "to": (last + timedelta(days=2)).isoformat()}
    occurrences, names, attendees, sections = set(), {}, set(), set()
    for kind, owner in [*owners, ("company_calendar", 0)]:
        sections |= {int(row["ID"]) for row in asked(portal, user_id, "calendar.section.get", type=kind, ownerId=owner)}
        for row in asked(portal, user_id, "calendar.event.get", type=kind, ownerId=owner, **params):
            begin, end = begin_of(row)
            whole = row["DT_SKIP_TIME"] == "Y"
            inside = (begin < last and end >= first) if whole else (begin < last and (end > first or begin >= first))
            if inside:
                occurrences.add((int(row["ID"]), begin, end))
                names[int(row["ID"])] = row["NAME"]
                for guest in row.get("ATTENDEE_LIST", []):
                    attendees.add((int(row["PARENT_ID"]), guest["id"], guest["status"]))

    assert len(occurrences) > 100
    assert sections == {row["section_id"] for row in tables["calendar_sections"]}
    assert occurrences == {
        (row["event_id"], row["starts_at"], row["ends_at"]) for row in tables["calendar_occurrences"]
    }
    assert names == {row["event_id"]: row["name"] for row in tables["calendar_events"]}
    held = {row["event_id"]: row["parent_event_id"] or row["event_id"] for row in tables["calendar_events"]}
    told = {(held[row["event_id"]], row["user_id"], row["status"]) for row in tables["event_attendees"]}
    assert told == attendees


def test_answers_and_truth_agree_on_tasks_and_users(portal: Portal) -> None:
    """Digits of dates read in the viewer's zone are the instants of the state."""
    zone = ZoneInfo(portal.world.zone_of(1))
    tables = portal.truth(1, window=(NOW, NOW))
    rows: list[dict[str, Json]] = []
    while True:
        order, last = {"ID": "asc"}, rows[-1]["id"] if rows else 0
        select = ["*", "TAGS", "UF_CRM_TASK"]
        params = {"order": order, "filter": {">ID": last}, "start": -1, "select": select}
        page = asked(portal, 1, "tasks.task.list", **params)["tasks"]
        rows += page
        if len(page) < 50:
            break

    def at(text: str | None) -> datetime | None:
        return datetime.fromisoformat(text[:19]).replace(tzinfo=zone).astimezone(UTC) if text else None

    seen = {
        int(row["id"]): (
            row["title"], at(row["deadline"]), at(row["createdDate"]), at(row["changedDate"]), at(row["closedDate"]),
            sorted(map(int, row["accomplices"])), sorted(tag["title"] for tag in (row["tags"] or {}).values()),
            int(row["groupId"]) or None, row["parentId"] and int(row["parentId"]), row["ufCrmTask"] or [],
        )
        for row in rows
    }  # fmt: skip
    assert seen == {
        row["task_id"]: (
            row["title"], row["deadline"], row["created_at"], row["changed_at"], row["closed_at"],
            json.loads(row["accomplices"]), json.loads(row["tags"]), row["group_id"], row["parent_id"],
            json.loads(row["crm_links"]),
        )
        for row in tables["tasks"]
    }  # fmt: skip
    users = {int(row["ID"]): (row["NAME"], row["ACTIVE"]) for row in asked(portal, 1, "user.get")}
    assert users == {row["user_id"]: (row["name"], row["active"]) for row in tables["users"]}


def test_nothing_is_new_at_the_start() -> None:
    """An incremental reading right after the start finds no task; and the seed makes the same portal twice."""
    with Emulator(clock=lambda: NOW) as emulator:
        portals = [emulator.add_portal(PortalSpec(tasks=100, events=60)) for _ in range(2)]
        since = (NOW - timedelta(hours=12)).isoformat().replace("+00:00", "Z")
        answer = asked(portals[0], 1, "tasks.task.list", filter={">=CHANGED_DATE": since})
        activity = asked(portals[0], 1, "tasks.task.list", filter={">=ACTIVITY_DATE": since})
        window = (NOW - timedelta(days=30), NOW + timedelta(days=180))
        tables = [portal.truth(1, window=window) for portal in portals]

    assert answer["tasks"] == activity["tasks"] == []
    assert tables[0] == tables[1]


def test_no_seeded_date_is_in_an_hour_that_comes_again() -> None:
    """The portal's answers could not tell it from the hour before; what people do later may well fall there."""
    spec = PortalSpec(tasks=3000, users=60, events=0)
    with Emulator(clock=lambda: NOW) as emulator:
        world = emulator.add_portal(spec).world
    dates = {
        value
        for record in (*world.tasks.values(), *world.users.values())
        for value in vars(record).values()
        if isinstance(value, datetime)
    }

    assert len(dates) > 5000
    assert spec.zones >= {"UTC", "Europe/Berlin", "America/New_York"}
    assert [at for at in dates for name in spec.zones if at.astimezone(ZoneInfo(name)).fold] == []


def test_rules_are_spelled_as_rfc_5545() -> None:
    """UNTIL is the whole last day: in UTC for hours, a date for whole days; COUNT wins; endless has neither."""
    monday = datetime(2026, 11, 23, 15, 0, tzinfo=UTC).replace(tzinfo=None)
    wanted: dict[str, dict[str, Json]] = {
        "FREQ=WEEKLY;INTERVAL=2;UNTIL=20261224T225959Z;BYDAY=MO,WE": {
            "rule": Rule("WEEKLY", 2, ("MO", "WE"), until=date(2026, 12, 24)),
        },
        "FREQ=DAILY;COUNT=3": {"rule": Rule("DAILY", count=3)},
        "FREQ=MONTHLY": {"rule": Rule("MONTHLY")},
        "FREQ=DAILY;UNTIL=20261130": {"rule": Rule("DAILY", until=date(2026, 11, 30)), "all_day": True},
    }
    with Emulator(clock=lambda: NOW) as emulator:
        portal = emulator.add_portal(PortalSpec(tasks=0, events=0))
        made = {
            portal.create_event(1, monday, monday + timedelta(hours=1), **values): text
            for text, values in wanted.items()
        }
        rows = portal.truth(1, window=(NOW - timedelta(days=3), NOW + timedelta(days=90)))["calendar_events"]

    assert {row["event_id"]: row["recurrence_rule"] for row in rows if row["event_id"] in made} == made
    assert all(re.fullmatch(r"\[\]", row["excluded_dates"]) for row in rows if row["event_id"] in made)
