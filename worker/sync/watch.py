"""Looks at one record of each batch for what this program does not know, and notes it: each thing once in a run."""

import msgspec
from sqlalchemy.orm import Session

from worker.resources.drift import Drift, drift
from worker.storage.drift import note_drift
from worker.sync.turn import Turn


class Watch:
    """The eyes of one run of one resource."""

    def __init__(self, turn: Turn, resource: str) -> None:
        self._turn = turn
        self._resource = resource
        self._told: set[Drift] = set()

    def look(self, session: Session, raw: msgspec.Raw | bytes) -> None:
        """In the transaction of the record's row."""
        new = [one for one in drift(self._resource, raw) if one not in self._told]
        if new:
            self._told.update(new)
            note_drift(session, self._turn.portal_id, self._resource, new, self._turn.clock.now())
