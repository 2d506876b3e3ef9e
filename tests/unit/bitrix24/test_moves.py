"""A renamed portal is followed where its owner must be the same; secrets go nowhere else."""

import pytest

from worker.bitrix24.moves import new_rest_url

CLOUD = "https://old.bitrix24.com/rest/"
OWN = "https://portal.acme-works.org/rest/"


@pytest.mark.parametrize(
    ("old", "location", "new"),
    [
        (CLOUD, "https://new.bitrix24.com/rest/profile", "https://new.bitrix24.com/rest/"),
        (CLOUD, "https://new.bitrix24.de/rest/7/s3cret/profile?x=1", "https://new.bitrix24.de/rest/"),
        (CLOUD, "https://NEW.bitrix24.com.br/rest/profile.json", "https://new.bitrix24.com.br/rest/"),
        (CLOUD, "https://old.bitrix24.com:8443/rest/profile", "https://old.bitrix24.com:8443/rest/"),
        (OWN, "https://crm.acme-works.org/rest/profile", "https://crm.acme-works.org/rest/"),
        (OWN, "https://acme-works.org/b24/rest/profile", "https://acme-works.org/b24/rest/"),
        ("https://a.acme.co.uk/rest/", "https://b.acme.co.uk/rest/x", "https://b.acme.co.uk/rest/"),
        ("http://127.0.0.1:81/rest/", "http://127.0.0.1:82/rest/x", "http://127.0.0.1:82/rest/"),
        ("http://localhost:81/rest/", "http://127.0.0.1:82/rest/x", "http://127.0.0.1:82/rest/"),
        ("https://10.0.0.5/rest/", "https://10.0.0.5/portal/rest/x", "https://10.0.0.5/portal/rest/"),
    ],
)
def test_plausible(old: str, location: str, new: str):
    assert new_rest_url(old, location) == new


@pytest.mark.parametrize(
    ("old", "location"),
    [
        (CLOUD, "http://new.bitrix24.com/rest/profile"),  # no TLS
        (CLOUD, "https://new.bitrix24.com/auth/?back=/x"),  # a login page
        (CLOUD, "https://auth2.bitrix24.net/rest/x"),
        (CLOUD, "https://evil.example.org/rest/x"),
        (CLOUD, "https://bitrix24.com.evil.example.org/rest/x"),
        (CLOUD, "https://new.bitrix24.com.evil.org/rest/x"),
        (CLOUD, "https://bitrix24.com/rest/x"),
        (CLOUD, "https://a.b.bitrix24.com/rest/x"),
        (CLOUD, "https://new.bitrix24.site/rest/x"),  # where customers publish pages of their own
        (CLOUD, "https://new.bitrix24.com@evil.example.org/rest/x"),
        (CLOUD, "https://user:pass@new.bitrix24.com/rest/x"),
        (CLOUD, "http://127.0.0.1/rest/x"),
        (CLOUD, OWN),
        (OWN, CLOUD),
        (OWN, "https://portal.other-works.org/rest/x"),
        ("https://a.acme.co.uk/rest/", "https://b.evil.co.uk/rest/x"),
        ("https://acme.com.br/rest/", "https://evil.com.br/rest/x"),
        ("https://acme.co.uk/rest/", "https://co.uk/rest/x"),
        ("https://10.0.0.5/rest/", "https://10.0.0.6/rest/x"),
        ("https://10.0.0.5/rest/", "https://11.0.0.5/rest/x"),
        ("https://[fd00::1]/rest/", "https://[fd00::2]/rest/x"),
        ("http://127.0.0.1/rest/", "https://evil.example.org/rest/x"),
        ("https://portal/rest/", "https://other/rest/x"),
        (CLOUD, "https://new.bitrix24.com:nonsense/rest/x"),
        (CLOUD, ""),
        (CLOUD, "/rest/x"),
        (CLOUD, "https://[/rest/x"),
    ],
    ids=range(27),
)
def test_implausible(old: str, location: str):
    assert new_rest_url(old, location) is None
