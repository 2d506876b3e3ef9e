"""The state of the mirror at one moment, as values. Holds no secret."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class AccountState:
    """One authorization. A webhook has no dates: it does not end."""

    user_id: int
    kind: str
    is_primary: bool
    status: str
    scope: str
    access_expires_at: datetime | None
    refresh_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class ResourceState:
    """One resource of a portal.

    Args:
        fresh_seconds: Since the end of the last run that was whole; None: there was none.
        rows: Without those marked as deleted.
        error: Why the last run was not ok; None where it was.
    """

    name: str
    last_run_at: datetime | None
    last_status: str | None
    fresh_seconds: int | None
    rows: int
    next_run_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class BreakerView:
    """Whether the portal answers.

    Args:
        state: closed (it does), open (left alone until `until`), half_open (the next turn asks whether it does again).
        failures: Turns in a row without an answer.
        until: When it is asked again.
        reason: What the last of them met.
    """

    state: str
    failures: int
    until: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class DriftView:
    """Something that the portal sends otherwise than this program knows: nothing is lost, but people should hear of it.

    Args:
        kind: field (unknown), shape (many values for one, or one for many) or code (a new word).
        example: The kind of its value, or the new word.
        times: Runs that met it.
    """

    resource: str
    field: str
    kind: str
    example: str
    times: int
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class PortalState:
    """One portal.

    Args:
        events_mode: What its offline events are good for: confirm, hints or polling (none); None: not asked yet.
    """

    member_id: str
    domain: str
    status: str
    accounts: Sequence[AccountState]
    resources: Sequence[ResourceState]
    rejected: int
    events_mode: str | None
    breaker: BreakerView
    drift: Sequence[DriftView]


@dataclass(frozen=True, slots=True)
class Overview:
    """All portals, and the revision of the database's schema."""

    portals: Sequence[PortalState]
    schema: str | None

    def as_dict(self) -> dict[str, Any]:
        """The public figures, in the order of the contract; times as ISO 8601 in UTC."""
        plain: dict[str, Any] = _plain(self)
        return plain


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of the figures
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
