"""One account's turn on one portal: everything its pulls share."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from worker.bitrix24.client import Client
from worker.clock import Clock
from worker.errors import IncompleteRun
from worker.resources.capabilities import Ways
from worker.resources.viewer import Viewer
from worker.storage.leases import check_fence
from worker.storage.session import Database
from worker.storage.standing import Standing


@dataclass(frozen=True, slots=True)
class Fence:
    """The proof that this process holds the portal's lease."""

    portal_id: int
    owner: str
    number: int


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """What the settings say about a run.

    Args:
        calendars: Any of mine, company, groups, everyone.
        past_days, future_days: The calendar window around the portal's today.
        max_delete_share: More than this share missing at once trips the guard; 0..1.
        chains: So many ranges of one listing are read at the same time.
        force: An operator looked at the guard and said go on.
        anew: An operator wants it read, whatever is known already.
    """

    calendars: tuple[str, ...]
    past_days: int
    future_days: int
    max_delete_share: float
    chains: int = 1
    force: bool = False
    anew: bool = False


@dataclass(slots=True)
class Turn:
    """The account's client and database, and what is known of the account since its first batch.

    `viewer`, `is_admin` and `scope` are set by the account's own pull, whose answers are applied before all others.
    `ways` says how this portal is read, `standing` what was stored of it when the turn began: nothing of that is read
    again.
    `told_deleted` are the tasks that the portal's events call deleted: no guard wonders where they are. `told_tasks`
    are those that events name and nobody has read since: what a listing brings after them is not asked for by its ID.
    `queue_looked_at` is the process's memory, shared by its turns: when a portal's queue was last searched for events
    that were taken and forgotten.
    """

    portal_id: int
    member_id: str
    account_id: int
    user_id: int
    is_primary: bool
    client: Client
    database: Database
    clock: Clock
    fence: Fence
    options: SyncOptions
    standing: Standing
    ways: Ways = field(default_factory=Ways)
    scope: frozenset[str] = frozenset()
    is_admin: bool = False
    told_deleted: set[int] = field(default_factory=set)
    told_tasks: set[int] = field(default_factory=set)
    queue_looked_at: dict[int, datetime] = field(default_factory=dict)
    _viewer: Viewer | None = field(default=None)

    @property
    def viewer(self) -> Viewer:
        """Who reads. Raises IncompleteRun while the portal has not said."""
        if self._viewer is None:
            raise IncompleteRun("the portal did not tell who the account's user is")
        return self._viewer

    @viewer.setter
    def viewer(self, viewer: Viewer) -> None:
        self._viewer = viewer

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A write transaction that commits only while the lease is ours. Raises LeaseLost."""
        with self.database.write() as session:
            check_fence(session, self.portal_id, owner=self.fence.owner, fence=self.fence.number, now=self.clock.now())
            yield session

    def read(self) -> AbstractContextManager[Session]:
        return self.database.read()

    def move_later(self, resource: str, **changes: Any) -> None:  # noqa: ANN401 - as the columns
        """Change a cursor with the turn's end: no row depends on it, and a quiet turn writes once."""
        self.standing.moved.setdefault(resource, {}).update(changes)
