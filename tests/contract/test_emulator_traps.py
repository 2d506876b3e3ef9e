"""Each trap of a real portal is in the emulator."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any, TypeAlias
from urllib.parse import urlencode

import pytest

from worker.emulator import Emulator, Portal, PortalSpec
from worker.emulator.world.recurrence import Rule

Json: TypeAlias = Any

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Client:
    """Asks one portal, as one user, over one connection."""

    def __init__(self, portal: Portal, user_id: int = 1) -> None:
        self.portal = portal
        self.token = portal.issue_tokens(user_id)["access_token"]
        self.connection = HTTPConnection(portal.domain, timeout=5)

    def raw(
        self, path: str, body: str | bytes = b"", headers: dict[str, str] | None = None, verb: str = "POST"
    ) -> Json:
        self.connection.request(verb, path, body, headers or {})
        response = self.connection.getresponse()
        data = response.read()
        return response.status, json.loads(data)

    def ask(self, method: str, **params: Json) -> Json:
        return self.raw(f"/rest/{method}", json.dumps(params | {"auth": self.token}), JSON)

    def result(self, method: str, **params: Json) -> Json:
        return self.ask(method, **params)[1]["result"]

    def batch(self, cmd: Json, halt: Json = 0) -> Json:
        return self.result("batch", cmd=cmd, halt=halt)


def make(**spec: Json) -> Iterator[Client]:
    with Emulator(clock=lambda: NOW) as emulator:
        client = Client(emulator.add_portal(replace(PortalSpec(limits=False, events=0), **spec)))
        yield client
        client.connection.close()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """120 tasks: two full pages and a short one."""
    yield from make(tasks=120)


@pytest.fixture
def empty() -> Iterator[Client]:
    """No task, no event: the test brings its own."""
    yield from make(tasks=0, server_zone="Europe/Moscow", user_zone="Europe/Berlin")


def ids(rows: Json) -> list[int]:
    return [int(row["id"]) for row in rows["tasks"]]


def task_ids(client: Client, **params: Json) -> list[int]:
    return ids(client.result("tasks.task.list", **({"select": ["ID"], "order": {"ID": "asc"}, "start": -1} | params)))


@pytest.mark.parametrize("halt", [0, 1])
def test_a_reference_past_a_short_page_reads_the_table_from_its_start(client: Client, halt: int) -> None:
    """1-49 rows: the reference is cut short, the array counts 1, and the next page is the first one again."""
    base = "tasks.task.list?order[ID]=asc&start=-1&select[]=ID&filter[%3EID]="
    cmd = {f"p{n}": base + (f"$result[p{n - 1}][tasks][49][id]" if n else "0") for n in range(5)}

    pages = [ids(page) for page in client.batch(cmd, halt)["result"].values()]

    assert [len(page) for page in pages] == [50, 50, 20, 50, 50]
    assert pages[3] == pages[0]


@pytest.mark.parametrize(
    "first",
    [
        "tasks.task.list?filter[%3EID]=99999999&select[]=ID&start=-1",  # no rows: an empty array
        "tasks.task.list?order[NONSENSE]=asc",  # a failed command
        "user.get?filter[NAME]=nobody&start=-1",
    ],
)
def test_a_reference_to_nothing_drops_the_condition(client: Client, first: str) -> None:
    """An empty array, or no result at all, leaves no condition: the table from the start."""
    answer = client.batch(
        {"p0": first, "p1": "tasks.task.list?order[ID]=asc&start=-1&filter[%3EID]=$result[p0][tasks][49][id]"}
    )

    assert ids(answer["result"]["p1"]) == task_ids(client)


def test_a_reference_to_a_null_or_empty_field_reads_from_the_start(empty: Client) -> None:
    """A null stops the walk at its record; an empty text drops the condition."""
    for number in range(3):
        empty.portal.create_task(task_id=10 + number, description="")
    base = "tasks.task.list?order[ID]=asc&start=-1&filter[%3EID]="
    p0 = "tasks.task.list?order[ID]=asc&start=-1"

    for name in ("description", "closedDate"):
        answer = empty.batch({"p0": p0, "p1": f"{base}$result[p0][tasks][0][{name}]"})
        assert len(answer["result"]["p1"]["tasks"]) == 3


def test_next_and_total_may_be_referred_to(client: Client) -> None:
    """`$next` and `$total` resolve too, also inside a longer text; names of parameters do not."""
    answer = client.batch(
        {
            "p0": "tasks.task.list?select[]=ID&order[ID]=asc",
            "p1": "tasks.task.list?select[]=ID&order[ID]=asc&start=$next[p0]",
            "p2": "tasks.task.list?select[]=ID&order[ID]=asc&filter[TITLE]=%25$total[p0]%25",
            "p3": "tasks.task.list?filter[$result[p0][tasks][0][id]]=1&start=-1",
        }
    )

    assert ids(answer["result"]["p1"])[0] > ids(answer["result"]["p0"])[-1]
    assert answer["result_next"] == {"p0": 50, "p1": 100}
    assert answer["result_total"]["p2"] == 0
    assert len(answer["result"]["p3"]["tasks"]) == 50


def test_an_unencoded_bracket_is_cut_at_its_equals_sign(client: Client) -> None:
    """`filter[>=X]=…` unencoded loses the filter; encoded it works, and `filter[>ID]` survives by chance."""
    future = "2099-01-01T00:00:00Z"
    answer = client.batch(
        {
            "bare": f"tasks.task.list?select[]=ID&filter[>=CHANGED_DATE]={future}",
            "encoded": f"tasks.task.list?select[]=ID&filter[%3E%3DCHANGED_DATE]={future}",
            "greater": "tasks.task.list?select[]=ID&filter[>ID]=99999999",
        }
    )

    assert answer["result_total"] == {"bare": 120, "encoded": 0, "greater": 0}


def test_a_plus_in_a_command_becomes_a_blank_and_the_date_1970(client: Client) -> None:
    """`+03:00` unencoded is no date any more, so everything is newer."""
    cmd = "tasks.task.list?select[]=ID&filter[%3E%3DCHANGED_DATE]=2099-01-01T00:00:00"

    assert client.batch({"a": cmd + "+03:00", "b": cmd + "%2B03:00"})["result_total"] == {"a": 120, "b": 0}


def test_what_is_no_text_is_skipped_silently_and_51_is_too_long(client: Client) -> None:
    """A command as an object leaves no trace; beyond 50 there is an error, the first 50 run."""
    cmd: dict[str, Json] = {"bad": {"method": "profile", "params": {}}}
    cmd |= {f"c{n}": "server.time" for n in range(52)}
    answer = client.batch(cmd)

    assert "bad" not in answer["result"]
    assert "bad" not in answer["result_error"]
    assert len(answer["result"]) == 50
    assert {error["error"] for error in answer["result_error"].values()} == {"ERROR_BATCH_LENGTH_EXCEEDED"}
    assert set(answer["result_error"]) == {"c50", "c51"}


def test_numeric_keys_make_lists_until_one_command_fails(client: Client) -> None:
    """Answers to a list of commands are lists; one failure turns them into maps. Empty maps are `[]`."""
    good = client.batch(["server.time", "profile"])
    bad = client.batch(["server.time", "batch?cmd[a]=profile", "no.such", "profile"])

    assert isinstance(good["result"], list)
    assert good["result_error"] == good["result_next"] == good["result_total"] == []
    assert list(bad["result"]) == ["0", "3"]
    assert bad["result_error"]["1"]["error"] == "ERROR_BATCH_METHOD_NOT_ALLOWED"
    assert bad["result_error"]["2"]["error"] == "ERROR_METHOD_NOT_FOUND"


@pytest.mark.parametrize(
    ("halt", "stops"),
    [(0, False), (1, True), (False, False), (True, True), ("0", False), ("", False), ("false", True)],
    ids=["zero", "one", "no", "yes", "text-zero", "empty-text", "text-false"],
)
def test_halt_is_judged_as_php_does(client: Client, halt: Json, stops: bool) -> None:
    """The text `false` is true."""
    answer = client.batch({"a": "no.such", "b": "server.time"}, halt)

    assert ("b" in answer["result"]) is not stops
    assert "a" in answer["result_error"]


def test_a_batch_in_a_form_or_a_query_is_encoded_once_more(client: Client) -> None:
    """The same command as JSON, form and GET gives the same rows."""
    command = "tasks.task.list?select%5B%5D=ID&order%5BID%5D=asc&start=-1&filter%5B%3EID%5D=40"
    body = urlencode({"cmd[a]": command, "auth": client.token})
    answers = [
        client.batch({"a": command}),
        client.raw("/rest/batch.json", body, FORM)[1]["result"],
        client.raw(f"/rest/batch/?{body}", verb="GET")[1]["result"],
    ]

    assert len({json.dumps(answer["result"]) for answer in answers}) == 1
    assert min(ids(answers[0]["result"]["a"])) > 40


def test_broken_json_is_read_as_no_parameters(client: Client) -> None:
    """The filter is gone and nobody says so; keys of a body override those of the query."""
    path = f"/rest/tasks.task.list?auth={client.token}&start=100"
    status, answer = client.raw(path, '{"filter": {"ID": 1},}', JSON)
    _, page = client.raw(path, '{"start": 50}', JSON)

    assert (status, answer["total"], len(answer["result"]["tasks"])) == (200, 120, 20)
    assert page["next"] == 100


def test_a_token_may_come_in_three_ways(client: Client) -> None:
    """Header, `auth`, `access_token`; none is an error; a missing method comes before a dead token."""
    assert client.raw(f"/rest/profile?access_token={client.token}", verb="GET")[0] == 200
    assert client.raw("/rest/profile", headers={"Authorization": f"Bearer {client.token}"})[0] == 200
    assert client.raw("/rest/profile")[1]["error"] == "NO_AUTH_FOUND"
    assert client.raw("/rest/profile?auth=dead")[1]["error"] == "invalid_token"
    assert client.raw("/rest/no.such?auth=dead")[0] == 404


def test_filters_ignore_what_they_do_not_know(client: Client) -> None:
    """A name in small letters or a wrong one returns every task."""
    for wanted in ({"id": 1}, {"NONSENSE": 1}, {">changed_date": "2099-01-01"}):
        assert client.ask("tasks.task.list", filter=wanted)[1]["total"] == 120


def test_dates_in_filters(empty: Client) -> None:
    """An instant with offset, the server's clock without, 1970 when unreadable, "no date" when empty."""
    portal = empty.portal
    old = portal.create_task(changed=NOW - timedelta(hours=5), created=NOW - timedelta(hours=9))
    new = portal.create_task(changed=NOW - timedelta(hours=1))
    bare = portal.create_task(changed=None, created=NOW - timedelta(hours=2), deadline=NOW)

    def since(value: Json, name: str = ">=CHANGED_DATE") -> list[int]:
        return task_ids(empty, filter={name: value})

    assert since("2026-11-23T09:30:00Z") == [new, bare]  # without a date of change, that of creation counts
    assert since("2026-11-23T12:30:00+03:00") == [new, bare]
    assert since("2026-11-23T12:30:00") == [new, bare]  # Moscow, the server's zone
    assert since("2026-11-23T11:00:00Z") == [new]
    assert since("2026-11-23T12:30:00 03:00") == since("tomorrow-ish") == since({"0": "x"}) == [old, new, bare]
    assert since("", "CHANGED_DATE") == since("") == []
    assert since("", "DEADLINE") == [old, new]
    both = {">=CHANGED_DATE": "2026-11-23T09:30:00Z", "<CHANGED_DATE": "2026-11-23T10:30:00Z"}
    assert task_ids(empty, filter=both) == [bare]
    both = {">=CHANGED_DATE": "2026-11-23T09:30:00Z", "<ACTIVITY_DATE": "2000-01-01T00:00:00Z"}
    assert task_ids(empty, filter=both) == [new, bare]  # the activity is dropped


