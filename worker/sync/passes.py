"""Listings of one method read side by side in shared batches, one for each filter. A pure state machine.

A task's two dates of change cannot be asked for in one filter: the portal drops the second condition (read in the
vendor's PHP). So each filter is a listing of its own, a pass; what was asked for is read when every pass is whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Raw

from worker.bitrix24.calls import Answers, Call
from worker.bitrix24.listings import Listing, listing
from worker.bitrix24.rows import ListMethod, Record, Span
from worker.bitrix24.ways import ListWay
from worker.errors import B24SyncError, IncompleteRun, PortalError, TransientError


class Stretch(NamedTuple):
    """What one batch brought of one pass.

    Args:
        after: The ID it began behind.
        span: What it proved to be all there is; None: nothing yet.
        records: New ones, without the twins.
        twins: Records left out because an earlier pass has just brought the same text.
        unreadable: Rows without a readable ID.
    """

    after: int
    span: Span | None
    records: list[Record]
    twins: int
    unreadable: list[Raw]


class Passes:
    """Ask `calls(room)`, send them (in any batch), give the outcomes to `take`, until `done`.

    The trouble of one pass does not stop the others: what they read is worth having.

    Args:
        spec: The method and how it is asked.
        way: How the portal lets it be read.
        prefix: Starts the keys of the calls; unique in the batch, begins with a letter.
        filters: The conditions of each pass; an empty one asks for everything.
        after: Where each pass goes on (a bookmark); what is missing begins at the start.
    """

    def __init__(
        self,
        spec: ListMethod,
        way: ListWay,
        *,
        prefix: str,
        filters: Sequence[Mapping[str, Any]],
        after: Sequence[int] = (),
    ) -> None:
        self._passes = [
            # Always probed: without, a page that lost a row would look like the end of what changed.
            listing(
                way,
                spec,
                prefix=f"{prefix}_{number}_" if number else prefix,
                after=after[number] if number < len(after) else 0,
                filter=conditions,
            )
            for number, conditions in enumerate(filters)
        ]

    @property
    def done(self) -> bool:
        """Nothing more to ask: `complete`, or `trouble` says why not."""
        return all(one.done for one in self._passes)

    @property
    def complete(self) -> bool:
        """Every pass is whole."""
        return all(one.complete for one in self._passes)

    @property
    def trouble(self) -> B24SyncError | None:
        """What kept the first pass that is not whole from being so; None while one is still read."""
        return next(filter(None, map(not_whole, self._passes)), None) if self.done else None

    @property
    def error(self) -> PortalError | None:
        """What the portal refused in the last batch."""
        return next((one.error for one in self._passes if one.error), None)

    @property
    def last_ids(self) -> tuple[int, ...]:
        """Where each pass may go on; empty: a new run begins afresh.

        A whole pass stands at its end, and proves there once more that it is one.
        """
        last_ids = tuple(one.resume_id for one in self._passes)
        return last_ids if any(last_ids) and not any(map(_must_begin_again, self._passes)) else ()

    @property
    def ranges(self) -> tuple[tuple[int, int | None], ...]:
        """None: each pass is read from its last ID to the end of the table."""
        return ()

    def calls(self, room: int) -> list[Call]:
        """The calls for the next batch, at most `room`: what one pass leaves the next one takes."""
        calls: list[Call] = []
        for one in self._passes:
            calls += one.calls(room - len(calls))
        return calls

    def take(self, _calls: Sequence[Call], answers: Answers) -> list[Stretch]:
        """What the last `calls` brought, in the order in which the portal answered."""
        stretches: list[Stretch] = []
        seen: dict[int, Raw] = {}
        texts: set[bytes] = set()
        for one in self._passes:
            if one.done:
                continue  # its error stays its own
            after, taken = one.last_id, one.take(answers)
            new = [record for record in taken if record.id not in seen or not _same(seen[record.id], record.raw)]
            seen.update(new)
            unreadable = [raw for raw in one.unreadable if bytes(raw) not in texts]
            texts.update(map(bytes, unreadable))
            stretches.append(Stretch(after, one.span, new, len(taken) - len(new), unreadable))
        return stretches


def _same(one: Raw, other: Raw) -> bool:
    return bytes(one) == bytes(other)


def _must_begin_again(one: Listing) -> bool:
    """Whether a pass ended without being whole, and with nothing to go on from.

    Where IDs fell or the count disagreed, rows may be missing before the last ID. Where it had no row at all, going on
    would hold the other passes to the old bound until it has one.
    """
    return one.done and not one.complete and (one.error is None or not one.last_id)


def not_whole(one: Listing) -> B24SyncError | None:
    """Why a listing that came to its end may not be believed; None when it may.

    A refusal that will not pass by itself is told as it is; anything else makes the run incomplete.
    """
    if one.complete:
        return None
    error = one.error
    if error is not None and not isinstance(error, TransientError):
        return error
    trouble = IncompleteRun(one.problem or "the listing did not come to its end")
    trouble.__cause__ = error
    return trouble
