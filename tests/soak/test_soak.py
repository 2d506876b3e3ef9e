"""The soak in small: a quarter of a minute, on every `make test`; `make soak` is the real one."""

from pathlib import Path

import pytest

from tests.soak.soak import Plan, Soak

pytestmark = pytest.mark.e2e


def test_portals_that_live_while_daemons_die_are_mirrored_without_a_difference(tmp_path: Path):
    """Two daemons on one database, killed in turn; tokens of seconds, one request in five goes wrong."""
    plan = Plan(
        portals=3,
        seconds=14,
        interval=2,
        token_life=8,
        fault_share=0.2,
        kill_every=5,
        acts_per_second=8,
        hasten=True,
        database_url=f"sqlite:///{tmp_path / 'data' / 'b24sync.db'}",
    )
    soak = Soak(plan, tmp_path)
    figures = soak.run()

    assert figures.differences == []
    assert figures.double_refreshes == 0
    assert figures.leases_left == 0
    assert figures.tracebacks == []
    assert figures.kills >= 2
    assert figures.refreshed > 0
    assert figures.faults > 0
    assert figures.runs["ok"] > figures.runs["failed"]
