"""Who the answers were written for (common/users/profile.md)."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from msgspec import Raw

from worker.errors import BadAnswer
from worker.resources.viewer import Viewer, is_admin, profile_call, viewer_from_profile

NOW = datetime(2026, 11, 23, 12, tzinfo=timezone(timedelta(hours=2)))


def test_a_profile_names_the_user_the_zone_and_the_rights():
    raw = Raw(b'{"ID":"7","ADMIN":true,"NAME":"Jo","LAST_NAME":"Park","TIME_ZONE":"Europe/Berlin"}')
    assert viewer_from_profile(raw, NOW) == Viewer(7, ZoneInfo("Europe/Berlin"), NOW)
    assert is_admin(raw)


@pytest.mark.parametrize("zone", ['""', "null", '"Mars/Olympus"', "[]", '"+03:00"', '"../etc"'], ids=repr)
def test_an_unknown_zone_is_none(zone: str):
    viewer = viewer_from_profile(Raw(f'{{"ID":7,"TIME_ZONE":{zone}}}'.encode()), NOW)
    assert viewer.zone is None
    assert viewer.events_clock.utc(datetime(2026, 11, 23, 12)) == datetime(2026, 11, 23, 10, tzinfo=UTC)  # noqa: DTZ001


@pytest.mark.parametrize(
    "admin", [b"", b',"ADMIN":false', b',"ADMIN":"N"', b',"ADMIN":null', b',"ADMIN":"maybe"'], ids=repr
)
def test_an_unclear_right_is_none(admin: bytes):
    assert not is_admin(Raw(b'{"ID":"7"' + admin + b"}"))


@pytest.mark.parametrize("raw", [b"{}", b'{"ID":"abc"}', b"[]", b"null", b"{"], ids=repr)
def test_a_profile_without_a_user_is_a_bad_answer(raw: bytes):
    with pytest.raises(BadAnswer):
        viewer_from_profile(Raw(raw), NOW)


def test_the_servers_offset_is_that_of_its_clock():
    viewer = Viewer(7, None, NOW)
    assert viewer.server_offset == timedelta(hours=2)
    with pytest.raises(ValueError, match="aware"):
        _ = Viewer(7, None, datetime(2026, 1, 1)).server_zone  # noqa: DTZ001


def test_the_profile_is_one_call():
    assert (profile_call("a").method, dict(profile_call("a").params)) == ("profile", {})


OTHERWISE = {
    "user_id": 8,
    "zone": ZoneInfo("Asia/Tokyo"),
    "portal_now": NOW.astimezone(UTC),
    "events_zone": ZoneInfo("Asia/Tokyo"),
    "trust_suffix": True,
    "series_expanded": None,
}


@pytest.mark.parametrize("name", [field.name for field in fields(Viewer)])
def test_who_is_otherwise_in_anything_has_other_eyes(name: str):
    """A new field too: what it changes of a reading would not be seen where equal answers are not read."""
    viewer = Viewer(7, ZoneInfo("Europe/Berlin"), NOW)
    assert replace(viewer, **{name: OTHERWISE[name]}).eyes != viewer.eyes


def test_another_season_has_other_eyes_and_another_minute_has_not():
    viewer = Viewer(7, ZoneInfo("Europe/Berlin"), NOW)
    assert replace(viewer, portal_now=NOW + timedelta(minutes=1)).eyes == viewer.eyes
    assert replace(viewer, portal_now=NOW + timedelta(days=180)).eyes != viewer.eyes
