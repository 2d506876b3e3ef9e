"""What every test may ask for. Tests never see the developer's environment, and never leave this machine."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings

from worker.emulator import SECOND, Emulator, Portal
from worker.sync.lease import HEARTBEAT_SECONDS

FIRST_WORLD = pytest.mark.skip(reason="--second-world turns round the very answer that it is about")


# How long a machine takes, while it does other things besides, is no property of the code.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--second-world", action="store_true", help="what no page settles is the other way round")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--second-world"):
        Emulator.customs = SECOND
    # A shell starts what runs in the background deaf to Ctrl-C; processes that tests press it on would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--second-world"):
        for item in items:
            if item.get_closest_marker("first_world"):
                item.add_marker(FIRST_WORLD)


class FakeClock:
    """A clock that moves only when told; sleeping moves it."""

    def __init__(self, now: datetime | None = None) -> None:
        self._now = now or datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
        self._monotonic = 0.0
        self.slept: list[float] = []
        self.beats: list[Callable[[], None]] = []
        """What the heartbeats of leases would do while this one sleeps."""

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        while seconds > 0:
            self.advance(min(seconds, HEARTBEAT_SECONDS))
            seconds -= HEARTBEAT_SECONDS
            for beat in self.beats:
                beat()

    def set(self, seconds: float) -> None:
        """Somebody sets the wall clock by so many seconds; no time passes."""
        self._now += timedelta(seconds=seconds)

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


def app_settings(emulator: Emulator, portal: Portal) -> dict[str, str]:
    """The keys of the application on this portal, and where its tokens come from."""
    return {
        "B24SYNC_OAUTH_URL": emulator.auth_url,
        "B24SYNC_CLIENT_ID": portal.client_id,
        "B24SYNC_CLIENT_SECRET": portal.client_secret,
    }


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of the developer reaches a test, and no `.env` lies in the working directory."""
    for name in list(os.environ):
        if name.startswith("B24SYNC_") or name in {"DATABASE_URL", "CELERY_BROKER_URL"}:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


@pytest.fixture(autouse=True, scope="session")
def loopback_only() -> Iterator[None]:
    """A test that would leave this machine fails at once instead of hanging."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1", "localhost")):
            raise AssertionError(f"a test tried to reach {address[0]}")
        connect(self, address)  # type: ignore[arg-type]

    socket.socket.connect = guarded  # type: ignore[method-assign,assignment]
    yield
    socket.socket.connect = connect  # type: ignore[method-assign]
