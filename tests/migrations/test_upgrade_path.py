"""Who installed the first version and upgrades finds everything: every row, every value, and the program on top."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet
from sqlalchemy import MetaData, Row, Table, text

from worker.cli import program
from worker.overview import look
from worker.storage import migrate, revisions
from worker.storage.cipher import Cipher
from worker.storage.session import Database
from worker.storage.tokens import SqlTokenStore

FIRST = "0001"
AT = datetime(2026, 11, 23, 9, 30, 15, 123456, tzinfo=UTC)
DAY = date(2026, 11, 23)
KEY = Fernet.generate_key().decode()
ZULU = Fernet(KEY)

MIRRORED = {"raw": '{"title":"Zażółć 🎉"}', "content_hash": "a" * 32, "first_seen_at": AT, "updated_at": AT}
PORTAL = {"portal_id": 1}

ROWS: Mapping[str, list[dict[str, Any]]] = {
    "portals": [
        {
            "id": 1,
            "member_id": "m1",
            "domain": "acme.bitrix24.com",
            "rest_url": "https://acme.bitrix24.com/rest/",
            "oauth_url": "https://oauth.bitrix.info",
            "status": "active",
            "created_at": AT,
            "next_run_at": AT,
            "fence": 7,
            "events_mode": "confirm",
            "events_checked_at": AT,
            "events_process_id": "p1",
        },
        {
            "id": 2,
            "member_id": "domain:beta.bitrix24.com",
            "domain": "beta.bitrix24.com",
            "rest_url": "https://beta.bitrix24.com/rest/",
            "status": "paused",
            "status_reason": "paused by an operator",
            "created_at": AT,
            "fence": 0,
        },
    ],
    "accounts": [
        {
            "id": 1,
            "portal_id": 1,
            "user_id": 5_000_000_000,
            "kind": "oauth",
            "is_primary": True,
            "scope": "task,calendar,user",
            "status": "ok",
            "is_admin": True,
            "time_zone": "Europe/Warsaw",
            "created_at": AT,
        },
        {
            "id": 2,
            "portal_id": 2,
            "user_id": 1,
            "kind": "webhook",
            "is_primary": True,
            "scope": "task",
            "status": "ok",
            "created_at": AT,
        },
    ],
    "oauth_tokens": [
        {
            "account_id": 1,
            "access_token_encrypted": ZULU.encrypt(b"access-1").decode(),
            "refresh_token_encrypted": ZULU.encrypt(b"refresh-1").decode(),
            "expires_in": 3600,
            "access_expires_at": AT,
            "refresh_issued_at": AT,
            "version": 3,
        },
        {
            "account_id": 2,
            "access_token_encrypted": ZULU.encrypt(b"webhook-2").decode(),
            "expires_in": 0,
            "access_expires_at": datetime(9999, 1, 1, tzinfo=UTC),
            "refresh_issued_at": AT,
            "version": 1,
        },
    ],
    "pending_logins": [
        {
            "state": "b" * 64,
            "domain": "acme.bitrix24.com",
            "redirect_uri": "http://127.0.0.1:8624/oauth/callback",
            "created_at": AT,
            "expires_at": AT,
        }
    ],
    "users": [{**PORTAL, "user_id": 5, "name": "Ann", "last_name": "Lee", "active": True, **MIRRORED}],
    "tasks": [
        {**PORTAL, "task_id": 1, "title": "Zażółć 🎉", "status": 3, "responsible_id": 5, "deadline": AT, **MIRRORED},
        {**PORTAL, "task_id": 2, "title": "gone", "status": 5, "deleted_at": AT, **MIRRORED},
    ],
    "planner_tasks": [{**PORTAL, "user_id": 5, "planned_on": DAY, "task_id": 1, "position": 0, "read_at": AT}],
    "calendar_sections": [
        {**PORTAL, "section_id": 3, "calendar_type": "user", "owner_id": 5, "name": "Ann", **MIRRORED}
    ],
    "calendar_events": [
        {
            **PORTAL,
            "event_id": 9,
            "section_id": 3,
            "name": "Standup",
            "all_day": False,
            "starts_at": AT,
            "ends_at": AT + timedelta(minutes=15),
            "recurrence_rule": "FREQ=DAILY",
            **MIRRORED,
        }
    ],
    "calendar_occurrences": [
        {**PORTAL, "event_id": 9, "starts_at": AT, "ends_at": AT + timedelta(minutes=15), "all_day": False}
    ],
    "event_attendees": [{**PORTAL, "event_id": 9, "user_id": 5, "status": "Y"}],
    "sync_cursors": [
        {
            **PORTAL,
            "resource": "tasks",
            "cursor_at": AT,
            "last_run_at": AT,
            "last_status": "ok",
            "complete_scope": "task",
        }
    ],
    "sync_runs": [
        {
            "id": 1,
            **PORTAL,
            "resource": "tasks",
            "mode": "full",
            "status": "ok",
            "started_at": AT,
            "finished_at": AT,
            **dict.fromkeys(("fetched", "inserted", "calls", "http_requests"), 2),
            **dict.fromkeys(("updated", "unchanged", "deleted", "revived", "rejected", "retries", "refreshes"), 0),
            "waited_seconds": 0.5,
            "seconds": 1.25,
            "folded": 1,
        }
    ],
    "rejected_records": [
        {
            **PORTAL,
            "resource": "tasks",
            "record_key": "3",
            "payload": '{"id":"x"}',
            "reason": "id is no number",
            "first_seen_at": AT,
            "last_tried_at": AT,
            "attempts": 2,
        }
    ],
    "request_budgets": [{**PORTAL, "level": 1.5, "level_at": 1.7e9, "per_second": 2.0, "burst": 50.0}],
    "closed_methods": [{**PORTAL, "method": "tasks.task.list", "until": AT}],
}


def installed_first(database: Database) -> None:
    """The first schema with rows in every table, written as that version's tables are, not as today's models."""
    migrate.upgrade(database, FIRST)
    with database.write() as session:
        metadata = reflected(database)
        assert set(metadata.tables) == {*ROWS, "alembic_version"}
        for name, rows in ROWS.items():
            for row in rows:
                session.execute(metadata.tables[name].insert().values(told(database, row)))


def reflected(database: Database) -> MetaData:
    metadata = MetaData()
    engine = database.migration_engine()
    metadata.reflect(engine)
    engine.dispose()
    return metadata


def told(database: Database, row: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the database's driver has them: only PostgreSQL keeps the zone of a time."""
    if database.dialect == "postgresql":
        return dict(row)
    return {name: value.replace(tzinfo=None) if isinstance(value, datetime) else value for name, value in row.items()}


