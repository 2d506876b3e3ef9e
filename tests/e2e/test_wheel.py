"""What a user installs: the wheel, without this repository beside it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import app_settings
from worker.emulator import Emulator, PortalSpec

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_wheel_carries_the_migrations_and_both_packages(wheel: Path):
    """`alembic/` travels inside the package, and nothing lands beside the alembic package."""
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}

    assert "worker/storage/_alembic/env.py" in names
    assert any(name.startswith("worker/storage/_alembic/versions/0001") for name in names)
    assert "tasks/sync.py" in names
    assert {name for name in top if not name.endswith(".dist-info")} == {"worker", "tasks"}


@pytest.mark.long
def test_wheel_in_a_bare_environment_syncs_from_an_empty_folder(wheel: Path, tmp_path: Path):
    """Installed with its own requirements only, the program connects a portal and mirrors it."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    install = [
        str(venv / "bin" / "pip"),
        "install",
        "--quiet",
        "--constraint",
        str(ROOT / "constraints.txt"),
        str(wheel),
    ]
    installed = subprocess.run(install, capture_output=True, text=True, check=False, cwd=tmp_path)
    if "No matching distribution" in installed.stderr or "Temporary failure" in installed.stderr:
        pytest.skip("the requirements cannot be fetched here")
    assert installed.returncode == 0, installed.stderr
    empty = tmp_path / "empty"
    empty.mkdir()

    with Emulator() as emulator:
        portal = emulator.add_portal(PortalSpec(tasks=30, events=10, users=5))
        ours = {
            **app_settings(emulator, portal),
        }

        def b24sync(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [str(venv / "bin" / "b24sync"), *arguments],
                input=text,
                env={"PATH": os.environ["PATH"], **ours},
                cwd=empty,
                capture_output=True,
                text=True,
                check=False,
            )

        connected = b24sync("connect", "--tokens", "-", text=json.dumps(portal.issue_tokens(portal.admin_id)))
        synced = b24sync("sync", "--json")

    assert connected.returncode == 0, connected.stderr
    assert synced.returncode == 0, synced.stderr
    runs = {run["resource"]: run for run in json.loads(synced.stdout)["runs"]}
    assert runs["tasks"]["inserted"] == 30
    assert (empty / "data" / "b24sync.db").exists()
