"""The viewer: whose eyes the portal's answers were written for.

Dates of tasks are written in the clock of the token's user, and events without a zone are meant in it. `profile` needs
no scope and says who that is (vendor: common/users/profile.md).
"""

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta, tzinfo
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from worker.bitrix24.calls import Answer, Call
from worker.errors import BadAnswer, Rejected
from worker.resources.fields import to_bool, to_key
from worker.resources.records import rows_of
from worker.resources.times import TaskClock, WallClock, find_zone, wall_clock


@dataclass(frozen=True)
class Viewer:
    """The token's user at one moment.

    Args:
        user_id: The user's ID.
        zone: The user's time zone, None where the portal does not name one that exists.
        portal_now: The portal's clock, aware, with the portal server's offset.
        events_zone: The zone of events that name none, where they are in another one's calendar than the user's.
        trust_suffix: Whether dates of tasks mean what they say, suffix and all; elsewhere their digits are of their
            own season in the zone (as probed).
        series_expanded: Whether a series is shown by all of its instances; False: once; None: not known (as probed).
    """

    user_id: int
    zone: ZoneInfo | None
    portal_now: datetime
    events_zone: tzinfo | None = None
    trust_suffix: bool = False
    series_expanded: bool | None = True

    @cached_property
    def tasks_clock(self) -> TaskClock:
        """Reads the dates of tasks."""
        return TaskClock(None if self.trust_suffix else self.zone, self.portal_now)

    @cached_property
    def events_clock(self) -> WallClock:
        """The clock for events that name no zone: their owner's, else the user's, else the server's."""
        return wall_clock(self.events_zone or self.zone or self.server_zone)

    def in_calendar_of(self, zone_name: str | None) -> "Viewer":
        """The same eyes on the calendar of somebody who lives in that zone (None: in the server's).

        An event is when its owner has it, whoever reads: else two accounts would move it to and fro between them.
        """
        zone = find_zone(zone_name) if zone_name else None
        return replace(self, events_zone=zone or self.server_zone)

    @property
    def eyes(self) -> str:
        """All that an event's meaning depends on besides its text: to equal eyes an equal text says the same.

        Of the portal's clock only the offsets of today; everything else that a viewer has, whatever it may be.
        """
        own = [getattr(self, field.name) for field in fields(self) if field.name != "portal_now"]
        return " ".join(map(str, (*own, self.server_offset, *self.tasks_clock.offsets)))

    @property
    def server_zone(self) -> tzinfo:
        """The offset of the portal's server, as of now."""
        zone = self.portal_now.tzinfo
        if zone is None:
            raise ValueError("the portal's clock must be aware")
        return zone

    @property
    def server_offset(self) -> timedelta:
        """The same, as a span."""
        return self.portal_now.utcoffset() or timedelta()


def profile_call(key: str) -> Call:
    """Asks who the token's user is."""
    return Call(key, "profile")


def viewer_from_profile(raw: msgspec.Raw, portal_now: datetime) -> Viewer:
    """The viewer that an answer of `profile` describes. Raises BadAnswer when it names no user."""
    profile = _profile(raw)
    try:
        user_id = to_key(profile.get("ID"), "ID")
    except Rejected as error:
        raise BadAnswer(f"the profile names no user: {error}", method="profile") from error
    name = profile.get("TIME_ZONE")
    zone = find_zone(name) if isinstance(name, str) and name else None
    return Viewer(user_id, zone if isinstance(zone, ZoneInfo) else None, portal_now)


def granted_scopes(answer: Answer) -> list[str]:
    """The scopes in an answer of `scope` (vendor: common/system/scope.md). Raises BadAnswer."""
    try:
        return [msgspec.json.decode(scope, type=str) for scope in rows_of(answer.result, answer.method)]
    except msgspec.MsgspecError as error:
        raise BadAnswer(f"the scopes cannot be read: {error}", method=answer.method) from error


def is_admin(raw: msgspec.Raw) -> bool:
    """Whether an answer of `profile` calls the user an administrator; anything unclear is a no."""
    try:
        return to_bool(_profile(raw).get("ADMIN"), "ADMIN") or False
    except Rejected:
        return False


def _profile(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise BadAnswer(f"the profile cannot be read: {error}", method="profile") from error