def test_status_is_computed_and_real_status_is_stored(empty: Client) -> None:
    """-1 is "overdue" and only `STATUS` knows it."""
    late = empty.portal.create_task(deadline=NOW - timedelta(hours=1))
    empty.portal.create_task(deadline=NOW + timedelta(days=9))

    assert task_ids(empty, filter={"STATUS": -1}) == [late]
    assert task_ids(empty, filter={"REAL_STATUS": -1}) == []
    assert len(task_ids(empty, filter={"REAL_STATUS": [2, 3]})) == 2


def test_select(empty: Client) -> None:
    """ID always comes; user fields and tags have rules of their own."""
    empty.portal.create_task(tags={3: "x"}, uf={"UF_CRM_TASK": False, "UF_AUTO_7": "y"})

    def keys(*select: str) -> set[str]:
        return set(empty.result("tasks.task.list", select=list(select))["tasks"][0])

    assert keys("ID", "UF_*") == keys("ID", "NONSENSE") == {"id", "group"}
    assert {"id", "group", "ufCrmTask", "ufMailMessage", "ufAuto7"} <= keys("UF_CRM_TASK")
    assert "title" not in keys("UF_CRM_TASK")
    assert {"ufAuto7", "title"} <= keys("*", "UF_*")
    assert not {"ufAuto7", "tags"} & keys("*")
    assert "tags" in keys("TAGS")
    assert "title" in keys()


