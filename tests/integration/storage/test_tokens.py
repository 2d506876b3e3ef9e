"""Which pairs of tokens are looked at in every tick."""

from datetime import timedelta
from itertools import product

from sqlalchemy import update

from tests.conftest import FakeClock
from tests.integration.conftest import connect
from worker.storage.cipher import Cipher
from worker.storage.models import Account, OAuthToken, Portal
from worker.storage.session import Database
from worker.storage.tokens import SqlTokenStore, TokenDates, token_dates
from worker.tokens import Grant, should_renew

TICK, INTERVAL, MARGIN = timedelta(seconds=15), timedelta(seconds=300), timedelta(seconds=600)
RUNS = (None, -60, 0, 14, 16, 200)
ENDS = (-10, 0, 100, 299, 301, 314, 316, 599, 601, 3000)
AGES = (0, 19.9, 20, 21)


def test_none_that_should_be_renewed_is_left_out(database: Database, clock: FakeClock):
    """Of pairs of every age and end, on portals due at any time; and few are looked at that should not be."""
    store, now = SqlTokenStore(database, Cipher(("k" * 43 + "=",))), clock.now()
    with database.write() as session:
        for number, (run, end, age) in enumerate(product(RUNS, ENDS, AGES)):
            account = connect(session, now, member_id=f"m{number}", domain=f"{number}.example")
            store.save_new(session, account.id, Grant("a", "r", 3600, now))
            of = Portal.id == account.portal_id
            due = None if run is None else now + timedelta(seconds=run)
            status = ("active", "paused")[number % 7 == 0]
            session.execute(update(Portal).where(of).values(next_run_at=due, status=status))
            dates = {
                "access_expires_at": now + timedelta(seconds=end),
                "refresh_issued_at": now - timedelta(days=age),
            }
            session.execute(update(OAuthToken).where(OAuthToken.account_id == account.id).values(**dates))
            if number % 11 == 0:
                session.execute(update(Account).where(Account.id == account.id).values(status="needs_reauth"))

    def wanted(pairs: list[TokenDates]) -> set[int]:
        return {
            pair.account_id
            for pair in pairs
            if pair.account_status == "ok"
            and should_renew(
                now=now,
                tick=TICK,
                next_run_at=(pair.next_run_at or now) if pair.portal_status == "active" else None,
                interval=INTERVAL,
                margin=MARGIN,
                access_expires_at=pair.access_expires_at,
                expires_in=pair.expires_in,
                refresh_issued_at=pair.refresh_issued_at,
            )
        }

    with database.read() as session:
        every = token_dates(session)
        some = token_dates(session, worth_a_look=(now, TICK + INTERVAL))
    assert wanted(every) == wanted(some) != set()
    assert len(wanted(some)) < len(some) < len(every) * 0.8
