"""How the mirror is kept: cursors, runs, rejected records and budgets."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Double, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from worker.storage.columns import BigKey, KeyText, LongText, Sha256, UtcDateTime, Word
from worker.storage.models.base import Base, of_portal, options


class SyncCursor(Base):
    """Where the next run of a resource starts."""

    __tablename__ = "sync_cursors"
    __table_args__ = options("Where the next run of a resource starts")

    portal_id: Mapped[int] = of_portal()
    resource: Mapped[str] = mapped_column(Word, primary_key=True, comment="tasks, calendar, planner or users")
    cursor_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, comment="All changes before this (the portal's clock) are in the mirror"
    )
    bookmark: Mapped[str | None] = mapped_column(LongText, comment="Where a run that was cut off goes on, JSON")
    last_full_at: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="Last complete reading")
    last_reconcile_at: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="Last complete sweep of all IDs")
    complete_as_admin: Mapped[bool | None] = mapped_column(
        Boolean, comment="Whether the last complete run was an administrator's"
    )
    complete_scope: Mapped[str | None] = mapped_column(LongText, comment="Scopes of the last complete run")
    next_run_at: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="When it is due again; NULL: at once")
    last_run_at: Mapped[datetime | None] = mapped_column(UtcDateTime, comment="When its last run ended")
    last_status: Mapped[str | None] = mapped_column(Word, comment="ok, incomplete, guarded or failed")


class SyncRun(Base):
    """One run of one resource, or the sum of an hour's quiet ones."""

    __tablename__ = "sync_runs"
    __table_args__ = options(
        "Runs and their figures; quiet runs are folded into one row an hour",
        Index(None, "portal_id", "resource", "started_at"),
        Index(None, "started_at"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, comment="Our number of the run")
    portal_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("portals.id", ondelete="CASCADE"), comment="The portal: portals.id"
    )
    resource: Mapped[str] = mapped_column(Word, comment="tasks, calendar, planner or users")
    mode: Mapped[str] = mapped_column(Word, comment="full, incremental, reconcile or events")
    status: Mapped[str] = mapped_column(Word, comment="ok, incomplete, guarded or failed")
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="Start (our clock)")
    finished_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="End (our clock)")
    fetched: Mapped[int] = mapped_column(BigInteger, default=0, comment="Records read")
    inserted: Mapped[int] = mapped_column(BigInteger, default=0, comment="Rows new")
    updated: Mapped[int] = mapped_column(BigInteger, default=0, comment="Rows changed")
    unchanged: Mapped[int] = mapped_column(BigInteger, default=0, comment="Rows left as they were")
    deleted: Mapped[int] = mapped_column(BigInteger, default=0, comment="Rows marked as deleted")
    revived: Mapped[int] = mapped_column(BigInteger, default=0, comment="Rows that came back")
    rejected: Mapped[int] = mapped_column(BigInteger, default=0, comment="Records that could not become rows")
    http_requests: Mapped[int] = mapped_column(BigInteger, default=0, comment="HTTP requests")
    calls: Mapped[int] = mapped_column(BigInteger, default=0, comment="REST calls")
    retries: Mapped[int] = mapped_column(BigInteger, default=0, comment="Requests repeated after a failure")
    refreshes: Mapped[int] = mapped_column(BigInteger, default=0, comment="Tokens refreshed")
    waited_seconds: Mapped[float] = mapped_column(Double, default=0.0, comment="Time waited for the portal's limits")
    seconds: Mapped[float] = mapped_column(Double, default=0.0, comment="Duration")
    error: Mapped[str | None] = mapped_column(LongText, comment="What went wrong")
    folded: Mapped[int] = mapped_column(Integer, default=1, comment="How many runs this row sums up")


