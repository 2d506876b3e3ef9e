"""A listing read to its end by rising IDs, in chains of pages inside shared batches. A pure state machine.

A page asks for `ID > last`, without a count; the next page of the same batch takes `last` by reference from row 49 of
the page before it. The trap: where that row is missing (a short, empty or failed page), the portal puts in whatever
it reached and answers with the table from its start, a page that looks perfectly normal (vendor's PHP; no page tells).
So pages are believed in order, only up to the first that is not full, and every later one is thrown away.

The end of a listing is proven, not assumed. With a probe (highest ID and count, before the first page): the last ID has
reached the highest, or a page from the last ID was empty, and the count agrees. On a disagreement the rows after the
last ID are read until a page is empty, and the count is asked again up to the highest ID: a portal that lives deletes
and restores meanwhile, so a count between the two is right; any other means lost rows, and the listing says so. Without
a probe the first believed page that is not full is the end.
"""

from collections.abc import Mapping
from enum import Enum
from math import ceil
from statistics import median
from typing import TYPE_CHECKING, Any

from worker.bitrix24.calls import Answer, Answers, Call
from worker.bitrix24.keyset import KeysetCalls
from worker.bitrix24.reading import PageReader
from worker.bitrix24.rows import ListMethod, Page, Record, Span
from worker.bitrix24.tally import Tally
from worker.errors import PortalError

if TYPE_CHECKING:
    import msgspec

_GROWTH = 4  # an unknown remainder is asked in chains of 1, 4, 16, 50: little is wasted on a short one
LONGEST = 50


class _Step(Enum):
    PROBE = "probe"
    PAGES = "pages"
    TAIL = "tail"  # the count disagrees: is there anything after the last ID?
    RECOUNT = "recount"
    DONE = "done"


