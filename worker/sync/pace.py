"""How many calls one request may hold: fewer where the portal takes long over them. Pure.

The portal cuts a request off at 60 seconds (vendor: limits.md), and with it everything the batch has read. Where one
takes a third of that, the next ones hold half as many calls; what is answered quickly lets them grow back, slowly.
"""

SLOW = 20.0
"""Seconds."""

MOST = 50
"""Calls (vendor: settings/how-to-call-rest-api/batch.md)."""

_GROWTH = 1.1


class Pace:
    """Of one portal; lives as long as the process. May be told by several threads."""

    def __init__(self) -> None:
        self._room = float(MOST)

    @property
    def room(self) -> int:
        return int(self._room)

    def took(self, calls: int, seconds: float) -> None:
        """A batch of so many calls was answered, or given up, after so long (waiting for budgets left out)."""
        if seconds > SLOW:
            self._room = max(1.0, min(self._room, calls) / 2)
        elif calls >= self.room and seconds < SLOW / 2:
            self._room = min(MOST, max(self._room * _GROWTH, self._room + 1))
