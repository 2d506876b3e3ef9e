"""The web pages over an emulated portal, asked without a socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.integration.stage import SMALL, Stage
from worker.emulator import Emulator
from worker.web.app import create_app
from worker.wiring import Wiring


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def stage(emulator: Emulator, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(emulator, emulator.add_portal(SMALL), tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def wiring(stage: Stage) -> Iterator[Wiring]:
    with stage.wiring() as wiring:
        yield wiring


@pytest.fixture
def client(wiring: Wiring) -> FlaskClient:
    return create_app(wiring).test_client()
