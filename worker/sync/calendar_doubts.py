"""Events of which the portal shows fewer instances than can be true, and for how long it has done so. Pure.

An instance has no ID that it could be asked for by. So what the mirror holds stays, and the run says that it is not
whole; a portal that insists for a day is believed, for it may know a reason that we do not.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

PATIENCE = timedelta(days=1)
_MOST = 500
"""Remembered at once: a bound for the row they are kept in."""

_DECODER = msgspec.json.Decoder(dict[int, datetime])


class Doubts:
    """What is doubted since when, by event.

    Args:
        text: As `dump` wrote it after an earlier run.
        now: Our clock.
        force: An operator said to believe the portal.
    """

    def __init__(self, text: str | None, now: datetime, *, force: bool) -> None:
        try:
            self._since = _DECODER.decode(text) if text else {}
        except msgspec.MsgspecError:
            self._since = {}
        self._now = now
        self._force = force
        self.standing: set[int] = set()
        """Of this run."""

    @property
    def any(self) -> bool:
        """Whether anything is remembered."""
        return bool(self._since)

    def weigh(self, read: Collection[int], doubtful: Collection[int]) -> set[int]:
        """Those of the `doubtful` events that are not believed yet; of all that were `read` the others are settled."""
        doubted = set()
        for event_id in doubtful:
            # A clock that was set back since then starts the patience anew.
            since = self._since[event_id] = min(self._since.get(event_id, self._now), self._now)
            if not self._force and self._now - since < PATIENCE:
                doubted.add(event_id)
        for event_id in set(read) - doubted:
            self._since.pop(event_id, None)
        self.standing |= doubted
        return doubted

    def dump(self) -> str | None:
        """For the next run; None where there is nothing to remember."""
        oldest = sorted(self._since.items(), key=lambda item: (item[1], item[0]))[:_MOST]
        return msgspec.json.encode(dict(oldest)).decode() if oldest else None
