"""Whether a listing has met every row there is: what the portal counted against what its pages brought. Pure."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from worker.bitrix24.rows import Page, Record

if TYPE_CHECKING:
    import msgspec


class Tally:
    """The probe's count and highest ID, and the rows met since.

    Args:
        max_id: The highest ID, known from another one's probe: to be reached, like one's own.
    """

    def __init__(self, *, max_id: int | None = None) -> None:
        self.max_id = max_id
        self.total: int | None = None
        self.count = 0
        """Readable rows."""
        self.below_max = 0
        """Those of them that the probe counted, or would have."""
        self._unread = 0
        self._last_unreadable: set[bytes] = set()

    @property
    def met(self) -> int:
        """Rows that the probe counted as well, readable or not."""
        return self.below_max + self._unread

    @property
    def agrees(self) -> bool:
        """Whether as many rows were met as were counted; also where nobody counted."""
        return self.total is None or self.met == self.total

    def probed(self, page: Page, total: int | None) -> None:
        """Note what the listing must reach, from its last row and the count beside it."""
        self.max_id = max((record.id for record in page.records), default=None)
        self.total = _counted(page, total)

    def reached(self, last_id: int) -> bool:
        return self.max_id is not None and last_id >= self.max_id

    def add(self, records: Sequence[Record]) -> None:
        """Rows with rising IDs were taken."""
        self.count += len(records)
        if self.max_id is None or not records or records[-1].id <= self.max_id:
            self.below_max += len(records)
        else:
            self.below_max += sum(record.id <= self.max_id for record in records)

    def add_unreadable(self, rows: Iterable["msgspec.Raw"]) -> list["msgspec.Raw"]:
        """Those that are new: a page asked from the last readable ID brings the unreadable rows behind it once more."""
        texts = {bytes(raw): raw for raw in rows}
        new = [raw for text, raw in texts.items() if text not in self._last_unreadable]
        self._last_unreadable = set(texts)
        self._unread += len(new)
        return new

    def contradiction(self, page: Page, total: int | None) -> str | None:
        """What a second count says against the rows met; nothing where they lie between the two counts.

        A portal that lives deletes and restores while it is read.
        """
        now = _counted(page, total)
        then = self.total if self.total is not None else now
        if now is None or then is None or min(now, then) <= self.met <= max(now, then):
            return None
        return f"{self.met} rows read where the portal counts {then} and then {now}"

    def replace(self, *, below_max: int, count: int) -> None:
        """So many rows were met in all, by others."""
        self.below_max, self._unread, self.count = below_max, 0, count


def _counted(page: Page, total: int | None) -> int | None:
    """The portal's count; user.get leaves it out when nothing matches."""
    return total if total is not None or page.size else 0
