"""The two limits of a portal: how often it is asked, and how long it works (limits.md)."""

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
    """Work done per application and method, in ten buckets of a minute; a call of 0.1 s or less is free.

    A bucket lasts ten minutes from the first call in it.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._buckets: dict[tuple[str, str], dict[int, tuple[int, float]]] = {}
        """Minute: when the bucket runs out, and the seconds in it."""

    def spent(self, client: str, method: str, now: datetime) -> float:
        buckets = self._buckets.get((client, method), {})
        for minute in [minute for minute, (ends, _) in buckets.items() if ends <= now.timestamp()]:
            del buckets[minute]
        return sum(seconds for _, seconds in buckets.values())

    def reset_at(self, client: str, method: str, now: datetime) -> int:
        """When the oldest bucket runs out: it frees that bucket, not everything."""
        self.spent(client, method, now)
        ends = [ends for ends, _ in self._buckets.get((client, method), {}).values()]
        return min(ends, default=int(now.timestamp()) + 600)

    def closed(self, client: str, method: str, now: datetime) -> bool:
        """Looked at before a call: the one that goes over the limit still runs."""
        return self.spent(client, method, now) > self.limit

    def bill(self, client: str, method: str, seconds: float, now: datetime) -> None:
        if seconds > 0.1:
            stamp = int(now.timestamp())
            buckets = self._buckets.setdefault((client, method), {})
            ends, before = buckets.get(stamp // 60, (stamp + 600, 0.0))
            buckets[stamp // 60] = (ends, before + seconds)