def test_order_and_paging(client: Client) -> None:
    """Unsortable is 400 with "0"; start is rounded down; -1 counts nothing; no order is promised without one."""
    status, answer = client.ask("tasks.task.list", order={"DESCRIPTION": "asc"})
    assert (status, answer["error"]) == (400, "0")

    _, page = client.ask("tasks.task.list", order={"ID": "asc"}, start=99, select=["ID"])
    assert (page["total"], page["next"]) == (120, 100)
    _, last = client.ask("tasks.task.list", order={"ID": "asc"}, start=100, select=["ID"])
    assert "next" not in last
    assert len(last["result"]["tasks"]) == 20
    _, free = client.ask("tasks.task.list", order={"ID": "asc"}, start=-1)
    assert not {"total", "next"} & set(free)
    unsorted = ids(client.result("tasks.task.list"))
    assert unsorted not in (sorted(unsorted), sorted(unsorted, reverse=True))


def test_user_get_counts_zero_when_not_asked_to_count(client: Client) -> None:
    """start=-1 says "total": 0; an empty answer has no total; names of filters in any case."""
    assert client.ask("user.get", start=-1)[1]["total"] == 0
    assert "total" not in client.ask("user.get", filter={"NAME": "nobody"})[1]
    _, active = client.ask("user.get", filter={"active": True}, sort="ID", order="DESC")
    found = [int(row["ID"]) for row in active["result"]]
    assert found == sorted(found, reverse=True)
    assert active["total"] < client.ask("user.get")[1]["total"]
    assert client.ask("user.get", filter={">ID": 5, "%NAME": "ль"})[1]["total"] >= 1
    assert client.result("user.get", filter={">LAST_LOGIN": "rubbish"}) == []


