"""No secret leaves the token store: what a run wrote is searched for every secret that was used in it."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import app_settings
from worker.config import Settings
from worker.emulator import Emulator, Portal, PortalSpec
from worker.log import JsonFormatter
from worker.storage.portals import list_accounts
from worker.sync.portal import Wish
from worker.wiring import Wiring


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    """Everything that any library logs at DEBUG, formatted as the program does."""
    file = tmp_path / "debug.log"
    handler = logging.FileHandler(file)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield file
    root.removeHandler(handler)
    root.setLevel(level)
    handler.close()


def wiring_of(emulator: Emulator, portal: Portal, folder: Path) -> Wiring:
    return Wiring(
        Settings.load(
            {
                "B24SYNC_DATA_DIR": str(folder / "data"),
                **app_settings(emulator, portal),
            }
        )
    )


def test_nothing_that_a_run_wrote_holds_a_secret(tmp_path: Path, log_file: Path):
    """Logs at DEBUG, the database and every other file, after connecting both ways, faults, refreshes and runs."""
    secrets: set[str] = set()
    with Emulator() as emulator:
        portal = emulator.add_portal(PortalSpec(tasks=20, events=5, users=3, limits=False))
        wiring = wiring_of(emulator, portal, tmp_path)
        tokens = portal.issue_tokens(portal.admin_id)
        webhook = portal.webhook_url(portal.admin_id)
        secrets |= {portal.client_secret, webhook.rstrip("/").rsplit("/", 1)[1]}
        wiring.connector.with_tokens(tokens)
        portal_id = wiring.connector.with_webhook(webhook).portal_id
        for kind in ("expired_token", "html", "cut", "broken_json", "internal_error", "sub_error"):
            portal.faults.add(kind, times=1)
            wiring.sync.run(portal_id, Wish(at_once=True))
        secrets |= {tokens["access_token"], tokens["refresh_token"]}
        with wiring.ready_database.read() as session:
            accounts = [account.id for account in list_accounts(session, portal_id)]
        for account_id in accounts:
            token = wiring.token_store.load(account_id)
            secrets |= {token.access_token, token.refresh_token or token.access_token}
        wiring.close()
    files = [file for file in tmp_path.rglob("*") if file.is_file()]

    assert log_file in files
    assert len(secrets) >= 5
    for file in files:
        content = file.read_bytes()
        assert [file.name for secret in secrets if secret.encode() in content] == []
