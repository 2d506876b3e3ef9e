"""The listed resources, as the engine finds them."""

from datetime import datetime, timedelta, timezone

import pytest
from msgspec import Raw

from worker.resources import RESOURCES
from worker.resources.registry import LISTED, ListedResource
from worker.resources.times import utc_text
from worker.resources.viewer import Viewer

VIEWER = Viewer(7, None, datetime(2026, 11, 23, 12, tzinfo=timezone(timedelta(hours=2))))


def test_the_resources_come_in_order_and_two_of_them_are_listed():
    assert RESOURCES == ("users", "tasks", "planner", "calendar")
    assert list(LISTED) == ["users", "tasks"]


@pytest.mark.parametrize("resource", LISTED.values(), ids=list(LISTED))
def test_a_listed_resource_keeps_its_promises(resource: ListedResource):
    row = resource.to_row(Raw(f'{{"{resource.method.id_field}":"5"}}'.encode()), VIEWER)
    assert row[resource.key] == 5
    assert {"raw", "content_hash"} <= row.keys()
    assert not {"portal_id", "first_seen_at", "updated_at", "deleted_at"} & row.keys()
    assert resource.get_call("k", 5).key == "k"
    assert resource.changed_filters
    for changed in resource.changed_filters:
        (condition,) = changed(utc_text(VIEWER.portal_now))  # one alone: of two dates the portal drops one
        assert condition.startswith(">=")
