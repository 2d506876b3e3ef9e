"""One listing read in several ranges of IDs at once, each a chain of pages of its own. A pure state machine.

The ranges lie side by side from the first ID to the last, and each is read upwards to where the next one begins. How
many rows lie in a range nobody knows before it is read (IDs are sparse, and may jump beyond 2^31), and to count each
would be a COUNT each. So the first cut is a guess, and whoever has nothing left to read takes over the upper half of
what another one has left, by the spacing of the IDs which that one met.

The listing is whole when every range is, and all of them together have met as many rows as the one probe counted.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Raw

from worker.bitrix24.calls import Answers, Call
from worker.bitrix24.paging import KeysetListing
from worker.bitrix24.rows import ListMethod, Span
from worker.bitrix24.ways import ListWay, Paging
from worker.errors import B24SyncError, PortalError
from worker.sync.passes import Stretch, not_whole

WORTH = 1_000
"""Rows that a range must hold to be divided: a batch brings 2,500."""


IN_CHAINS = ListWay(Paging.CHAINED, uncounted=True)
"""The way to page that ranges are read in; a portal with another is read in one."""


class Range(NamedTuple):
    """What is left of a range: behind `last_id`, to `until` (None: to the end of the table)."""

    last_id: int
    until: int | None


class Chains:
    """Ask `calls(room)` as often as batches may be under way, give each batch's outcomes to `take`, until `done`.

    Args:
        spec: The method and how it is asked.
        prefix: Starts the keys of the calls; begins with a letter.
        chains: So many ranges at the same time, at most.
        ranges: Where a cut run stood. Each is probed for itself then: what an earlier run read cannot be counted again.
    """

    def __init__(self, spec: ListMethod, *, prefix: str, chains: int, ranges: Sequence[Range] = ()) -> None:
        self._spec = spec
        self._prefix = prefix
        self._chains = chains
        self._made = 0
        self._head: KeysetListing | None = None  # probes, and judges the end
        self._ranges = [self._resumed(one) for one in ranges]
        if not ranges:
            self._head = KeysetListing(spec, prefix=prefix, probe=True, early_pages=1)
        self._divided = bool(ranges)
        self._flying: dict[str, KeysetListing] = {}
        self._whole: list[KeysetListing] = []
        self._odd: set[int] = set()  # hashes of rows without a readable ID: two ranges may meet the same one
        self.error: PortalError | None = None

    @property
    def complete(self) -> bool:
        return self._head.complete if self._head else all(one.complete for one in self._ranges)

    @property
    def done(self) -> bool:
        """Nothing more to ask: `complete`, or `trouble` says why not. What is under way is not waited for."""
        return self.complete or self._failed is not None

    @property
    def trouble(self) -> B24SyncError | None:
        """What keeps the listing from being whole."""
        return not_whole(self._failed) if self._failed else None

    @property
    def parallel(self) -> bool:
        """Whether several batches may be under way: not before the probe has said how much there is."""
        return self._divided and len(self._ranges) > 1

    @property
    def ranges(self) -> tuple[Range, ...]:
        """What is left to read, for a bookmark; none: a new run begins afresh, or has one range to go on in."""
        failed = self._failed
        if not self._divided or (failed and (failed.error is None or not failed.last_id)):
            return ()  # IDs fell or the count disagreed: rows may be missing before the last ID
        # A whole range may have a page that lost a row: all of them together are counted only at the end.
        left = sorted(Range(one.resume_id, one.until) for one in self._ranges if not one.proven)
        return tuple(left) or ((Range(self._head.resume_id, None),) if self._head else ())

    @property
    def last_ids(self) -> tuple[int, ...]:
        """Where to go on; empty: nowhere."""
        if self._divided:
            return tuple(one.last_id for one in self.ranges)[:1]
        head = self._head
        failed = head and head.done and not head.complete and (head.error is None or not head.last_id)
        return (head.resume_id,) if head and head.resume_id and not failed else ()

    def calls(self, room: int) -> list[Call]:
        """Calls of one chain that is not under way; none where all are."""
        one = self._idle()
        calls = one.calls(room) if one else []
        if one and calls:
            self._flying[calls[0].key] = one
        return calls

    def take(self, calls: Sequence[Call], answers: Answers) -> list[Stretch]:
        """What a batch brought, and the end where it brought that."""
        one = self._flying.pop(calls[0].key)
        after, records = one.last_id, one.take(answers)
        self.error = one.error
        unreadable = self._news(one.unreadable)
        stretches = [Stretch(after, one.span, records, 0, unreadable)]
        if one is self._head:
            if not self._divided and not one.done and one.tally.total is not None:
                self._divide(one)
        elif one.complete and not [each for each in self._ranges if not each.complete]:
            stretches += self._rejoin()
        return stretches

    @property
    def _failed(self) -> KeysetListing | None:
        every = [self._head, *self._ranges] if self._head else self._ranges
        return next((one for one in every if one.done and not one.complete), None)

    def _idle(self) -> KeysetListing | None:
        flying = list(self._flying.values())
        if self._head and (not self._divided or all(one.complete for one in self._ranges)):
            return None if self._head in flying else self._head
        idle = [one for one in self._ranges if not one.done and one not in flying]
        return idle[0] if idle else self._taken_over()

    def _divide(self, head: KeysetListing) -> None:
        """The first cut, by the spacing of the few rows that came with the probe, or that of all: the closer one."""
        end, total = head.tally.max_id or 0, head.tally.total or 0
        left = total - head.tally.count
        parts = min(self._chains, -(-left // (WORTH * 2)))
        if parts < 2 or not head.tally.count:  # noqa: PLR2004 - nothing to divide
            return
        spacing = min(head.spacing, max(1.0, end / total))
        ranges = [
            KeysetListing(self._spec, prefix=self._name(), after=head.last_id, probe=False, max_id=end, spacing=spacing)
        ]
        for number in range(1, parts):
            at = head.last_id + int(left * number / parts * spacing)
            if at < end:
                ranges.append(ranges[-1].split(at, prefix=self._name()))
        self._ranges, self._divided = ranges, True

    def _taken_over(self) -> KeysetListing | None:
        """The upper half of what one range has left beyond that which is just being read."""
        going = [one for one in self._ranges if not one.done]
        known = [one for one in going if one.tally.count]
        if self._head is None or not known or len(going) >= self._chains:
            return None
        most = max(known, key=self._left)
        left = self._left(most)
        if left < WORTH:
            return None
        at = most.last_id + int((self._under_way(most) + left / 2) * most.spacing)
        rest = most.split(at, prefix=self._name())
        self._ranges.append(rest)
        return rest

    def _left(self, one: KeysetListing) -> float:
        """Rows that a range may still hold and nobody is reading: never more than the whole listing has of them."""
        head = self._head
        met = sum(each.tally.count + self._under_way(each) for each in self._ranges)
        everywhere = (head.tally.total or 0) - head.tally.count - met if head else 0
        end = one.until or one.tally.max_id or 0
        return min((end - one.last_id) / one.spacing - self._under_way(one), everywhere)

    def _under_way(self, one: KeysetListing) -> int:
        return one.asked * self._spec.page_size if one in self._flying.values() else 0

    def _rejoin(self) -> list[Stretch]:
        """All ranges are whole: has as much been met as was counted?"""
        head = self._head
        if head is None:
            return []
        parts = [head, *self._ranges]
        end = max(one.last_id for one in parts)
        met = sum(one.tally.below_max for one in parts) + len(self._odd)
        head.rejoin(last_id=end, below_max=met, count=sum(one.tally.count for one in parts))
        return [Stretch(end, Span(end, None, []), [], 0, [])] if head.complete else []

    def _news(self, unreadable: Sequence[Raw]) -> list[Raw]:
        new = [raw for raw in unreadable if hash(bytes(raw)) not in self._odd]
        self._odd.update(hash(bytes(raw)) for raw in new)
        return new

    def _resumed(self, one: Range) -> KeysetListing:
        bound = {} if one.until is None else {f"<={self._spec.id_param}": one.until}
        return KeysetListing(
            self._spec, prefix=self._name(), after=one.last_id, filter=bound, probe=True, early_pages=1
        )

    def _name(self) -> str:
        self._made += 1
        return f"{self._prefix}{self._made}c"
