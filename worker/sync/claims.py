"""What this process has promised to read: portals that its ticks have claimed, and whose turn has not begun."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta

from worker.clock import Clock
from worker.storage import leases
from worker.storage.session import Database

AT_ONCE = 500
"""Portals claimed by one tick; the rest are claimed by the next, seconds later."""


class Claims:
    """Claims due portals, and takes claims back whose messages will not arrive.

    Args:
        database: Where the claims stand.
        clock: Ours.
        life: How long a message is worth something; then the portal is claimed anew.
        sick_limit: Of portals that did not answer last time, over all processes.
    """

    def __init__(self, database: Database, clock: Clock, *, life: timedelta, sick_limit: int) -> None:
        self._database = database
        self._clock = clock
        self._life = life
        self._sick_limit = sick_limit
        self._until: dict[int, datetime] = {}

    def take(self) -> list[int]:
        """Mark portals that are due as enqueued and return them."""
        now = self._clock.now()
        with self._database.write() as session:
            claimed = leases.claim_due(
                session, now=now, enqueued_for=self._life, limit=AT_ONCE, sick_limit=self._sick_limit
            )
        self._until.update(dict.fromkeys(claimed, now + self._life))
        return claimed

    def give_back(self, portal_ids: Collection[int] | None = None) -> None:
        """Undo our own claims of these portals, or all; a turn that has begun and another's claim are left alone."""
        ends: dict[datetime, list[int]] = defaultdict(list)
        for portal_id in list(self._until) if portal_ids is None else portal_ids:
            if (until := self._until.pop(portal_id, None)) is not None:
                ends[until].append(portal_id)
        if ends:
            with self._database.write() as session:
                for until, portals in ends.items():
                    leases.unclaim(session, portals, until=until)
