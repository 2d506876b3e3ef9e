"""What a client has done so far: the figures of a run's report."""

from dataclasses import asdict, dataclass, replace


@dataclass(slots=True)
class Stats:
    """Counters, only ever rising.

    Args:
        http_requests: Requests sent to the portal, repeated ones included; the token server's are not.
        calls: Method calls sent, alone or inside a batch.
        retries: Requests repeated because of a passing failure.
        refreshes: Times that this client asked the token server for a new pair.
        waited_seconds: Seconds spent waiting for budgets and between attempts.
    """

    http_requests: int = 0
    calls: int = 0
    retries: int = 0
    refreshes: int = 0
    waited_seconds: float = 0.0

    def snapshot(self) -> "Stats":
        """These figures as they are now."""
        return replace(self)

    def minus(self, earlier: "Stats") -> "Stats":
        """What was done since `earlier`."""
        then = asdict(earlier)
        return Stats(**{name: value - then[name] for name, value in asdict(self).items()})
