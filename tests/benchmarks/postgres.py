"""First writing into PostgreSQL: our writer beside SQLAlchemy Core's executemany of the same rows.

`python postgres.py SERVER ROWS` makes a database of its own there, writes batches of both in turn into one table, each
batch a transaction, and prints the seconds that each took as JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import portal
from sqlalchemy import Table, create_engine, make_url, text
from sqlalchemy.orm import Session

from worker.resources.tasks import to_row
from worker.resources.viewer import Viewer
from worker.storage import migrate
from worker.storage.connections import register_account
from worker.storage.models import Base
from worker.storage.session import Database
from worker.storage.statements import insert_or_update
from worker.storage.upsert import upsert

BATCH = 2500
NOW = datetime.now(UTC)
VIEWER = Viewer(1, ZoneInfo("Europe/Berlin"), NOW)
TASKS: Table = Base.metadata.tables["tasks"]
DATES = [column.name for column in TASKS.columns if column.name.endswith("_at")]

Rows = list[dict[str, Any]]
Write = Callable[[Session, Rows, int], None]


def ours(session: Session, rows: Rows, portal_id: int) -> None:
    upsert(session, TASKS, rows, portal_id=portal_id, now=NOW)


def core(session: Session, rows: Rows, portal_id: int) -> None:
    own = {"portal_id": portal_id, "first_seen_at": NOW, "updated_at": NOW, "deleted_at": None}
    whole = [{**row, **own} for row in rows]
    session.connection().execute(insert_or_update("postgresql", TASKS, list(whole[0])), whole)


def dated(rows: Rows) -> Rows:
    """The same with datetimes, which is what Core is given."""
    return [{**row, **{name: datetime.fromisoformat(row[name]) for name in DATES if row.get(name)}} for row in rows]


def connect(session: Session, number: int) -> int:
    facts: dict[str, Any] = {"member_id": str(number), "domain": f"{number}.example", "rest_url": "https://x.example/"}
    facts |= {"oauth_url": None, "user_id": 1, "kind": "webhook", "scope": "task", "is_admin": None, "time_zone": None}
    return register_account(session, **facts, now=NOW).portal_id


def measure(database: Database, count: int) -> dict[str, float]:
    ways: dict[str, Write] = {"core": core, "ours": ours}
    with database.write() as session:
        portals = {name: connect(session, number) for number, name in enumerate(ways)}
    spent = dict.fromkeys(ways, 0.0)
    ids = portal.task_ids(count)
    for start in range(0, count, BATCH):
        rows = [to_row(portal.task_row(i), VIEWER) for i in ids[start : start + BATCH]]
        given = {"core": dated(rows), "ours": rows}
        for name, write in ways.items():
            began = time.monotonic()
            with database.write() as session:
                write(session, given[name], portals[name])
            spent[name] += time.monotonic() - began
    return spent


def main(server: str, count: str) -> None:
    name = f"b24sync_bench_{os.getpid()}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            database = Database(make_url(server).set(database=name).render_as_string(hide_password=False))
            migrate.upgrade(database)
            print(json.dumps(measure(database, int(count))))
            database.dispose()
        finally:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


if __name__ == "__main__":
    main(*sys.argv[1:])
