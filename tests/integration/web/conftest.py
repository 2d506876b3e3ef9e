"""The web pages over an emulated portal, asked without a socket."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from tests.integration.stage import Stage
from worker.web.app import create_app
from worker.wiring import Wiring


@pytest.fixture
def wiring(stage: Stage) -> Iterator[Wiring]:
    with stage.wiring() as wiring:
        yield wiring


@pytest.fixture
def client(wiring: Wiring) -> FlaskClient:
    return create_app(wiring).test_client()
