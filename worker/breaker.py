"""The circuit breaker of a portal, as a value: how often it gave no answer, and when it is asked again. Pure.

Stored with the portal, so that all processes know it. Closed: it answers. Open: it is left alone for a while that grows
with every turn in vain. Half open: that while is over, and one short request (the probe) decides.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=15)
"""A portal that is well again is noticed within this; a dead one costs one short request in it."""

LONGEST_ASKED = timedelta(hours=1)
"""What a portal may ask for (Retry-After). A date further ahead was written by a clock that was wrong."""


class BreakerState(StrEnum):
    """What the next turn may do."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Breaker:
    """The default is a portal that answers.

    Args:
        failures: Turns in a row that got no answer.
        until: Not asked before this, by our clock.
        reason: What the last of them met, for people.
    """

    failures: int = 0
    until: datetime | None = None
    reason: str | None = None

    def state(self, now: datetime) -> BreakerState:
        """At `now`. A clock that was set back keeps no portal waiting."""
        if not self.failures:
            return BreakerState.CLOSED
        waits = self.until is not None and now < self.until <= now + LONGEST_ASKED
        return BreakerState.OPEN if waits else BreakerState.HALF_OPEN

    def failed(
        self,
        reason: str,
        now: datetime,
        *,
        interval: timedelta,
        asked: float | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> "Breaker":
        """After one more turn without an answer: twice the pause of before, half of it left to chance.

        Args:
            reason: What it met.
            now: Our clock.
            interval: Between two runs; the first pause is not longer.
            asked: Seconds that the portal asked for.
            jitter: A number from 0 to 1.
        """
        grown = min(LONGEST_PAUSE, min(FIRST_PAUSE, interval) * 2.0 ** min(self.failures, 30))
        pause = max(grown * (0.5 + jitter() / 2), min(LONGEST_ASKED, timedelta(seconds=asked or 0)))
        return Breaker(self.failures + 1, now + pause, reason)
