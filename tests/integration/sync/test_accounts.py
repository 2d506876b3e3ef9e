"""What a trouble makes of an account: a state that says who must act, and that heals."""

import pytest

from tests.integration.mirror import Mirror, Stage, statuses
from worker.storage.portals import list_accounts


@pytest.fixture
def mirror(own_stage: Stage) -> Mirror:
    """A mirrored portal whose access token has died."""
    mirror = own_stage.mirror(tasks=10, events=4, users=3)
    mirror.sync()
    own_stage.emulator.token_server.expire(mirror.portal)
    return mirror


def state(mirror: Mirror) -> str:
    with mirror.database.read() as session:
        (account,) = list_accounts(session, mirror.portal_id)
    return account.status


def test_an_unpaid_licence_is_asked_once_a_day_and_heals_by_itself(mirror: Mirror):
    """PAYMENT_REQUIRED waits for a person, but nobody has to authorize again."""
    mirror.portal.tokens.faults.add("payment_required", times=1)

    assert set(statuses(mirror.sync()).values()) == {"failed"}
    assert state(mirror) == "payment_required"
    due = mirror.cursor("tasks").next_run_at
    assert due is not None
    assert (due - mirror.clock.now()).days == 1

    assert set(statuses(mirror.sync()).values()) == {"ok"}
    assert state(mirror) == "ok"


def test_a_dead_refresh_token_is_asked_for_once_and_then_left_alone(mirror: Mirror):
    """`needs_reauth`: no job hammers it, and connecting again heals it."""
    mirror.portal.tokens.revoke(mirror.portal)

    assert set(statuses(mirror.sync()).values()) == {"failed"}
    assert state(mirror) == "needs_reauth"

    mirror.portal.requests.reset()
    asked = len(mirror.portal.tokens.log)
    assert set(statuses(mirror.sync()).values()) == {"failed"}
    assert mirror.portal.requests.http == 0
    assert len(mirror.portal.tokens.log) == asked

    mirror.connect(mirror.portal.admin_id)
    assert set(statuses(mirror.sync()).values()) == {"ok"}


def test_an_account_authorized_again_meanwhile_is_not_condemned_for_its_old_pair(mirror: Mirror):
    """The state belongs to the pair that was refused."""
    with mirror.database.read() as session:
        (account,) = list_accounts(session, mirror.portal_id)
    version = mirror.wiring.token_store.load(account.id).version
    mirror.connect(mirror.portal.admin_id)

    assert not mirror.wiring.token_store.condemn(account.id, version=version, reason="an old pair")
    assert state(mirror) == "ok"
