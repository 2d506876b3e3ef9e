"""The house: directions of imports, names of jobs, and traps that were walked into once."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from worker.celery import JOBS, create_app
from worker.config import Settings
from worker.schedule import QUEUE, beat_schedule
from worker.wiring import Wiring

ROOT = Path(__file__).parents[2]


def test_imports_point_one_way():
    linter = Path(sys.executable).with_name("lint-imports")
    end = subprocess.run([linter, "--no-logo"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert end.returncode == 0, end.stdout


def test_every_job_has_our_name_and_every_entry_of_beat_a_job():
    wiring = Wiring(Settings.load({}))
    app = create_app(wiring)
    app.loader.import_default_modules()
    ours = {name for name in app.tasks if not name.startswith("celery.")}
    wiring.close()

    assert ours
    assert all(name.startswith("b24sync.") for name in ours)
    assert {entry["task"] for entry in beat_schedule(timedelta(minutes=5)).values()} <= ours
    assert app.conf.task_default_queue == QUEUE


def test_every_module_of_jobs_is_included_by_name():
    modules = {f"tasks.{path.stem}" for path in (ROOT / "tasks").glob("*.py") if path.stem != "__init__"}

    assert modules == set(JOBS)


def test_the_folder_of_migrations_does_not_shadow_alembic():
    program = "import alembic.command, alembic; print(alembic.__file__)"
    end = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )

    assert "site-packages" in end.stdout
    assert not (ROOT / "alembic" / "__init__.py").exists()


@pytest.mark.parametrize("module", ["worker.web.app", "worker.wiring", "worker.cli", "worker.cli.sync"])
def test_celery_and_alembic_come_up_only_where_they_are_needed(module: str):
    program = f"import sys, {module}; sys.exit('celery' in sys.modules or 'alembic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=30, check=False).returncode == 0
