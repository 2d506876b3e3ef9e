"""The client against the emulated portal: whole listings through every trouble a portal knows."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.integration.pages import read_ids, read_pages
from tests.unit.bitrix24.fakes import MemoryBudget, MemoryTokens
from worker.bitrix24.auth import OAuthAuth, WebhookAuth
from worker.bitrix24.calls import Answer, Call, Ref
from worker.bitrix24.client import Client
from worker.bitrix24.oauth import TokenServer
from worker.bitrix24.paging import KeysetListing
from worker.bitrix24.refresh import TokenKeeper
from worker.bitrix24.rows import ListMethod, Record
from worker.bitrix24.throttle import Throttle
from worker.bitrix24.transport import Transport
from worker.clock import Clock, SystemClock
from worker.emulator.emulator import Emulator
from worker.emulator.portal import Portal
from worker.emulator.spec import PortalSpec
from worker.errors import IncompleteRun, MethodClosed, NeedsReauth, PortalClosed, PortalError, TransientError
from worker.tokens import Grant, Token

TASKS = ListMethod("tasks.task.list", {"select": ["ID", "TITLE"]}, items=("tasks",))
USERS = ListMethod("user.get", id_field="ID", order_style="pair", filter_param="FILTER")


class Kit:
    """One account of an emulated portal, its tokens in memory."""

    def __init__(self, emulator: Emulator, portal: Portal, clock: Clock) -> None:
        self.emulator, self.portal, self.clock = emulator, portal, clock
        self.transport = Transport(connect_timeout=5, read_timeout=5)
        self.budget = MemoryBudget()
        pair = portal.issue_tokens(portal.admin_id)
        self.store = MemoryTokens(str(pair["access_token"]), str(pair["refresh_token"]))
        self.store.token = MemoryTokens._token(
            str(pair["access_token"]), str(pair["refresh_token"]), 3600, version=1, at=clock.now()
        )
        self.server = TokenServer(
            self.transport, clock, portal.client_id, portal.client_secret, emulator.auth_url, "http://127.0.0.1:8624/"
        )
        self.keeper = TokenKeeper(self.store, clock, "here", timedelta(minutes=10))
        self.moved: list[str] = []
        self.client = self.new_client()

    def ask(self, token: Token) -> Grant:
        return self.server.refresh(token.refresh_token or "", self.portal.url).grant

    def new_client(self) -> Client:
        return Client(
            auth=OAuthAuth(f"{self.portal.url}/rest/", 1, self.keeper, self.ask),
            transport=self.transport,
            throttle=Throttle(self.budget, self.clock, 1),
            clock=self.clock,
            on_moved=self.moved.append,
            jitter=lambda: 0.0,
        )

    def read(self, spec: ListMethod = TASKS, **rest: object) -> list[int]:
        return read_ids(self.client, spec, **rest)

    @property
    def task_ids(self) -> list[int]:
        return sorted(self.portal.world.tasks)

    @property
    def refreshes(self) -> list[str]:
        server = self.emulator.token_server  # what came by a verb that it does not take was no refresh
        asked = (grant for grant in server.log if grant.http_method in server.methods)
        return [grant.outcome for grant in asked if grant.grant_type == "refresh_token"]


@pytest.fixture
def kit(clock: Clock) -> Iterator[Kit]:
    """A portal of 230 tasks whose time is the test's."""
    with Emulator(clock=clock.now) as emulator:
        portal = emulator.add_portal(PortalSpec(tasks=230, events=0))
        one = Kit(emulator, portal, clock)
        yield one
        one.transport.close()


def test_a_listing_of_five_pages_is_two_requests(kit: Kit):
    assert kit.read() == kit.task_ids
    assert kit.portal.requests.http == 2
    assert kit.client.stats.http_requests == 2
    assert kit.client.stats.calls == 6


def test_users_are_listed_too(kit: Kit):
    ids = kit.read(USERS)

    assert ids == sorted(set(ids))
    assert len(ids) == 20


def test_a_quiet_listing_is_one_request(kit: Kit):
    assert kit.read(probe=False, filter={">=CHANGED_DATE": "2040-01-01T00:00:00Z"}) == []
    assert kit.portal.requests.http == 1


