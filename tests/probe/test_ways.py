"""A portal that lies is read another way, and the mirror is the same."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import takewhile
from typing import Any

import pytest

from tests.integration.mirror import OK, Mirror, Stage, shown_once, statuses
from worker.bitrix24.ways import ListWay, Paging
from worker.emulator.world.recurrence import Rule
from worker.resources.capabilities import USUAL, Ways, ways
from worker.resources.events import EventsMode
from worker.resources.times import offset_text, utc_text
from worker.storage.capabilities import load_capabilities
from worker.sync.report import Mode


@dataclass(frozen=True)
class Case:
    """What a portal does otherwise, and what of the way is then another than of an honest portal."""

    spec: dict[str, Any] = field(default_factory=dict)
    paging: Paging = Paging.CHAINED
    uncounted: bool = True
    otherwise: dict[str, Any] = field(default_factory=dict)


HONEST = {"spells": USUAL, "trust_suffix": False, "events": EventsMode.POLLING}
HONEST |= {"expands": not shown_once()}
BLIND = {"spells": {"tasks": None, "users": None}}
WAYS = {
    "honest": Case(),
    "empty when it was connected": Case({"tasks": 0, "users": 1}, Paging.PAGES, uncounted=False),
    "no >ID": Case({"after_id": False}, Paging.COUNTED),
    "no order": Case({"ordered": False}, Paging.COUNTED),
    "neither": Case({"after_id": False, "ordered": False}, Paging.COUNTED),
    "no start=-1": Case({"uncounted": False}, uncounted=False),
    "no counts": Case({"counts": False}),
    "literal references": Case({"references": "literal"}, Paging.PAGES),
    "strict references": Case({"references": "strict"}),
    "no Z": Case({"filter_dates": "no_z"}, otherwise={"spells": USUAL | {"tasks": offset_text}}),
    "a local Z": Case(
        {"filter_dates": "local_z", "server_zone": "America/New_York"},
        otherwise={"spells": USUAL | {"tasks": offset_text}},
    ),
    "no dates": Case({"filter_dates": "none"}, otherwise=BLIND),
    "honest suffixes": Case({"date_suffix": "true"}),
    "digits of today": Case({"date_suffix": "fixed"}, otherwise={"trust_suffix": True}),
    "no operating time": Case({"operating": False}),
    "billed batches": Case({"billing": "batch"}),
    "no REST 3.0": Case({"rest3": 0}),
    "series shown once": Case({"series": "once"}, otherwise={"expands": False}),
    "days first": Case({"culture": "day_first"}),
    "events to confirm": Case({"offline_events": True}, otherwise={"events": EventsMode.CONFIRM}),
    "events once": Case({"offline_events": True, "offline_extended": False}, otherwise={"events": EventsMode.HINTS}),
    "everything at once": Case(
        {
            "after_id": False,
            "ordered": False,
            "uncounted": False,
            "references": "literal",
            "filter_dates": "none",
            "series": "once",
            "operating": False,
            "rest3": 0,
            "culture": "day_first",
            "server_zone": "Asia/Vladivostok",
        },
        Paging.COUNTED,
        uncounted=False,
        otherwise=BLIND | {"expands": False},
    ),
}


def chosen(mirror: Mirror) -> Ways:
    with mirror.database.read() as session:
        return ways(load_capabilities(session, mirror.portal_id))


@pytest.mark.parametrize("name", WAYS)
def test_a_portal_that_lies_has_the_same_mirror(stage: Stage, name: str):
    """First reading, changes, a deletion and a task that came back: all is found, whatever the way."""
    case = WAYS[name]
    mirror = stage.mirror(**{"tasks": 120, "events": 20, "users": 55} | case.spec)
    portal = mirror.portal
    way = chosen(mirror)
    assert way.of("tasks") == ListWay(case.paging, case.uncounted)
    assert {each: getattr(way, each) for each in HONEST} == HONEST | case.otherwise
    for _ in range(120 if name == "empty when it was connected" else 1):
        portal.create_task(title="came after the connection")
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []

    ids = list(portal.world.task_ids)
    mirror.clock.advance(3_600)
    portal.update_task(ids[3], title="changed")
    portal.comment_task(ids[-2])
    new = portal.create_task(title="new")
    portal.update_user(max(portal.world.users), last_name="Other")
    series = next(event for event in portal.world.events.values() if event.name.startswith("Night shift"))
    later = timedelta(hours=10)
    portal.update_event(series.event_id, name="Day shift", starts=series.starts + later, ends=series.ends + later)
    assert statuses(mirror.sync()) == OK
    assert mirror.row("tasks", ids[3])["title"] == "changed"
    assert mirror.row("tasks", new)["title"] == "new"
    assert mirror.differences() == []

    portal.delete_task(ids[5])
    portal.delete_task(ids[60])
    portal.delete_event(series.event_id)
    assert statuses(mirror.sync(Mode.RECONCILE)) == OK
    assert mirror.row("tasks", ids[5])["deleted_at"]
    portal.restore_task(ids[60])
    portal.delete_task(ids[0])
    assert statuses(mirror.sync(Mode.FULL)) == OK
    assert mirror.differences() == []


def test_where_references_are_texts_a_request_brings_one_page(stage: Stage):
    honest, other = (stage.mirror(tasks=500, references=kind) for kind in ("vendor", "literal"))
    quick, slow = (mirror.sync()["tasks"].http_requests for mirror in (honest, other))

    assert quick <= 2
    assert slow >= 7


def test_where_order_is_ignored_pages_have_numbers(stage: Stage):
    """Ten pages in two requests: the first tells the count, the second brings the rest."""
    mirror = stage.mirror(tasks=500, ordered=False)

    assert mirror.sync()["tasks"].http_requests <= 2


def test_a_date_is_spelled_as_the_portal_understands_it(stage: Stage):
    assert chosen(stage.mirror(tasks=60)).spells["tasks"] is utc_text
    assert chosen(stage.mirror(tasks=60, filter_dates="no_z")).spells["tasks"] is offset_text
    blind = stage.mirror(tasks=60, filter_dates="none")
    assert chosen(blind).spells == {"tasks": None, "users": None}
    blind.sync()

    assert blind.sync()["tasks"].fetched >= 60  # and says nothing of what changed: it is all read
    assert blind.sync()["tasks"].changes == 0


CALENDAR = ("calendar_sections", "calendar_events", "calendar_occurrences", "event_attendees")
_OURS = {"portal_id", "first_seen_at", "updated_at"}


def calendar_rows(mirror: Mirror) -> dict[str, list[tuple[Any, ...]]]:
    """The calendar's tables with everything that the portal told, payloads and hashes too."""
    return {
        table: sorted(
            (tuple((name, value) for name, value in row.items() if name not in _OURS) for row in mirror.rows(table)),
            key=repr,
        )
        for table in CALENDAR
    }


