"""One page of portals, those that want to be looked at first, and how all of them are: for the page and the command."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from worker.connect import missing_scopes
from worker.overview import REFRESH_LIFE, PortalState, count_rows_in_all, look_at
from worker.resources import RESOURCES
from worker.storage.ranking import Counts, Marks, Ranking, known_scopes
from worker.web.needs import ENDING

PAGE = 50
"""Portals on one page: each has its tables and pictures, and a page of more would be one of megabytes."""

BEHIND_INTERVALS = 3
"""A resource is behind when it missed this many runs."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of portals.

    Args:
        portals: Those of this page, by number.
        counts: Of all portals.
        rows: Mirrored of all portals, without those marked as deleted.
        page: Its number, from 1 to `pages`.
    """

    portals: Mapping[int, PortalState]
    counts: Counts
    rows: int
    page: int
    pages: int


def list_portals(session: Session, now: datetime, interval: timedelta, page: int = 1) -> Listing:
    """This page, or the one next to it that there is."""
    ranking = Ranking(_marks(session, now, interval))
    counts = ranking.counts(session)
    pages = max(1, -(-counts.total // PAGE))
    page = min(max(1, page), pages)
    shown = look_at(session, now, ranking.first(session, limit=PAGE, offset=(page - 1) * PAGE))
    here = sum(resource.rows for portal in shown.values() for resource in portal.resources)
    return Listing(shown, counts, here if pages == 1 else count_rows_in_all(session), page, pages)


def _marks(session: Session, now: datetime, interval: timedelta) -> Marks:
    lacking = {scope: len(missing_scopes(tuple(scope.split(",")))) for scope in known_scopes(session)}
    return Marks(
        resources=RESOURCES,
        # Ages are told in whole seconds: what is older by less than one is not behind yet.
        read_since=now - BEHIND_INTERVALS * interval - timedelta(seconds=1),
        signed_in_since=now + ENDING - REFRESH_LIFE,
        lacking={scope: number for scope, number in lacking.items() if number},
    )