class RunTotal(Base):
    """The sum of all runs of a resource that ended alike, since the portal was connected."""

    __tablename__ = "run_totals"
    __table_args__ = options("Sums over all runs, also those that are deleted: they only grow")

    portal_id: Mapped[int] = of_portal()
    resource: Mapped[str] = mapped_column(Word, primary_key=True, comment="tasks, calendar, planner or users")
    status: Mapped[str] = mapped_column(Word, primary_key=True, comment="ok, incomplete, guarded or failed")
    runs: Mapped[int] = mapped_column(BigInteger, comment="Runs that ended so")
    fetched: Mapped[int] = mapped_column(BigInteger, comment="Records read")
    inserted: Mapped[int] = mapped_column(BigInteger, comment="Rows new")
    updated: Mapped[int] = mapped_column(BigInteger, comment="Rows changed")
    unchanged: Mapped[int] = mapped_column(BigInteger, comment="Rows left as they were")
    deleted: Mapped[int] = mapped_column(BigInteger, comment="Rows marked as deleted")
    revived: Mapped[int] = mapped_column(BigInteger, comment="Rows that came back")
    rejected: Mapped[int] = mapped_column(BigInteger, comment="Records that could not become rows")
    http_requests: Mapped[int] = mapped_column(BigInteger, comment="HTTP requests")
    calls: Mapped[int] = mapped_column(BigInteger, comment="REST calls")
    retries: Mapped[int] = mapped_column(BigInteger, comment="Requests repeated after a failure")
    refreshes: Mapped[int] = mapped_column(BigInteger, comment="Tokens refreshed")
    waited_seconds: Mapped[float] = mapped_column(Double, comment="Time waited for the portal's limits")
    seconds: Mapped[float] = mapped_column(Double, comment="Duration")


class RejectedRecord(Base):
    """A record that could not become a row; tried again at every run."""

    __tablename__ = "rejected_records"
    __table_args__ = options("Records that could not become rows", Index(None, "first_seen_at"))

    portal_id: Mapped[int] = of_portal()
    resource: Mapped[str] = mapped_column(Word, primary_key=True, comment="tasks, calendar, planner or users")
    record_key: Mapped[str] = mapped_column(KeyText, primary_key=True, comment="The record's ID, or what stands for it")
    payload: Mapped[str] = mapped_column(LongText, comment="The record as the portal sent it, JSON")
    reason: Mapped[str] = mapped_column(LongText, comment="Why it was rejected")
    first_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="First rejection (our clock)")
    last_tried_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="Last rejection (our clock)")
    attempts: Mapped[int] = mapped_column(Integer, comment="How often it was rejected")


class RememberedAnswer(Base):
    """The last answer for one calendar that said nothing new, as a digest."""

    __tablename__ = "remembered_answers"
    __table_args__ = options(
        "What calendars last answered; emptied for a portal whenever anything of its calendars is written"
    )

    portal_id: Mapped[int] = of_portal()
    account_id: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="Who was answered: accounts.id"
    )
    calendar_type: Mapped[str] = mapped_column(Word, primary_key=True, comment="user, group or company_calendar")
    owner_id: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="The user or the group; 0: the company"
    )
    digest: Mapped[str] = mapped_column(
        Sha256, comment="Of the answer and of all that its meaning depends on; an equal one need not be read"
    )
    records: Mapped[int] = mapped_column(BigInteger, comment="Records in it")
    unchanged: Mapped[int] = mapped_column(BigInteger, comment="Those of them that are rows of the mirror")
    live: Mapped[int] = mapped_column(BigInteger, comment="Events of the mirror that it was held against")


class PortalCapability(Base):
    """One thing that a portal was found to do, or not to do."""

    __tablename__ = "portal_capabilities"
    __table_args__ = options("How portals behave, as probed; docs/capabilities.md explains each name")

    portal_id: Mapped[int] = of_portal()
    name: Mapped[str] = mapped_column(KeyText, primary_key=True, comment="What was probed, such as tasks.order")
    value: Mapped[str] = mapped_column(Word, comment="yes, no, unknown (nothing to look at) or a word of its own")
    evidence: Mapped[str] = mapped_column(LongText, comment="What was seen; nothing personal")
    probed_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="When (our clock)")


