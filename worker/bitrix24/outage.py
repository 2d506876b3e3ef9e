"""A token server that does not answer is left alone for a while, by this process: its trouble is no portal's.

Each request to it may hold a thread until it times out, and all portals whose access token has run out ask the same
server. Portals with a live token do not need it, and need the threads.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from worker.clock import Clock
from worker.errors import PortalError, TokenServerAway, TransientError

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0  # seconds
ENOUGH = 2
"""Portals in a row that got no answer. One alone may be its own trouble: a server may choke on one portal's tokens."""


@dataclass(slots=True)
class _Server:
    silent_to: set[str] = field(default_factory=set)
    pause: float = FIRST_PAUSE
    until: float = 0.0
    probed: bool = False  # one request is under way that decides


class Outages:
    """What this process knows of token servers. Safe to use from many threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._servers: dict[str, _Server] = {}
        self._lock = threading.Lock()

    @contextmanager
    def asking(self, server: str, portal: str) -> Iterator[None]:
        """One request to `server` for this portal. A refusal is an answer.

        Raises TokenServerAway, and nothing is asked, while the server is left alone.
        """
        probing = self._admit(server)
        try:
            yield
        except TransientError as error:
            error.token_server = True
            self._no_answer(server, portal, probing=probing)
            raise
        except PortalError:
            self._answered(server)
            raise
        else:
            self._answered(server)
        finally:
            if probing:
                with self._lock:
                    self._servers[server].probed = False

    def _admit(self, server: str) -> bool:
        """Whether the request is the one that decides."""
        with self._lock:
            known = self._servers.setdefault(server, _Server())
            if len(known.silent_to) < ENOUGH:
                return False
            left = FIRST_PAUSE if known.probed else known.until - self._clock.monotonic()
            if left <= 0:
                known.probed = True
                return True
        away = TokenServerAway("it has given no answer lately and is left alone for a while", portal=server)
        away.retry_after, away.token_server, away.never_sent = left, True, True
        raise away

    def _no_answer(self, server: str, portal: str, *, probing: bool) -> None:
        with self._lock:
            known = self._servers[server]
            was_away = len(known.silent_to) >= ENOUGH
            known.silent_to.add(portal)
            if probing or (not was_away and len(known.silent_to) >= ENOUGH):
                known.until = self._clock.monotonic() + known.pause
                known.pause = min(LONGEST_PAUSE, known.pause * 2)

    def _answered(self, server: str) -> None:
        with self._lock:
            self._servers[server] = _Server(probed=self._servers[server].probed)
