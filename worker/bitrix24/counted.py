"""A listing by the numbers of its pages, for a portal that ignores `>ID` or the order. A pure state machine.

Pages by number shift: a row that is deleted moves all rows behind it forward, and the first row of the next page is
never shown. So every batch begins with the last page of the one before: it must hold a row that is known, else the
listing steps back. Within a batch the portal's count must stay the same, else the batch's rest is asked again. The end
is believed when as many rows were read as the portal counted, at the least it said. A row that is added meanwhile may
be missed: it is newer than the cursor, so the next run finds it.

The IDs of all rows are kept until the end, for an order that means nothing tells of no row that it is missing: this is
the one listing whose memory grows with the list, by a number for each row.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from worker.bitrix24.calls import Answer, Answers, Call
from worker.bitrix24.reading import PageReader
from worker.bitrix24.rows import ListMethod, Page, Record, Span
from worker.errors import PortalError

if TYPE_CHECKING:
    import msgspec

_LAPS = 3  # pages asked for, in multiples of the list's own: one that shifts for ever is given up
_SPARE = 10


class CountedListing:
    """One listing. Ask `calls(room)`, send them (in any batch), give the outcomes to `take`, until `done`.

    Args:
        spec: The method and how it is asked.
        prefix: Starts the keys of its calls; unique in the batch, begins with a letter.
        filter: The conditions, with the portal's prefixes.
    """

    last_id = resume_id = 0
    """Where a later run goes on: at the start, always."""

    def __init__(self, spec: ListMethod, *, prefix: str, filter: Mapping[str, Any] | None = None) -> None:  # noqa: A002 - the portal's word
        self._spec = spec
        self._prefix = prefix
        self._filter = dict(filter or {})
        self._reader = PageReader(spec)
        self._sent: list[Call] = []
        self._first = 0  # page of the calls sent last
        self._next = 0  # page not read yet
        self._asked = 0
        self._seen: set[int] = set()
        self._odd: set[bytes] = set()
        self._totals: list[int] = []  # the least and the latest
        self.done = False
        self.complete = False
        self.problem: str | None = None
        self.unreadable: list[msgspec.Raw] = []

    @property
    def error(self) -> PortalError | None:
        """What failed in the last take."""
        return self._reader.error

    @property
    def count(self) -> int:
        return len(self._seen)

    @property
    def span(self) -> Span | None:
        """What is proven to be all there is: everything, once it is complete; nothing before."""
        return Span(0, None, sorted(self._seen)) if self.complete else None

    def calls(self, room: int) -> list[Call]:
        """The calls for the next batch, at most `room`; none where there is no room for a page and the one before."""
        self._first = max(0, self._next - 1)
        last = max(self._next, self._pages() - 1)
        numbers = range(self._first, min(last + 1, self._first + room))
        enough = not self.done and self._next in numbers
        self._sent = [self._call(number) for number in numbers] if enough else []
        return list(self._sent)

    def take(self, answers: Answers) -> list[Record]:
        """What the last `calls` brought: records not brought before; `unreadable` and `error` tell of this take."""
        sent, self._sent = self._sent, []
        self.unreadable = []
        self._reader.begin()
        taken: list[Record] = []
        told: int | None = None
        for number, call in enumerate(sent, start=self._first):
            page, total = self._page(answers.get(call), failure=number == self._first or call.key in answers.outcomes)
            if page is None:
                break
            if told is not None and total != told:
                self._next = max(0, number - 1)  # the list changed between two pages: its rest is asked again
                break
            told = total
            known = any(record.id in self._seen for record in page.records)
            taken += self._new(page)
            if number == self._first and self._next and not known:
                self._next = number  # so many rows went that nothing is known here: a page further back
                break
            self._next = number + 1
        self._asked += len(sent)
        self._judge(told)
        return taken

    def _call(self, number: int) -> Call:
        params = self._spec.page(conditions=self._filter, start=number * self._spec.page_size)
        return Call(f"{self._prefix}{number - self._first}", self._spec.method, params)

    def _pages(self) -> int:
        return -(-self._totals[-1] // self._spec.page_size) if self._totals else 1

    def _new(self, page: Page) -> list[Record]:
        new: list[Record] = []
        for record in page.records:
            if record.id not in self._seen:
                self._seen.add(record.id)
                new.append(record)
        for raw in page.unreadable:
            if bytes(raw) not in self._odd:
                self._odd.add(bytes(raw))
                self.unreadable.append(raw)
        return new

    def _judge(self, told: int | None) -> None:
        if self.done or told is None:
            return
        self._totals = [min([*self._totals, told]), told]
        if self._next >= self._pages():
            read = len(self._seen) + len(self._odd)
            self.done = True
            self.complete = read >= self._totals[0]
            if not self.complete:
                self.problem = f"{read} rows read where the portal counts {self._totals[0]}"
        elif self._asked > _LAPS * self._pages() + _SPARE:
            self._fail("the list changes faster than it can be read")

    def _page(self, outcome: Answer | PortalError, *, failure: bool) -> tuple[Page | None, int]:
        """The page of an outcome and the portal's count; None for a failed one, which is noted."""
        page = self._reader.read(outcome, failure=failure)
        if problem := self._reader.gives_up:
            self._fail(problem)
        total = outcome.total if isinstance(outcome, Answer) else None
        if page is not None and page.size and total is None:
            self._fail("the portal counts nothing, so nothing proves that its list is whole")
            return None, 0
        return page, total or 0  # user.get leaves the count out when nothing matches

    def _fail(self, problem: str) -> None:
        self.problem = problem
        self.done = True