def test_a_listing_goes_on_after_a_bookmark(kit: Kit):
    bookmark = kit.task_ids[99]

    assert kit.read(after=bookmark) == kit.task_ids[100:]


@pytest.mark.parametrize("rows", [50, 49, 1, 0])
def test_what_a_reference_to_a_missing_row_brings(kit: Kit, rows: int):
    """Only after a full page is the next one what it seems."""
    page = {"order": {"ID": "asc"}, "select": ["ID"], "start": -1}
    start = kit.task_ids[-rows - 1] if rows < 50 else 0
    first = Call("p0", "tasks.task.list", {**page, "filter": {">ID": start}})
    last = Ref("p0", ("tasks", 49, "id"))
    second = Call("p1", "tasks.task.list", {**page, "filter": {">ID": last}})

    answers = kit.client.batch([first, second])

    ids = [
        [int(row["id"]) for row in answer.decode(dict)["tasks"]]
        for answer in (answers.get(first), answers.get(second))
        if isinstance(answer, Answer)
    ]
    assert len(ids[0]) == rows
    if rows == 50:
        assert ids[1] == kit.task_ids[50:100]
    else:
        assert ids[1][-1] in kit.task_ids[:51]  # the table from its start


@pytest.mark.parametrize("room", [1, 2, 50])
@pytest.mark.parametrize("probe", [True, False])
def test_a_failing_page_loses_nothing(kit: Kit, room: int, probe: bool):
    kit.portal.faults.add("sub_error", after=2, method="tasks.task.list")

    assert kit.read(room=room, probe=probe) == kit.task_ids


def test_a_page_left_out_loses_nothing(kit: Kit):
    kit.portal.faults.add("sub_missing", after=2, method="tasks.task.list")

    assert kit.read() == kit.task_ids


def listed(kit: Kit, spec: ListMethod = TASKS) -> tuple[KeysetListing, list[Record]]:
    """A listing without halt, driven as the engine does it."""
    one = KeysetListing(spec, prefix="t", probe=True)
    records: list[Record] = []
    for _ in range(100):
        if one.done:
            break
        records += one.take(kit.client.batch(one.calls(50)))
    return one, records


def test_after_a_failed_page_the_garbage_is_thrown_away(kit: Kit):
    kit.portal.faults.add("sub_error", after=2, method="tasks.task.list")

    one, records = listed(kit)

    assert [record.id for record in records] == kit.task_ids
    assert one.complete
    assert one.wasted == 3


@pytest.mark.parametrize("fault", ["page_repeat", "page_fall", "doubled_rows"])
def test_ids_that_do_not_rise_make_a_listing_incomplete(kit: Kit, fault: str):
    kit.portal.faults.add(fault, after=2, method="tasks.task.list")

    one, records = listed(kit)

    ids = [record.id for record in records]
    assert not one.complete
    assert one.problem
    assert ids == sorted(set(ids))


def test_rows_lost_from_a_page_are_noticed(kit: Kit):
    kit.portal.faults.add("lost_rows", after=2, method="tasks.task.list")

    one, records = listed(kit)

    assert one.complete is ([record.id for record in records] == kit.task_ids)


def test_a_lone_surrogate_costs_nothing(kit: Kit):
    kit.portal.faults.add("surrogate", after=1, method="tasks.task.list")

    assert kit.read() == kit.task_ids


def test_deletions_meanwhile_lose_nobody(kit: Kit):
    ids = kit.task_ids
    gone = {ids[10], ids[120], ids[229]}
    seen: list[int] = []
    for page in read_pages(kit.client, TASKS, room=1):
        seen += [record.id for record in page]
        if len(seen) == 50:
            for task_id in gone:
                kit.portal.delete_task(task_id)

    assert seen == [i for i in ids if i == ids[10] or i not in gone]


def test_an_expired_token_in_the_middle_of_a_listing_costs_one_refresh(kit: Kit):
    seen: list[int] = []
    for page in read_pages(kit.client, TASKS, room=2):
        if not seen:
            kit.emulator.token_server.expire(kit.portal)
        seen += [record.id for record in page]

    assert seen == kit.task_ids
    assert kit.refreshes == ["ok"]
    assert kit.client.stats.refreshes == 1


