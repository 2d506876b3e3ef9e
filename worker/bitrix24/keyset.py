"""How a listing by rising IDs asks its portal. Pure."""

from collections.abc import Mapping
from typing import Any

from worker.bitrix24.calls import Call
from worker.bitrix24.rows import ListMethod


class KeysetCalls:
    """The calls of one listing.

    Args:
        spec: The method and how it is asked.
        prefix: Starts the keys of the calls.
        filter: Conditions besides the ID's.
        uncounted: Whether pages may be asked for without a count.

    Raises:
        ValueError: The filter has the ID's lower bound already.
    """

    def __init__(self, spec: ListMethod, *, prefix: str, filter: Mapping[str, Any], uncounted: bool) -> None:  # noqa: A002 - the portal's word
        self._spec = spec
        self._prefix = prefix
        self._filter = dict(filter)
        self._start = -1 if uncounted else 0
        self._above = f">{spec.id_param}"
        self._at_most = f"<={spec.id_param}"
        if self._above in self._filter:
            raise ValueError(f"{self._above} is the listing's own condition; use `after`")

    def probe(self, after: int) -> Call:
        """The row with the highest ID, and how many there are."""
        return self._counting("probe", {self._above: after}, descending=True)

    def count(self, after: int, max_id: int | None) -> Call:
        """How many there are of what the probe counted: up to the highest ID, where the probe showed one."""
        bounds = [int(bound) for bound in (self._filter.get(self._at_most), max_id) if bound is not None]
        at_most = {self._at_most: min(bounds)} if bounds else {}
        return self._counting("count", {self._above: after, **at_most}, descending=False)

    def pages(self, last_id: int, length: int) -> list[Call]:
        """A chain of pages, each from the last row of the one before it."""
        chain: list[Call] = []
        for number in range(length):
            last: Any = self._spec.last_row(chain[-1].key) if chain else last_id
            params = self._spec.page(conditions={**self._filter, self._above: last}, start=self._start)
            chain.append(Call(f"{self._prefix}{number}", self._spec.method, params))
        return chain

    def _counting(self, name: str, conditions: Mapping[str, Any], *, descending: bool) -> Call:
        every = {**self._filter, **conditions}
        params = self._spec.page(conditions=every, start=0, descending=descending, only_id=True)
        return Call(f"{self._prefix}{name}", self._spec.method, params)
