"""What a portal is like: everything a test may vary, with values of an ordinary one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal


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

    # What no page or one page alone tells, the other way round. A portal may lie about each by itself.
    after_id: bool = True
    """Whether a list honours `>ID`; else the condition is dropped without a word."""
    ordered: bool = True
    """Whether a list honours `order`; else its order is of no use, as without one."""
    uncounted: bool = True
    """Whether `start=-1` leaves the count out; else it is the first page, counted."""
    counts: bool = True
    """Whether lists tell `total` and `next`."""
    references: Literal["vendor", "literal", "strict"] = "vendor"
    """vendor: a reference to what is missing becomes what was reached so far; literal: references stay texts; strict: a
    command that refers to what is missing fails."""
    filter_dates: Literal["any", "no_z", "local_z", "none"] = "any"
    """no_z: a date that ends in `Z` is no date; local_z: the `Z` is cut off; none: no date in a filter is one."""
    date_suffix: Literal["today", "true", "fixed"] = "today"
    """Dates of tasks: digits of the date's own season with the offset of today, or with its own, or digits that fit the
    offset of today."""
    series: Literal["expanded", "once"] = "expanded"
    """Whether calendar.event.get shows every instance, as the vendor's PHP does, or the series alone: its page prints
    one row of a series that has four days in the window."""
    rest3: int = 1000
    """Rows of the largest page of REST 3.0; 0: there is none."""

    @property
    def zones(self) -> frozenset[str]:
        """All zones of the portal: its server's and its users'."""
        return frozenset({self.server_zone, self.user_zone, *self.other_zones} - {""})


@dataclass(frozen=True)
class Customs:
    """What no page settles, for a whole stage: one of two worlds that a client must live in alike."""

    portal: Mapping[str, Any] = field(default_factory=dict)
    """Fields of PortalSpec, where the spec has what an ordinary portal has."""
    rotation: Literal["rotate", "branch", "keep", "stable"] = "rotate"
    token_methods: frozenset[str] = frozenset({"GET", "POST"})
    exchange_tells: Literal["page", "user"] = "page"
    own_oauth: Literal["json", "redirect"] = "json"
    redirect_status: Literal[301, 302, 307, 308] = 302

    def applied(self, spec: PortalSpec) -> PortalSpec:
        """The spec in this world."""
        ordinary = {each.name: each.default for each in fields(PortalSpec)}
        changed = {name: value for name, value in self.portal.items() if getattr(spec, name) == ordinary[name]}
        return replace(spec, **changed)


FIRST = Customs()
"""As the pages have it, or the vendor's SDKs, where they say anything."""

SECOND = Customs(
    portal={
        "status_table": "source",
        "billing": "batch",
        "planner_texts": True,
        "culture": "day_first",
        "series": "once",
    },
    rotation="branch",
    token_methods=frozenset({"GET"}),
    exchange_tells="user",
    own_oauth="redirect",
    redirect_status=307,
)
"""The other way round."""
