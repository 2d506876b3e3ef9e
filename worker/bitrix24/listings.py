"""Which listing reads a list: the one place where that is chosen."""

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Raw

from worker.bitrix24.calls import Answers, Call
from worker.bitrix24.counted import CountedListing
from worker.bitrix24.paging import LONGEST, KeysetListing
from worker.bitrix24.rows import ListMethod, Record, Span
from worker.bitrix24.ways import ListWay, Paging
from worker.errors import PortalError


class Listing(Protocol):
    """A list being read: ask `calls(room)`, send them (in any batch), give the outcomes to `take`, until `done`.

    `complete`, or `problem` says why not; `error` and `unreadable` tell of the last `take`, and `span` what it proved
    to be all there is. `last_id` is the last one read, `resume_id` where a run that is cut now goes on; 0: the start.
    """

    complete: bool
    problem: str | None
    unreadable: list[Raw]
    last_id: int

    @property
    def error(self) -> PortalError | None: ...
    @property
    def resume_id(self) -> int: ...
    @property
    def done(self) -> bool: ...
    @property
    def span(self) -> Span | None: ...
    def calls(self, room: int) -> list[Call]: ...
    def take(self, answers: Answers) -> list[Record]: ...


def listing(
    way: ListWay,
    spec: ListMethod,
    *,
    prefix: str,
    after: int = 0,
    filter: Mapping[str, Any] | None = None,  # noqa: A002 - the portal's word
) -> Listing:
    """A listing that proves its end, by the way that this portal keeps to. Counted pages begin at the start, always."""
    if way.paging is Paging.COUNTED:
        return CountedListing(spec, prefix=prefix, filter=filter)
    return KeysetListing(
        spec,
        prefix=prefix,
        after=after,
        filter=filter,
        probe=True,
        early_pages=1,
        longest=LONGEST if way.paging is Paging.CHAINED else 1,
        uncounted=way.uncounted,
    )
