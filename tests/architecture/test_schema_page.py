"""docs/schema.md says what the models and the views say."""

import os
from pathlib import Path

from sqlalchemy import inspect

from tests.architecture.schema_page import VIEWS, page
from worker.storage import schema
from worker.storage.session import Database

PAGE = Path(__file__).parents[2] / "docs" / "schema.md"
WRITE = bool(os.environ.get("WRITE_SCHEMA"))
"""Set by `make schema`."""


def views(folder: Path) -> dict[str, list[str]]:
    """The views of a new database, with their columns."""
    database = Database(f"sqlite:///{folder / 'b24sync.db'}")
    schema.ensure(database)
    with database.read() as session:
        inspector = inspect(session.connection())
        found = {name: [c["name"] for c in inspector.get_columns(name)] for name in inspector.get_view_names()}
    database.dispose()
    return found


def test_the_page_of_the_schema_is_true(tmp_path: Path):
    found = views(tmp_path)
    assert set(found) == set(VIEWS), "tests/architecture/schema_page.py has no words for these views"
    now = page(found)
    if WRITE:
        PAGE.write_text(now, encoding="utf-8")

    assert PAGE.read_text(encoding="utf-8") == now, "docs/schema.md is out of date: run `make schema`"