def an_eventful_day(portal: Any) -> None:  # noqa: ANN401 - the emulator's portal
    """Every kind of change that a series can see."""
    world, today = portal.world, portal.clock().date()
    series = [event for event in world.events.values() if event.rule and event.event_id == event.parent_id]
    near = {
        event.event_id: [
            day for day in takewhile(lambda day: day < today + timedelta(days=90), _days(event)) if day > today
        ]
        for event in series
    }
    busy = [event_id for event_id, days in near.items() if len(days) > 4]
    assert len(busy) > 7
    portal.delete_occurrence(busy[0], near[busy[0]][1])
    portal.move_occurrence(busy[1], near[busy[1]][2], datetime.combine(near[busy[1]][2], time(17, 5)))
    portal.split_series(busy[2], near[busy[2]][2], name="From now on")
    portal.delete_event(busy[3])
    portal.update_event(busy[4], rule=Rule("MONTHLY", 1, count=5))
    portal.update_event(busy[5], rule=Rule("WEEKLY", 2, ("MO", "TH"), until=today + timedelta(days=50)))
    portal.update_event(busy[6], rule=None)
    for first, rule in ((date(2026, 8, 31), Rule("MONTHLY")), (date(2024, 2, 29), Rule("YEARLY"))):
        begin = datetime.combine(first, time())
        portal.create_event(portal.admin_id, begin, begin + timedelta(days=2), rule=rule, all_day=True)