def test_a_token_that_ran_out_by_the_clock_is_renewed_before_the_call(kit: Kit, clock: Clock):
    clock.advance(3700)  # type: ignore[attr-defined]

    kit.client.call("profile")

    assert kit.refreshes == ["ok"]
    assert kit.portal.requests.http == 1


@pytest.mark.parametrize("rotation", ["rotate", "keep", "stable"])
def test_a_chain_of_refreshes(kit: Kit, rotation: str):
    kit.emulator.token_server.rotation = rotation  # type: ignore[assignment]

    for _ in range(3):
        kit.emulator.token_server.expire(kit.portal)
        kit.client.call("profile")

    assert kit.refreshes == ["ok"] * 3


def test_a_token_server_that_takes_no_form(kit: Kit):
    kit.emulator.token_server.methods = {"GET"}
    kit.emulator.token_server.expire(kit.portal)

    kit.client.call("profile")

    assert [(grant.http_method, grant.outcome) for grant in kit.emulator.token_server.log] == [
        ("POST", "invalid_request"),
        ("GET", "ok"),
    ]


def test_a_token_server_in_trouble_is_asked_again(kit: Kit):
    kit.emulator.token_server.faults.add("server_error")
    kit.emulator.token_server.faults.add("html")
    kit.emulator.token_server.expire(kit.portal)

    kit.client.call("profile")

    assert kit.refreshes == ["INTERNAL_SERVER_ERROR", "html", "ok"]
    assert kit.store.condemned is None


def test_a_lost_answer_of_a_rotating_server_needs_a_person(kit: Kit):
    """The chain is broken: the only live pair was in the answer that never came."""
    kit.emulator.token_server.rotation = "rotate"
    kit.emulator.token_server.faults.add("lose_answer")
    kit.emulator.token_server.expire(kit.portal)

    with pytest.raises(NeedsReauth):
        kit.client.call("profile")
    assert kit.refreshes == ["lost", "invalid_grant"]
    assert kit.store.condemned


def test_a_token_the_portal_never_takes_ends_after_one_refresh(kit: Kit):
    kit.portal.faults.add("expired_token", times=100)

    with pytest.raises(PortalError, match="expired"):
        kit.client.call("profile")
    assert kit.refreshes == ["ok"]
    assert kit.portal.requests.http == 2


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("html", {}),
        ("html", {"status": 200}),
        ("html", {"status": 403}),
        ("empty", {}),
        ("cut", {}),
        ("broken_json", {}),
        ("wrong_shape", {}),
        ("reset", {}),
        ("internal_error", {}),
        ("rate_limit", {}),
    ],
    ids=range(10),
)
def test_a_listing_outlives_every_passing_trouble(kit: Kit, fault: str, options: dict[str, int]):
    kit.portal.faults.add(fault, after=1, times=2, **options)

    assert kit.read(room=2) == kit.task_ids
    assert kit.client.stats.retries == 2
    assert kit.budget.filled == (2 if fault == "rate_limit" else 0)


@pytest.mark.parametrize("fault", ["html", "reset", "rate_limit"])
def test_what_does_not_pass_ends_after_a_few_times(kit: Kit, fault: str):
    kit.portal.faults.add(fault, times=100)

    with pytest.raises(TransientError):
        kit.client.call("profile")
    assert kit.portal.requests.http <= 6


@pytest.mark.parametrize("fault", ["overload", "portal_deleted"])
def test_a_closed_portal_is_asked_once(kit: Kit, fault: str):
    kit.portal.faults.add(fault, times=100)

    with pytest.raises(PortalClosed):
        kit.client.call("profile")
    assert kit.portal.requests.http == 1


