"""Which answers need not be read: their digest is of one that wrote nothing, and nothing was written since.

A digest is kept at the end of a turn that wrote nothing of any calendar of the portal, of an answer that was read in it
without any news; and whoever writes anything of the portal's calendars forgets all its digests in that transaction. So
to read an answer with the same digest would write nothing.
"""

from sqlalchemy.orm import Session

from worker.resources.calendar_calls import Owner, Window
from worker.resources.viewer import Viewer
from worker.storage.remembered import CalendarOf, Remembered, forget_answers
from worker.sync.calendar_doubts import Doubts
from worker.sync.calendar_owners import judges
from worker.sync.edition import edition
from worker.sync.turn import Turn


class CalendarMemory:
    """What this account was answered, and what its turn writes."""

    def __init__(self, turn: Turn, doubts: Doubts) -> None:
        self._turn = turn
        self._doubts = doubts

    def meaning(self, owner: Owner, viewer: Viewer, window: Window) -> str:
        """All that an answer of this owner means, besides its text and what was asked."""
        return f"{edition()} {viewer.eyes} {window.start} {window.end} {judges(self._turn, owner)}"

    def known(self, owner: Owner, digest: str) -> Remembered | None:
        """What is known of an answer that need not be read.

        None where there is more to be judged than the answer: instances in doubt, records kept aside, or an operator
        who wants it read.
        """
        standing = self._turn.standing
        if self._turn.options.anew or standing.calendar_written or self._doubts.any or "calendar" in standing.rejected:
            return None
        known = standing.answers.get(self._whose(owner))
        return known if known is not None and known.digest == digest else None

    def remember(self, owner: Owner, answer: Remembered) -> None:
        """Keep it, if nothing is written to the end of the turn."""
        self._turn.standing.read[self._whose(owner)] = answer

    def wrote(self, session: Session, rows: int) -> None:
        """So many rows of calendars were written in this transaction."""
        if not rows:
            return
        self._turn.standing.calendar_written = True
        if self._turn.standing.answers:
            forget_answers(session, self._turn.portal_id)

    def _whose(self, owner: Owner) -> CalendarOf:
        return CalendarOf(self._turn.account_id, owner.type, owner.id)
