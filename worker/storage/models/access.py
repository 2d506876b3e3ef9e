"""Who is connected: portals, their accounts, the accounts' tokens, and logins under way."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Double, ForeignKey, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from worker.storage.columns import BigKey, KeyText, LongText, Sha256, UtcDateTime, Word
from worker.storage.models.base import Base, options


class Portal(Base):
    """The unit of dispatch and of the lease."""

    __tablename__ = "portals"
    __table_args__ = options(
        "Connected Bitrix24 portals",
        UniqueConstraint("member_id"),
        Index(None, "status", "next_run_at"),
        Index(None, "domain"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, comment="Our number of the portal")
    member_id: Mapped[str] = mapped_column(
        KeyText, comment="The portal's own lasting ID; domain:<host> until an OAuth connection told it"
    )
    domain: Mapped[str] = mapped_column(KeyText, comment="The portal's host name, may change")
    rest_url: Mapped[str] = mapped_column(LongText, comment="Where REST calls go, without any secret")
    oauth_url: Mapped[str | None] = mapped_column(LongText, comment="The token server this portal named, if it did")
    status: Mapped[str] = mapped_column(
        Word, default="active", comment="active, paused (by an operator) or closed (the portal serves us no more)"
    )
    status_reason: Mapped[str | None] = mapped_column(LongText, comment="Why it is paused or closed")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="When it was first connected")
    next_run_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, comment="When the next job is due (the earliest of its resources); NULL: at once"
    )
    enqueued_until: Mapped[datetime | None] = mapped_column(
        UtcDateTime, comment="A message for this portal is under way until then"
    )
    lease_owner: Mapped[str | None] = mapped_column(KeyText, comment="Who works on the portal now")
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="When that lease runs out")
    fence: Mapped[int] = mapped_column(
        BigInteger, default=0, comment="Grows with every lease; who holds an older one writes nothing"
    )
    breaker_failures: Mapped[int] = mapped_column(
        Integer,
        default=0,
        server_default="0",
        comment="Turns in a row to which the portal gave no answer; 0: it answers",
    )
    breaker_until: Mapped[datetime | None] = mapped_column(
        UtcDateTime, comment="Until then the portal is not asked; afterwards a probe is"
    )
    breaker_reason: Mapped[str | None] = mapped_column(LongText, comment="What the last turn without an answer met")
    scheduled_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime,
        comment="When next_run_at was set (our clock); if that lies ahead, our clock was set back and it is due",
    )
    clock_ahead_seconds: Mapped[float | None] = mapped_column(
        Double, comment="How far the portal's clock is ahead of ours; a fall means that it was set back"
    )
    events_mode: Mapped[str | None] = mapped_column(
        Word, comment="Offline events: confirm, hints or polling (none for this account); NULL: not asked yet"
    )
    events_checked_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, comment="When it was last asked which events are bound; NULL: ask at once"
    )
    events_process_id: Mapped[str | None] = mapped_column(
        KeyText, comment="Events taken under this ID are not cleared yet: they are asked for again"
    )

    application_token_hash: Mapped[str | None] = mapped_column(
        Sha256, comment="SHA-256 of the secret that online events carry; NULL: no installation told it"
    )
    hinted_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, comment="When an online event told of news that no turn has read yet; NULL: none"
    )


class Account(Base):
    """One user's authorization on a portal."""

    __tablename__ = "accounts"
    __table_args__ = options("Authorizations on portals", UniqueConstraint("portal_id", "user_id", "kind"))

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, comment="Our number of the account")
    portal_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("portals.id", ondelete="CASCADE"), comment="The portal: portals.id"
    )
    user_id: Mapped[int] = mapped_column(BigInteger, comment="The user's ID on the portal")
    kind: Mapped[str] = mapped_column(Word, comment="oauth or webhook")
    is_primary: Mapped[bool] = mapped_column(Boolean, comment="Whether this account reads the portal")
    scope: Mapped[str] = mapped_column(LongText, comment="Scopes granted, separated by commas")
    status: Mapped[str] = mapped_column(Word, default="ok", comment="ok, needs_reauth, payment_required or app_removed")
    status_reason: Mapped[str | None] = mapped_column(LongText, comment="Why it is not ok")
    is_admin: Mapped[bool | None] = mapped_column(Boolean, comment="Whether the user is an administrator, if known")
    time_zone: Mapped[str | None] = mapped_column(KeyText, comment="The user's time zone, from the profile")
    profile_read_at: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="When the profile was last read")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="When it was first connected")


class OAuthToken(Base):
    """The secret of an account; changed only by compare-and-swap on `version`."""

    __tablename__ = "oauth_tokens"
    __table_args__ = options("Secrets of the accounts, encrypted")

    account_id: Mapped[int] = mapped_column(
        BigInteger,
        ForeignKey("accounts.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        comment="The account: accounts.id",
    )
    access_token_encrypted: Mapped[str] = mapped_column(
        LongText, comment="Access token, or the secret of a webhook; Fernet"
    )
    refresh_token_encrypted: Mapped[str | None] = mapped_column(
        LongText, comment="Refresh token, Fernet; NULL for a webhook"
    )
    expires_in: Mapped[int] = mapped_column(BigInteger, comment="Life of the access token, in seconds, as granted")
    access_expires_at: Mapped[datetime] = mapped_column(
        UtcDateTime, comment="When the access token ends; a webhook's is far away"
    )
    refresh_issued_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="When the refresh token was handed out")
    version: Mapped[int] = mapped_column(BigInteger, default=1, comment="Grows by one with every replaced pair")
    lease_owner: Mapped[str | None] = mapped_column(KeyText, comment="Who refreshes this pair now")
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="When the right to refresh runs out")
    unanswered: Mapped[int] = mapped_column(
        Integer,
        default=0,
        server_default="0",
        comment="Refreshes of this pair that were begun and whose end is unknown",
    )


class PendingLogin(Base):
    """An authorization that a person has begun: any process may serve the callback."""

    __tablename__ = "pending_logins"
    __table_args__ = options("Logins under way, single use", Index(None, "created_at"))

    state: Mapped[str] = mapped_column(Sha256, primary_key=True, comment="SHA-256 of the state sent with the person")
    domain: Mapped[str] = mapped_column(KeyText, comment="The portal's host name")
    redirect_uri: Mapped[str] = mapped_column(LongText, comment="Where the portal sends the code")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="When it was begun")
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="When it is worth nothing any more")
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="When the callback came")
    outcome: Mapped[str | None] = mapped_column(Word, comment="connected or failed; NULL while it is open")
    error: Mapped[str | None] = mapped_column(LongText, comment="What went wrong, for the person")
