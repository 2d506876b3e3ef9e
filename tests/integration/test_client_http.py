"""The client over real HTTP against handlers of a few lines: what is repeated, what is not, and what nobody may see."""

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.pages import read_pages
from tests.unit.bitrix24.fakes import NOW, Handler, MemoryBudget, MemoryTokens, ok, refused, serving
from worker.bitrix24.auth import Auth, OAuthAuth, WebhookAuth
from worker.bitrix24.calls import Answer, Call, Ref
from worker.bitrix24.client import Client
from worker.bitrix24.refresh import TokenKeeper
from worker.bitrix24.rows import ListMethod
from worker.bitrix24.stats import Stats
from worker.bitrix24.throttle import Throttle
from worker.bitrix24.transport import Transport
from worker.clock import Clock
from worker.errors import (
    AccessDenied,
    BadAnswer,
    CallRefused,
    IncompleteRun,
    MethodClosed,
    MissingScope,
    NeedsReauth,
    PortalClosed,
    PortalError,
    PortalMoved,
    RateLimited,
    TokenRejected,
    TransientError,
    Unreachable,
)
from worker.tokens import Grant, Token

SECRET = "s3cretwebhook"
Reply = tuple[int, dict[str, str], bytes] | None


class Portal:
    """Answers with what it was given, one after the other, the last one for ever; notes what it was asked."""

    def __init__(self, *replies: Reply | Callable[[dict[str, Any]], Reply]) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, handler: Handler) -> Reply:
        body = json.loads(handler.body)
        self.asked.append((handler.path, body))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply(body) if callable(reply) else reply

    @property
    def tokens(self) -> list[str]:
        return [body["auth"] for _, body in self.asked]


class Kit:
    """A client and everything around it."""

    def __init__(self, clock: Clock, url: str, *, webhook: bool = False) -> None:
        self.clock = clock
        self.tokens = MemoryTokens()
        self.budget = MemoryBudget()
        self.granted: list[Token] = []
        self.moved: list[str] = []
        self.transport = Transport(connect_timeout=5, read_timeout=5)
        keeper = TokenKeeper(self.tokens, clock, "here", timedelta(minutes=10))
        rest_url = f"{url}/rest/"
        self.auth: Auth = WebhookAuth(rest_url, 7, SECRET) if webhook else OAuthAuth(rest_url, 1, keeper, self.grant)
        self.throttle = Throttle(self.budget, clock, 1)
        self.client = Client(
            auth=self.auth,
            transport=self.transport,
            throttle=self.throttle,
            clock=clock,
            on_moved=self.moved.append,
            jitter=lambda: 0.5,
        )

    def grant(self, token: Token) -> Grant:
        self.granted.append(token)
        number = len(self.granted) + 1
        return Grant(
            access_token=f"a{number}", refresh_token=f"r{number}", expires_in=3600, received_at=self.clock.now()
        )


@contextmanager
def kit(
    clock: Clock, *replies: Reply | Callable[[dict[str, Any]], Reply], webhook: bool = False
) -> Iterator[tuple[Kit, Portal]]:
    portal = Portal(*replies)
    with serving(portal) as url:
        one = Kit(clock, url, webhook=webhook)
        yield one, portal
        one.transport.close()


def batch(results: dict[str, Any], errors: dict[str, Any] | None = None, **rest: Any) -> Reply:  # noqa: ANN401
    empty: dict[str, Any] = {"result_total": [], "result_next": [], "result_time": []}
    return ok({"result": results or [], "result_error": errors or [], **empty, **rest})


EXPIRED = refused(401, "expired_token", "The access token provided has expired.")


def test_a_call_is_a_json_post_with_the_token_in_its_body(clock: Clock):
    with kit(clock, ok({"ID": "7"})) as (one, portal):
        answer = one.client.call("profile", {"a": [1, "b"]})

    assert answer.decode(dict) == {"ID": "7"}
    assert answer.time.portal_now is not None
    assert portal.asked == [("/rest/profile", {"a": [1, "b"], "auth": "a1"})]
    assert one.client.stats == Stats(http_requests=1, calls=1)


def test_a_webhook_call_has_its_secret_in_the_address(clock: Clock):
    with kit(clock, ok(1), webhook=True) as (one, portal):
        one.client.call("profile")

    assert portal.asked == [(f"/rest/7/{SECRET}/profile", {})]


def test_an_expired_token_costs_one_refresh_and_one_repeat(clock: Clock):
    with kit(clock, EXPIRED, ok(1)) as (one, portal):
        one.client.call("profile")

    assert portal.tokens == ["a1", "a2"]
    assert one.client.stats == Stats(http_requests=2, calls=1, refreshes=1)


