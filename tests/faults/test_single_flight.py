"""One refresh at a time per account, over all processes, whatever becomes of who makes it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select, update

from tests.faults import fleet
from tests.faults.proxy import Proxy
from worker.config import Settings
from worker.emulator import Emulator, Portal, PortalSpec
from worker.errors import NeedsReauth
from worker.storage.models import Account, Base, OAuthToken, RequestBudget
from worker.wiring import Wiring

PROCESSES, JOBS = 16, 100
LEASE = 1.0


class Scene:
    """A connected portal whose access token is not taken any more."""

    def __init__(self, url: str, folder: Path) -> None:
        self.emulator = Emulator()
        self.portal: Portal = self.emulator.add_portal(PortalSpec(tasks=0, events=0, users=3, limits=False))
        self.emulator.start()
        port = int(self.emulator.auth_url.rpartition(":")[2])
        self.wire = Proxy(port)
        self.settings = {
            "DATABASE_URL": url,
            "B24SYNC_DATA_DIR": str(folder),
            "B24SYNC_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "B24SYNC_OAUTH_URL": f"http://127.0.0.1:{self.wire.port}",
            "B24SYNC_CLIENT_ID": self.portal.client_id,
            "B24SYNC_CLIENT_SECRET": self.portal.client_secret,
        }
        self.wiring = Wiring(Settings.load(self.settings))
        self.portal_id = self.wiring.connector.with_tokens(self.portal.issue_tokens(self.portal.admin_id)).portal_id
        with self.wiring.database.write() as session:  # what is asked at once here no real portal would bear
            session.execute(update(RequestBudget).values(burst=10_000))
        self.emulator.token_server.expire(self.portal)

    def close(self) -> None:
        with self.wiring.database.write() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(table.delete())
        self.wiring.close()
        self.emulator.stop()

    def refreshes(self) -> list[str]:
        """How each refresh ended for the token server."""
        return [grant.outcome for grant in self.emulator.token_server.log if grant.grant_type == "refresh_token"]

    def one(self, model: type[Any]) -> Any:  # noqa: ANN401 - the row of this model
        with self.wiring.database.read() as session:
            return session.scalars(select(model)).one()

    def kill_in_mid_refresh(self, reached: Callable[[], object]) -> None:
        """A process holds the right to refresh and dies with it."""
        with fleet.process(fleet.refresh, self.settings, self.portal_id, LEASE) as holder:
            end = time.monotonic() + 30
            while not reached():
                assert time.monotonic() < end, "the refresh was never sent"
                time.sleep(0.01)
            os.kill(holder.pid, signal.SIGKILL)
            holder.join(10)


@pytest.fixture
def scene(url: str, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(url, tmp_path)
    with made.wire:
        yield made
    made.close()


def test_a_hundred_jobs_in_sixteen_processes_with_one_expired_token_make_one_refresh(scene: Scene):
    """All of them go on with its pair."""
    context = fleet.context()
    start, told = context.Barrier(PROCESSES), context.Queue()
    shares = [JOBS // PROCESSES + (number < JOBS % PROCESSES) for number in range(PROCESSES)]
    processes = [
        context.Process(target=fleet.ask, args=(scene.settings, scene.portal_id, share, start, told))
        for share in shares
    ]
    for one in processes:
        one.start()
    answers = [told.get(timeout=60) for _ in range(JOBS)]
    for one in processes:
        one.join(10)

    assert answers == ["ok"] * JOBS
    assert scene.refreshes() == ["ok"]
    pair = scene.one(OAuthToken)
    assert (pair.version, pair.lease_owner, pair.unanswered) == (2, None, 0)


def test_who_is_killed_before_the_server_saw_the_request_is_followed_by_the_next_after_the_lease(scene: Scene):
    scene.wire.black_hole()
    with fleet.wiring(scene.settings) as made:
        account_id = scene.one(Account).id
        scene.kill_in_mid_refresh(lambda: scene.wire.accepted)
        scene.wire.reset()
        scene.wire.mend()
        pair = scene.one(OAuthToken)
        assert pair.lease_until is not None
        assert not made.token_store.claim_refresh(
            account_id, version=1, owner="too early", now=pair.lease_until - timedelta(seconds=0.1), lease=timedelta(1)
        )
        fleet.client(made, scene.portal_id).call("profile")

    assert scene.refreshes() == ["ok"]
    assert (scene.one(OAuthToken).version, scene.one(OAuthToken).unanswered) == (2, 0)
    assert scene.one(Account).status == "ok"


def test_a_pair_that_died_with_its_process_is_told_as_lost(scene: Scene):
    """The server has made the new pair and the old one is worth nothing: a person must act, and is told why."""
    scene.emulator.token_server.faults.add("hang", seconds=30)
    scene.kill_in_mid_refresh(scene.refreshes)
    with fleet.wiring(scene.settings) as made:
        with pytest.raises(NeedsReauth, match="the answer to a refresh was lost"):
            fleet.client(made, scene.portal_id).call("profile")
        with pytest.raises(NeedsReauth, match="the answer to a refresh was lost"):  # and nobody asks any more
            fleet.client(made, scene.portal_id).call("profile")

    account = scene.one(Account)
    assert account.status == "needs_reauth"
    assert "the answer to a refresh was lost" in account.status_reason
    assert scene.refreshes() == ["ok", "invalid_grant"]


def test_an_answer_that_was_lost_on_the_way_is_told_too(scene: Scene):
    """Nobody died: the connection broke after the server had done its work."""
    scene.emulator.token_server.faults.add("lose_answer")
    with fleet.wiring(scene.settings) as made:
        hasty = fleet.client(made, scene.portal_id)
        hasty._jitter = lambda: 0.0
        with pytest.raises(NeedsReauth, match="the answer to a refresh was lost"):
            hasty.call("profile")

    assert scene.refreshes() == ["lost", "invalid_grant"]
