"""Time as a dependency: whoever needs "now" or a pause is given a Clock, so tests never sleep."""

import threading
import time
from datetime import UTC, datetime
from typing import Protocol

from worker.errors import Interrupted


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


class SystemClock:
    """The machine's clock. A set `stop` event ends every pause at once, with Interrupted."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop or threading.Event()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if self._stop.wait(max(0.0, seconds)):
            raise Interrupted("stopped before the end; the next run goes on from there")