def rows_of(database: Database, table: Table) -> list[Row[Any]]:
    with database.read() as session:
        return list(session.execute(table.select()))


def test_every_row_of_the_first_schema_outlives_the_upgrade(new_database: Callable[[], Database]):
    """With each of its values; and the schema is then today's."""
    database = new_database()
    installed_first(database)

    migrate.upgrade(database)

    assert migrate.check(database) == []
    tables = reflected(database).tables
    for name, rows in ROWS.items():
        found = [row._mapping for row in rows_of(database, tables[name])]
        assert len(found) == len(rows), name
        for row in rows:
            wanted = told(database, row)
            assert any(all(held[column] == value for column, value in wanted.items()) for held in found), (name, row)


def test_the_program_of_today_reads_what_the_first_version_wrote(new_database: Callable[[], Database]):
    """Portals, freshness, tokens, views: what was connected need not be connected again."""
    database = new_database()
    installed_first(database)
    migrate.upgrade(database)

    acme, beta = look(database, AT + timedelta(minutes=5)).portals
    assert (acme.domain, beta.domain, beta.status) == ("acme.bitrix24.com", "beta.bitrix24.com", "paused")
    fresh = {resource.name: (resource.fresh_seconds, resource.rows) for resource in acme.resources}
    assert fresh["tasks"] == (300, 1)
    store = SqlTokenStore(database, Cipher((KEY,)))
    assert store.load(1).access_token == "access-1"
    assert store.webhook_secret(2) == "webhook-2"
    with database.read() as session:
        assert session.execute(text("SELECT title, responsible FROM overdue_tasks")).all() == [("Zażółć 🎉", "Ann Lee")]
        assert session.scalar(text("SELECT count(*) FROM portal_freshness")) == 1


def test_any_command_upgrades_a_sqlite_of_the_first_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nobody has to know the word migration."""
    database = Database(f"sqlite:///{tmp_path / 'b24sync.db'}")
    installed_first(database)
    database.dispose()
    monkeypatch.chdir(tmp_path)

    shown = CliRunner(env={"B24SYNC_DATA_DIR": str(tmp_path)}).invoke(program, ["status"])

    assert shown.exit_code == 0, shown.output
    assert "acme.bitrix24.com" in shown.stdout
    assert f"schema {revisions.head()}" in shown.stdout