@pytest.mark.parametrize("code", ["expired_token", "invalid_token"])
def test_a_second_rejection_ends_it(clock: Clock, code: str):
    with kit(clock, refused(401, code)) as (one, portal):
        with pytest.raises(TokenRejected):
            one.client.call("profile")
        assert len(portal.asked) == 2
        assert len(one.granted) == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("insufficient_scope", MissingScope),
        ("NO_AUTH_FOUND", CallRefused),
        ("authorization_error", NeedsReauth),
        ("ACCESS_DENIED", AccessDenied),
        ("OVERLOAD_LIMIT", PortalClosed),
    ],
)
def test_no_other_401_burns_a_refresh_token(clock: Clock, code: str, kind: type[PortalError]):
    with kit(clock, refused(401, code)) as (one, portal):
        with pytest.raises(kind):
            one.client.call("profile")
        assert (len(portal.asked), one.granted) == (1, [])


def test_a_token_known_to_be_dead_is_renewed_before_the_call(clock: Clock):
    with kit(clock, ok(1)) as (one, portal):
        clock.advance(4000)  # type: ignore[attr-defined]
        one.client.call("profile")

    assert portal.tokens == ["a2"]
    assert one.client.stats.refreshes == 1


def test_each_attempt_reads_the_token_anew(clock: Clock):
    """Another process renewed it while we waited: no refresh of ours."""

    def stumble(_body: dict[str, Any]) -> Reply:
        one.tokens.replace(1, version=1, grant=one.grant(one.tokens.token))
        one.granted.clear()
        return refused(500, "INTERNAL_SERVER_ERROR")

    with kit(clock, stumble, ok(1)) as (one, portal):
        one.client.call("profile")

    assert portal.tokens == ["a1", "a2"]
    assert one.granted == []
    assert one.client.stats.refreshes == 0


@pytest.mark.parametrize(
    "trouble",
    [
        refused(500, "INTERNAL_SERVER_ERROR"),
        refused(400, "ERROR_CORE"),
        (502, {}, b"<html>"),
        (200, {}, b"<html>"),
        (200, {}, b""),
        (200, {}, b'{"result": ['),
        (200, {}, b'{"result": '),
        (200, {"Content-Length": "9999"}, b"{"),
        None,
    ],
    ids=range(9),
)
def test_what_passes_is_tried_again(clock: Clock, trouble: Reply):
    with kit(clock, trouble, trouble, ok(1)) as (one, portal):
        assert one.client.call("profile").decode(int) == 1

    assert len(portal.asked) == 3
    assert one.client.stats.retries == 2
    assert clock.slept == [1.0, 2.0]  # type: ignore[attr-defined]
    assert one.client.stats.waited_seconds == 3.0


def test_what_does_not_pass_is_told_after_four_times(clock: Clock):
    with kit(clock, (502, {}, b"<html>")) as (one, portal):
        with pytest.raises(Unreachable) as caught:
            one.client.call("profile")
        assert len(portal.asked) == 4

    assert caught.value.method == "profile"


def test_a_rate_limit_fills_the_shared_budget_and_is_waited_for(clock: Clock):
    limit = (503, {"Retry-After": "5"}, json.dumps({"error": "QUERY_LIMIT_EXCEEDED"}).encode())
    with kit(clock, limit, ok(1)) as (one, _portal):
        one.client.call("profile")

    assert one.budget.filled == 1
    assert sum(clock.slept) == pytest.approx(7.0)  # type: ignore[attr-defined]


def test_a_spent_budget_is_not_blamed_on_the_portal(clock: Clock):
    with kit(clock, ok(1)) as (one, portal):
        one.budget.room, one.budget.drain = 0, 0.01
        with pytest.raises(RateLimited):
            one.client.call("profile")
        assert (portal.asked, one.budget.filled) == ([], 0)


def test_a_batch_is_one_request_and_each_call_has_its_outcome(clock: Clock):
    calls = [Call("a", "profile"), Call("b", "user.get", {"FILTER": {">ID": 3}}), Call("c", "scope")]
    with kit(clock, batch({"a": {"ID": "7"}}, {"b": {"error": "insufficient_scope"}})) as (one, portal):
        answers = one.client.batch(calls, halt=True)

    path, body = portal.asked[0]
    assert (path, body["halt"]) == ("/rest/batch", 1)
    assert body["cmd"] == {"a": "profile?", "b": "user.get?FILTER[%3EID]=3", "c": "scope?"}
    assert isinstance(answers.get(calls[0]), Answer)
    assert isinstance(answers.get(calls[1]), MissingScope)
    assert isinstance(answers.get(calls[2]), BadAnswer)
    assert answers.time.portal_now is not None
    assert one.client.stats == Stats(http_requests=1, calls=3)
    assert one.budget.reserved == [1]