@pytest.mark.parametrize(
    ("now", "suffix"), [(NOW, "+01:00"), (datetime(2026, 7, 1, 12, 0, tzinfo=UTC), "+02:00")], ids=["winter", "summer"]
)
def test_dates_of_tasks_wear_todays_offset(now: datetime, suffix: str) -> None:
    """The digits are right for their day, the suffix is that of today: half of the year it is an hour off."""
    with Emulator(clock=lambda: now) as emulator:
        portal = emulator.add_portal(PortalSpec(tasks=0, events=0, user_zone="Europe/Berlin"))
        portal.create_task(
            deadline=datetime(2026, 1, 10, 9, tzinfo=UTC), closed=datetime(2026, 6, 10, 9, tzinfo=UTC), status=5
        )
        client = Client(portal)
        task = client.result("tasks.task.list")["tasks"][0]
        client.connection.close()

    assert task["deadline"] == "2026-01-10T10:00:00" + suffix
    assert task["closedDate"] == "2026-06-10T11:00:00" + suffix


def test_planner_is_the_callers_own_and_a_gap_makes_a_map(empty: Client) -> None:
    """Of a stored list, what is gone leaves its key out."""
    one, two, three = (empty.portal.create_task() for _ in range(3))
    empty.portal.set_planner(1, [one, two, three])
    assert empty.result("task.planner.getlist") == [one, two, three]

    empty.portal.delete_task(two)

    assert empty.result("task.planner.getlist") == {"0": one, "2": three}


