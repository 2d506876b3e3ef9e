"""What tests without input and output share."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def root_logger_is_put_back() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
