"""The token store: every secret goes in and out through here, encrypted."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, insert, or_, select, update
from sqlalchemy.orm import Session

from worker.errors import NeedsReauth
from worker.storage.cipher import Cipher
from worker.storage.models import Account, OAuthToken, Portal
from worker.storage.session import Database
from worker.storage.statements import change, is_over
from worker.tokens import IDLE_REFRESH_AGE, Grant, Token

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""When a webhook's secret ends."""

NO_LEASE: dict[str, Any] = {"lease_owner": None, "lease_until": None}


_PAIR = (
    select(Account.status, Account.status_reason, Portal.domain, OAuthToken)
    .join(Portal, Portal.id == Account.portal_id)
    .outerjoin(OAuthToken, OAuthToken.account_id == Account.id)
    .where(Account.id == bindparam("account"))
)
"""Asked before every request: put together once."""


@dataclass(frozen=True, slots=True)
class TokenDates:
    """How old an account's pair is; no secret, for the renewal and for people."""

    account_id: int
    portal_id: int
    kind: str
    account_status: str
    portal_status: str
    next_run_at: datetime | None
    expires_in: int
    access_expires_at: datetime
    refresh_issued_at: datetime
    version: int


class SqlTokenStore:
    """`worker.tokens.TokenStore` over the database."""

    def __init__(self, db: Database, cipher: Cipher) -> None:
        self._db = db
        self._cipher = cipher

    def load(self, account_id: int) -> Token:
        """The stored pair.

        Raises:
            NeedsReauth: The account waits for a person, or there is none, or it has no secret.
            UsageError: The encryption key is another one.
        """
        with self._db.read() as session:
            row = session.execute(_PAIR, {"account": account_id}).one_or_none()
        if row is None:
            raise NeedsReauth(f"account {account_id} is not connected any more")
        status, reason, domain, stored = row
        if status == "needs_reauth":
            raise NeedsReauth(reason or "the account must be authorized again", portal=domain)
        if stored is None:
            raise NeedsReauth("the account has no token", portal=domain)
        refresh = stored.refresh_token_encrypted
        return Token(
            account_id=account_id,
            access_token=self._cipher.decrypt(stored.access_token_encrypted),
            refresh_token=None if refresh is None else self._cipher.decrypt(refresh),
            expires_in=stored.expires_in,
            access_expires_at=stored.access_expires_at,
            refresh_issued_at=stored.refresh_issued_at,
            version=stored.version,
            unanswered=stored.unanswered,
        )

    def claim_refresh(self, account_id: int, *, version: int, owner: str, now: datetime, lease: timedelta) -> bool:
        """Take the right to refresh this very pair; False when another holds it or the pair has changed.

        The attempt is counted in the same transaction: whoever dies with the answer in his hands has left a trace.
        """
        statement = (
            update(OAuthToken)
            .where(
                OAuthToken.account_id == account_id,
                OAuthToken.version == version,
                is_over(OAuthToken.lease_until, now),
            )
            .values(lease_owner=owner, lease_until=now + lease, unanswered=OAuthToken.unanswered + 1)
        )
        with self._db.write() as session:
            return change(session, statement) == 1

    def release_refresh(self, account_id: int, *, version: int, owner: str, answered: bool) -> None:
        """Give the right back after a failure; `answered` when it is known that the server made no new pair."""
        pair = update(OAuthToken).where(OAuthToken.account_id == account_id)
        counted = and_(OAuthToken.version == version, OAuthToken.unanswered > 0)
        with self._db.write() as session:
            change(session, pair.where(OAuthToken.lease_owner == owner).values(**NO_LEASE))
            if answered:
                change(session, pair.where(counted).values(unanswered=OAuthToken.unanswered - 1))

    def replace(self, account_id: int, *, version: int, grant: Grant) -> bool:
        """Store the new pair if the stored one is still `version`, and end the lease; False when it is not.

        An account condemned over this very version is healed: somebody gave up on a pair that was being replaced.
        """
        statement = (
            update(OAuthToken)
            .where(OAuthToken.account_id == account_id, OAuthToken.version == version)
            .values(**self._values(grant), version=version + 1)
        )
        with self._db.write() as session:
            if change(session, statement) == 0:
                return False
            pardoned = update(Account).where(Account.id == account_id, Account.status == "needs_reauth")
            change(session, pardoned.values(status="ok", status_reason=None))
            return True

    def condemn(self, account_id: int, *, version: int, reason: str) -> bool:
        """Put the account into `needs_reauth` if the stored pair is still `version`; False when it is not."""
        # An UPDATE, not a look: it locks the row, so that no new pair can come in before the account is marked.
        statement = (
            update(OAuthToken)
            .where(OAuthToken.account_id == account_id, OAuthToken.version == version)
            .values(**NO_LEASE)
        )
        with self._db.write() as session:
            if change(session, statement) == 0:
                return False
            marked = update(Account).where(Account.id == account_id)
            change(session, marked.values(status="needs_reauth", status_reason=reason))
            return True

    def save_new(self, session: Session, account_id: int, grant: Grant) -> None:
        """Store the pair of a new authorization, in the transaction that registers the account.

        It takes the place of whatever was there: the version moves on, so a refresh under way cannot overwrite it.
        """
        values = {"refresh_token_encrypted": None, "refresh_issued_at": grant.received_at, **self._values(grant)}
        self._put(session, account_id, values)

    def save_webhook(self, session: Session, account_id: int, secret: str, *, now: datetime | None = None) -> None:
        """Store the secret of an incoming webhook. It never expires and cannot be refreshed."""
        values = {
            "access_token_encrypted": self._cipher.encrypt(secret),
            "refresh_token_encrypted": None,
            "expires_in": 0,
            "access_expires_at": NEVER,
            "refresh_issued_at": now or datetime.now(UTC),
            "unanswered": 0,
            **NO_LEASE,
        }
        self._put(session, account_id, values)

    def webhook_secret(self, account_id: int) -> str:
        """The secret of a webhook's account; raises as `load`."""
        return self.load(account_id).access_token

    def _put(self, session: Session, account_id: int, values: dict[str, Any]) -> None:
        statement = update(OAuthToken).where(OAuthToken.account_id == account_id)
        if change(session, statement.values(**values, version=OAuthToken.version + 1)) == 0:
            session.execute(insert(OAuthToken).values(account_id=account_id, version=1, **values))

    def _values(self, grant: Grant) -> dict[str, Any]:
        """The columns of a pair. An answer without a refresh token keeps the old one, and its age."""
        values: dict[str, Any] = {
            "access_token_encrypted": self._cipher.encrypt(grant.access_token),
            "expires_in": grant.expires_in,
            "access_expires_at": grant.received_at + timedelta(seconds=grant.expires_in),
            "unanswered": 0,
            **NO_LEASE,
        }
        if grant.refresh_token is not None:
            values["refresh_token_encrypted"] = self._cipher.encrypt(grant.refresh_token)
            values["refresh_issued_at"] = grant.received_at
        return values