def at(day: int, hour: int = 12, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC).replace(tzinfo=None)


def event_rows(client: Client, **params: Json) -> list[dict[str, Json]]:
    rows = client.result("calendar.event.get", **({"type": "user", "ownerId": 1} | params))
    return [row for row in rows if row["NAME"].startswith("T")]


def test_the_window_of_events(empty: Client) -> None:
    """A month back and three ahead by default; a day of leakage; the server's clock; no owner, no events."""
    portal = empty.portal
    for name, starts in (
        ("T past", at(1, month=10)),
        ("T now", at(23)),
        ("T far", at(23, month=12) + timedelta(days=90)),
    ):
        portal.create_event(1, starts, starts + timedelta(hours=1), name=name, zone="UTC")

    def names(**params: Json) -> list[str]:
        return sorted(row["NAME"] for row in event_rows(empty, **params))

    assert names() == ["T now"]
    assert names(**{"from": "2026-09-01"}) == ["T far", "T now", "T past"]
    assert names(to="2026-11-30") == ["T now", "T past"]
    assert names(**{"from": "2026-11-24", "to": "2026-11-25"}) == []
    assert names(**{"from": "2026-11-20", "to": "2026-11-22"}) == []
    assert names(**{"from": "2026-11-20", "to": "2026-11-23"}) == ["T now"]  # a day more than asked for
    assert names(**{"from": "rubbish", "to": "rubbish"}) == ["T now"]
    assert empty.result("calendar.event.get", type="user") == []
    assert empty.result("calendar.event.get", type="group", ownerId=3333) == []
    status, answer = empty.ask("calendar.event.get", ownerId=1)
    assert (status, answer["error"]) == (400, "")


