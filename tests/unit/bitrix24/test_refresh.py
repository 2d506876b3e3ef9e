"""One refresh at a time, never a lost pair, never a condemned account that is alive."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.unit.bitrix24.fakes import NOW, MemoryTokens
from worker.bitrix24.refresh import TokenKeeper
from worker.clock import Clock, SystemClock
from worker.errors import (
    BadAnswer,
    CallRefused,
    NeedsReauth,
    PortalClosed,
    PortalError,
    RateLimited,
    Unreachable,
)
from worker.tokens import Grant, Token

NEVER_SENT = Unreachable("no connection")
NEVER_SENT.never_sent = True


def grant(name: str = "a2", refresh: str | None = "r2") -> Grant:
    return Grant(access_token=name, refresh_token=refresh, expires_in=3600, received_at=NOW)


def keeper(store: MemoryTokens, clock: Clock) -> TokenKeeper:
    return TokenKeeper(store, clock, "here", timedelta(minutes=10))


def never(_token: Token) -> Grant:
    raise AssertionError("the token server was asked for nothing")


def test_a_refresh_stores_the_new_pair_before_anybody_uses_it(clock: Clock):
    store = MemoryTokens()
    asked = []

    token = keeper(store, clock).refresh(1, 1, lambda old: asked.append(old.refresh_token) or grant())

    assert (token.access_token, token.version) == ("a2", 2)
    assert asked == ["r1"]
    assert store.log == ["claim", "replace"]
    assert store.lease is None


def test_an_answer_without_a_refresh_token_keeps_the_old_one(clock: Clock):
    token = keeper(MemoryTokens(), clock).refresh(1, 1, lambda _old: grant(refresh=None))

    assert token.refresh_token == "r1"


def test_who_saw_an_older_pair_takes_the_newer_one(clock: Clock):
    store = MemoryTokens()
    store.replace(1, version=1, grant=grant())

    assert keeper(store, clock).refresh(1, 1, never).version == 2


def test_a_stale_token_is_good_and_a_dead_one_is_renewed_first(clock: Clock):
    store = MemoryTokens()
    one = keeper(store, clock)

    clock.advance(3500)  # type: ignore[attr-defined]
    assert one.access(1, never).version == 1
    clock.advance(100)  # type: ignore[attr-defined]
    assert one.access(1, lambda _old: grant()).version == 2


def test_who_waits_gets_the_pair_of_who_refreshes(clock: Clock):
    store = MemoryTokens()
    assert store.claim_refresh(1, version=1, owner="there", now=clock.now(), lease=timedelta(seconds=30))
    real = clock.sleep

    def sleep(seconds: float) -> None:
        real(seconds)
        if len(clock.slept) == 5:  # type: ignore[attr-defined]
            store.replace(1, version=1, grant=grant())

    clock.sleep = sleep  # type: ignore[method-assign]

    assert keeper(store, clock).refresh(1, 1, never).version == 2
    assert max(clock.slept) <= 1  # type: ignore[attr-defined]


def test_a_lease_whose_holder_died_runs_out(clock: Clock):
    store = MemoryTokens()
    store.claim_refresh(1, version=1, owner="there", now=clock.now(), lease=timedelta(seconds=30))

    assert keeper(store, clock).refresh(1, 1, lambda _old: grant()).version == 2
    assert 30 <= sum(clock.slept) <= 32  # type: ignore[attr-defined]


def test_waiting_has_an_end(clock: Clock):
    store = MemoryTokens()
    store.claim_refresh = lambda *_args, **_rest: False  # type: ignore[method-assign]

    with pytest.raises(Unreachable):
        keeper(store, clock).refresh(1, 1, never)
    assert sum(clock.slept) < 60  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [Unreachable("x"), PortalClosed("x"), CallRefused("x"), KeyboardInterrupt()])
def test_a_failure_gives_the_lease_back(clock: Clock, error: BaseException):
    store = MemoryTokens()

    def ask(_token: Token) -> Grant:
        raise error

    with pytest.raises(type(error)):
        keeper(store, clock).refresh(1, 1, ask)
    assert store.log == ["claim", "release"]
    assert store.condemned is None


def test_a_dead_refresh_token_needs_a_person(clock: Clock):
    store = MemoryTokens()

    def ask(_token: Token) -> Grant:
        raise NeedsReauth("the refresh token is dead", code="invalid_grant")

    with pytest.raises(NeedsReauth):
        keeper(store, clock).refresh(1, 1, ask)
    assert store.condemned == "the refresh token is dead"
    with pytest.raises(NeedsReauth):
        keeper(store, clock).access(1, never)


@pytest.mark.parametrize(
    ("trouble", "lost"),
    [
        pytest.param(Unreachable("no answer in time"), True, id="no answer"),
        pytest.param(BadAnswer("a gateway's page"), True, id="a gateway's page"),
        pytest.param(KeyboardInterrupt(), True, id="stopped"),
        pytest.param(NEVER_SENT, False, id="never sent"),
        pytest.param(CallRefused("wrong keys"), False, id="refused"),
        pytest.param(RateLimited("too many"), False, id="too many"),
    ],
)
def test_a_pair_refused_after_an_answer_that_was_lost_says_so(clock: Clock, trouble: BaseException, lost: bool):
    """And only then: a person must know whether the account was taken away, or we dropped it."""
    store = MemoryTokens()
    troubles = [trouble, NeedsReauth("unknown or used", code="invalid_grant", portal="one.example")]

    def ask(_token: Token) -> Grant:
        raise troubles.pop(0)

    with pytest.raises(type(trouble)):
        keeper(store, clock).refresh(1, 1, ask)
    with pytest.raises(NeedsReauth) as told:
        keeper(store, clock).refresh(1, 1, ask)

    assert ("the answer to a refresh was lost" in str(told.value)) is lost
    assert ("the answer to a refresh was lost" in str(store.condemned)) is lost
    assert told.value.portal == "one.example"


def test_a_refresh_whose_process_died_is_remembered(clock: Clock):
    store = MemoryTokens()
    store.claim_refresh(1, version=1, owner="dead", now=clock.now(), lease=timedelta(seconds=30))

    def ask(_token: Token) -> Grant:
        raise NeedsReauth("unknown or used", code="invalid_grant")

    with pytest.raises(NeedsReauth, match="the answer to a refresh was lost"):
        keeper(store, clock).refresh(1, 1, ask)


def test_invalid_grant_for_a_pair_that_was_replaced_meanwhile_condemns_nobody(clock: Clock):
    store = MemoryTokens()

    def ask(_token: Token) -> Grant:
        store.replace(1, version=1, grant=grant("late"))
        raise NeedsReauth("used already", code="invalid_grant")

    assert keeper(store, clock).refresh(1, 1, ask).access_token == "late"
    assert store.condemned is None


def test_an_account_without_a_refresh_token_needs_a_person(clock: Clock):
    store = MemoryTokens(refresh=None)

    with pytest.raises(NeedsReauth):
        keeper(store, clock).refresh(1, 1, never)
    assert store.condemned


def test_a_late_answer_is_stored_although_the_lease_ran_out(clock: Clock):
    store = MemoryTokens()

    def ask(_token: Token) -> Grant:
        clock.advance(300)  # type: ignore[attr-defined]
        return grant("late")

    assert keeper(store, clock).refresh(1, 1, ask).access_token == "late"


def test_the_first_stored_answer_is_in_force(clock: Clock):
    """Two answers for one pair: whose was stored first wins, and both use it."""
    store = MemoryTokens()

    def ask(_token: Token) -> Grant:
        store.replace(1, version=1, grant=grant("first"))
        return grant("second")

    assert keeper(store, clock).refresh(1, 1, ask).access_token == "first"


def test_a_database_that_stumbles_does_not_lose_the_only_live_pair(clock: Clock):
    store = MemoryTokens()
    real, failures = store.replace, [OSError("locked"), OSError("locked")]

    def replace(account_id: int, *, version: int, grant: Grant) -> bool:
        if failures:
            raise failures.pop()
        return real(account_id, version=version, grant=grant)

    store.replace = replace  # type: ignore[method-assign]

    assert keeper(store, clock).refresh(1, 1, lambda _old: grant()).version == 2


def test_a_database_that_is_away_for_minutes_does_not_lose_the_only_live_pair(clock: Clock):
    store = MemoryTokens()
    real, back_at = store.replace, clock.monotonic() + 300

    def replace(account_id: int, *, version: int, grant: Grant) -> bool:
        if clock.monotonic() < back_at:
            raise OSError("the server is away")
        return real(account_id, version=version, grant=grant)

    store.replace = replace  # type: ignore[method-assign]

    assert keeper(store, clock).refresh(1, 1, lambda _old: grant()).version == 2
    assert clock.monotonic() - back_at < 10


def test_holding_on_to_a_pair_has_an_end(clock: Clock):
    store = MemoryTokens()

    def replace(*_args: object, **_rest: object) -> bool:
        raise OSError("the server is away")

    store.replace = replace  # type: ignore[method-assign]

    with pytest.raises(OSError, match="away"):
        keeper(store, clock).refresh(1, 1, lambda _old: grant())
    assert clock.monotonic() < 1000


def test_a_pair_that_changed_between_claim_and_look_is_left_alone(clock: Clock):
    store = MemoryTokens()
    real = store.claim_refresh

    def claim(*args: object, **rest: object) -> bool:
        taken = real(*args, **rest)  # type: ignore[arg-type]
        store.token = MemoryTokens("late", "r9").token.__class__(**{**_fields(store.token), "version": 2})
        return taken

    store.claim_refresh = claim  # type: ignore[method-assign]

    assert keeper(store, clock).refresh(1, 1, never).version == 2
    assert store.lease is None


def test_a_late_failure_does_not_free_the_lease_of_another_thread(clock: Clock):
    """Two threads of one process share a name, but not a lease."""
    store = MemoryTokens()
    one = keeper(store, clock)

    def fail_late(_token: Token) -> Grant:
        clock.advance(31)  # type: ignore[attr-defined]
        with pytest.raises(Unreachable, match="second"):
            one.refresh(1, 1, fail_second)
        raise Unreachable("first")

    def fail_second(_token: Token) -> Grant:
        held = store.lease
        store.release_refresh(1, version=1, owner="here", answered=False)
        assert store.lease == held
        raise Unreachable("second")

    with pytest.raises(Unreachable, match="first"):
        one.refresh(1, 1, fail_late)
    assert store.log == ["claim", "claim", "release"]


def _fields(token: Token) -> dict[str, object]:
    return {name: getattr(token, name) for name in token.__slots__}


@pytest.mark.parametrize("owners", ["one process", "many"])
def test_eight_threads_with_one_dead_token_ask_once(owners: str):
    store = MemoryTokens()
    clock = SystemClock()
    asked: list[Token] = []
    shared = keeper(store, clock)

    def ask(token: Token) -> Grant:
        asked.append(token)
        threading.Event().wait(0.05)
        return grant()

    results: list[int] = []

    def work() -> None:
        one = shared if owners == "one process" else keeper(store, clock)
        results.append(one.refresh(1, 1, ask).version)

    _run([work] * 8)
    assert len(asked) == 1
    assert results == [2] * 8


def test_eight_threads_with_a_dead_refresh_token_ask_once():
    store = MemoryTokens()
    asked: list[Token] = []
    errors: list[PortalError] = []

    def ask(token: Token) -> Grant:
        asked.append(token)
        threading.Event().wait(0.05)
        raise NeedsReauth("dead")

    def work() -> None:
        try:
            keeper(store, SystemClock()).refresh(1, 1, ask)
        except NeedsReauth as error:
            errors.append(error)

    _run([work] * 8)
    assert len(asked) == 1
    assert len(errors) == 8


def _run(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