class SchemaDrift(Base):
    """One thing that records of a portal hold otherwise than this program knows them."""

    __tablename__ = "schema_drift"
    __table_args__ = options("What portals send otherwise than b24sync knows; kept in raw, and no failure")

    portal_id: Mapped[int] = of_portal()
    resource: Mapped[str] = mapped_column(Word, primary_key=True, comment="tasks, calendar or users")
    field: Mapped[str] = mapped_column(String(40), primary_key=True, comment="The field's name, as the portal sends it")
    kind: Mapped[str] = mapped_column(
        Word, primary_key=True, comment="field (unknown), shape (many for one, one for many) or code (a new word)"
    )
    example: Mapped[str] = mapped_column(String(40), comment="The kind of its value, or the new word; nothing personal")
    times: Mapped[int] = mapped_column(BigInteger, comment="Runs that met it")
    first_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="When first (our clock)")
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="When last (our clock)")


class RequestBudget(Base):
    """The leaky bucket of a portal, shared by all processes."""

    __tablename__ = "request_budgets"
    __table_args__ = options("Request budgets of the portals, shared by all processes")

    portal_id: Mapped[int] = of_portal()
    level: Mapped[float] = mapped_column(Double, default=0.0, comment="Requests in the bucket at level_at")
    # A number, not a date: the bucket is counted within one UPDATE, and dates have no common arithmetic.
    level_at: Mapped[float] = mapped_column(Double, default=0.0, comment="When level was true, Unix time in seconds")
    per_second: Mapped[float] = mapped_column(Double, default=2.0, comment="How fast the bucket empties")
    burst: Mapped[float] = mapped_column(Double, default=50.0, comment="How much the bucket holds")
    slow: Mapped[float] = mapped_column(
        Double, default=1.0, server_default="1", comment="Which part of per_second we took at slowed_at; it grows back"
    )
    slowed_at: Mapped[float] = mapped_column(
        Double, default=0.0, server_default="0", comment="When the portal last refused for its rate, Unix time"
    )


class ClosedMethod(Base):
    """A method whose operating time is used up."""

    __tablename__ = "closed_methods"
    __table_args__ = options("Methods a portal has closed for a while")

    portal_id: Mapped[int] = of_portal()
    method: Mapped[str] = mapped_column(KeyText, primary_key=True, comment="REST method")
    until: Mapped[datetime] = mapped_column(UtcDateTime, comment="Nobody calls it before this")


class RaisedAlert(Base):
    """Something that is, or was, the matter, and what the operator's webhook was told of it."""

    __tablename__ = "alerts"
    __table_args__ = options("What the alert webhook was told: nothing is told twice")

    portal_id: Mapped[int] = of_portal()
    kind: Mapped[str] = mapped_column(Word, primary_key=True, comment="account, portal, guard or stale")
    subject: Mapped[str] = mapped_column(
        KeyText, primary_key=True, comment="The account (accounts.id), or the resource; empty: the portal"
    )
    state: Mapped[str] = mapped_column(Word, comment="raised (it is the matter) or healed (it is over)")
    episode: Mapped[int] = mapped_column(BigInteger, comment="How often it has begun")
    since: Mapped[datetime] = mapped_column(UtcDateTime, comment="When it began (our clock)")
    text: Mapped[str] = mapped_column(LongText, comment="What is the matter, for the person")
    cure: Mapped[str] = mapped_column(LongText, comment="The command that helps")
    is_told: Mapped[bool] = mapped_column(Boolean, comment="Whether the webhook knows the state")
    attempts: Mapped[int] = mapped_column(Integer, comment="How often it was tried to tell it")
    next_try_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, comment="Not tried before this: a pause, or somebody is telling it; NULL: at once"
    )
