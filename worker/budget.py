"""What the throttle asks of storage: one request budget per portal, one operating budget per method.

Both are the portal's, per source address (vendor: limits.md), so all processes share them through the database.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol


class BudgetStore(Protocol):
    """Every method is one short transaction of its own."""

    def reserve(self, portal_id: int, requests: int, *, now: datetime, patience: float) -> float:
        """Reserve room for `requests` in the portal's leaky bucket, in one update.

        Returns:
            Seconds to wait before sending, 0.0 when there is room now. A wait longer than `patience` seconds is
            returned too, but then nothing was reserved.
        """
        ...

    def fill(self, portal_id: int, *, now: datetime) -> None:
        """The portal said QUERY_LIMIT_EXCEEDED: its bucket is full, whoever filled it."""
        ...

    def close_method(self, portal_id: int, method: str, *, until: datetime) -> None:
        """Nobody calls `method` before `until`."""
        ...

    def closed_methods(self, portal_id: int, *, now: datetime) -> Mapping[str, datetime]:
        """The methods closed at `now`, and until when."""
        ...


class Unlimited:
    """No budget: for the one request that asks a portal who we are before it is stored."""

    def reserve(self, portal_id: int, requests: int, *, now: datetime, patience: float) -> float:  # noqa: ARG002
        return 0.0

    def fill(self, portal_id: int, *, now: datetime) -> None:
        pass

    def close_method(self, portal_id: int, method: str, *, until: datetime) -> None:
        pass

    def closed_methods(self, portal_id: int, *, now: datetime) -> Mapping[str, datetime]:  # noqa: ARG002
        return {}