class KeysetListing:
    """One listing. Ask `calls(room)`, send them (in any batch), give the outcomes to `take`, until `done`.

    Args:
        spec: The method and how it is asked.
        prefix: Starts the keys of its calls; unique in the batch, begins with a letter.
        after: Only IDs above this one (a bookmark, or the start of a range).
        filter: More conditions, with the portal's prefixes ({">=CHANGED_DATE": "..."}).
        probe: Ask the highest ID and the count first.
        start_pages: Without a probe, the length of the first chain.
        early_pages: With a probe, pages asked in its own batch: a short listing is proven whole in one request.
        longest: Pages in one batch; 1 where the portal makes something else of references.
        uncounted: Whether pages may be asked for without a count.
        until: The listing ends with this ID; what lies behind it is another one's. It is whole when an ID at or behind
            its end was met on a believed page, or a page from the last ID was empty.
        max_id: The highest ID, known from another one's probe: to be reached, like one's own.
        spacing: How many numbers there are to an ID: the first guess at how many pages are left to an end.
    """

    def __init__(
        self,
        spec: ListMethod,
        *,
        prefix: str,
        after: int = 0,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - the portal's word
        probe: bool,
        start_pages: int = 1,
        early_pages: int = 0,
        longest: int = LONGEST,
        uncounted: bool = True,
        until: int | None = None,
        max_id: int | None = None,
        spacing: float = 1.0,
    ) -> None:
        self._spec = spec
        self._filter = dict(filter or {})
        self._reader = PageReader(spec)
        self._ask = KeysetCalls(spec, prefix=prefix, filter=self._filter, uncounted=uncounted)
        self._step = _Step.PROBE if probe else _Step.PAGES
        self._part = until is not None or max_id is not None
        self._probed = probe
        self._after = after
        self._chain = max(1, start_pages)
        self._early = early_pages
        self._longest = longest
        self._sent: list[Call] = []
        self._taken: tuple[int, list[Record]] = (after, [])
        self._doubt: int | None = None
        self.tally = Tally(max_id=max_id)
        self.spacing = spacing
        self.last_id = after
        self.until = until
        self.wasted = 0
        self.complete = False
        self.problem: str | None = None
        self.unreadable: list[msgspec.Raw] = []

    @property
    def resume_id(self) -> int:
        """Where a run that is cut now goes on: before the first page that was not full and may have lost a row.

        Only the count at the end of the whole listing tells, and the run that goes on counts what lies behind this ID.
        """
        if self._doubt is None or (self.complete and not self._part):
            return self.last_id
        return self._doubt

    @property
    def proven(self) -> bool:
        """Nothing of it must be looked at again, whatever becomes of the listing that it is a part of."""
        return self.complete and self._doubt is None

    @property
    def done(self) -> bool:
        """Nothing more to ask: `complete`, or `problem` says why not."""
        return self._step is _Step.DONE

    def calls(self, room: int) -> list[Call]:
        """The calls for the next batch, at most `room`."""
        self._sent = [] if self.done or room < 1 else self._next_calls(room)
        return list(self._sent)

    @property
    def error(self) -> PortalError | None:
        """What failed in the last take."""
        return self._reader.error

    @property
    def asked(self) -> int:
        """How many calls were given last and not answered yet."""
        return len(self._sent)

    @property
    def span(self) -> Span:
        """What the last take brought is all there is between these IDs."""
        after, taken = self._taken
        ends = self.done and not self._part
        return Span(after, None if ends else self.last_id, [record.id for record in taken])

    def take(self, answers: Answers) -> list[Record]:
        """What the last `calls` brought: new records, IDs rising. `unreadable` and `error` then tell of this take."""
        after = self.last_id
        sent, self._sent = self._sent, []
        self.unreadable = []
        self._reader.begin()
        taken = self._take(sent, answers) if sent else []
        self._learn_spacing(taken)
        self._taken = (after, taken)
        return taken

    def split(self, at: int, *, prefix: str) -> "KeysetListing":
        """Leave what lies behind the ID `at` to another listing, and return that."""
        rest = KeysetListing(
            self._spec,
            prefix=prefix,
            after=at,
            filter=self._filter,
            probe=False,
            until=self.until,
            max_id=self.tally.max_id,
            spacing=self.spacing,
        )
        self.until, self._part = at, True
        return rest

    def rejoin(self, *, last_id: int, below_max: int, count: int) -> None:
        """Go on as if this listing had itself read on to `last_id`: others did, and met so many rows in all."""
        self.last_id = last_id
        self.tally.replace(below_max=below_max, count=count)
        self._check(empty=False)

    def _next_calls(self, room: int) -> list[Call]:
        match self._step:
            case _Step.PROBE:
                early = min(room - 1, self._early, self._longest)
                return [self._ask.probe(self._after), *self._ask.pages(self.last_id, early)]
            case _Step.RECOUNT:
                return [self._ask.count(self._after, self.tally.max_id)]
            case _:
                return self._ask.pages(self.last_id, min(room, self._length(), self._longest))

    def _length(self) -> int:
        """Pages that are left, as far as it is known."""
        size, total = self._spec.page_size, self.tally.total
        if total is None and self._step is _Step.PAGES and (end := self.until or self.tally.max_id):
            return min(LONGEST, int((end - self.last_id) / self.spacing / size) + 2)
        if total is None or self._step is _Step.TAIL:
            return self._chain
        return max(1, ceil((total - self.tally.met) / size))

    def _take(self, sent: list[Call], answers: Answers) -> list[Record]:
        match self._step:
            case _Step.PROBE:
                if self._take_probe(answers.get(sent[0])) and sent[1:]:
                    return self._take_chain(sent[1:], answers)
                self._waste(sent[1:], answers)
            case _Step.RECOUNT:
                self._take_recount(answers.get(sent[0]))
            case _Step.PAGES | _Step.TAIL:
                return self._take_chain(sent, answers)
            case _Step.DONE:
                pass
        return []

    def _take_probe(self, outcome: Answer | PortalError) -> bool:
        """Note what the listing must reach. Whether there is anything to read."""
        page = self._page(outcome)
        if page is None or not isinstance(outcome, Answer):
            return False
        self.tally.probed(page, outcome.total)
        self._step = _Step.PAGES
        if not page.size and not self.tally.total:
            self._finish()
        return not self.done

    def _take_recount(self, outcome: Answer | PortalError) -> None:
        page = self._page(outcome)
        if page is None or not isinstance(outcome, Answer):
            return
        if problem := self.tally.contradiction(page, outcome.total):
            self._fail(problem)
        else:
            self._finish()

    def _take_chain(self, sent: list[Call], answers: Answers) -> list[Record]:
        """Walk the pages in order, as far as they may be believed."""
        taken: list[Record] = []
        for number, call in enumerate(sent):
            page = self._page(answers.get(call), failure=number == 0 or call.key in answers.outcomes)
            if page is None or not self._take_page(page, taken):
                self._waste(sent[number + 1 :], answers)
                return taken
        self._full(len(sent))
        return taken

    def _take_page(self, page: Page, taken: list[Record]) -> bool:
        """Put a believed page's records into `taken`. Whether the page asked from its last row may be believed too."""
        before = self.last_id
        new, rising = self._rising(page)
        taken += new
        if self.until is not None and self.last_id >= self.until:
            self._finish()
        elif not rising:
            self._fail(f"IDs fall or repeat after {self.last_id}")
        elif page.size < self._spec.page_size:
            self._short(page)
        elif not new:
            self._fail(f"a full page after ID {self.last_id} without one readable ID")
        elif page.size == self._spec.page_size and page.chained:
            return True
        if page.size < self._spec.page_size and self._doubt is None:
            self._doubt = before
        return False

    def _rising(self, page: Page) -> tuple[list[Record], bool]:
        """The records up to the first whose ID does not rise, and whether all of them do."""
        new: list[Record] = []
        rising = True
        for record in page.records:
            if record.id <= self.last_id:
                rising = False
                break
            if self.until is not None and record.id > self.until:
                self.last_id = self.until
                break
            self.last_id = record.id
            new.append(record)
        self.tally.add(new)
        self.unreadable += self.tally.add_unreadable(page.unreadable)
        return new, rising

    def _learn_spacing(self, taken: list[Record]) -> None:
        """From its pages, the last and partial one left out: IDs may jump; most pages do not."""
        size = self._spec.page_size
        found = [
            (last.id - first.id) / size for first, last in zip(taken[::size], taken[size - 1 :: size], strict=False)
        ]
        if found:
            self.spacing = max(1.0, median(found))

    def _short(self, page: Page) -> None:
        """A believed page that is not full: the end, or (known from the probe) a page cut short."""
        if not self._probed and not self._part:
            self._finish()
        elif not page.records or self.tally.reached(self.last_id):
            self._check(empty=not page.records)

    def _full(self, length: int) -> None:
        """Every page of the chain was full."""
        if self._step is _Step.PAGES and self.tally.reached(self.last_id):
            self._check(empty=False)
        elif length >= self._chain:
            self._chain = min(self._longest, self._chain * _GROWTH)

    def _check(self, *, empty: bool) -> None:
        """The end is reached; does the count agree?"""
        if self.tally.agrees:
            self._finish()
        else:
            self._step = _Step.RECOUNT if empty else _Step.TAIL
            self._chain = 1

    def _page(self, outcome: Answer | PortalError, *, failure: bool = True) -> Page | None:
        page = self._reader.read(outcome, failure=failure)
        if problem := self._reader.gives_up:
            self._fail(problem)
        return page

    def _waste(self, rest: list[Call], answers: Answers) -> None:
        self.wasted += sum(isinstance(answers.outcomes.get(call.key), Answer) for call in rest)

    def _fail(self, problem: str) -> None:
        self.problem = problem
        self._step = _Step.DONE

    def _finish(self) -> None:
        if self.until is not None:
            self.last_id = self.until  # there is nothing between
        self.complete = True
        self._step = _Step.DONE
