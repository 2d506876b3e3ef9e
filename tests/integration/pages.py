"""One listing alone, through a client: for tests of the client, which know nothing of runs."""

from collections.abc import Iterator

from worker.bitrix24.client import Client
from worker.bitrix24.paging import KeysetListing
from worker.bitrix24.rows import ListMethod, Record
from worker.errors import IncompleteRun


def read_pages(
    client: Client, listing: ListMethod, *, room: int = 50, probe: bool = True, **rest: object
) -> Iterator[list[Record]]:
    """A batch's worth of records at a time. Raises IncompleteRun unless it was read whole."""
    state = KeysetListing(listing, prefix="p", probe=probe, **rest)  # type: ignore[arg-type]
    while not state.done:
        if records := state.take(client.batch(state.calls(room), halt=True)):
            yield records
    if not state.complete:
        raise IncompleteRun(str(state.problem))


def read_ids(client: Client, listing: ListMethod, **rest: object) -> list[int]:
    return [record.id for page in read_pages(client, listing, **rest) for record in page]  # type: ignore[arg-type]