def test_a_series_comes_expanded_under_one_id(empty: Client) -> None:
    """Only texts of dates are an occurrence's own; stamps and offsets are the series', RINDEX the window's."""
    portal = empty.portal
    series = portal.create_event(
        1, at(19, 15, 10), at(19, 16, 10), name="T", zone="Europe/Berlin", rule=Rule("WEEKLY", 1, ("MO",))
    )
    portal.delete_occurrence(series, at(16).date())
    moved = portal.move_occurrence(series, at(9).date(), at(10, 9), name="T moved")
    rows = [row for row in event_rows(empty, **{"from": "2026-10-01", "to": "2026-12-01"}) if row["ID"] == str(series)]

    assert [row["DATE_FROM_FORMATTED"] for row in rows[:4]] == [
        "Mon Oct 19 2026 15:00:00",
        "Mon Oct 26 2026 15:00:00",
        "Mon Nov 02 2026 15:00:00",
        "Mon Nov 23 2026 15:00:00",
    ]
    assert {row["TZ_OFFSET_FROM"] for row in rows} == {"7200"}
    assert rows[0]["EXDATE"] == "11/09/2026;11/16/2026"
    assert rows[0]["RRULE"]["UNTIL"] == "01/01/2038"
    assert rows[0]["RRULE"]["~UNTIL"] == ""
    assert rows[0]["RRULE"]["UNTIL_TS"] == int(datetime(2038, 1, 1, tzinfo=UTC).timestamp()) - 3 * 3600
    # Moscow is three hours ahead: the stamp is off by just that.
    assert int(rows[2]["DATE_FROM_TS_UTC"]) == int(datetime(2026, 10, 19, 13, tzinfo=UTC).timestamp()) - 3 * 3600
    assert len({row["DATE_FROM_TS_UTC"] for row in rows}) == 1
    later = [row for row in event_rows(empty, **{"from": "2026-11-20", "to": "2026-12-01"}) if row["ID"] == str(series)]
    assert (rows[3]["RINDEX"], later[0]["RINDEX"]) == (3, 0)
    assert rows[0]["~USER_OFFSET_FROM"] == 0

    own = empty.result("calendar.event.getbyid", id=moved)
    assert own["RECURRENCE_ID"] == series
    assert own["ORIGINAL_DATE_FROM"] == "11/09/2026 03:00:00 pm"
    assert own["RELATIONS"]["COMMENT_XML_ID"] == f"EVENT_{series}_11/09/2026"
    master = empty.result("calendar.event.getbyid", id=series)
    assert "RINDEX" not in master
    assert master["DATE_FROM_FORMATTED"] == "Mon Oct 19 2026 15:00:00"
    assert len(event_rows(empty, **{"from": "2026-11-01"})) > 500  # an open end goes to 2038

    portal.delete_event(series)
    assert empty.result("calendar.event.getbyid", id=series) is None


def test_whole_days_have_no_zone(empty: Client) -> None:
    """Dates only; the last day counts; day-first portals write otherwise."""
    event = empty.portal.create_event(1, at(23, 0), at(25, 0), name="T", all_day=True)
    row = empty.result("calendar.event.getbyid", id=event)

    assert (row["DT_SKIP_TIME"], row["TZ_FROM"], row["DT_LENGTH"]) == ("Y", "", 3 * 86400)
    assert (row["DATE_TO"], row["DATE_TO_FORMATTED"]) == ("11/25/2026", "Wed Nov 25 2026")


def test_day_first_culture() -> None:
    """23.11.2026 15:00:00."""
    for client in make(tasks=0, culture="day_first"):
        event = client.portal.create_event(1, at(23, 15), at(23, 16), name="T")
        row = client.result("calendar.event.getbyid", id=event)
        assert row["DATE_FROM"] == "23.11.2026 15:00:00"
        assert row["DATE_FROM_FORMATTED"] == "Mon Nov 23 2026 15:00:00"


def test_meetings_have_a_row_for_each_attendee(empty: Client) -> None:
    """The parent is the host's; a copy has its own id, owner and status."""
    portal = empty.portal
    guest = list(portal.world.users)[1]
    parent = portal.create_event(1, at(24), at(24, 13), name="T", attendees={guest: "N"})
    copy = event_rows(empty, ownerId=guest)[0]

    assert copy["PARENT_ID"] == str(parent) != copy["ID"]
    assert copy["MEETING_STATUS"] == "N"
    entries = [(row["id"], row["status"]) for row in copy["ATTENDEE_LIST"]]
    assert sorted(entries) == sorted([(1, "H"), (guest, "N")])


