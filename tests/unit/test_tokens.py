"""Token states and the decision to renew: two tables."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.tokens import Grant, Token, TokenState, effective_margin, should_renew

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MARGIN = timedelta(minutes=10)


def token(*, left: float, expires_in: int = 3600) -> Token:
    return Token(
        account_id=1,
        access_token="acc3ss",
        refresh_token="r3fresh",
        expires_in=expires_in,
        access_expires_at=NOW + timedelta(seconds=left),
        refresh_issued_at=NOW,
        version=4,
    )


@pytest.mark.parametrize(
    ("left", "expires_in", "state"),
    [
        (3600, 3600, TokenState.FRESH),
        (600, 3600, TokenState.FRESH),
        (599.9, 3600, TokenState.STALE),
        (0.1, 3600, TokenState.STALE),
        (0, 3600, TokenState.INVALID),
        (-1, 3600, TokenState.INVALID),
        (45, 45, TokenState.FRESH),  # a third of a short life is the margin then
        (15, 45, TokenState.FRESH),
        (14.9, 45, TokenState.STALE),
        (0.1, 0, TokenState.FRESH),  # granted without a life: no margin at all
    ],
)
def test_a_token_is_fresh_stale_or_invalid(left: float, expires_in: int, state: TokenState):
    assert token(left=left, expires_in=expires_in).state(NOW, MARGIN) is state


@pytest.mark.parametrize(("expires_in", "seconds"), [(3600, 600), (1800, 600), (1200, 400), (45, 15), (0, 0)])
def test_the_margin_is_at_most_a_third_of_the_life(expires_in: int, seconds: int):
    assert effective_margin(MARGIN, expires_in) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("next_run", "left", "refresh_age_days", "interval", "renew"),
    [
        # A run in this tick that would meet a stale token, and the one after it an expired one.
        (0, 299, 0, 300, True),
        (14, 200, 0, 300, True),
        (-100, 299, 0, 300, True),
        # The token is over already.
        (0, -1, 0, 300, True),
        # The run after this one still finds it alive: then is the time.
        (0, 301, 0, 300, False),
        # Still fresh, whatever the interval.
        (0, 601, 0, 86_400, False),
        # Stale, but no run is coming in this tick.
        (16, 10, 0, 300, False),
        (3600, -5000, 0, 300, False),
        # No runs at all: idle or paused.
        (None, -5000, 0, 300, False),
        (None, -5000, 19.9, 300, False),
        (None, -5000, 20, 300, True),
        # Old enough to be renewed, run or no run.
        (3600, 3000, 20, 300, True),
    ],
)
def test_when_beat_renews(next_run: float | None, left: float, refresh_age_days: float, interval: float, renew: bool):
    decision = should_renew(
        now=NOW,
        tick=timedelta(seconds=15),
        next_run_at=None if next_run is None else NOW + timedelta(seconds=next_run),
        interval=timedelta(seconds=interval),
        margin=MARGIN,
        access_expires_at=NOW + timedelta(seconds=left),
        expires_in=3600,
        refresh_issued_at=NOW - timedelta(days=refresh_age_days),
    )

    assert decision is renew


@pytest.mark.parametrize("life", [45, 600, 3600])
@pytest.mark.parametrize("interval", [3, 300, 1800])
def test_a_token_is_renewed_once_in_its_life(life: int, interval: int):
    """Simulated for a day: runs at the interval, ticks of beat before each, never an expired token at a run."""
    tick = timedelta(seconds=min(15, max(1, interval / 10)))
    every = timedelta(seconds=interval)
    end = NOW + min(timedelta(days=1), timedelta(seconds=life * 20))
    at, next_run, expires, renewals, met_expired = NOW, NOW, NOW + timedelta(seconds=life), 0, 0
    while at < end:
        if should_renew(
            now=at,
            tick=tick,
            next_run_at=next_run,
            interval=every,
            margin=MARGIN,
            access_expires_at=expires,
            expires_in=life,
            refresh_issued_at=at,
        ):
            renewals += 1
            expires = at + timedelta(seconds=life)
        if next_run <= at:
            met_expired += expires <= at
            next_run = at + every
        at += tick

    assert met_expired == 0 or interval >= life
    assert renewals <= (end - NOW) / timedelta(seconds=life * 2 / 3) + 1


def test_no_value_shows_its_secrets():
    grant = Grant(access_token="acc3ss", refresh_token="r3fresh", expires_in=3600, received_at=NOW)

    for shown in (repr(grant), str(grant), repr(token(left=1))):
        assert "acc3ss" not in shown
        assert "r3fresh" not in shown
