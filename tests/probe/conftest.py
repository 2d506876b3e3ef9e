"""Mirrors of portals that lie."""

from tests.integration.sync.conftest import stage

__all__ = ["stage"]