def test_what_may_not_be_seen_is_masked(empty: Client) -> None:
    """Keys are missing, the name is hidden or gets a suffix; a private event is masked for administrators too."""
    portal = empty.portal
    owner, viewer = [user_id for user_id in portal.world.users if user_id != 1][:2]
    for section in portal.world.sections.values():
        if section.owner_id == owner and section.calendar_type == "user":
            section.others = "title"
    portal.create_event(owner, at(24), at(24, 13), name="T open", description="secret", location="here")
    portal.create_event(owner, at(25), at(25, 13), name="T private", private=True)
    as_viewer = Client(portal, viewer)
    rows = sorted(as_viewer.result("calendar.event.get", type="user", ownerId=owner), key=lambda row: int(row["ID"]))
    as_viewer.connection.close()

    assert [row["NAME"] for row in rows] == ["T open [Busy]", "[Busy]"]
    assert "IS_ACCESSIBLE_TO_USER" not in rows[0]
    assert rows[1]["IS_ACCESSIBLE_TO_USER"] is False
    assert not {"DESCRIPTION", "LOCATION", "REMIND", "ATTENDEE_LIST", "UF_CRM_CAL_EVENT"} & set(rows[0])
    seen = sorted(row["NAME"] for row in empty.result("calendar.event.get", type="user", ownerId=owner))
    assert seen == ["T open", "[Busy]"]


def test_a_restored_task_has_its_old_dates_and_fires_nothing(empty: Client) -> None:
    """Comments move the activity only; a deleted parent leaves its children silently."""
    portal = empty.portal
    parent = portal.create_task()
    child = portal.create_task(parent_id=parent, changed=NOW - timedelta(days=3))
    empty.result("event.bind", event="ONTASKUPDATE", event_type="offline")
    portal.delete_task(parent)
    assert empty.result("tasks.task.get", taskId=parent) == []
    portal.restore_task(parent)
    portal.comment_task(child)

    task = empty.result("tasks.task.get", taskId=child)["task"]
    assert task["parentId"] is None
    assert task["changedDate"].startswith("2026-11-20")
    assert task["activityDate"].startswith("2026-11-23")
    assert portal.queue.rows == []


@pytest.mark.parametrize(("table", "status"), [("docs", 403), ("source", 401)])
def test_scopes_and_webhooks(table: str, status: int) -> None:
    """A scope that is lacking, a wrong webhook, and what a webhook may not do."""
    for client in make(tasks=1, scope="task,user_brief", status_table=table):
        portal = client.portal
        assert client.ask("calendar.event.get", type="user")[0] == status
        assert client.ask("calendar.event.get", type="user")[1]["error"] == "insufficient_scope"
        assert "EMAIL" not in client.result("user.current")
        assert client.ask("profile")[0] == 200
        hook = portal.webhook_url(1).removeprefix(portal.url)
        assert client.raw(f"{hook}tasks.task.list")[1]["total"] == 1
        assert client.raw("/rest/1/wrong/profile") == (
            status,
            {"error": "INVALID_CREDENTIALS", "error_description": "Invalid request credentials"},
        )
        assert client.raw(f"{hook}event.get")[1]["error"] == "WRONG_AUTH_TYPE"
        portal.dismiss_user(1)
        assert client.ask("profile")[1]["error"] == "authorization_error"


def test_the_bucket_holds_fifty_and_refusals_do_not_fill_it() -> None:
    """50 at once, 2 a second; a batch is one request."""
    now = [NOW]
    with Emulator(clock=lambda: now[0]) as emulator:
        client = Client(emulator.add_portal(PortalSpec(tasks=1, events=0)))
        statuses = [client.ask("server.time")[0] for _ in range(55)]
        now[0] += timedelta(seconds=1)
        after = [client.ask("batch", cmd={"a": "profile", "b": "profile"})[0] for _ in range(3)]
        client.connection.close()

    assert statuses == [200] * 50 + [503] * 5
    assert after == [200, 200, 503]
    assert client.portal.requests.refused == 6
    assert client.portal.requests.calls["profile"] == 6


