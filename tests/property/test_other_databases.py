"""The stories of test_mirror_machine.py, told into the other databases."""

from pathlib import Path

import pytest

from tests.integration.conftest import DIALECTS, empty_database
from tests.integration.mirror import Stage
from tests.property.machine import tell_stories


@pytest.mark.long
@pytest.mark.parametrize("dialect", DIALECTS[1:])
def test_whatever_happens_the_mirror_is_never_false_in_another_database(stage: Stage, dialect: str, tmp_path: Path):
    """Fewer stories: what differs is how texts and dates are kept, and what a transaction locks."""
    with empty_database(dialect, tmp_path) as url:
        tell_stories(stage, url, max_examples=8, stateful_step_count=40, database=None)
