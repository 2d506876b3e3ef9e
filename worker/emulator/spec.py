"""What a portal is like: everything a test may vary, with values of an ordinary one."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PortalSpec:
    name: str = "acme"
    user_zone: str = "Europe/Berlin"
    """Zone of most users."""
    server_zone: str = "UTC"
    """Zone of the portal's server: `date_start`, dates without offset, and the error in `*_TS_UTC`."""
    other_zones: tuple[str, ...] = ("America/New_York", "Asia/Vladivostok", "")
    """Zones of some users, in turn; an empty one means "not set", the server's then."""
    culture: Literal["us", "day_first"] = "us"
    language: str = "en"
    seed: int = 1
    scope: str = "task,calendar,user"

    users: int = 20
    tasks: int = 1000
    events: int = 200
    groups: int = 4
    big_ids: bool = False
    """Task ids beyond 2^31."""
    long_description: bool = False
    """One task with a description of 200 KB."""
    attendees: bool = True

    status_table: Literal["docs", "source"] = "docs"
    limits: bool = True
    operating: bool = True
    operating_limit: float = 480.0
    operating_seconds: float | None = None
    """What one call is billed; None: what it took."""
    billing: Literal["calls", "batch"] = "calls"
    offline_events: bool = True
    """Whether the portal knows event.* at all."""
    offline_extended: bool = True
    message_ids: Literal["hash", "number"] = "hash"
    """MESSAGE_ID of offline events: a hash of the event unless it names one (the vendor's PHP), or a number as the
    pages show it (event-offline-get.md) and the vendor's SDK reads it."""
    planner_texts: bool = False
    """The planner answers ids as texts."""

    @property
    def zones(self) -> frozenset[str]:
        """All zones of the portal: its server's and its users'."""
        return frozenset({self.server_zone, self.user_zone, *self.other_zones} - {""})