def token_dates(
    session: Session, *, portal_id: int | None = None, worth_a_look: tuple[datetime, timedelta] | None = None
) -> list[TokenDates]:
    """The age of every account's pair, the one that ends first at the beginning.

    Args:
        session: Any transaction.
        portal_id: Only of this portal.
        worth_a_look: Now, and how far `should_renew` looks ahead: without those of which it would say no anyway.
            Thousands of pairs are looked at in every tick, and few of them are due.
    """
    statement = (
        select(
            OAuthToken.account_id,
            Account.portal_id,
            Account.kind,
            Account.status.label("account_status"),
            Portal.status.label("portal_status"),
            Portal.next_run_at,
            OAuthToken.expires_in,
            OAuthToken.access_expires_at,
            OAuthToken.refresh_issued_at,
            OAuthToken.version,
        )
        .join(Account, Account.id == OAuthToken.account_id)
        .join(Portal, Portal.id == Account.portal_id)
        .order_by(OAuthToken.access_expires_at, OAuthToken.account_id)
    )
    if portal_id is not None:
        statement = statement.where(Account.portal_id == portal_id)
    if worth_a_look is not None:
        now, ahead = worth_a_look
        coming = or_(Portal.next_run_at.is_(None), Portal.next_run_at <= now + ahead)
        statement = statement.where(
            Account.kind == "oauth",
            Account.status == "ok",
            or_(
                OAuthToken.refresh_issued_at <= now - IDLE_REFRESH_AGE,
                and_(Portal.status == "active", coming, OAuthToken.access_expires_at <= now + ahead),
            ),
        )
    return [TokenDates(**dict(row)) for row in session.execute(statement).mappings()]
