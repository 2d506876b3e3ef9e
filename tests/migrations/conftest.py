"""The fixtures of databases without a schema."""

from tests.integration.conftest import empty_url, new_database

__all__ = ["empty_url", "new_database"]
