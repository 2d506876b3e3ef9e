"""One owner's calendar while it is read: its sections, its window in slices, then the masters of new series.

A calendar comes without any count, so an answer that lost a row on the way looks like one whose row was deleted. An
answer that says what the mirror holds anyway is believed; one that says anything new is asked for again, together with
what else there is to ask, and believed when another answer says the same.
"""

from collections import deque
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple, Protocol

import msgspec

from worker.bitrix24.calls import Answer, Answers, Call
from worker.errors import IncompleteRun, Rejected
from worker.resources.calendar_calls import Owner, Window, event_call, master_call, master_found, section_call, slices
from worker.resources.calendar_events import EventSeen, EventsRead, read_events, with_master
from worker.resources.calendar_sections import SectionsRead, read_sections
from worker.resources.records import Reject
from worker.resources.viewer import Viewer

ANSWERS = 3
"""In one run. People may well change a calendar between two of them, hardly between all."""


class Shown(NamedTuple):
    """What one answer shows of an owner's window."""

    sections: SectionsRead
    events: EventsRead

    def digest(self) -> int:
        """Equal for answers that say the same to this very process, in whatever order."""
        sections = [(row["section_id"], row["content_hash"]) for row in self.sections.rows]
        events = [
            (
                *(seen.row[name] for name in ("event_id", "content_hash", "visible_hash", "masked", "title_masked")),
                frozenset(occurrence["starts_at"] for occurrence in seen.occurrences),
                frozenset(seen.attendees or ()),
            )
            for seen in self.events.events
        ]
        rejects = [reject.record_key for reject in (*self.sections.rejects, *self.events.rejects)]
        return hash((frozenset(sections), frozenset(events), frozenset(rejects)))


class Known(Protocol):
    """What a reading asks of the mirror."""

    def news(self, owner: Owner, shown: Shown) -> bool:
        """Whether an answer says anything that the mirror does not hold."""
        ...

    def unknown_series(self, series: Sequence[EventSeen]) -> set[int]:
        """Which of these series the mirror does not hold as they are now."""
        ...

    def take_known(self, owner: Owner, digest: str) -> bool:
        """Whether an answer with this digest is known to be what the mirror holds, and counted so."""
        ...

    def meaning(self, owner: Owner, viewer: Viewer) -> str:
        """All that an answer's meaning depends on besides its text and what was asked."""
        ...


class OwnerReading:
    """Gives calls and takes answers until `done`; then `shown` is whole and believed, or all is `as_held`.

    Args:
        owner: Whose calendar.
        number: Makes the keys of its calls unique in a batch.
        requested: The window to ask for.
        known: The mirror.
    """

    def __init__(self, owner: Owner, number: int, requested: Window, known: Known) -> None:
        self.owner = owner
        self._number = number
        self._slices = slices(requested)
        self._known = known
        self._digests: list[int] = []
        self._master_calls: dict[str, int] = {}
        self._masters: dict[int, msgspec.Raw | None] = {}
        self._waiting: deque[Call] = deque()
        self._asked: list[Call] = []
        self._answers: dict[str, msgspec.Raw] = {}
        self._shown: Shown | None = None
        self.answer = ""
        """The digest of the last answer: of its text, and of all that its meaning depends on."""
        self.as_held = False
        """The answer is known: the mirror holds it, and nothing of it was read."""
        self._ask()

    @property
    def done(self) -> bool:
        return (self.as_held or self._shown is not None) and not self._waiting and not self._asked

    @property
    def no_news(self) -> bool:
        """The first answer said nothing that the mirror does not hold."""
        return len(self._digests) == 1 and not self._master_calls

    @property
    def shown(self) -> Shown:
        if self._shown is None:
            raise RuntimeError("asked for a calendar that is not read yet")
        return self._shown

    def calls(self, room: int) -> list[Call]:
        self._asked = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
        return self._asked

    def take(self, answers: Answers, viewer: Viewer, window: Window) -> None:
        """Raises the PortalError of a call that failed, or IncompleteRun: the window is not whole."""
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
        if self._shown is None:
            self._look(viewer, window)
        if self._shown is not None and not self._waiting:
            self._complete(self._shown.events, viewer)

    def _ask(self) -> None:
        """The whole window once more."""
        tag = f"{self._number}n{len(self._digests)}"
        self._section_call = section_call(f"cs{tag}", self.owner)
        self._event_calls = [
            event_call(f"ce{tag}x{index}", self.owner, span) for index, span in enumerate(self._slices)
        ]
        self._waiting.extend([self._section_call, *self._event_calls])

    def _look(self, viewer: Viewer, window: Window) -> None:
        """Is this answer believed? Masters are asked for beside the next one, so that it costs no request."""
        asked = [self._section_call, *self._event_calls]
        sections, *events = answers = [self._answers.pop(call.key) for call in asked]
        self.answer = answer_digest(answers, asked, self._known.meaning(self.owner, viewer))
        if not self._digests and self._known.take_known(self.owner, self.answer):
            self.as_held = True
            return
        shown = Shown(read_sections(sections, self.owner), read_events(events, viewer, window, self.owner))
        digest = shown.digest()
        if digest in self._digests or not (self._digests or self._known.news(self.owner, shown)):
            self._shown = shown
        elif len(self._digests) + 1 == ANSWERS:
            raise IncompleteRun(f"{ANSWERS} answers for {self.owner.type} {self.owner.id} say different things")
        self._digests.append(digest)
        self._ask_masters(shown.events.events)
        if self._shown is None:
            self._ask()

    def _ask_masters(self, events: Sequence[EventSeen]) -> None:
        for event_id in sorted(self._known.unknown_series([seen for seen in events if seen.needs_master])):
            call = master_call(f"cm{self._number}x{event_id}", event_id)
            if call.key not in self._master_calls:
                self._master_calls[call.key] = event_id
                self._waiting.append(call)

    def _complete(self, read: EventsRead, viewer: Viewer) -> None:
        for index, seen in enumerate(read.events):
            if seen.event_id not in self._masters:
                continue
            try:
                read.events[index] = with_master(seen, self._masters[seen.event_id], viewer)
            except Rejected as error:
                read.rejects.append(Reject(f"event:{seen.event_id}", seen.row["raw"], str(error)))
        rejected = {reject.record_key for reject in read.rejects}
        read.events[:] = [seen for seen in read.events if f"event:{seen.event_id}" not in rejected]


def answer_digest(answers: Sequence[msgspec.Raw], asked: Sequence[Call], meaning: str) -> str:
    """Equal for equal texts that answer the same questions and mean the same."""
    digest = blake2b(meaning.encode(), digest_size=32)
    for call, answer in zip(asked, answers, strict=True):
        text = memoryview(answer)
        digest.update(f"\n{call.method} {sorted(call.params.items())} {text.nbytes}\n".encode())
        digest.update(text)
    return digest.hexdigest()
