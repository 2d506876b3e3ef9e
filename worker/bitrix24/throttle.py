"""A portal's two budgets: requests per second for all of us, operating time per method (vendor: limits.md).

Both are shared by every process through the BudgetStore; this is the side that reserves, waits and reports.
"""

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from worker.bitrix24.calls import Answer, Outcome, Time
from worker.budget import BudgetStore
from worker.clock import Clock
from worker.errors import MethodClosed, RateLimited

BRAKE: Final = 300.0  # seconds of operating time; the cloud closes at 480 by its pages, at 420 by its code
_CLOSE_FOR = timedelta(seconds=60)  # where nobody says until when: the oldest minute is forgotten by then
_LONGEST = timedelta(minutes=10)  # the window of the operating time; no clock can make it longer
_AT_ONCE = 5  # plain calls reserved together, for one update of the store instead of five
_KEEP = 3.0  # seconds that such a reservation is worth something


class Throttle:
    """Waits before requests and learns from answers.

    Args:
        store: The budgets.
        clock: Ours.
        portal_id: Whose.
        patience: A longer wait is refused with RateLimited: whoever asked has better things to do.
    """

    def __init__(self, store: BudgetStore, clock: Clock, portal_id: int, patience: float = 60) -> None:
        self._store = store
        self._clock = clock
        self._portal_id = portal_id
        self._patience = patience
        self._lock = threading.Lock()
        self._spare = 0
        self._spare_until = 0.0
        self._resets: dict[str, datetime] = {}  # by our clock, as the last good answer of a method told

    def before(self, requests: int = 1, *, plain: bool = False) -> float:
        """Wait until there is room for `requests`. Returns the seconds waited.

        Args:
            requests: How many.
            plain: A single call, not a batch: a few are reserved together and used up within seconds.
        """
        if plain and self._take_spare():
            return 0.0
        if plain and self._reserve(_AT_ONCE, patience=0.0) <= 0:
            with self._lock:
                self._spare = _AT_ONCE - 1
                self._spare_until = self._clock.monotonic() + _KEEP
            return 0.0
        wait = self._reserve(requests, patience=self._patience)
        if wait > self._patience:
            error = RateLimited("the request budget of this portal is spent for longer than we wait")
            error.retry_after = wait
            raise error
        if wait > 0:
            self._clock.sleep(wait)
        return max(0.0, wait)

    def refused(self) -> None:
        """The portal said QUERY_LIMIT_EXCEEDED: somebody else at this address asks it too."""
        with self._lock:
            self._spare = 0
        self._store.fill(self._portal_id, now=self._clock.now())

    def closed(self, methods: Iterable[str]) -> dict[str, MethodClosed]:
        """Those of `methods` that nobody may call now, each with the error it would meet."""
        now = self._clock.now()
        until = self._store.closed_methods(self._portal_id, now=now)
        return {method: _closed(method, until[method], now) for method in set(methods) if method in until}

    def after(self, outcomes: Iterable[Outcome]) -> None:
        """Learn from what came back. A batch may be billed to its calls (limits.md) or to `batch` (b24jssdk#539)."""
        now = self._clock.now()
        closing: dict[str, datetime] = {}
        for outcome in outcomes:
            if isinstance(outcome, Answer) and outcome.time.operating_reset_at and outcome.time.portal_now:
                self._resets[outcome.method] = now + _pause(outcome.time)
            until = _until(outcome, now, self._resets)
            if until is not None and outcome.method:
                closing[outcome.method] = max(until, closing.get(outcome.method, until))
        self._close(closing)

    def _close(self, closing: Mapping[str, datetime]) -> None:
        for method, until in closing.items():
            self._store.close_method(self._portal_id, method, until=until)

    def _reserve(self, requests: int, *, patience: float) -> float:
        return self._store.reserve(self._portal_id, requests, now=self._clock.now(), patience=patience)

    def _take_spare(self) -> bool:
        with self._lock:
            if self._spare > 0 and self._clock.monotonic() <= self._spare_until:
                self._spare -= 1
                return True
            self._spare = 0
            return False


def _until(outcome: Outcome, now: datetime, resets: Mapping[str, datetime]) -> datetime | None:
    """Until when this outcome closes its method, by our clock; None where it does not."""
    if isinstance(outcome, Answer):
        if outcome.time.operating is None or outcome.time.operating <= BRAKE:
            return None
        return now + _pause(outcome.time)
    if not isinstance(outcome, MethodClosed):
        return None
    if outcome.retry_after is not None:
        return now + min(_LONGEST, timedelta(seconds=max(1.0, outcome.retry_after)))
    if outcome.reset_at is not None:
        return now + _pause(Time(portal_now=now, operating_reset_at=outcome.reset_at))
    # A refusal need not say when; the last good answer did (vendor: limits.md, "How to Respond to Limit Errors").
    told = resets.get(outcome.method)
    return told if told is not None and told > now else now + _CLOSE_FOR


def _pause(time: Time) -> timedelta:
    """From the portal's own two times, so that its clock need not agree with ours."""
    if time.operating_reset_at is None or time.portal_now is None:
        return _CLOSE_FOR
    return min(_LONGEST, max(timedelta(seconds=1), time.operating_reset_at - time.portal_now))


def _closed(method: str, until: datetime, now: datetime) -> MethodClosed:
    error = MethodClosed("the operating time of this method is used up for now", method=method)
    error.reset_at = until
    error.retry_after = max(0.0, (until - now).total_seconds())
    return error
