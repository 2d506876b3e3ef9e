"""How a call is authorized: by an incoming webhook (the secret is in the address) or by OAuth (in the body).

Vendor: local-integrations/local-webhooks.md, settings/how-to-call-rest-api/general-principles.md.
"""

import re
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from worker.bitrix24.refresh import Ask, TokenKeeper
from worker.errors import NeedsReauth, UsageError
from worker.tokens import Grant, Token

V3 = "api/"
"""Begins the name of a method that is called by REST 3.0."""


class Auth(Protocol):
    """What the client asks of an authorization.

    `rest_url` ends with a slash ("https://portal/rest/"); `refreshes` counts what was asked of the token server.
    """

    rest_url: str
    refreshes: int

    def url(self, method: str) -> str:
        """The address of a method. May hold a secret: for the transport's eyes only."""
        ...

    def apply(self, body: dict[str, Any]) -> int:
        """Put the authorization into a call's body; returns the version of the token that was used."""
        ...

    def renew(self, version: int) -> None:
        """The portal rejected this version: see to it that the next `apply` uses another."""
        ...

    def secrets(self, body: dict[str, Any]) -> tuple[str, ...]:
        """What must not appear in an error's text."""
        ...


class WebhookAuth:
    """An incoming webhook. Acts as its creator; cannot be renewed.

    Args:
        rest_url: "https://portal/rest/".
        user_id: Its creator.
        secret: The middle part of its address.
    """

    def __init__(self, rest_url: str, user_id: int, secret: str) -> None:
        self.rest_url = with_slash(rest_url)
        self.user_id = user_id
        self.refreshes = 0
        self._secret = secret

    def __repr__(self) -> str:
        return f"WebhookAuth({self.rest_url!r}, {self.user_id})"

    @classmethod
    def from_url(cls, url: str) -> "WebhookAuth":
        """Read what a portal shows: https://portal/rest/7/secret/, with or without a method behind."""
        try:
            parts = urlsplit(url.strip())
        except ValueError:
            parts = urlsplit("")
        found = re.fullmatch(r"(?P<rest>.*/rest/)(?P<user>\d{1,19})/(?P<secret>[A-Za-z0-9_-]+)(/[\w.]*)?/?", parts.path)
        if found is None or not parts.netloc or parts.username is not None:
            raise UsageError("this is no address of an incoming webhook (https://portal/rest/7/secret/)")
        return cls(f"{parts.scheme}://{parts.netloc}{found['rest']}", int(found["user"]), found["secret"])

    @property
    def secret(self) -> str:
        """For the store alone."""
        return self._secret

    def url(self, method: str) -> str:
        version = V3 if method.startswith(V3) else ""  # it stands before the secret (vendor: api-reference/rest-v3.md)
        return f"{self.rest_url}{version}{self.user_id}/{quote(self._secret, safe='')}/{method.removeprefix(version)}"

    def apply(self, body: dict[str, Any]) -> int:  # noqa: ARG002 - nothing to put into it
        return 0

    def renew(self, version: int) -> None:  # noqa: ARG002 - there is but one
        raise NeedsReauth("the portal does not accept this webhook any more: make a new one, connect again")

    def secrets(self, body: dict[str, Any]) -> tuple[str, ...]:  # noqa: ARG002
        return (self._secret,)


class OAuthAuth:
    """An OAuth account: the token is read anew for every attempt, because another process may have renewed it.

    Args:
        rest_url: The portal's `client_endpoint`.
        account_id: Whose tokens.
        keeper: Renews them, one at a time.
        ask: Asks the token server.
    """

    def __init__(self, rest_url: str, account_id: int, keeper: TokenKeeper, ask: Ask) -> None:
        self.rest_url = with_slash(rest_url)
        self.account_id = account_id
        self.refreshes = 0
        self._keeper = keeper
        self._real_ask = ask

    def __repr__(self) -> str:
        return f"OAuthAuth({self.rest_url!r}, account {self.account_id})"

    def url(self, method: str) -> str:
        return f"{self.rest_url}{method}"

    def apply(self, body: dict[str, Any]) -> int:
        token = self._keeper.access(self.account_id, self._ask)
        body["auth"] = token.access_token
        return token.version

    def renew(self, version: int) -> None:
        self._keeper.refresh(self.account_id, version, self._ask)

    def secrets(self, body: dict[str, Any]) -> tuple[str, ...]:
        return (str(body.get("auth", "")),)

    def _ask(self, token: Token) -> Grant:
        self.refreshes += 1
        return self._real_ask(token)


class GrantAuth:
    """A grant that is not stored yet: for asking a portal who we are before anything is.

    Args:
        rest_url: The portal's `client_endpoint`.
        grant: As the token server gave it.
    """

    def __init__(self, rest_url: str, grant: Grant) -> None:
        self.rest_url = with_slash(rest_url)
        self.refreshes = 0
        self._grant = grant

    def __repr__(self) -> str:
        return f"GrantAuth({self.rest_url!r})"

    def url(self, method: str) -> str:
        return f"{self.rest_url}{method}"

    def apply(self, body: dict[str, Any]) -> int:
        body["auth"] = self._grant.access_token
        return 0

    def renew(self, version: int) -> None:  # noqa: ARG002
        raise NeedsReauth("the portal does not accept these tokens: authorize again")

    def secrets(self, body: dict[str, Any]) -> tuple[str, ...]:  # noqa: ARG002
        return (self._grant.access_token,)


def with_slash(url: str) -> str:
    """The address with one slash at its end."""
    return url.rstrip("/") + "/"
