"""Emulated portals, and a mirror of each that runs are to make true."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.integration.mirror import Mirror, Stage
from worker.errors import LeaseLost
from worker.overview import PortalState, look
from worker.sync.portal import Wish

AWAY = 1_000_000
"""As often as a server that is away fails to answer: in every request of a test."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Of all tests of a file: each has a portal of its own there, and a clock that goes on."""
    with Stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture
def own_stage(tmp_path: Path) -> Iterator[Stage]:
    """For a test that says which day it is, looks at all portals, or spoils the token server."""
    with Stage(tmp_path) as stage:
        yield stage


def seen(mirror: Mirror) -> PortalState:
    """What `b24sync status` tells of the only portal."""
    (portal,) = look(mirror.database, mirror.clock.now()).portals
    return portal


def due_in(mirror: Mirror) -> float:
    """Seconds until the portal's next turn."""
    due = mirror.standing().next_run_at
    assert due is not None
    return (due - mirror.clock.now()).total_seconds()


def lose_lease(mirror: Mirror, *, after: int = 1) -> set[int]:
    """A turn whose process sleeps too long once so many requests were answered. Returns the tasks it had by then."""
    held: list[set[int]] = []

    def slept() -> bool:
        if mirror.portal.requests.http >= after:
            held.append(mirror.ids("tasks"))
            mirror.clock.advance(61)
        return False

    mirror.portal.requests.reset()
    with pytest.raises(LeaseLost):
        mirror.engine(stopping=slept).run(mirror.portal_id, Wish(at_once=True))
    return held[0]


def starts(mirror: Mirror, event_id: int) -> list[datetime]:
    """When the instances of an event begin."""
    return sorted(row["starts_at"] for row in mirror.rows("calendar_occurrences") if row["event_id"] == event_id)


def attendees(mirror: Mirror, event_id: int) -> dict[int, str]:
    return {row["user_id"]: row["status"] for row in mirror.rows("event_attendees") if row["event_id"] == event_id}
