"""One owner's calendar while it is read: its sections, its window in slices, then the masters of new series."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from worker.bitrix24.calls import Answer, Answers, Call
from worker.errors import Rejected
from worker.resources.calendar_calls import Owner, Window, event_call, master_call, master_found, section_call, slices
from worker.resources.calendar_events import EventSeen, EventsRead, read_events, with_master
from worker.resources.calendar_sections import SectionsRead, read_sections
from worker.resources.records import Reject
from worker.resources.viewer import Viewer

if TYPE_CHECKING:
    import msgspec

UnknownSeries = Callable[[Sequence[EventSeen]], set[int]]
"""Which of these series the mirror does not hold as they are now."""


class OwnerReading:
    """Gives calls and takes answers until `done`; then `sections` and `read` are whole.

    Args:
        owner: Whose calendar.
        number: Makes the keys of its calls unique in a batch.
        requested: The window to ask for.
        unknown_series: Which of the series that come must be asked for by their IDs.
        again: Asked a second time, since the first answer contradicted the mirror.
    """

    def __init__(
        self, owner: Owner, number: int, requested: Window, unknown_series: UnknownSeries, *, again: bool = False
    ) -> None:
        self.owner = owner
        self.again = again
        self._number = number
        self._unknown_series = unknown_series
        self._section_call = section_call(f"cs{number}", owner)
        self._event_calls = [
            event_call(f"ce{number}x{index}", owner, span) for index, span in enumerate(slices(requested))
        ]
        self._master_calls: dict[str, int] = {}
        self._masters: dict[int, msgspec.Raw | None] = {}
        self._waiting: deque[Call] = deque([self._section_call, *self._event_calls])
        self._asked: list[Call] = []
        self._answers: dict[str, msgspec.Raw] = {}
        self._read: EventsRead | None = None
        self._sections: SectionsRead | None = None

    @property
    def done(self) -> bool:
        return self._read is not None and not self._waiting and not self._asked

    @property
    def sections(self) -> SectionsRead:
        if self._sections is None:
            raise RuntimeError("asked for the sections of a calendar that is not read yet")
        return self._sections

    @property
    def read(self) -> EventsRead:
        if self._read is None:
            raise RuntimeError("asked for the events of a calendar that is not read yet")
        return self._read

    def calls(self, room: int) -> list[Call]:
        self._asked = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
        return self._asked

    def take(self, answers: Answers, viewer: Viewer, window: Window) -> None:
        """Raises the PortalError of a call that failed: without it the window is not whole."""
        asked, self._asked = self._asked, []
        for call in asked:
            outcome = answers.get(call)
            if call.key in self._master_calls:
                self._masters[self._master_calls[call.key]] = master_found(outcome)
            elif isinstance(outcome, Answer):
                self._answers[call.key] = outcome.result
            else:
                raise outcome
        if self._waiting:
            return
        if self._read is None:
            self._sections = read_sections(self._answers.pop(self._section_call.key), self.owner)
            raws = [self._answers.pop(call.key) for call in self._event_calls]
            self._read = read_events(raws, viewer, window, self.owner)
            self._ask_masters(self._read)
        if not self._waiting:
            self._complete(viewer)

    def _ask_masters(self, read: EventsRead) -> None:
        for event_id in sorted(self._unknown_series([seen for seen in read.events if seen.is_series])):
            call = master_call(f"cm{self._number}x{event_id}", event_id)
            self._master_calls[call.key] = event_id
            self._waiting.append(call)

    def _complete(self, viewer: Viewer) -> None:
        read = self.read
        for index, seen in enumerate(read.events):
            if seen.event_id not in self._masters:
                continue
            try:
                read.events[index] = with_master(seen, self._masters[seen.event_id], viewer)
            except Rejected as error:
                read.rejects.append(Reject(f"event:{seen.event_id}", seen.row["raw"], str(error)))
        rejected = {reject.record_key for reject in read.rejects}
        read.events[:] = [seen for seen in read.events if f"event:{seen.event_id}" not in rejected]
