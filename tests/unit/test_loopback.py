"""Plain http is spoken with this machine only, so no name may pass for it."""

import pytest

from worker.loopback import is_loopback


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "[::1]", "::1"])
def test_names_and_numbers_of_this_machine(host: str):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["example.org", "10.0.0.1", "localhost.example.org", "127.0.0.1.example.org", "0.0.0.0", "", None],  # noqa: S104
)
def test_everything_else_is_elsewhere(host: str | None):
    assert not is_loopback(host)
