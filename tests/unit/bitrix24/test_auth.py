"""Authorizations put the secret where it belongs and show it nowhere else."""

from datetime import timedelta

import pytest

from tests.unit.bitrix24.fakes import NOW, MemoryTokens
from worker.bitrix24.auth import GrantAuth, OAuthAuth, WebhookAuth
from worker.bitrix24.refresh import TokenKeeper
from worker.bitrix24.stats import Stats
from worker.clock import Clock
from worker.errors import NeedsReauth, UsageError
from worker.tokens import Grant

GRANT = Grant(access_token="a2", refresh_token="r2", expires_in=3600, received_at=NOW)


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.example-portal.com/rest/7/s3cr3t/",
        "https://acme.example-portal.com/rest/7/s3cr3t",
        " https://acme.example-portal.com/rest/7/s3cr3t/profile.json \n",
        "https://acme.example-portal.com/rest/7/s3cr3t/profile/",
    ],
)
def test_a_webhook_is_read_from_what_the_portal_shows(url: str):
    auth = WebhookAuth.from_url(url)

    assert (auth.rest_url, auth.user_id, auth.secret) == ("https://acme.example-portal.com/rest/", 7, "s3cr3t")
    assert auth.url("profile") == "https://acme.example-portal.com/rest/7/s3cr3t/profile"
    body = {"a": 1}
    assert auth.apply(body) == 0
    assert body == {"a": 1}
    assert auth.secrets(body) == ("s3cr3t",)
    assert "s3cr3t" not in repr(auth)
    with pytest.raises(NeedsReauth):
        auth.renew(0)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://acme.example-portal.com/",
        "https://acme.example-portal.com/rest/x/s3cr3t/",
        "acme.example-portal.com/rest/7/s3cr3t/",
        "https://u:p@acme.example-portal.com/rest/7/s3cr3t/",
        "https://acme.example-portal.com/rest/7/",
        "https://[/rest/7/s3cr3t/",
    ],
)
def test_other_addresses_are_no_webhooks(url: str):
    with pytest.raises(UsageError) as caught:
        WebhookAuth.from_url(url)
    assert "s3cr3t" not in str(caught.value)


def test_a_token_travels_in_the_body(clock: Clock):
    store = MemoryTokens()
    keeper = TokenKeeper(store, clock, "here", timedelta(minutes=10))
    auth = OAuthAuth("https://acme.example-portal.com/rest", 1, keeper, lambda _token: GRANT)

    body: dict[str, object] = {}
    assert auth.apply(body) == 1
    assert body == {"auth": "a1"}
    assert auth.secrets(body) == ("a1",)
    assert auth.url("profile") == "https://acme.example-portal.com/rest/profile"
    auth.renew(1)
    assert auth.apply(body) == 2
    assert (body["auth"], auth.refreshes) == ("a2", 1)
    auth.renew(1)  # another had renewed it meanwhile: nothing is asked
    assert auth.refreshes == 1
    assert "a2" not in repr(auth)


def test_a_grant_is_good_before_it_is_stored():
    auth = GrantAuth("https://acme.example-portal.com/rest/", GRANT)
    body: dict[str, object] = {}

    auth.apply(body)

    assert body == {"auth": "a2"}
    assert auth.url("profile").endswith("/rest/profile")
    assert auth.secrets(body) == ("a2",)
    assert "a2" not in repr(auth)
    with pytest.raises(NeedsReauth):
        auth.renew(0)


def test_stats_tell_what_was_done_since():
    stats = Stats(http_requests=3, calls=5, waited_seconds=1.5)
    before = stats.snapshot()
    stats.http_requests += 2
    stats.waited_seconds += 1

    assert stats.minus(before) == Stats(http_requests=2, waited_seconds=1.0)
    assert before.http_requests == 3