def test_a_batch_whose_answer_is_none_is_tried_again(clock: Clock):
    with kit(clock, ok([1]), ok(None), batch({"a": 1})) as (one, portal):
        answers = one.client.batch([Call("a", "profile")])

    assert len(portal.asked) == 3
    assert answers.outcomes.keys() == {"a"}


def test_an_expired_token_rejects_the_whole_batch_once(clock: Clock):
    with kit(clock, EXPIRED, batch({"a": 1})) as (one, portal):
        one.client.batch([Call("a", "profile")])

    assert portal.tokens == ["a1", "a2"]
    assert one.client.stats.refreshes == 1


def test_a_token_rejected_inside_a_batch_repeats_what_hangs_on_it(clock: Clock):
    calls = [
        Call("a", "m"),
        Call("b", "m", {"filter": {">ID": Ref("a", (0, "id"))}}),
        Call("c", "profile"),
    ]
    first = batch({"a": [{"id": 1}], "c": 1}, {"b": {"error": "expired_token"}})
    with kit(clock, first, batch({"a": [{"id": 2}], "b": 5})) as (one, portal):
        answers = one.client.batch(calls)

    assert list(portal.asked[1][1]["cmd"]) == ["a", "b"]
    assert portal.tokens == ["a1", "a2"]
    assert all(isinstance(answers.get(call), Answer) for call in calls)


def test_a_token_rejected_inside_a_batch_twice_ends_it(clock: Clock):
    rejected = batch({}, {"a": {"error": "expired_token"}})
    with kit(clock, rejected) as (one, portal):
        with pytest.raises(TokenRejected):
            one.client.batch([Call("a", "m")])
        assert (len(portal.asked), len(one.granted)) == (2, 1)
    with kit(clock, EXPIRED, rejected) as (one, portal):
        with pytest.raises(TokenRejected):
            one.client.batch([Call("a", "m")])
        assert (len(portal.asked), len(one.granted)) == (2, 1)


def test_a_closed_method_is_not_asked_and_the_others_are(clock: Clock):
    calls = [
        Call("a", "tasks.task.list"),
        Call("b", "profile"),
        Call("c", "user.get", {"FILTER": {"ID": Ref("a", ("tasks", 0, "id"))}}),
    ]
    with kit(clock, batch({"b": 1})) as (one, portal):
        one.budget.close_method(1, "tasks.task.list", until=NOW + timedelta(seconds=90))
        answers = one.client.batch(calls)
        assert list(portal.asked[0][1]["cmd"]) == ["b"]
        assert one.client.batch(calls[:1]).get(calls[0]).__class__ is MethodClosed
        assert len(portal.asked) == 1
        with pytest.raises(MethodClosed):
            one.client.call("tasks.task.list")
        assert len(portal.asked) == 1

    assert isinstance(answers.get(calls[0]), MethodClosed)
    assert isinstance(answers.get(calls[1]), Answer)
    assert isinstance(answers.get(calls[2]), MethodClosed)


def test_a_method_that_opens_soon_is_waited_for(clock: Clock):
    with kit(clock, ok(1)) as (one, portal):
        one.budget.close_method(1, "profile", until=NOW + timedelta(seconds=20))
        one.client.call("profile")

    assert len(portal.asked) == 1
    assert sum(clock.slept) >= 20  # type: ignore[attr-defined]


def test_answers_teach_the_operating_budget(clock: Clock):
    times = {"a": {"operating": 301.5}, "b": {"operating": 2}}
    with kit(clock, batch({"a": 1, "b": 1}, result_time=times)) as (one, _portal):
        one.client.batch([Call("a", "tasks.task.list"), Call("b", "profile")])
    assert one.budget.closed.keys() == {"tasks.task.list"}

    with kit(clock, ok({"result": {"a": 1}}, time={"operating": 400})) as (one, _portal):
        one.client.batch([Call("a", "tasks.task.list")])
    assert one.budget.closed.keys() == {"batch"}


def test_a_renamed_portal_is_followed_and_told(clock: Clock):
    with kit(clock, ok(1), webhook=True) as (new, arrived):
        target = f"{new.auth.rest_url}7/{SECRET}/profile"
        with kit(clock, (302, {"Location": target}, b""), webhook=True) as (one, left):
            assert one.client.call("profile").decode(int) == 1
            one.client.call("profile")

    assert (len(left.asked), len(arrived.asked)) == (1, 2)
    assert one.moved == [new.auth.rest_url]
    assert one.client.stats.http_requests == 3


