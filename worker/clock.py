"""Time as a dependency: whoever needs "now" or a pause is given a Clock, so tests never sleep."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from worker.errors import Interrupted

TOLERANCE = timedelta(minutes=1)
"""How far the clocks of our own machines may differ. A date further ahead than it can be was written before a clock was
set back, and nobody waits for it to come again."""


class Clock(Protocol):
    """What the program may know of time."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC. Ours, not the portal's."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back; only differences mean something."""
        ...

    def sleep(self, seconds: float) -> None:
        """Pause. Raises Interrupted, at once, when the program is asked to stop: nothing is worth waiting for then."""
        ...


class StopFlag(Protocol):
    """Whether the program was asked to end; `threading.Event` is one."""

    def is_set(self) -> bool: ...

    def set(self) -> None: ...

    def wait(self, timeout: float | None = None) -> bool:
        """Until it is set, `timeout` seconds at most; whether it is."""
        ...


class SystemClock:
    """The machine's clock. A set `stop` event ends every pause at once, with Interrupted."""

    def __init__(self, stop: StopFlag | None = None) -> None:
        self._stop = stop or threading.Event()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if self._stop.wait(max(0.0, seconds)):
            raise Interrupted("stopped before the end; the next run goes on from there")


class Stopwatch:
    """A moment by both clocks, so that it is known whether the wall clock was set back since."""

    def __init__(self, clock: Clock) -> None:
        self.started_at = clock.now()
        self._clock = clock
        self._began = clock.monotonic()

    @property
    def set_back(self) -> bool:
        """Then dates written since may lie before `started_at`."""
        passed = timedelta(seconds=self._clock.monotonic() - self._began)
        return self._clock.now() - self.started_at < passed - timedelta(seconds=1)


def is_over(since: datetime | None, now: datetime, interval: timedelta) -> bool:
    """Whether `interval` has passed since then; also where that never was, or lies ahead."""
    return since is None or since > now + TOLERANCE or now - since >= interval