@pytest.mark.parametrize("billing", ["calls", "batch"])
def test_operating_time_closes_a_method(billing: str) -> None:
    """Looked at before a call, per method, inside a batch too; the oldest bucket frees itself after ten minutes."""
    now = [NOW]
    spec = PortalSpec(tasks=1, events=0, limits=False, operating_limit=1.0, operating_seconds=0.6, billing=billing)  # type: ignore[arg-type]
    with Emulator(clock=lambda: now[0]) as emulator:
        client = Client(emulator.add_portal(spec))
        first = client.ask("tasks.task.list")[1]["time"]
        client.ask("tasks.task.list")
        status, refused = client.ask("tasks.task.list")
        answer = client.batch({"a": "tasks.task.list", "b": "profile"})
        now[0] += timedelta(minutes=10)
        later = client.ask("tasks.task.list")[0]
        client.connection.close()

    assert first["operating"] == 0.6
    assert first["operating_reset_at"] == int(NOW.timestamp()) + 600
    assert (status, refused["error"]) == (429, "OPERATION_TIME_LIMIT")
    assert refused["time"]["operating_reset_at"] == int(NOW.timestamp()) + 600
    assert answer["result_error"]["a"]["error"] == "OPERATION_TIME_LIMIT"
    assert ("b" in answer["result"]) is (billing == "calls")
    assert later == 200


def test_the_offline_queue(empty: Client) -> None:
    """Updates collapse; clear=1 forgets at once; clear=0 keeps rows for a process until they are cleared."""
    portal = empty.portal
    task = portal.create_task()
    for event in ("ONTASKUPDATE", "ONTASKDELETE"):
        empty.result("event.bind", event=event, event_type="offline")
    assert empty.ask("event.bind", event="ONTASKUPDATE", event_type="offline")[1]["error"] == "ERROR_CORE"
    for title in "abc":
        portal.update_task(task, title=title)
    portal.delete_task(task)

    kept = empty.result("event.offline.get", clear=0)
    assert [row["EVENT_NAME"] for row in kept["events"]] == ["ONTASKUPDATE", "ONTASKDELETE"]
    assert kept["events"][1]["EVENT_DATA"]["FIELDS_AFTER"] == "undefined"
    assert empty.result("event.offline.get", clear=0)["events"] == []
    assert len(empty.result("event.offline.get", clear=0, process_id=kept["process_id"])["events"]) == 2
    assert empty.result("event.offline.clear", process_id=kept["process_id"]) is True
    assert empty.result("event.offline.list") == []
    other = Client(portal, list(portal.world.users)[1])
    assert other.ask("event.offline.get")[0] == 403
    other.connection.close()


def test_without_the_plan_clear_0_is_refused() -> None:
    """`feature.get` says N, and so does the method."""
    for client in make(tasks=0, offline_extended=False):
        assert client.result("feature.get", CODE="rest_offline_extended") == {"value": "N"}
        assert client.ask("event.offline.get", clear=0)[1]["error"] == "WRONG_LICENSE"


def test_a_renamed_portal_is_found_by_its_old_address(empty: Client) -> None:
    """302 to the new host, path and query kept; the tokens are the same."""
    empty.portal.rename()
    empty.connection.request("POST", "/rest/profile?auth=x", b"{}", JSON)
    response = empty.connection.getresponse()
    response.read()

    assert response.status == 302
    assert response.headers["Location"] == f"{empty.portal.url}/rest/profile?auth=x"


def test_long_answers_are_zipped_when_wanted(client: Client) -> None:
    """Keep-alive and gzip, as the front end does it."""
    body = json.dumps({"auth": client.token})
    client.connection.request("POST", "/rest/tasks.task.list", body, JSON | {"Accept-Encoding": "gzip"})
    response = client.connection.getresponse()

    assert response.headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(response.read()))["result"]["tasks"]) == 50


def test_others_see_their_own_tasks_only(client: Client) -> None:
    """A user who is no administrator sees what the truth says."""
    viewer: Callable[[int], bool] = client.portal.world.is_admin
    user_id = next(user for user in client.portal.world.users if not viewer(user))
    other = Client(client.portal, user_id)
    total = other.ask("tasks.task.list")[1]["total"]
    other.connection.close()
    truth = client.portal.truth(user_id, window=(NOW, NOW + timedelta(days=1)))

    assert 0 < total == len(truth["tasks"]) < 120
