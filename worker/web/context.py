"""What every answer may ask for: the parts of this process, and what it checks of itself."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask import current_app

from worker.wiring import Wiring

SERVICE = "b24sync"

Check = Callable[[], str | None]
"""Looks at one part of this process: None when it is well, else what is wrong, in a few words without secrets."""


class Sluice:
    """Lets so many through in a minute: what anybody may ask must not make us ask others without end."""

    def __init__(self, a_minute: int = 20) -> None:
        self._most = a_minute
        self._passed: deque[float] = deque()
        self._lock = threading.Lock()

    def open(self, now: float) -> bool:
        """`now`: seconds of a clock that never steps."""
        with self._lock:
            while self._passed and self._passed[0] <= now - 60:
                self._passed.popleft()
            if len(self._passed) >= self._most:
                return False
            self._passed.append(now)
            return True


@dataclass(frozen=True, slots=True)
class Context:
    """What the app was made over."""

    wiring: Wiring
    checks: Mapping[str, Check] = field(default_factory=dict)
    installs: Sluice = field(default_factory=Sluice)


def context() -> Context:
    it: Context = current_app.extensions[SERVICE]
    return it


def wiring() -> Wiring:
    return context().wiring
