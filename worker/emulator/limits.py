"""The two limits of a portal: how often it is asked, and how long it works (limits.md)."""

from collections import defaultdict
from datetime import datetime


class Bucket:
    """A leaky bucket per portal; a refused request does not fill it."""

    def __init__(self, size: float, per_second: float) -> None:
        self.size = size
        self.per_second = per_second
        self.level = 0.0
        self._at: datetime | None = None

    def admit(self, now: datetime) -> bool:
        if self._at is not None:
            self.level = max(0.0, self.level - max(0.0, (now - self._at).total_seconds()) * self.per_second)
        self._at = now
        if self.level + 1 > self.size:
            return False
        self.level += 1
        return True


class Operating:
    """Work done per application and method, in ten buckets of a minute; a call of 0.1 s or less is free."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._minutes: dict[tuple[str, str], dict[int, float]] = {}

    def spent(self, client: str, method: str, now: datetime) -> float:
        minutes = self._minutes.get((client, method))
        if minutes is None:
            return 0.0
        this = int(now.timestamp()) // 60
        for minute in [minute for minute in minutes if minute <= this - 10]:
            del minutes[minute]
        return float(sum(minutes.values()))

    def reset_at(self, client: str, method: str, now: datetime) -> int:
        """When the oldest bucket runs out: it frees that bucket, not everything."""
        self.spent(client, method, now)
        minutes = self._minutes.get((client, method))
        oldest = min(minutes) if minutes else int(now.timestamp()) // 60
        return (oldest + 10) * 60

    def closed(self, client: str, method: str, now: datetime) -> bool:
        return self.spent(client, method, now) >= self.limit

    def bill(self, client: str, method: str, seconds: float, now: datetime) -> None:
        if seconds > 0.1:
            minutes = self._minutes.setdefault((client, method), defaultdict(float))
            minutes[int(now.timestamp()) // 60] += seconds
