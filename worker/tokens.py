"""Tokens as values, and what the refresh asks of their store.

A token server's answer is a `Grant`. Stored for an account it is a `Token`: the same pair with the version under which
it is kept. The version moves by one with every replacement, so "the pair I used" can be named without showing it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol


class TokenState(Enum):
    """How much an access token is worth. States, not orders: who acts on them decides."""

    FRESH = "fresh"
    STALE = "stale"  # within the margin of its end
    INVALID = "invalid"  # its time is over


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token server handed out.

    Args:
        access_token: For calls; lives `expires_in` seconds from `received_at`.
        refresh_token: For the next grant; None when the answer had none (the old one stays in force).
        expires_in: Seconds, as the server said. Trusted from receipt, by our clock; the server's `expires` is not read,
            because our clock and theirs may differ.
        received_at: Our clock, before the request was sent: the token can only be younger than we think.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Token:
    """A stored pair. `version` names it in logs and comparisons.

    `unanswered` counts the refreshes of this very pair that were begun and whose end nobody has told: one that is under
    way, or whose process died, or whose answer never came. If the portal then refuses the pair, its successor was lost.
    """

    account_id: int
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in: int
    access_expires_at: datetime
    refresh_issued_at: datetime
    version: int
    unanswered: int = 0

    def state(self, now: datetime, margin: timedelta) -> TokenState:
        """FRESH, STALE or INVALID at `now`.

        The margin in force is the smaller of `margin` and a third of the token's life, so that a short-lived token is
        not stale from its birth.
        """
        left = self.access_expires_at - now
        if left <= timedelta(0):
            return TokenState.INVALID
        return TokenState.STALE if left < effective_margin(margin, self.expires_in) else TokenState.FRESH


def effective_margin(margin: timedelta, expires_in: int) -> timedelta:
    """The smaller of the margin set by the operator and a third of the token's life."""
    return min(margin, timedelta(seconds=expires_in / 3))


IDLE_REFRESH_AGE = timedelta(days=20)
"""The age at which an idle account's refresh token is renewed: 180 days are documented, 28 in older texts."""


def should_renew(
    *,
    now: datetime,
    tick: timedelta,
    next_run_at: datetime | None,
    interval: timedelta,
    margin: timedelta,
    access_expires_at: datetime,
    expires_in: int,
    refresh_issued_at: datetime,
) -> bool:
    """Whether beat should renew this pair in this tick. Pure.

    Yes in the last tick before a run that would meet a token that is not fresh and would not live until the run after
    it: so it is renewed before its end, only when a run is coming, and once in its life; never on a bare timer, for
    which Bitrix24 may block an application (vendor: settings/oauth/auto-renewal.md). And yes for an account without
    runs (`next_run_at` None: idle or paused) when its refresh token is about to age out.

    Args:
        now: Our clock.
        tick: Time until beat asks again.
        next_run_at: When the account's portal runs next; None when it will not.
        interval: Time between two runs.
        margin: B24SYNC_TOKEN_MARGIN.
        access_expires_at: Of the stored pair.
        expires_in: Its life in seconds, as granted.
        refresh_issued_at: Of the stored pair.
    """
    if now - refresh_issued_at >= IDLE_REFRESH_AGE:
        return True
    if next_run_at is None or next_run_at > now + tick:
        return False
    run_at = max(now, next_run_at)
    stale = access_expires_at - run_at < effective_margin(margin, expires_in)
    return stale and access_expires_at <= run_at + interval


class TokenStore(Protocol):
    """Where pairs are kept, encrypted. Every method is one short transaction of its own.

    The refresh lease is a compare-and-swap on (version, no live lease): over all threads, processes and hosts one
    caller gets it. Replacing does not ask for the lease, only for the version: an answer that comes after the lease ran
    out may hold the only live pair.
    """

    def load(self, account_id: int) -> Token:
        """The stored pair. Raises NeedsReauth when the account waits for a person, or has none."""
        ...

    def claim_refresh(self, account_id: int, *, version: int, owner: str, now: datetime, lease: timedelta) -> bool:
        """Take the right to refresh this very pair; False when another holds it or the pair has changed.

        The attempt is counted in the same transaction, before anything is sent.
        """
        ...

    def release_refresh(self, account_id: int, *, version: int, owner: str, answered: bool) -> None:
        """Give the right back after a failure; `answered` when it is known that the server made no new pair."""
        ...

    def replace(self, account_id: int, *, version: int, grant: Grant) -> bool:
        """Store the new pair if the stored one is still `version`, and end the lease; False when it is not."""
        ...

    def condemn(self, account_id: int, *, version: int, reason: str) -> bool:
        """Put the account into `needs_reauth` if the stored pair is still `version`; False when it is not."""
        ...
