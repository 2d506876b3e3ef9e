"""What a portal was asked."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class RequestLog:
    """What a portal was asked: HTTP requests, calls by method (those of a batch count one by one), and their order."""

    http: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    requests: list[list[str]] = field(default_factory=list)
    """The methods of each request; a batch shows its commands."""
    refused: int = 0
    """Requests over the rate limit."""

    def reset(self) -> None:
        self.http = self.refused = 0
        self.calls.clear()
        self.requests.clear()
