"""One refresh at a time per account, over all threads, processes and hosts.

Decided by the token store's compare-and-swap on the pair's version, never by a lock held over HTTP. Who does not get
the right to refresh waits in short sleeps and reads again: the new pair is there as soon as it is committed.
"""

import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

from worker.clock import Clock
from worker.errors import B24SyncError, Interrupted, NeedsReauth, RateLimited, TransientError, Unreachable
from worker.tokens import Grant, Token, TokenState, TokenStore

log = logging.getLogger(__name__)

Ask = Callable[[Token], Grant]
"""Asks the token server for the pair that follows this one."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_STORE_TRIES, _LONGEST_STORE_PAUSE = 200, 5.0
"""A new pair is held on to for a quarter of an hour of a database that is away: nobody else has it."""
_GRACE = 15.0  # seconds beyond the lease: somebody must have got it by then

LOST = "the answer to a refresh was lost, and the tokens before it are not taken any more: authorize again"


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
                busy = Unreachable("another process is renewing this account's token and does not finish")
                busy.token_server = True
                raise busy
            self._clock.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 1.5)

    def _renew(self, account_id: int, version: int, owner: str, ask: Ask) -> Token:
        """We hold the lease. The new pair is committed before anybody uses it."""
        token: Token | None = None
        try:
            token = self._store.load(account_id)
            if token.version != version:
                self._give_back(account_id, version, owner, answered=True)
                return token
            grant = _ask(ask, token)
        except NeedsReauth as dead:
            dead = _told(dead, token)
            # Dead for sure only if the pair we used is still the stored one; else a late answer has replaced it.
            if self._store.condemn(account_id, version=version, reason=dead.message or dead.code):
                raise dead from None
            return self._store.load(account_id)
        except BaseException as error:
            self._give_back(account_id, version, owner, answered=token is None or _answered(error))
            raise
        self._keep(account_id, version, grant)
        return self._store.load(account_id)

    def _give_back(self, account_id: int, version: int, owner: str, *, answered: bool) -> None:
        """Or everybody would wait the lease out; which they do where the database is away."""
        try:
            self._store.release_refresh(account_id, version=version, owner=owner, answered=answered)
        except Exception:  # noqa: BLE001 - the trouble that led here is the one to be told
            log.warning("the right to refresh the token of account %d could not be given back", account_id)

    def _keep(self, account_id: int, version: int, grant: Grant) -> None:
        """Store the pair. False from the store is no failure: another's late answer came first and is in force."""
        for pause in _store_pauses():
            try:
                self._store.replace(account_id, version=version, grant=grant)
            except B24SyncError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever ails the database, this may be the only live pair
                log.warning(
                    "the new token of account %d cannot be stored yet (%s): trying on", account_id, type(error).__name__
                )
                with suppress(Interrupted):  # stopped: the pair is worth more than the haste
                    self._clock.sleep(pause)
            else:
                return
        self._store.replace(account_id, version=version, grant=grant)


def _store_pauses() -> Iterator[float]:
    pause = 0.2
    for _ in range(_STORE_TRIES):
        yield pause
        pause = min(_LONGEST_STORE_PAUSE, pause * 2)


def _ask(ask: Ask, token: Token) -> Grant:
    if token.refresh_token is None:
        raise NeedsReauth("there is no refresh token for this account: authorize again")
    return ask(token)


def _answered(error: BaseException) -> bool:
    """Whether the server is known to have made no new pair: it refused, or saw nothing of the request."""
    if isinstance(error, Unreachable):
        return error.never_sent
    if isinstance(error, TransientError):
        return isinstance(error, RateLimited)
    return isinstance(error, B24SyncError)


def _told(dead: NeedsReauth, token: Token | None) -> NeedsReauth:
    """What a person is told. A pair refused after a refresh without an end (beside our own) died of that."""
    if token is None or token.unanswered <= 1 or dead.code.lower() != "invalid_grant":
        return dead
    return NeedsReauth(LOST, portal=dead.portal, code=dead.code, status=dead.status)
