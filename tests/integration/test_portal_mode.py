"""`B24SYNC_OAUTH_URL=portal`: the portal's own token endpoint, as the oldest documentation has it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.integration.stage import consent
from worker.config import Settings
from worker.emulator import Emulator, Portal, PortalSpec
from worker.sync.portal import Wish
from worker.wiring import Wiring

CALLBACK = "http://127.0.0.1:8624/oauth/callback"


@dataclass
class Mirror:
    portal: Portal
    wiring: Wiring

    def connect(self) -> int:
        """The code flow."""
        address, _ = self.wiring.connector.begin(self.portal.domain)
        return self.wiring.connector.finish(consent(address)).portal_id


@pytest.fixture(params=["json", "redirect"])
def mirror(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mirror]:
    with Emulator() as emulator:
        portal = emulator.add_portal(PortalSpec(tasks=10, events=4, users=3, limits=False))
        way: Literal["json", "redirect"] = request.param
        portal.own_oauth = way
        portal.register_app(CALLBACK)
        settings = Settings.load(
            {
                "B24SYNC_DATA_DIR": str(tmp_path),
                "B24SYNC_OAUTH_URL": "portal",
                "B24SYNC_CLIENT_ID": portal.client_id,
                "B24SYNC_CLIENT_SECRET": portal.client_secret,
                "B24SYNC_REDIRECT_URI": CALLBACK,
            }
        )
        wiring = Wiring(settings)
        yield Mirror(portal, wiring)
        wiring.close()


def test_portal_mode_connects_syncs_and_refreshes(mirror: Mirror):
    """Code and refresh go to /oauth/token/ on the portal by GET; a redirect with tokens is read and not followed."""
    portal_id = mirror.connect()
    mirror.portal.tokens.expire(mirror.portal)

    outcome = mirror.wiring.sync.run(portal_id, Wish(at_once=True))

    assert outcome is not None
    assert {report.status for report in outcome.reports} == {"ok"}
    assert sum(report.refreshes for report in outcome.reports) == 1
    assert {grant.http_method for grant in mirror.portal.tokens.log} == {"GET"}


def test_an_answer_without_refresh_token_keeps_the_old_one(mirror: Mirror):
    """`expires_in` and the access token alone are enough."""
    portal_id = mirror.connect()
    mirror.portal.tokens.rotation = "keep"
    for _ in range(2):
        mirror.portal.tokens.expire(mirror.portal)
        outcome = mirror.wiring.sync.run(portal_id, Wish(at_once=True))

        assert outcome is not None
        assert {report.status for report in outcome.reports} == {"ok"}