def _days(event: Any) -> Iterator[date]:  # noqa: ANN401 - the emulator's event
    return (day for day in event.rule.days(event.starts.date()) if day not in event.excluded)


@pytest.mark.first_world  # the second one has no portal that expands
def test_a_series_that_is_shown_once_has_the_rows_of_one_that_is_expanded(stage: Stage):
    """Row for row, with payloads and hashes; through a day of changes, and while the window moves on."""
    expanded, once = (
        stage.mirror(tasks=5, events=300, users=9, seed=77, calendars="mine,company,everyone", series=series)
        for series in ("expanded", "once")
    )
    assert (chosen(expanded).expands, chosen(once).expands) == (True, False)
    for changes in (False, True, False):
        if changes:
            for mirror in (expanded, once):
                an_eventful_day(mirror.portal)
        for mirror in (expanded, once):
            assert statuses(mirror.sync()) == OK
            assert mirror.differences() == []
        assert calendar_rows(once) == calendar_rows(expanded)
        assert sum(report.changes for report in once.sync().values()) == 0
        stage.clock.advance(40 * 86_400)
        for mirror in (expanded, once):
            mirror.connect(mirror.portal.admin_id)


@pytest.mark.first_world  # the second one has no portal that expands
def test_a_second_account_reads_its_calendar_by_what_was_probed_too(stage: Stage):
    """Though it probes nothing itself."""
    twins = []
    for series in ("expanded", "once"):
        portal = stage.portal(tasks=5, events=60, users=4, seed=78, series=series)
        others = sorted(portal.world.users)[1:3]
        twins.append(stage.mirror(portal, accounts=[portal.admin_id, *others], calendars="mine"))
    for mirror in twins:
        assert statuses(mirror.sync()) == OK
    expanded, once = map(calendar_rows, twins)

    assert once == expanded
    assert len({dict(row)["owner_id"] for row in once["calendar_events"]}) == 3


@pytest.mark.parametrize("series", ["expanded", "once"])
def test_where_it_is_not_known_whether_series_are_expanded_each_is_looked_at(stage: Stage, series: str):
    """A portal without any when it was connected; the first ones are right at once."""
    portal = stage.portal(tasks=70, events=0, users=3, series=series)
    for event_id in list(portal.world.events):
        portal.delete_event(event_id)
    mirror = stage.mirror(portal)
    assert chosen(mirror).expands is None
    first = mirror.now.date() - timedelta(days=300)
    for rule in (
        Rule("DAILY"),
        Rule("WEEKLY", 1, ("MO", "FR")),
        Rule("MONTHLY"),
        Rule("YEARLY"),
        Rule("DAILY", count=305),
    ):
        for day in (first, mirror.now.date()):
            begin = datetime.combine(day, time(9))
            portal.create_event(portal.admin_id, begin, begin + timedelta(hours=1), rule=rule)

    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []
    assert sum(report.changes for report in mirror.sync().values()) == 0


def test_a_list_that_shrinks_while_it_is_counted_loses_nobody(stage: Stage):
    """Each batch deletes rows of pages that are read already: those behind move forward, over the edge of a page."""
    mirror = stage.mirror(tasks=1_500, ordered=False, operating=False, limits=False, events=0)
    portal = mirror.portal
    doomed = list(portal.world.task_ids)[::40]
    answer = portal._server.answer

    def deleting(request: Any) -> Any:  # noqa: ANN401 - the emulator's own
        reply = answer(request)
        if doomed and mirror.rows("tasks"):
            with portal.lock:
                portal.world.drop_task(doomed.pop())
        return reply

    portal._server.answer = deleting
    status = mirror.sync(resources=["tasks"])["tasks"].status
    portal._server.answer = answer

    assert status == "ok"
    assert set(portal.world.task_ids) <= mirror.ids("tasks")
