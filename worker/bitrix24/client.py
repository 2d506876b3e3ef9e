"""The client: joins protocol, transport, budgets, tokens and retries. Says what became of each call.

A request is repeated only for what can pass: a TransientError by `retry.decide`, one rejected token after one refresh,
one redirect of a renamed portal. Everything else is the caller's to know.
"""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from worker.bitrix24.auth import Auth
from worker.bitrix24.batch import dependents, pack, references, related, unpack
from worker.bitrix24.calls import Answer, Answers, Call, Outcome, Time
from worker.bitrix24.moves import new_rest_url
from worker.bitrix24.protocol import decode, encode_json
from worker.bitrix24.retry import LONGEST_PAUSE, decide
from worker.bitrix24.stats import Stats
from worker.bitrix24.throttle import Throttle
from worker.bitrix24.transport import Sender
from worker.clock import Clock
from worker.errors import (
    Interrupted,
    MethodClosed,
    PortalError,
    PortalMoved,
    RateLimited,
    TokenRejected,
    TransientError,
)

__all__ = ["MAX_ATTEMPTS", "Client", "Stats"]

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_ATTEMPTS = 6
_PROBE_SECONDS = 15.0  # a portal that is well answers this call within milliseconds


@dataclass(slots=True)
class _Trip:
    """What has happened to one request so far."""

    failures: int = 0
    began: float = 0.0
    version: int = 0  # of the token last sent
    rejected: bool = False
    renew: bool = False  # before the next attempt
    home: str | None = None  # the REST address that redirected us
    arrived: bool = False
    total: float | None = None  # seconds for one attempt; None: what the transport allows
    looked: bool = False  # whether its method is closed is known for the first attempt: `shut`
    shut: MethodClosed | None = None