@pytest.mark.parametrize(
    "location",
    [
        f"https://evil.example.org/rest/7/{SECRET}/profile",
        f"http://127.0.0.1:1/login/?back={SECRET}",
        f"//evil.example.org/rest/{SECRET}",
    ],
)
def test_a_redirect_elsewhere_is_for_a_person(clock: Clock, location: str):
    with kit(clock, (302, {"Location": location}, b""), webhook=True) as (one, portal):
        home = one.auth.rest_url
        with pytest.raises(PortalMoved) as caught:
            one.client.call("profile")
        assert len(portal.asked) == 1
        assert one.auth.rest_url == home
        assert one.moved == []

    assert "connect it again" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value)) + caught.value.location


def test_a_portal_that_redirects_in_circles_is_left(clock: Clock):
    def circle(_body: dict[str, Any]) -> Reply:
        return 302, {"Location": f"{one.auth.rest_url}profile"}, b""

    with kit(clock, circle) as (one, portal):
        with pytest.raises(PortalMoved):
            one.client.call("profile")
        assert len(portal.asked) == 2
        assert one.moved == []


def test_a_new_address_that_does_not_answer_is_not_kept(clock: Clock):
    with kit(clock, (302, {"Location": "http://127.0.0.1:1/rest/profile"}, b"")) as (one, _portal):
        home = one.auth.rest_url
        with pytest.raises(Unreachable):
            one.client.call("profile")
        assert (one.auth.rest_url, one.moved) == (home, [])


@pytest.mark.parametrize("webhook", [True, False])
@pytest.mark.parametrize(
    "reply",
    [
        None,
        (200, {"Content-Length": "9999"}, b"{"),
        (502, {}, b"<html>"),
        refused(403, "INVALID_CREDENTIALS", f"wrong {SECRET}"),
        refused(400, SECRET, SECRET),
        EXPIRED,
    ],
    ids=range(6),
)
def test_no_secret_is_shown(clock: Clock, caplog: pytest.LogCaptureFixture, webhook: bool, reply: Reply):
    """Not in an error, its chain, a repr or a log, whatever goes wrong."""
    with caplog.at_level(logging.DEBUG), kit(clock, reply, webhook=webhook) as (one, _portal):
        one.tokens.token = MemoryTokens(SECRET).token
        with pytest.raises(PortalError) as caught:
            one.client.call("profile")
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__) + repr(one.auth)

    assert SECRET not in shown
    assert SECRET not in caplog.text


def test_pages_of_one_listing(clock: Clock):
    spec = ListMethod("tasks.task.list", {"select": ["ID"]}, items=("tasks",))
    full = {"tasks": [{"id": i} for i in range(1, 51)]}
    with kit(
        clock,
        batch({"pprobe": {"tasks": [{"id": 60}]}}, result_total={"pprobe": 51}),
        batch({"p0": full}, {"p1": {"error": "INTERNAL_SERVER_ERROR"}}),
        batch({"p0": {"tasks": [{"id": 60}]}}),
    ) as (one, portal):
        pages = [[record.id for record in page] for page in read_pages(one.client, spec)]

    assert pages == [list(range(1, 51)), [60]]
    assert portal.asked[2][1]["cmd"]["p0"].startswith("tasks.task.list?select[0]=ID&filter[%3EID]=50")
    assert "filter[%3EID]=$result[p0][tasks][49][id]" in portal.asked[1][1]["cmd"]["p1"]


def test_pages_that_are_not_whole_say_so(clock: Clock):
    spec = ListMethod("user.get", id_field="ID", order_style="pair")
    falling = batch({"p0": [{"ID": 5}, {"ID": 4}]})
    with kit(clock, falling) as (one, _portal), pytest.raises(IncompleteRun, match="fall or repeat"):
        list(read_pages(one.client, spec, probe=False))
    denied = batch({}, {"p0": {"error": "ACCESS_DENIED"}})
    with kit(clock, denied) as (one, _portal), pytest.raises(IncompleteRun):
        list(read_pages(one.client, spec, probe=False))
    broken = batch({}, {"p0": {"error": "ERROR_CORE"}})
    with kit(clock, broken) as (one, portal), pytest.raises((IncompleteRun, TransientError)):
        list(read_pages(one.client, spec, probe=False))
    assert len(portal.asked) == 3


@pytest.mark.parametrize("calls", [[], [Call("0", "profile")], [Call("a", "batch")]])
def test_a_wrong_batch_is_our_bug_and_never_sent(clock: Clock, calls: list[Call]):
    with kit(clock, ok(1)) as (one, portal):
        with pytest.raises(ValueError):
            one.client.batch(calls)
        assert portal.asked == []


def test_a_reference_means_nothing_outside_a_batch(clock: Clock):
    with kit(clock, ok(1)) as (one, portal):
        with pytest.raises(ValueError, match="inside a batch"):
            one.client.call("m", {"filter": {">ID": Ref("a", (0, "id"))}})
        assert portal.asked == []
