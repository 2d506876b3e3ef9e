"""One refresh at a time per account, over all threads, processes and hosts.

Decided by the token store's compare-and-swap on the pair's version, never by a lock held over HTTP. Who does not get
the right to refresh waits in short sleeps and reads again: the new pair is there as soon as it is committed.
"""

import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from worker.clock import Clock
from worker.errors import Interrupted, NeedsReauth, Unreachable
from worker.tokens import Grant, Token, TokenState, TokenStore

Ask = Callable[[Token], Grant]
"""Asks the token server for the pair that follows this one."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_STORE_PAUSES = (0.2, 1.0, 3.0)
_GRACE = 15.0  # seconds beyond the lease: somebody must have got it by then


class TokenKeeper:
    """Hands out access tokens and renews them.

    Args:
        store: Where the pairs are.
        clock: Ours.
        owner: Names this process in the leases.
        margin: How long before its end a token is STALE (`worker.tokens`); only beat acts on that.
        lease: How long one refresh may take before another may try.
    """

    def __init__(
        self,
        store: TokenStore,
        clock: Clock,
        owner: str,
        margin: timedelta,
        lease: timedelta = timedelta(seconds=30),
    ) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._margin = margin
        self._lease = lease

    def access(self, account_id: int, ask: Ask) -> Token:
        """The stored token, renewed first where its time is known to be over. A stale one is still good."""
        token = self._store.load(account_id)
        if token.state(self._clock.now(), self._margin) is TokenState.INVALID:
            return self.refresh(account_id, token.version, ask)
        return token

    def refresh(self, account_id: int, seen_version: int, ask: Ask) -> Token:
        """The pair that follows version `seen_version`, asked for by us or by whoever was first.

        Raises NeedsReauth when the refresh token is dead, Unreachable when another's refresh does not come to an end.
        """
        # Two threads of a process must not free each other's lease.
        owner = f"{self._owner}:{uuid.uuid4().hex[:8]}"
        deadline = self._clock.monotonic() + self._lease.total_seconds() + _GRACE
        pause = _FIRST_PAUSE
        while True:
            token = self._store.load(account_id)
            if token.version != seen_version:
                return token
            now = self._clock.now()
            if self._store.claim_refresh(account_id, version=seen_version, owner=owner, now=now, lease=self._lease):
                return self._renew(account_id, seen_version, owner, ask)
            if self._clock.monotonic() >= deadline:
                raise Unreachable("another process is renewing this account's token and does not finish")
            self._clock.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 1.5)

    def _renew(self, account_id: int, version: int, owner: str, ask: Ask) -> Token:
        """We hold the lease. The new pair is committed before anybody uses it."""
        try:
            token = self._store.load(account_id)
            if token.version != version:
                self._store.release_refresh(account_id, owner=owner)
                return token
            grant = _ask(ask, token)
        except NeedsReauth as dead:
            # Dead for sure only if the pair we used is still the stored one; else a late answer has replaced it.
            if self._store.condemn(account_id, version=version, reason=dead.message or dead.code):
                raise
            return self._store.load(account_id)
        except BaseException:
            self._store.release_refresh(account_id, owner=owner)  # or everybody would wait the lease out
            raise
        self._keep(account_id, version, grant)
        return self._store.load(account_id)

    def _keep(self, account_id: int, version: int, grant: Grant) -> None:
        """Store the pair. False from the store is no failure: another's late answer came first and is in force."""
        for pause in _STORE_PAUSES:
            try:
                self._store.replace(account_id, version=version, grant=grant)
            except Exception:  # noqa: BLE001 - whatever ails the database, this may be the only live pair
                with suppress(Interrupted):  # stopped: the pair is worth more than the haste
                    self._clock.sleep(pause)
            else:
                return
        self._store.replace(account_id, version=version, grant=grant)


def _ask(ask: Ask, token: Token) -> Grant:
    if token.refresh_token is None:
        raise NeedsReauth("there is no refresh token for this account: authorize again")
    return ask(token)