class Client:
    """Calls methods of one portal for one account; each thread has its own.

    Args:
        auth: Whose authorization.
        transport: HTTP, shared by all clients of a process.
        throttle: The portal's budgets.
        clock: Ours.
        on_moved: Told the portal's new REST address once it has answered there.
        jitter: A number from 0 to 1, anew each time.
        max_attempts: So many failures of one request end it, whatever `retry` would allow.

    `halted` is looked at before every attempt, so that no wait and no retry outlives a stop or a deadline by more than
    one request: it says why to end, or None.
    """

    def __init__(
        self,
        *,
        auth: Auth,
        transport: Sender,
        throttle: Throttle,
        clock: Clock,
        on_moved: Callable[[str], None] | None = None,
        jitter: Callable[[], float] = random.random,
        max_attempts: int = MAX_ATTEMPTS,
    ) -> None:
        self._auth = auth
        self._transport = transport
        self._throttle = throttle
        self._clock = clock
        self._on_moved = on_moved
        self._jitter = jitter
        self._max_attempts = max_attempts
        self.halted: Callable[[], str | None] = lambda: None
        self.stats = Stats()

    @property
    def portal(self) -> str:
        """The portal's domain."""
        return urlsplit(self._auth.rest_url).netloc

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Answer:
        """One call. Raises what the portal said, after retries where they make sense."""
        if references(params):
            raise ValueError("only a call inside a batch may refer to another")
        self.stats.calls += 1
        return self._ask(method, params or {}, lambda answer: answer, _Trip())

    def probe(self) -> None:
        """One short request without retries: does this portal answer? Raises what kept it from that.

        Vendor: api-reference/common/system/server-time.md; it needs no scope and costs the portal nothing.
        """
        self.stats.calls += 1
        self._ask(
            "server.time", {}, lambda answer: answer, _Trip(failures=self._max_attempts - 1, total=_PROBE_SECONDS)
        )

    def batch(self, calls: Sequence[Call], *, halt: bool = False) -> Answers:
        """Up to 50 calls in one request. A call's own failure is its outcome; the request's failure is raised.

        A call whose method is closed for now is not sent, nor what refers to it: their outcome is MethodClosed.
        """
        packed = pack(calls, halt=halt)  # a wrong batch is wrong whatever is open
        closed = self._throttle.closed({*(call.method for call in calls), "batch"})
        outcomes = _shut(calls, closed)
        sent = [call for call in calls if call.key not in outcomes]
        if not sent:
            return Answers(outcomes, Time())
        trip = _Trip(looked=True, shut=closed.get("batch"))
        if outcomes:
            packed = pack(sent, halt=halt)
        answers = self._batch(sent, packed, trip)
        again = [key for key, outcome in answers.outcomes.items() if isinstance(outcome, TokenRejected)]
        outcomes.update(answers.outcomes)
        if again:
            outcomes.update(self._repeat(sent, again, trip, halt=halt))
        return Answers(outcomes, answers.time)

    def _batch(self, calls: Sequence[Call], packed: Mapping[str, Any], trip: _Trip) -> Answers:
        def read(answer: Answer) -> Answers:
            return Answers(unpack(answer, calls, portal=self.portal), answer.time)

        self.stats.calls += len(calls)
        answers = self._ask("batch", packed, read, trip)
        self._throttle.after(answers.outcomes.values())
        return answers

    def _repeat(self, calls: Sequence[Call], keys: Sequence[str], trip: _Trip, *, halt: bool) -> dict[str, Outcome]:
        """Portals check the token once, for the outer call; should one reject it inside, the same rule holds there.

        What hangs together by references is repeated together, else a reference would meet nothing.
        """
        if trip.rejected:
            raise _second(calls, keys)
        trip = _Trip(version=trip.version, rejected=True, renew=True)
        together = related(calls, keys)
        repeated = [call for call in calls if call.key in together]
        answers = self._batch(repeated, pack(repeated, halt=halt), trip)
        for outcome in answers.outcomes.values():
            if isinstance(outcome, TokenRejected):
                raise outcome
        return dict(answers.outcomes)

    def _ask(self, method: str, params: Mapping[str, Any], read: Callable[[Answer], T], trip: _Trip) -> T:
        """One request, with what may be repeated. Bounded by `max_attempts`, one refresh and one redirect."""
        home = self._auth.rest_url
        trip.began = self._clock.monotonic()
        try:
            for _ in range(self._max_attempts + 2):
                try:
                    return read(self._attempt(method, params, trip))
                except TokenRejected:
                    if trip.rejected:
                        raise
                    trip.rejected = trip.renew = True
                except PortalMoved as moved:
                    self._follow(moved, trip)
                except TransientError as error:
                    trip.failures += 1
                    if trip.failures >= self._max_attempts or not self._pause(error, trip.failures, trip.began):
                        raise
                    self.stats.retries += 1
            raise TransientError("too many attempts", portal=self.portal, method=method)
        finally:
            if trip.home is not None and not trip.arrived:
                self._auth.rest_url = home

    def _attempt(self, method: str, params: Mapping[str, Any], trip: _Trip) -> Answer:
        if reason := self.halted():
            raise Interrupted(reason)
        shut = trip.shut if trip.looked else self._throttle.closed([method]).get(method)
        trip.looked = False
        if shut is not None:
            raise shut
        self.stats.waited_seconds += self._throttle.before(plain=method != "batch")
        body = dict(params)
        self._authorize(body, trip)
        self.stats.http_requests += 1
        try:
            reply = self._transport.post_json(self._auth.url(method), encode_json(body), total=trip.total)
        except PortalError as error:
            error.method = method
            raise
        secrets = self._auth.secrets(body)
        outcome = decode(reply.status, reply.headers, reply.body, portal=self.portal, method=method, secrets=secrets)
        self._throttle.after([outcome])
        if isinstance(outcome, RateLimited):
            self._throttle.refused()
        if isinstance(outcome, PortalError):
            log.debug("%s %s: %s", self.portal, method, outcome.code or type(outcome).__name__)
            raise outcome
        self._settle(trip)
        return outcome

    def _authorize(self, body: dict[str, Any], trip: _Trip) -> None:
        """The token of this attempt, renewed where the last one was rejected (by another, perhaps: then reloaded)."""
        before = self._auth.refreshes
        try:
            if trip.renew:
                self._auth.renew(trip.version)
                trip.renew = False
            trip.version = self._auth.apply(body)
        finally:
            self.stats.refreshes += self._auth.refreshes - before

    def _follow(self, moved: PortalMoved, trip: _Trip) -> None:
        """Go to the new address, once, if it can be the same portal's; else tell a person."""
        target = None if trip.home is not None else new_rest_url(self._auth.rest_url, moved.location)
        if target is None:
            parts = urlsplit(moved.location)
            there = f"{parts.scheme}://{parts.hostname}/"  # the rest may hold a webhook's secret
            text = f"it redirects to {there}: if the portal was renamed, connect it again under its new address"
            raise PortalMoved(text, location=there, portal=self.portal, method=moved.method) from None
        trip.home = self._auth.rest_url
        self._auth.rest_url = target

    def _settle(self, trip: _Trip) -> None:
        if trip.home is None or trip.arrived:
            return
        trip.arrived = True
        log.warning("the portal %s answers as %s now", urlsplit(trip.home).netloc, self.portal)
        if self._on_moved is not None:
            self._on_moved(self._auth.rest_url)

    def _pause(self, error: PortalError, failures: int, began: float) -> bool:
        """Wait as `retry` says; False where it says to give up.

        All pauses and attempts of a request together end within LONGEST_PAUSE (of its beginning, `began`): a portal
        that lets us hang is not worth a second minute of a thread that healthy portals wait for.
        """
        left = LONGEST_PAUSE - (self._clock.monotonic() - began)
        retry = decide(error, failures, jitter=self._jitter, longest=left)
        if retry is None:
            return False
        log.info("%s %s: attempt %d failed, again in %.1f s", self.portal, error.method, failures, retry.after)
        self._clock.sleep(retry.after)
        self.stats.waited_seconds += retry.after
        return True


def _shut(calls: Sequence[Call], closed: Mapping[str, MethodClosed]) -> dict[str, Outcome]:
    """What becomes of calls whose method is closed, and of those that refer to them."""
    outcomes: dict[str, Outcome] = {call.key: closed[call.method] for call in calls if call.method in closed}
    for key in dependents(calls, outcomes) - outcomes.keys() if outcomes else ():
        outcomes[key] = next(iter(outcomes.values()))
    return outcomes


def _second(calls: Sequence[Call], keys: Sequence[str]) -> TokenRejected:
    method = next(call.method for call in calls if call.key in keys)
    return TokenRejected("the portal rejects a token that was just renewed", method=method)
