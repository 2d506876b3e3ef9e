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
from worker.bitrix24.rows import ListMethod, Page, Record, Span, read_page
from worker.errors import BadAnswer, PortalError, TransientError

if TYPE_CHECKING:
    import msgspec

__all__ = ["KeysetListing", "ListMethod", "Record"]

MAX_FAILURES = 3  # in a row
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
        self._prefix = prefix
        self._after = after
        self._filter = dict(filter or {})
        self._above = f">{spec.id_param}"
        if self._above in self._filter:
            raise ValueError(f"{self._above} is the listing's own condition; use `after`")
        self._step = _Step.PROBE if probe else _Step.PAGES
        self._part = until is not None or max_id is not None
        self._probed = probe
        self._chain = max(1, start_pages)
        self._early = early_pages
        self._longest = longest
        self._start = -1 if uncounted else 0
        self._taken: tuple[int, list[Record]] = (after, [])
        self.spacing = spacing
        self._sent: list[Call] = []
        self.failures = 0
        self.below_max = 0  # readable rows that the probe counted, or would have
        self._unread = 0  # and the others
        self._last_unreadable: set[bytes] = set()
        self._doubt: int | None = None
        self.last_id = after
        self.until = until
        self.max_id = max_id
        self.total: int | None = None
        self.count = 0
        self.wasted = 0
        self.complete = False
        self.problem: str | None = None
        self.error: PortalError | None = None
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
    def span(self) -> Span:
        """What the last take brought is all there is between these IDs."""
        after, taken = self._taken
        ends = self.done and not self._part
        return Span(after, None if ends else self.last_id, [record.id for record in taken])

    def take(self, answers: Answers) -> list[Record]:
        """What the last `calls` brought: new records, IDs rising. `unreadable` and `error` then tell of this take."""
        after = self.last_id
        taken = self._take(answers)
        self._taken = (after, taken)
        return taken

    def _take(self, answers: Answers) -> list[Record]:
        sent, self._sent = self._sent, []
        self.unreadable = []
        self.error = None
        if not sent:
            return []
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

    def _next_calls(self, room: int) -> list[Call]:
        match self._step:
            case _Step.PROBE:
                probe = self._counting("probe", {self._above: self._after}, descending=True)
                return [probe, *self._pages(min(room - 1, self._early, self._longest))]
            case _Step.RECOUNT:
                return [self._counting("count", self._recounted(), descending=False)]
            case _:
                return self._pages(min(room, self._length(), self._longest))

    def _recounted(self) -> dict[str, Any]:
        """What the probe counted: up to the highest ID, where the probe showed one."""
        at_most = f"<={self._spec.id_param}"
        bounds = [int(bound) for bound in (self._filter.get(at_most), self.max_id) if bound is not None]
        return {self._above: self._after, **({at_most: min(bounds)} if bounds else {})}

    def _counting(self, name: str, conditions: Mapping[str, Any], *, descending: bool) -> Call:
        every = {**self._filter, **conditions}
        params = self._spec.page(conditions=every, start=0, descending=descending, only_id=True)
        return Call(f"{self._prefix}{name}", self._spec.method, params)

    @property
    def asked(self) -> int:
        """How many calls were given last and not answered yet."""
        return len(self._sent)

    def split(self, at: int, *, prefix: str) -> "KeysetListing":
        """Leave what lies behind the ID `at` to another listing, and return that."""
        rest = KeysetListing(
            self._spec,
            prefix=prefix,
            after=at,
            filter=self._filter,
            probe=False,
            until=self.until,
            max_id=self.max_id,
            spacing=self.spacing,
        )
        self.until, self._part = at, True
        return rest

    def rejoin(self, *, last_id: int, below_max: int, count: int) -> None:
        """Go on as if this listing had itself read on to `last_id`: others did, and met so many rows in all."""
        self.last_id, self.below_max, self._unread, self.count = last_id, below_max, 0, count
        self._check(empty=False)

    def _length(self) -> int:
        if self.total is None and self._step is _Step.PAGES and (end := self.until or self.max_id):
            return min(LONGEST, int((end - self.last_id) / self.spacing / self._spec.page_size) + 2)
        if self.total is None or self._step is _Step.TAIL:
            return self._chain
        return max(1, ceil((self.total - self._met) / self._spec.page_size))

    def _pages(self, length: int) -> list[Call]:
        chain: list[Call] = []
        for number in range(length):
            last: Any = self._spec.last_row(chain[-1].key) if chain else self.last_id
            params = self._spec.page(conditions={**self._filter, self._above: last}, start=self._start)
            chain.append(Call(f"{self._prefix}{number}", self._spec.method, params))
        return chain

    def _take_probe(self, outcome: Answer | PortalError) -> bool:
        """Note what the listing must reach. Whether there is anything to read."""
        page = self._page(outcome)
        if page is None or not isinstance(outcome, Answer):
            return False
        self.max_id = max((record.id for record in page.records), default=None)
        # user.get leaves the count out when nothing matches.
        self.total = outcome.total if outcome.total is not None or page.size else 0
        self._step = _Step.PAGES
        if not page.size and not self.total:
            self._finish()
        return not self.done

    def _take_recount(self, outcome: Answer | PortalError) -> None:
        page = self._page(outcome)
        if page is None or not isinstance(outcome, Answer):
            return
        now = outcome.total if outcome.total is not None or page.size else 0
        then = self.total if self.total is not None else now
        if now is not None and then is not None and not min(now, then) <= self._met <= max(now, then):
            self._fail(f"{self._met} rows read where the portal counts {then} and then {now}")
            return
        self._finish()

    def _take_chain(self, sent: list[Call], answers: Answers) -> list[Record]:
        """Walk the pages in order, as far as they may be believed."""
        taken: list[Record] = []
        spacings: list[float] = []
        for number, call in enumerate(sent):
            page = self._page(answers.get(call), failure=number == 0 or call.key in answers.outcomes)
            if page is None:
                self._waste(sent[number + 1 :], answers)
                return taken
            before = self.last_id
            new, rising = self._rising(page)
            taken += new
            if len(new) == self._spec.page_size:
                spacings.append((new[-1].id - new[0].id) / len(new))
                self.spacing = max(1.0, median(spacings))  # IDs may jump; most pages do not
            if self.until is not None and self.last_id >= self.until:
                self._finish()
            elif not rising:
                self._fail(f"IDs fall or repeat after {self.last_id}")
            elif page.size < self._spec.page_size:
                self._short(page)
            elif not new:
                self._fail(f"a full page after ID {self.last_id} without one readable ID")
            elif page.size == self._spec.page_size and page.chained:
                continue
            if page.size < self._spec.page_size and self._doubt is None:
                self._doubt = before
            self._waste(sent[number + 1 :], answers)
            return taken
        self._full(len(sent))
        return taken

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
            self.below_max += self.max_id is None or record.id <= self.max_id
            new.append(record)
        self.count += len(new)
        # A page asked from the last readable ID brings the unreadable rows behind it once more: told once.
        texts = {bytes(raw): raw for raw in page.unreadable}
        unseen = [raw for text, raw in texts.items() if text not in self._last_unreadable]
        self._last_unreadable = set(texts)
        self._unread += len(unseen)
        self.unreadable += unseen
        return new, rising

    def _short(self, page: Page) -> None:
        """A believed page that is not full: the end, or (known from the probe) a page cut short."""
        if not self._probed and not self._part:
            self._finish()
        elif not page.records or self._reached():
            self._check(empty=not page.records)

    def _full(self, length: int) -> None:
        """Every page of the chain was full."""
        if self._step is _Step.PAGES and self._reached():
            self._check(empty=False)
        elif length >= self._chain:
            self._chain = min(self._longest, self._chain * _GROWTH)

    def _reached(self) -> bool:
        return self.max_id is not None and self.last_id >= self.max_id

    def _check(self, *, empty: bool) -> None:
        """The end is reached; does the count agree?"""
        if self.total is None or self._met == self.total:
            self._finish()
        else:
            self._step = _Step.RECOUNT if empty else _Step.TAIL
            self._chain = 1

    def _page(self, outcome: Answer | PortalError, *, failure: bool = True) -> Page | None:
        """The page of an outcome; None for a failed one, which is noted (a call never run is none)."""
        if isinstance(outcome, Answer):
            try:
                page = read_page(outcome, self._spec)
            except BadAnswer as error:
                outcome = error
            else:
                self.failures = 0
                return page
        if failure:
            self.error = outcome
            self.failures += 1
            if not isinstance(outcome, TransientError) or self.failures >= MAX_FAILURES:
                self._fail(str(outcome))
        return None

    def _waste(self, rest: list[Call], answers: Answers) -> None:
        self.wasted += sum(isinstance(answers.outcomes.get(call.key), Answer) for call in rest)

    def _fail(self, problem: str) -> None:
        self.problem = problem
        self._step = _Step.DONE

    @property
    def _met(self) -> int:
        return self.below_max + self._unread

    def _finish(self) -> None:
        if self.until is not None:
            self.last_id = self.until  # there is nothing between
        self.complete = True
        self._step = _Step.DONE
