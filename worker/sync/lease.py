"""The lease of a portal: who may write its rows now. One heartbeat thread per process renews all that are held.

A lease is 60 s and renewed every 15 s, so a killed process is replaced within a minute. Fenced: each taking counts one
up, and every write transaction checks the number (`Turn.write`), so a process that slept through its lease commits
nothing.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from worker.clock import Clock
from worker.storage import leases
from worker.storage.session import Database
from worker.storage.trouble import AWAY, database_sentence
from worker.sync.turn import Fence

log = logging.getLogger(__name__)
T = TypeVar("T")

LEASE = timedelta(seconds=60)
HEARTBEAT_SECONDS = 15
GIVE_BACK_SECONDS = 1
"""Between two tries to give back the lease of a turn that its database left in the lurch."""


class LeaseKeeper:
    """Takes and renews the leases of this process; who took one gives it back with the turn's last transaction."""

    def __init__(self, database: Database, clock: Clock, owner: str) -> None:
        self._database = database
        self._clock = clock
        self._owner = owner
        self._held: dict[Fence, float] = {}
        self._abandoned: set[Fence] = set()
        self._doubtful: set[int] = set()  # portals
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def hold(self, portal_id: int, *, seconds: float) -> Iterator[Fence | None]:
        """The portal's lease, renewed to the end of the block or for so many seconds; None when another holds it.

        A turn that ends because the database went away has given nothing back: that is done as soon as it returns, so
        the portal is due at once. After any other error the lease runs out, which keeps a mistake of ours from being
        repeated at every tick.
        """
        try:
            with self._database.write() as session:
                number = leases.take_lease(session, portal_id, owner=self._owner, now=self._clock.now(), ttl=LEASE)
        except AWAY:
            # If it was the answer to the COMMIT that got lost, the lease is ours, and nobody knows its number.
            self._give_back_later(self._doubtful, portal_id)
            raise
        if number is None:
            yield None
            return
        fence = Fence(portal_id, self._owner, number)
        with self._lock:
            self._held[fence] = self._clock.monotonic() + seconds
            self._start()
        try:
            yield fence
        except AWAY:
            self._give_back_later(self._abandoned, fence)
            raise
        finally:
            with self._lock:
                self._held.pop(fence, None)

    def stop(self) -> None:
        """End the heartbeat, and give back what could not be given back before. Leases still held run out."""
        self._wake.set()
        if (heart := self._thread) is not None and heart is not threading.current_thread():
            heart.join(GIVE_BACK_SECONDS)  # its transaction, if it is in one, ends before the connections are closed
        self._give_back()

    def abandon(self) -> None:
        """Give back what is still held, as the process ends in the middle of it: whoever works on commits nothing more.

        Then the next start need not wait for these leases to run out.
        """
        with self._lock:
            self._abandoned.update(self._held)
            self._held.clear()
        self.stop()

    def _give_back_later(self, kept: set[T], lease: T) -> None:
        with self._lock:
            kept.add(lease)
            self._start()

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._beat, name="lease-heartbeat", daemon=True)
            self._thread.start()

    def _beat(self) -> None:
        """Renew what is held; ends when nothing was held for one beat, so a short command leaves no thread behind."""
        waited = 0
        while not self._wake.wait(GIVE_BACK_SECONDS):
            self._give_back()
            waited += GIVE_BACK_SECONDS
            if waited % HEARTBEAT_SECONDS:
                continue
            with self._lock:
                if not (self._held or self._abandoned or self._doubtful):
                    self._thread = None
                    return
            self.renew()

    def renew(self) -> None:
        """Renew what is held. The heartbeat does so every HEARTBEAT_SECONDS."""
        with self._lock:
            now = self._clock.monotonic()
            held = {f.portal_id: (f.owner, f.number) for f, until in self._held.items() if now < until}
        if not held:
            return
        try:
            with self._database.write() as session:
                leases.renew_leases(session, owner_fences=held, now=self._clock.now(), ttl=LEASE)
        except AWAY as error:
            log.warning("the leases of %d portals could not be renewed: %s", len(held), database_sentence(error))
        except Exception:
            log.exception("the leases of %d portals could not be renewed", len(held))

    def _give_back(self) -> None:
        """Try to give back what turns could not; a lease that has run out or is another's by now needs nothing."""
        with self._lock:
            self._doubtful -= {fence.portal_id for fence in self._held}  # taken anew: its number is known
            portals, fences = list(self._doubtful), list(self._abandoned)
        try:
            for portal_id in portals:
                with self._database.write() as session:
                    leases.free(session, portal_id, owner=self._owner, now=self._clock.now())
                self._doubtful.discard(portal_id)
            for fence in fences:
                with self._database.write() as session:
                    leases.release_lease(
                        session,
                        fence.portal_id,
                        owner=fence.owner,
                        fence=fence.number,
                        now=self._clock.now(),
                        next_run_at=None,
                    )
                self._abandoned.discard(fence)
        except AWAY:
            return
        except Exception:
            log.exception("leases could not be given back; they run out")
            self._doubtful.difference_update(portals)
            self._abandoned.difference_update(fences)
