"""Databases for the tests of faults: the same as everywhere."""

from tests.integration.conftest import empty_url

__all__ = ["empty_url"]
