"""Keys that change under a daemon that runs."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from worker.storage.cipher import Cipher
from worker.storage.models import OAuthToken

if TYPE_CHECKING:
    from tests.e2e.conftest import Stage

pytestmark = pytest.mark.e2e


def whole_since(here: "Stage", moment: datetime) -> bool:
    return any(run.status == "ok" and run.started_at > moment for run in here.runs())


def test_a_daemon_takes_up_new_keys_and_tells_of_wrong_ones(stage: Callable):
    """Rotated twice while it runs, the old key thrown away in between: no run fails, nothing is restarted.

    Then the file is replaced by a key that fits nothing: a sentence, no traceback; put back, all goes on.
    """
    here = stage()
    here.emulator.token_server.lifetime = 6
    here.connect()
    file = here.settings.key_file
    with here.process("worker", "run"):
        here.wait(lambda: whole_since(here, datetime.min.replace(tzinfo=UTC)))
        for _ in range(2):
            with here.process("worker", "keys", "rotate") as rotation:
                assert rotation.wait(timeout=60) == 0
            newest = file.read_text().split()[0]
            renewals = len(here.emulator.token_server.log)
            file.write_text(f"{newest}\n")
            here.wait(lambda renewals=renewals: len(here.emulator.token_server.log) > renewals + 1)
            now = datetime.now(UTC)
            here.wait(lambda now=now: whole_since(here, now))
            stored = here.read(lambda session: session.get(OAuthToken, 1))
            assert Cipher([newest]).decrypt(stored.access_token_encrypted), "still encrypted with the old key"
        assert {run.status for run in here.runs()} == {"ok"}

        kept = file.read_text()
        file.write_text(Fernet.generate_key().decode())
        here.wait(lambda: any("another key" in (run.error or "") for run in here.runs()))
        file.write_text(kept)
        now = datetime.now(UTC)
        here.wait(lambda: whole_since(here, now))

    assert "were encrypted with another key" in here.logs()
    assert "Traceback" not in here.logs()
