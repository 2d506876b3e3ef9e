"""The first schema: portals and their accounts, the mirror, its bookkeeping, and views for people who only read.

Revises: none
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql")
UTC_TIME = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "sqlite_autoincrement": True,
}

# What the three databases say differently.
WORDS = {
    "sqlite": {
        "now": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",  # as the stored texts are written
        "today": "date('now')",
        "age": "CAST(strftime('%s', 'now') AS INTEGER) - CAST(strftime('%s', {0}) AS INTEGER)",
        "join": "{0} || ' ' || {1}",
    },
    "postgresql": {
        "now": "now()",
        "today": "CAST(now() AT TIME ZONE 'UTC' AS date)",
        "age": "CAST(EXTRACT(EPOCH FROM now() - {0}) AS bigint)",
        "join": "{0} || ' ' || {1}",
    },
    "mysql": {
        "now": "UTC_TIMESTAMP(6)",
        "today": "UTC_DATE()",
        "age": "TIMESTAMPDIFF(SECOND, {0}, UTC_TIMESTAMP(6))",
        "join": "CONCAT({0}, ' ', {1})",
    },
}

TABLES = (
    "portals",
    "accounts",
    "oauth_tokens",
    "pending_logins",
    "users",
    "tasks",
    "planner_tasks",
    "calendar_sections",
    "calendar_events",
    "calendar_occurrences",
    "event_attendees",
    "sync_cursors",
    "sync_runs",
    "rejected_records",
    "request_budgets",
    "closed_methods",
)

VIEWS = {
    "open_tasks": "Tasks that are not completed, with names",
    "overdue_tasks": "Open tasks whose deadline is over",
    "upcoming_events": "Instances of events from now on, within the window",
    "portal_freshness": "How fresh the mirror of each portal is",
}


def upgrade() -> None:
    _create_access()
    _create_entities()
    _create_agenda()
    _create_bookkeeping()
    _create_views()


def downgrade() -> None:
    """Everything is lost."""
    for view in reversed(VIEWS):
        op.execute(f"DROP VIEW {view}")
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_access() -> None:
    op.create_table(
        "portals",
        sa.Column("id", KEY, nullable=False, comment="Our number of the portal"),
        sa.Column(
            "member_id",
            sa.String(length=191),
            nullable=False,
            comment="The portal's own lasting ID; domain:<host> until an OAuth connection told it",
        ),
        sa.Column("domain", sa.String(length=191), nullable=False, comment="The portal's host name, may change"),
        sa.Column("rest_url", TEXT, nullable=False, comment="Where REST calls go, without any secret"),
        sa.Column("oauth_url", TEXT, nullable=True, comment="The token server this portal named, if it did"),
        sa.Column(
            "status",
            sa.String(length=32),
            nullable=False,
            comment="active, paused (by an operator) or closed (the portal serves us no more)",
        ),
        sa.Column("status_reason", TEXT, nullable=True, comment="Why it is paused or closed"),
        sa.Column("created_at", UTC_TIME, nullable=False, comment="When it was first connected"),
        sa.Column(
            "next_run_at",
            UTC_TIME,
            nullable=True,
            comment="When the next job is due (the earliest of its resources); NULL: at once",
        ),
        sa.Column(
            "enqueued_until", UTC_TIME, nullable=True, comment="A message for this portal is under way until then"
        ),
        sa.Column("lease_owner", sa.String(length=191), nullable=True, comment="Who works on the portal now"),
        sa.Column("lease_until", UTC_TIME, nullable=True, comment="When that lease runs out"),
        sa.Column(
            "fence",
            sa.BigInteger(),
            nullable=False,
            comment="Grows with every lease; who holds an older one writes nothing",
        ),
        sa.Column(
            "events_mode",
            sa.String(length=32),
            nullable=True,
            comment="Offline events: confirm, hints or polling (none for this account); NULL: not asked yet",
        ),
        sa.Column(
            "events_checked_at",
            UTC_TIME,
            nullable=True,
            comment="When it was last asked which events are bound; NULL: ask at once",
        ),
        sa.Column(
            "events_process_id",
            sa.String(length=191),
            nullable=True,
            comment="Events taken under this ID are not cleared yet: they are asked for again",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_portals"),
        sa.UniqueConstraint("member_id", name="uq_portals_member_id"),
        comment="Connected Bitrix24 portals",
        **OPTIONS,
    )
    op.create_index("ix_portals_domain", "portals", ["domain"])
    op.create_index("ix_portals_status_next_run_at", "portals", ["status", "next_run_at"])
    op.create_table(
        "accounts",
        sa.Column("id", KEY, nullable=False, comment="Our number of the account"),
        sa.Column("portal_id", sa.BigInteger(), nullable=False, comment="The portal: portals.id"),
        sa.Column("user_id", sa.BigInteger(), nullable=False, comment="The user's ID on the portal"),
        sa.Column("kind", sa.String(length=32), nullable=False, comment="oauth or webhook"),
        sa.Column("is_primary", sa.Boolean(), nullable=False, comment="Whether this account reads the portal"),
        sa.Column("scope", TEXT, nullable=False, comment="Scopes granted, separated by commas"),
        sa.Column(
            "status", sa.String(length=32), nullable=False, comment="ok, needs_reauth, payment_required or app_removed"
        ),
        sa.Column("status_reason", TEXT, nullable=True, comment="Why it is not ok"),
        sa.Column("is_admin", sa.Boolean(), nullable=True, comment="Whether the user is an administrator, if known"),
        sa.Column("time_zone", sa.String(length=191), nullable=True, comment="The user's time zone, from the profile"),
        sa.Column("profile_read_at", UTC_TIME, nullable=True, comment="When the profile was last read"),
        sa.Column("created_at", UTC_TIME, nullable=False, comment="When it was first connected"),
        sa.ForeignKeyConstraint(["portal_id"], ["portals.id"], name="fk_accounts_portal_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("portal_id", "user_id", "kind", name="uq_accounts_portal_id_user_id_kind"),
        comment="Authorizations on portals",
        **OPTIONS,
    )
    op.create_table(
        "oauth_tokens",
        sa.Column(
            "account_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The account: accounts.id"
        ),
        sa.Column(
            "access_token_encrypted", TEXT, nullable=False, comment="Access token, or the secret of a webhook; Fernet"
        ),
        sa.Column("refresh_token_encrypted", TEXT, nullable=True, comment="Refresh token, Fernet; NULL for a webhook"),
        sa.Column(
            "expires_in", sa.BigInteger(), nullable=False, comment="Life of the access token, in seconds, as granted"
        ),
        sa.Column(
            "access_expires_at", UTC_TIME, nullable=False, comment="When the access token ends; a webhook's is far away"
        ),
        sa.Column("refresh_issued_at", UTC_TIME, nullable=False, comment="When the refresh token was handed out"),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="Grows by one with every replaced pair"),
        sa.Column("lease_owner", sa.String(length=191), nullable=True, comment="Who refreshes this pair now"),
        sa.Column("lease_until", UTC_TIME, nullable=True, comment="When the right to refresh runs out"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_oauth_tokens_account_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", name="pk_oauth_tokens"),
        comment="Secrets of the accounts, encrypted",
        **OPTIONS,
    )
    op.create_table(
        "pending_logins",
        sa.Column("state", sa.String(length=64), nullable=False, comment="SHA-256 of the state sent with the person"),
        sa.Column("domain", sa.String(length=191), nullable=False, comment="The portal's host name"),
        sa.Column("redirect_uri", TEXT, nullable=False, comment="Where the portal sends the code"),
        sa.Column("created_at", UTC_TIME, nullable=False, comment="When it was begun"),
        sa.Column("expires_at", UTC_TIME, nullable=False, comment="When it is worth nothing any more"),
        sa.Column("used_at", UTC_TIME, nullable=True, comment="When the callback came"),
        sa.Column("outcome", sa.String(length=32), nullable=True, comment="connected or failed; NULL while it is open"),
        sa.Column("error", TEXT, nullable=True, comment="What went wrong, for the person"),
        sa.PrimaryKeyConstraint("state", name="pk_pending_logins"),
        comment="Logins under way, single use",
        **OPTIONS,
    )
    op.create_index("ix_pending_logins_created_at", "pending_logins", ["created_at"])


def _create_entities() -> None:
    op.create_table(
        "users",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column(
            "user_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The user's ID on the portal"
        ),
        sa.Column("name", TEXT, nullable=True, comment="First name"),
        sa.Column("last_name", TEXT, nullable=True, comment="Last name"),
        sa.Column("second_name", TEXT, nullable=True, comment="Middle name"),
        sa.Column("email", TEXT, nullable=True, comment="E-mail address"),
        sa.Column("active", sa.Boolean(), nullable=True, comment="False: dismissed"),
        sa.Column("work_position", TEXT, nullable=True, comment="Position"),
        sa.Column("departments", TEXT, nullable=True, comment="IDs of departments, ascending, JSON list"),
        sa.Column("user_type", TEXT, nullable=True, comment="employee, extranet, ... as sent"),
        sa.Column("time_zone", TEXT, nullable=True, comment="IANA time zone of the user"),
        sa.Column("raw", TEXT, nullable=False, comment="The record as the portal sent it, JSON"),
        sa.Column(
            "content_hash",
            sa.String(length=32),
            nullable=False,
            comment="Hash of the content in canonical form; equal means: nothing changed that is the entity's own",
        ),
        sa.Column("first_seen_at", UTC_TIME, nullable=False, comment="When the row was first written (our clock)"),
        sa.Column(
            "updated_at",
            UTC_TIME,
            nullable=False,
            comment="When the row was last written because its content changed (our clock)",
        ),
        sa.Column(
            "deleted_at",
            UTC_TIME,
            nullable=True,
            comment="When the record was found gone or no longer visible (our clock); NULL: it is there",
        ),
        sa.ForeignKeyConstraint(["portal_id"], ["portals.id"], name="fk_users_portal_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("portal_id", "user_id", name="pk_users"),
        comment="People of the portals",
        **OPTIONS,
    )
    op.create_table(
        "tasks",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column(
            "task_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The task's ID on the portal"
        ),
        sa.Column("title", TEXT, nullable=True, comment="Title"),
        sa.Column("description", TEXT, nullable=True, comment="Description as stored: BBCode or HTML"),
        sa.Column(
            "status",
            sa.BigInteger(),
            nullable=True,
            comment="2 waiting, 3 in progress, 4 awaits control, 5 completed, 6 deferred",
        ),
        sa.Column("priority", sa.BigInteger(), nullable=True, comment="0 low, 1 average, 2 high"),
        sa.Column("created_by_id", sa.BigInteger(), nullable=True, comment="Who set the task: users.user_id"),
        sa.Column("responsible_id", sa.BigInteger(), nullable=True, comment="Who is responsible: users.user_id"),
        sa.Column("group_id", sa.BigInteger(), nullable=True, comment="Workgroup or project"),
        sa.Column("parent_id", sa.BigInteger(), nullable=True, comment="Parent task: tasks.task_id"),
        sa.Column("stage_id", sa.BigInteger(), nullable=True, comment="Kanban stage"),
        sa.Column("deadline", UTC_TIME, nullable=True, comment="Deadline"),
        sa.Column("created_at", UTC_TIME, nullable=True, comment="When it was created on the portal"),
        sa.Column("changed_at", UTC_TIME, nullable=True, comment="When it was last changed on the portal"),
        sa.Column("activity_at", UTC_TIME, nullable=True, comment="Last activity: a comment, a change"),
        sa.Column("closed_at", UTC_TIME, nullable=True, comment="When it was completed"),
        sa.Column("start_plan_at", UTC_TIME, nullable=True, comment="Planned start"),
        sa.Column("end_plan_at", UTC_TIME, nullable=True, comment="Planned end"),
        sa.Column("started_at", UTC_TIME, nullable=True, comment="When work on it began"),
        sa.Column("time_estimate_seconds", sa.BigInteger(), nullable=True, comment="Estimate, seconds"),
        sa.Column("time_spent_seconds", sa.BigInteger(), nullable=True, comment="Time logged, seconds"),
        sa.Column("accomplices", TEXT, nullable=True, comment="Participants: user IDs ascending, JSON list"),
        sa.Column("auditors", TEXT, nullable=True, comment="Observers: user IDs ascending, JSON list"),
        sa.Column("tags", TEXT, nullable=True, comment="Titles of tags, sorted, JSON list"),
        sa.Column("crm_links", TEXT, nullable=True, comment="CRM items such as D_12, in sent order, JSON list"),
        sa.Column("raw", TEXT, nullable=False, comment="The record as the portal sent it, JSON"),
        sa.Column(
            "content_hash",
            sa.String(length=32),
            nullable=False,
            comment="Hash of the content in canonical form; equal means: nothing changed that is the entity's own",
        ),
        sa.Column("first_seen_at", UTC_TIME, nullable=False, comment="When the row was first written (our clock)"),
        sa.Column(
            "updated_at",
            UTC_TIME,
            nullable=False,
            comment="When the row was last written because its content changed (our clock)",
        ),
        sa.Column(
            "deleted_at",
            UTC_TIME,
            nullable=True,
            comment="When the record was found gone or no longer visible (our clock); NULL: it is there",
        ),
        sa.ForeignKeyConstraint(["portal_id"], ["portals.id"], name="fk_tasks_portal_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("portal_id", "task_id", name="pk_tasks"),
        comment="Bitrix24 tasks",
        **OPTIONS,
    )
    op.create_index("ix_tasks_portal_id_changed_at", "tasks", ["portal_id", "changed_at"])
    op.create_index("ix_tasks_portal_id_deadline", "tasks", ["portal_id", "deadline"])
    op.create_index("ix_tasks_portal_id_responsible_id_status", "tasks", ["portal_id", "responsible_id", "status"])
    op.create_table(
        "planner_tasks",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="Whose plan: users.user_id"),
        sa.Column("planned_on", sa.Date(), nullable=False, comment="The day, in the user's time zone"),
        sa.Column("task_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The task: tasks.task_id"),
        sa.Column("position", sa.Integer(), nullable=False, comment="Place in the plan, from 0"),
        sa.Column("read_at", UTC_TIME, nullable=False, comment="When the row was last written (our clock)"),
        sa.ForeignKeyConstraint(["portal_id"], ["portals.id"], name="fk_planner_tasks_portal_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("portal_id", "user_id", "planned_on", "task_id", name="pk_planner_tasks"),
        comment="Tasks that users planned for a day",
        **OPTIONS,
    )


def _create_agenda() -> None:
    op.create_table(
        "calendar_sections",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column(
            "section_id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="The calendar's ID on the portal",
        ),
        sa.Column("calendar_type", TEXT, nullable=True, comment="user, group, company_calendar, ... as sent"),
        sa.Column("owner_id", sa.BigInteger(), nullable=True, comment="The user or the group; 0: the company"),
        sa.Column("name", TEXT, nullable=True, comment="Name"),
        sa.Column("description", TEXT, nullable=True, comment="Description"),
        sa.Column("color", TEXT, nullable=True, comment="Colour of its events"),
        sa.Column("text_color", TEXT, nullable=True, comment="Colour of the text on it"),
        sa.Column("raw", TEXT, nullable=False, comment="The record as the portal sent it, JSON"),
        sa.Column(
            "content_hash",
            sa.String(length=32),
            nullable=False,
            comment="Hash of the content in canonical form; equal means: nothing changed that is the entity's own",
        ),
        sa.Column("first_seen_at", UTC_TIME, nullable=False, comment="When the row was first written (our clock)"),
        sa.Column(
            "updated_at",
            UTC_TIME,
            nullable=False,
            comment="When the row was last written because its content changed (our clock)",
        ),
        sa.Column(
            "deleted_at",
            UTC_TIME,
            nullable=True,
            comment="When the record was found gone or no longer visible (our clock); NULL: it is there",
        ),
        sa.ForeignKeyConstraint(
            ["portal_id"], ["portals.id"], name="fk_calendar_sections_portal_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("portal_id", "section_id", name="pk_calendar_sections"),
        comment="Calendars of users, groups and the company",
        **OPTIONS,
    )
    op.create_table(
        "calendar_events",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column(
            "event_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The event's ID on the portal"
        ),
        sa.Column("section_id", sa.BigInteger(), nullable=True, comment="The calendar: calendar_sections.section_id"),
        sa.Column(
            "parent_event_id",
            sa.BigInteger(),
            nullable=True,
            comment="The meeting this row is one participant's copy of: calendar_events.event_id",
        ),
        sa.Column(
            "recurrence_event_id",
            sa.BigInteger(),
            nullable=True,
            comment="The series this single event was taken out of: calendar_events.event_id",
        ),
        sa.Column("calendar_type", TEXT, nullable=True, comment="user, group, company_calendar, ... as sent"),
        sa.Column("owner_id", sa.BigInteger(), nullable=True, comment="The user or the group; 0: the company"),
        sa.Column("name", TEXT, nullable=True, comment="Name"),
        sa.Column("description", TEXT, nullable=True, comment="Description"),
        sa.Column("location", TEXT, nullable=True, comment="Place, as sent"),
        sa.Column("all_day", sa.Boolean(), nullable=True, comment="Whole days: starts_on and ends_on hold"),
        sa.Column(
            "starts_at",
            UTC_TIME,
            nullable=True,
            comment="Start of the (first) instance; all-day: midnight UTC of starts_on",
        ),
        sa.Column(
            "ends_at", UTC_TIME, nullable=True, comment="End of the (first) instance; all-day: midnight UTC of ends_on"
        ),
        sa.Column("starts_on", sa.Date(), nullable=True, comment="First day, all-day events only"),
        sa.Column("ends_on", sa.Date(), nullable=True, comment="Last day, inclusive, all-day events only"),
        sa.Column("time_zone", TEXT, nullable=True, comment="IANA time zone of the start"),
        sa.Column("recurrence_rule", TEXT, nullable=True, comment="RFC 5545 rule; NULL: not a series"),
        sa.Column(
            "excluded_dates",
            TEXT,
            nullable=True,
            comment="Days on which the series does not take place, ascending, JSON list",
        ),
        sa.Column("meeting_host_id", sa.BigInteger(), nullable=True, comment="Who invited: users.user_id"),
        sa.Column("is_meeting", sa.Boolean(), nullable=True, comment="Whether others are invited"),
        sa.Column("importance", TEXT, nullable=True, comment="high, normal or low, as sent"),
        sa.Column("accessibility", TEXT, nullable=True, comment="busy, free, absent, ... as sent"),
        sa.Column("private", sa.Boolean(), nullable=True, comment="Hidden from others"),
        sa.Column("color", TEXT, nullable=True, comment="Colour"),
        sa.Column("masked", sa.Boolean(), nullable=True, comment="The account was not shown the real content"),
        sa.Column(
            "title_masked", sa.Boolean(), nullable=True, comment="Masked, and the name is a stand-in such as [Busy]"
        ),
        sa.Column(
            "visible_hash",
            sa.String(length=32),
            nullable=True,
            comment="Hash of what a mask does not hide: when it is and in whose calendar",
        ),
        sa.Column("raw", TEXT, nullable=False, comment="The record as the portal sent it, JSON"),
        sa.Column(
            "content_hash",
            sa.String(length=32),
            nullable=False,
            comment="Hash of the content in canonical form; equal means: nothing changed that is the entity's own",
        ),
        sa.Column("first_seen_at", UTC_TIME, nullable=False, comment="When the row was first written (our clock)"),
        sa.Column(
            "updated_at",
            UTC_TIME,
            nullable=False,
            comment="When the row was last written because its content changed (our clock)",
        ),
        sa.Column(
            "deleted_at",
            UTC_TIME,
            nullable=True,
            comment="When the record was found gone or no longer visible (our clock); NULL: it is there",
        ),
        sa.ForeignKeyConstraint(["portal_id"], ["portals.id"], name="fk_calendar_events_portal_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("portal_id", "event_id", name="pk_calendar_events"),
        comment="Calendar events; a series is one row",
        **OPTIONS,
    )
    op.create_index(
        "ix_calendar_events_portal_id_calendar_type_owner_id",
        "calendar_events",
        ["portal_id", "calendar_type", "owner_id"],
        mysql_length={"calendar_type": 32},
    )
    op.create_table(
        "calendar_occurrences",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column(
            "event_id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="The event: calendar_events.event_id",
        ),
        sa.Column("starts_at", UTC_TIME, nullable=False, comment="Start; all-day: midnight UTC of starts_on"),
        sa.Column("ends_at", UTC_TIME, nullable=False, comment="End; all-day: midnight UTC of ends_on"),
        sa.Column("all_day", sa.Boolean(), nullable=False, comment="Whole days: starts_on and ends_on hold"),
        sa.Column("starts_on", sa.Date(), nullable=True, comment="First day, all-day events only"),
        sa.Column("ends_on", sa.Date(), nullable=True, comment="Last day, inclusive, all-day events only"),
        sa.ForeignKeyConstraint(
            ["portal_id"], ["portals.id"], name="fk_calendar_occurrences_portal_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("portal_id", "event_id", "starts_at", name="pk_calendar_occurrences"),
        comment="Every instance of an event that overlaps the window",
        **OPTIONS,
    )
    op.create_index("ix_calendar_occurrences_portal_id_starts_at", "calendar_occurrences", ["portal_id", "starts_at"])
    op.create_table(
        "event_attendees",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column(
            "event_id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="The meeting's parent where it is known, else the copy itself",
        ),
        sa.Column(
            "user_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="Who is invited: users.user_id"
        ),
        sa.Column("status", TEXT, nullable=True, comment="H host, Y accepted, N declined, Q asked; as sent"),
        sa.ForeignKeyConstraint(["portal_id"], ["portals.id"], name="fk_event_attendees_portal_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("portal_id", "event_id", "user_id", name="pk_event_attendees"),
        comment="People invited to meetings",
        **OPTIONS,
    )
    op.create_index("ix_event_attendees_portal_id_user_id", "event_attendees", ["portal_id", "user_id"])


def _create_bookkeeping() -> None:
    op.create_table(
        "sync_cursors",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column("resource", sa.String(length=32), nullable=False, comment="tasks, calendar, planner or users"),
        sa.Column(
            "cursor_at",
            UTC_TIME,
            nullable=True,
            comment="All changes before this (the portal's clock) are in the mirror",
        ),
        sa.Column("bookmark", TEXT, nullable=True, comment="Where a run that was cut off goes on, JSON"),
        sa.Column("last_full_at", UTC_TIME, nullable=True, comment="Last complete reading"),
        sa.Column("last_reconcile_at", UTC_TIME, nullable=True, comment="Last complete sweep of all IDs"),
        sa.Column(
            "complete_as_admin",
            sa.Boolean(),
            nullable=True,
            comment="Whether the last complete run was an administrator's",
        ),
        sa.Column("complete_scope", TEXT, nullable=True, comment="Scopes of the last complete run"),
        sa.Column("next_run_at", UTC_TIME, nullable=True, comment="When it is due again; NULL: at once"),
        sa.Column("last_run_at", UTC_TIME, nullable=True, comment="When its last run ended"),
        sa.Column("last_status", sa.String(length=32), nullable=True, comment="ok, incomplete, guarded or failed"),
        sa.ForeignKeyConstraint(["portal_id"], ["portals.id"], name="fk_sync_cursors_portal_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("portal_id", "resource", name="pk_sync_cursors"),
        comment="Where the next run of a resource starts",
        **OPTIONS,
    )
    op.create_table(
        "sync_runs",
        sa.Column("id", KEY, nullable=False, comment="Our number of the run"),
        sa.Column("portal_id", sa.BigInteger(), nullable=False, comment="The portal: portals.id"),
        sa.Column("resource", sa.String(length=32), nullable=False, comment="tasks, calendar, planner or users"),
        sa.Column("mode", sa.String(length=32), nullable=False, comment="full, incremental, reconcile or events"),
        sa.Column("status", sa.String(length=32), nullable=False, comment="ok, incomplete, guarded or failed"),
        sa.Column("started_at", UTC_TIME, nullable=False, comment="Start (our clock)"),
        sa.Column("finished_at", UTC_TIME, nullable=False, comment="End (our clock)"),
        sa.Column("fetched", sa.BigInteger(), nullable=False, comment="Records read"),
        sa.Column("inserted", sa.BigInteger(), nullable=False, comment="Rows new"),
        sa.Column("updated", sa.BigInteger(), nullable=False, comment="Rows changed"),
        sa.Column("unchanged", sa.BigInteger(), nullable=False, comment="Rows left as they were"),
        sa.Column("deleted", sa.BigInteger(), nullable=False, comment="Rows marked as deleted"),
        sa.Column("revived", sa.BigInteger(), nullable=False, comment="Rows that came back"),
        sa.Column("rejected", sa.BigInteger(), nullable=False, comment="Records that could not become rows"),
        sa.Column("http_requests", sa.BigInteger(), nullable=False, comment="HTTP requests"),
        sa.Column("calls", sa.BigInteger(), nullable=False, comment="REST calls"),
        sa.Column("retries", sa.BigInteger(), nullable=False, comment="Requests repeated after a failure"),
        sa.Column("refreshes", sa.BigInteger(), nullable=False, comment="Tokens refreshed"),
        sa.Column("waited_seconds", sa.Double(), nullable=False, comment="Time waited for the portal's limits"),
        sa.Column("seconds", sa.Double(), nullable=False, comment="Duration"),
        sa.Column("error", TEXT, nullable=True, comment="What went wrong"),
        sa.Column("folded", sa.Integer(), nullable=False, comment="How many runs this row sums up"),
        sa.ForeignKeyConstraint(["portal_id"], ["portals.id"], name="fk_sync_runs_portal_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_sync_runs"),
        comment="Runs and their figures; quiet runs are folded into one row an hour",
        **OPTIONS,
    )
    op.create_index("ix_sync_runs_portal_id_resource_started_at", "sync_runs", ["portal_id", "resource", "started_at"])
    op.create_index("ix_sync_runs_started_at", "sync_runs", ["started_at"])
    op.create_table(
        "rejected_records",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column("resource", sa.String(length=32), nullable=False, comment="tasks, calendar, planner or users"),
        sa.Column(
            "record_key", sa.String(length=191), nullable=False, comment="The record's ID, or what stands for it"
        ),
        sa.Column("payload", TEXT, nullable=False, comment="The record as the portal sent it, JSON"),
        sa.Column("reason", TEXT, nullable=False, comment="Why it was rejected"),
        sa.Column("first_seen_at", UTC_TIME, nullable=False, comment="First rejection (our clock)"),
        sa.Column("last_tried_at", UTC_TIME, nullable=False, comment="Last rejection (our clock)"),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="How often it was rejected"),
        sa.ForeignKeyConstraint(
            ["portal_id"], ["portals.id"], name="fk_rejected_records_portal_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("portal_id", "resource", "record_key", name="pk_rejected_records"),
        comment="Records that could not become rows",
        **OPTIONS,
    )
    op.create_index("ix_rejected_records_first_seen_at", "rejected_records", ["first_seen_at"])
    op.create_table(
        "request_budgets",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column("level", sa.Double(), nullable=False, comment="Requests in the bucket at level_at"),
        sa.Column("level_at", sa.Double(), nullable=False, comment="When level was true, Unix time in seconds"),
        sa.Column("per_second", sa.Double(), nullable=False, comment="How fast the bucket empties"),
        sa.Column("burst", sa.Double(), nullable=False, comment="How much the bucket holds"),
        sa.ForeignKeyConstraint(["portal_id"], ["portals.id"], name="fk_request_budgets_portal_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("portal_id", name="pk_request_budgets"),
        comment="Request budgets of the portals, shared by all processes",
        **OPTIONS,
    )
    op.create_table(
        "closed_methods",
        sa.Column("portal_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="The portal: portals.id"),
        sa.Column("method", sa.String(length=191), nullable=False, comment="REST method"),
        sa.Column("until", UTC_TIME, nullable=False, comment="Nobody calls it before this"),
        sa.ForeignKeyConstraint(["portal_id"], ["portals.id"], name="fk_closed_methods_portal_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("portal_id", "method", name="pk_closed_methods"),
        comment="Methods a portal has closed for a while",
        **OPTIONS,
    )


def _create_views() -> None:
    dialect = op.get_context().dialect.name
    words = WORDS[dialect]
    selects = {
        "open_tasks": _open_tasks(words),
        "overdue_tasks": f"SELECT * FROM open_tasks WHERE deadline < {words['now']}",  # noqa: S608 - made of constants
        "upcoming_events": _upcoming_events(words),
        "portal_freshness": _portal_freshness(words),
    }
    for view, comment in VIEWS.items():
        op.execute(f"CREATE VIEW {view} AS {selects[view]}")
        if dialect == "postgresql":
            op.execute(f"COMMENT ON VIEW {view} IS '{comment}'")


def _name(words: dict[str, str], user: str) -> str:
    """First and last name; NULL when neither is known."""
    joined = words["join"].format(f"COALESCE({user}.name, '')", f"COALESCE({user}.last_name, '')")
    return f"NULLIF(TRIM({joined}), '')"


def _open_tasks(words: dict[str, str]) -> str:
    return f"""
        SELECT portals.domain AS portal, tasks.task_id, tasks.title,
            {_name(words, "responsible")} AS responsible, {_name(words, "creator")} AS created_by,
            tasks.status, tasks.priority, tasks.deadline, tasks.created_at, tasks.changed_at, tasks.group_id,
            tasks.parent_id, tasks.responsible_id, tasks.created_by_id, tasks.portal_id
        FROM tasks
        JOIN portals ON portals.id = tasks.portal_id
        LEFT JOIN users AS responsible
            ON responsible.portal_id = tasks.portal_id AND responsible.user_id = tasks.responsible_id
        LEFT JOIN users AS creator
            ON creator.portal_id = tasks.portal_id AND creator.user_id = tasks.created_by_id
        WHERE tasks.deleted_at IS NULL AND (tasks.status IS NULL OR tasks.status <> 5)
    """  # noqa: S608 - made of constants


def _upcoming_events(words: dict[str, str]) -> str:
    return f"""
        SELECT portals.domain AS portal, events.event_id, events.name, occurrences.starts_at, occurrences.ends_at,
            occurrences.all_day, occurrences.starts_on, occurrences.ends_on, events.location,
            sections.name AS calendar, events.calendar_type, {_name(words, "owner")} AS owner,
            events.owner_id, events.is_meeting, events.parent_event_id, events.portal_id
        FROM calendar_occurrences AS occurrences
        JOIN calendar_events AS events
            ON events.portal_id = occurrences.portal_id AND events.event_id = occurrences.event_id
        JOIN portals ON portals.id = occurrences.portal_id
        LEFT JOIN calendar_sections AS sections
            ON sections.portal_id = events.portal_id AND sections.section_id = events.section_id
        LEFT JOIN users AS owner
            ON owner.portal_id = events.portal_id AND owner.user_id = events.owner_id AND events.calendar_type = 'user'
        WHERE events.deleted_at IS NULL AND (
            (occurrences.all_day AND occurrences.ends_on >= {words["today"]})
            OR (NOT occurrences.all_day AND occurrences.ends_at >= {words["now"]})
        )
    """  # noqa: S608 - made of constants


def _portal_freshness(words: dict[str, str]) -> str:
    return f"""
        SELECT portals.domain AS portal, portals.status AS portal_status, cursors.resource, cursors.cursor_at,
            cursors.last_run_at, cursors.last_status, {words["age"].format("cursors.last_run_at")} AS seconds_since_run,
            cursors.next_run_at, cursors.last_full_at, cursors.last_reconcile_at, cursors.portal_id
        FROM sync_cursors AS cursors
        JOIN portals ON portals.id = cursors.portal_id
    """  # noqa: S608 - made of constants
