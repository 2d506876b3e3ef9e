"""Mirrors of portals on which people live at random."""

from tests.integration.sync.conftest import own_stage, stage

__all__ = ["own_stage", "stage"]
