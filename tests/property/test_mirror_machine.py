"""Whatever acts, troubles, deaths and runs: nothing is invented or falsely believed, and whole runs make it true."""

import pytest

from tests.integration.mirror import Stage
from tests.property.machine import tell_stories


def test_whatever_happens_the_mirror_is_never_false(stage: Stage):
    """A few stories of a few steps, the same in every run."""
    tell_stories(stage, max_examples=15, stateful_step_count=25, derandomize=True, database=None)


@pytest.mark.long
def test_whatever_happens_for_longer_the_mirror_is_never_false(stage: Stage):
    """Other stories in every run; hypothesis prints the shortest that fails."""
    tell_stories(stage, max_examples=60, stateful_step_count=40, database=None)
