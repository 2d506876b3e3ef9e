"""What a block of a test asks of the database, whichever of our engines carries it."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

_WRITE = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM)\s+[`\"]?(\w+)")


@contextmanager
def noted_statements() -> Iterator[list[str]]:
    """The statements of the block, without those that begin and end transactions."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:  # noqa: ANN401
        if not statement.startswith("BEGIN"):
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def written_tables(statements: Sequence[str]) -> set[str]:
    return {found[2] for statement in statements if (found := _WRITE.match(statement))}


@contextmanager
def counted_writes() -> Iterator[Counter[str]]:
    """Rows that statements of the block insert, update or delete, by table; what met no row has no key."""
    writes: Counter[str] = Counter()

    def count(_connection: Any, cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:  # noqa: ANN401
        if found := _WRITE.match(statement):
            asked = len(parameters) if many else 1
            # Of new rows each driver tells something else: SQLite none before they are fetched, MariaDB two for one.
            told = cursor.rowcount >= 0 and found[1] != "INSERT INTO"
            if rows := cursor.rowcount if told else asked:
                writes[found[2]] += rows

    event.listen(Engine, "after_cursor_execute", count)
    try:
        yield writes
    finally:
        event.remove(Engine, "after_cursor_execute", count)