def test_a_closed_method_leaves_the_others_open(kit: Kit, clock: Clock):
    kit.portal.faults.add("operation_time_limit", method="tasks.task.list")
    calls = [Call("t", "tasks.task.list", {"select": ["ID"]}), Call("p", "profile")]

    for _ in range(2):
        answers = kit.client.batch(calls)
        assert isinstance(answers.get(calls[0]), MethodClosed)
        assert isinstance(answers.get(calls[1]), Answer)
    assert kit.portal.requests.calls["tasks.task.list"] == 1
    clock.advance(601)  # type: ignore[attr-defined]
    assert isinstance(kit.client.batch(calls).get(calls[0]), Answer)


@pytest.mark.parametrize("billing", ["calls", "batch"])
def test_the_brake_acts_before_the_portal_does(clock: Clock, billing: str):
    spec = PortalSpec(tasks=400, events=0, operating_seconds=40, billing=billing)  # type: ignore[arg-type]
    with Emulator(clock=clock.now) as emulator:
        kit = Kit(emulator, emulator.add_portal(spec), clock)
        batches = 0
        while not kit.budget.closed:
            kit.client.batch([Call("t", "tasks.task.list", {"select": ["ID"], "start": -1})])
            batches += 1
        asked = kit.portal.requests.http
        with pytest.raises((MethodClosed, IncompleteRun)):
            kit.read()
        assert (batches, kit.portal.requests.http) == (8, asked)
        assert ("tasks.task.list" if billing == "calls" else "batch") in kit.budget.closed
        kit.transport.close()


def test_the_request_budget_keeps_the_portal_from_refusing(kit: Kit):
    for _ in range(150):
        kit.client.batch([Call("p", "profile")])

    assert kit.portal.requests.refused == 0
    assert kit.client.stats.waited_seconds > 40


def test_a_renamed_portal_is_followed_in_the_middle_of_a_listing(kit: Kit):
    seen: list[int] = []
    for page in read_pages(kit.client, TASKS, room=2):
        if not seen:
            kit.portal.rename()
        seen += [record.id for record in page]

    assert seen == kit.task_ids
    assert kit.moved == [f"{kit.portal.url}/rest/"]


def test_a_renamed_portal_and_an_expired_token_at_once(kit: Kit):
    kit.portal.rename()
    kit.emulator.token_server.expire(kit.portal)

    kit.client.call("profile")

    assert kit.moved == [f"{kit.portal.url}/rest/"]
    assert kit.refreshes == ["ok"]


def test_a_webhook_needs_no_tokens(kit: Kit):
    auth = WebhookAuth.from_url(kit.portal.webhook_url(kit.portal.admin_id))
    client = Client(auth=auth, transport=kit.transport, throttle=Throttle(kit.budget, kit.clock, 1), clock=kit.clock)

    assert read_ids(client, TASKS) == kit.task_ids
    wrong = WebhookAuth(auth.rest_url, auth.user_id, "wrong")
    client = Client(auth=wrong, transport=kit.transport, throttle=Throttle(kit.budget, kit.clock, 1), clock=kit.clock)
    with pytest.raises(NeedsReauth):
        client.call("profile")


def test_the_statuses_of_the_source_mean_the_same(clock: Clock):
    with Emulator(clock=clock.now) as emulator:
        kit = Kit(emulator, emulator.add_portal(PortalSpec(tasks=60, events=0, status_table="source")), clock)
        emulator.token_server.expire(kit.portal)
        assert kit.read() == kit.task_ids
        kit.portal.faults.add("overload")
        with pytest.raises(PortalClosed):
            kit.client.call("profile")
        kit.transport.close()


@pytest.mark.parametrize("killed", ["expired_token", "invalid_token"])
def test_eight_threads_with_one_expired_token_refresh_once(killed: str):
    with Emulator() as emulator:
        emulator.token_server.killed = killed  # type: ignore[assignment]
        portal = emulator.add_portal(PortalSpec(tasks=60, events=0))
        kit = Kit(emulator, portal, SystemClock())
        emulator.token_server.expire(portal)
        start = threading.Barrier(8)
        counts: list[int] = []

        def work() -> None:
            client = kit.new_client()
            start.wait()
            counts.append(len(read_ids(client, TASKS)))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        kit.transport.close()

    assert counts == [60] * 8
    assert kit.refreshes == ["ok"]
