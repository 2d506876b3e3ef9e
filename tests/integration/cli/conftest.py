"""`b24sync` as people call it: over an emulated portal, in this process or as a program of its own."""

import pytest

from tests.integration.stage import Stage


@pytest.fixture
def connected(stage: Stage) -> Stage:
    """By its administrator; not read yet."""
    stage.connect()
    return stage
