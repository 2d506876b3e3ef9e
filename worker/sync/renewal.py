"""Keeps tokens alive ahead of the runs that will need them; beat asks for it in every tick."""

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

from worker.bitrix24.refresh import Ask, TokenKeeper
from worker.clock import Clock
from worker.errors import B24SyncError
from worker.log import News, facts
from worker.storage import portals
from worker.storage.models import Portal
from worker.storage.session import Database
from worker.storage.tokens import TokenDates, token_dates
from worker.tokens import should_renew

log = logging.getLogger(__name__)

LONGEST_SECONDS = 60.0
"""Of one round: what it does not come to, the next one or the run itself renews."""


class Renewal:
    """Renews pairs in one thread at a time, for a while: token servers that hang never hold a second thread.

    Args:
        database: Which pairs there are, and how old.
        keeper: Renews one.
        asking: How the next pair of a portal's accounts is asked for.
        clock: Ours.
        stopping: Whether the program is asked to end.
        tick: Time between two rounds.
        interval: Between two runs of a portal.
        margin: B24SYNC_TOKEN_MARGIN.
    """

    def __init__(
        self,
        *,
        database: Database,
        keeper: TokenKeeper,
        asking: Callable[[Portal], Ask],
        clock: Clock,
        stopping: Callable[[], bool],
        tick: timedelta,
        interval: timedelta,
        margin: timedelta,
    ) -> None:
        self._database = database
        self._keeper = keeper
        self._asking = asking
        self._clock = clock
        self._stopping = stopping
        self._tick = tick
        self._interval = interval
        self._margin = margin
        self._news = News()
        self._failed: set[int] = set()
        self._busy = threading.Lock()

    def run(self) -> list[int]:
        """Renew the pairs that `should_renew` names; returns their accounts. One account's trouble is not another's.

        Nothing while another thread is at it. Those that failed last time come last, so that they use up nobody's time.
        """
        if not self._busy.acquire(blocking=False):
            return []
        try:
            end = self._clock.monotonic() + LONGEST_SECONDS
            renewed = []
            for pair in sorted(self._due(), key=lambda pair: pair.account_id in self._failed):
                if self._stopping() or self._clock.monotonic() >= end:
                    break
                if self._renew(pair):
                    renewed.append(pair.account_id)
            return renewed
        finally:
            self._busy.release()

    def _due(self) -> Iterator[TokenDates]:
        now = self._clock.now()
        with self._database.read() as session:
            dates = token_dates(session, worth_a_look=(now, self._tick + self._interval))
        for pair in dates:
            active = pair.portal_status == "active"
            if should_renew(
                now=now,
                tick=self._tick,
                next_run_at=(pair.next_run_at or now) if active else None,
                interval=self._interval,
                margin=self._margin,
                access_expires_at=pair.access_expires_at,
                expires_in=pair.expires_in,
                refresh_issued_at=pair.refresh_issued_at,
            ):
                yield pair

    def _renew(self, pair: TokenDates) -> bool:
        with self._database.read() as session:
            account = portals.get_account(session, pair.account_id)
            portal = portals.get_portal(session, pair.portal_id)
        if account is None or portal is None:
            return False
        about_it = facts(portal=portal.member_id, domain=portal.domain)
        try:
            self._keeper.refresh(account.id, pair.version, self._asking(portal))
        except B24SyncError as error:
            self._failed.add(account.id)
            # Said once: the next tick tries again, a few seconds later.
            level = logging.WARNING if self._news.is_new(account.id, str(error)) else logging.DEBUG
            log.log(level, "%s: its token could not be renewed: %s", portal.domain, error, extra=about_it)
            return False
        self._failed.discard(account.id)
        self._news.is_new(account.id, None)
        log.debug("%s: the token of user %d is renewed", portal.domain, account.user_id, extra=about_it)
        return True
