"""Which addresses are understood, and what is said of the others: never the password."""

import subprocess
import sys
from pathlib import Path

import pytest

from worker.errors import UsageError
from worker.storage.session import Database, normalise_url

ROOT = Path(__file__).parents[3]

WITHOUT_DRIVERS = """
import sys
sys.modules["psycopg"] = sys.modules["pymysql"] = None
from worker.errors import UsageError
from worker.storage.session import Database
try:
    Database(sys.argv[1])
except UsageError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("postgres://u:p%40@h:5/d", "postgresql+psycopg://u:p%40@h:5/d"),
        ("postgresql://u@h/d?sslmode=require", "postgresql+psycopg://u@h/d?sslmode=require"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
        ("mysql://u:p@h/d", "mysql+pymysql://u:p@h/d"),
        ("mariadb://u:p@h/d", "mysql+pymysql://u:p@h/d"),
        ("sqlite:///data/b.db", "sqlite+pysqlite:///data/b.db"),
        ("sqlite:////abs/b.db", "sqlite+pysqlite:////abs/b.db"),
    ],
)
def test_addresses_get_their_driver(given: str, normal: str):
    """As hosting companies write them."""
    assert normalise_url(given) == normal
    assert normalise_url(normal) == normal


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("hunter2", "cannot be read"),
        ("postgres://u:hunter2@h:port/d", "cannot be read"),
        ("oracle://u:hunter2@h/d", "names 'oracle'"),
        ("postgresql+psycopg2://u:hunter2@h/d", "must be 'psycopg'"),
        ("mysql+mysqldb://u:hunter2@h/d", "must be 'pymysql'"),
        ("postgresql://u:hunter2@h", "names no database"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file:x?mode=memory&uri=true", "must name a file"),
    ],
)
def test_other_addresses_are_refused(given: str, told: str):
    """In one sentence that does not repeat them."""
    with pytest.raises(UsageError, match=told) as caught:
        normalise_url(given)
    assert "hunter2" not in str(caught.value)


def test_a_database_shows_no_password():
    """Not in a log, not in a debugger's line."""
    database = Database("postgres://u:hunter2@h/d")

    assert "hunter2" not in repr(database)
    assert database.dialect == "postgresql"


@pytest.mark.parametrize(
    ("url", "extra"), [("postgres://u:hunter2@h/d", "b24sync[postgres]"), ("mysql://u:hunter2@h/d", "b24sync[mysql]")]
)
def test_a_missing_driver_is_told_with_its_extra(url: str, extra: str):
    """What to install, and no traceback."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DRIVERS, url],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"pip install '{extra}'" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
