"""Authorization: the address a person is sent to, and the exchange of codes and refresh tokens for grants.

Vendor: settings/oauth/index.md (a code lives 30 seconds, once), settings/oauth/auto-renewal.md. The pages show GET; a
form POST keeps `client_secret` out of URLs and so out of every log on the way. GET remains for a server that answers
405 or 501, and for `portal` mode: the portal's own /oauth/token/, as the older documentation has it.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from worker.bitrix24.grants import TokenAnswer, read_token_answer
from worker.bitrix24.outage import Outages
from worker.bitrix24.protocol import decode, read_error
from worker.bitrix24.refusals import refusal
from worker.bitrix24.transport import Reply, Transport
from worker.clock import Clock
from worker.errors import BadAnswer, PortalMoved

__all__ = ["PORTAL_MODE", "TokenAnswer", "TokenServer", "allowed_server", "authorize_url", "read_token_answer"]

PORTAL_MODE: Final = "portal"
VENDOR_SERVERS: Final = frozenset({"oauth.bitrix.info", "oauth.bitrix24.tech"})
_READ_TIMEOUT = 15.0
_TOTAL_TIMEOUT = 25.0  # less than a refresh's lease of 30
_NO_POST = frozenset({405, 501})


def authorize_url(portal_url: str, client_id: str, redirect_uri: str, state: str, scope: str = "") -> str:
    """Where a person's browser is sent to give consent.

    Today's portals take the return address and the scope from the application's card and ignore what they do not know;
    `redirect_uri`, `response_type` and `scope` are for older and self-hosted ones.
    """
    query = {"client_id": client_id, "response_type": "code", "redirect_uri": redirect_uri, "state": state}
    if scope:
        query["scope"] = scope
    return f"{portal_url.rstrip('/')}/oauth/authorize/?{urlencode(query)}"


def allowed_server(told: str | None, configured: str) -> str:
    """The token server to send the secret to: the one told, if it is ours or the vendor's, else the configured one.

    Args:
        told: `server_domain` or `server_endpoint` of a callback or an answer: a host or a URL.
        configured: The operator's setting, a URL.
    """
    try:
        ours = urlsplit(configured).netloc.lower()
        host = urlsplit(told if "//" in told else f"//{told}").netloc.lower() if told else ""
    except ValueError:
        return configured.rstrip("/")
    if host == ours or host not in VENDOR_SERVERS:
        return configured.rstrip("/")
    return f"https://{host}"


class TokenServer:
    """Asks a token server. Keeps the application's secret and shows it to nobody else.

    Args:
        transport: HTTP.
        clock: Ours; a grant's time counts from before the request.
        client_id: The application's.
        client_secret: The application's.
        oauth_url: The configured server, or "portal".
        redirect_uri: The application's return address.
        scope: What is asked for, in portal mode only.
    """

    def __init__(  # noqa: PLR0917 - what an application is, in the order in which people know it
        self,
        transport: Transport,
        clock: Clock,
        client_id: str,
        client_secret: str,
        oauth_url: str,
        redirect_uri: str = "",
        scope: str = "",
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._client_id = client_id
        self._client_secret = client_secret
        self._oauth_url = oauth_url
        self._redirect_uri = redirect_uri
        self._scope = scope
        self._outages = Outages(clock)

    def exchange(self, code: str, portal_url: str, server_url: str | None = None) -> TokenAnswer:
        """The first grant, for the code that the callback brought. `server_url`: the callback's `server_domain`."""
        return self._ask({"grant_type": "authorization_code", "code": code}, portal_url, server_url)

    def refresh(self, refresh_token: str, portal_url: str, server_url: str | None = None) -> TokenAnswer:
        """The next grant.

        Raises NeedsReauth for a token that is used, expired or unknown, TokenServerAway where nobody was asked.
        """
        grant = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        if self._oauth_url == PORTAL_MODE:
            return self._ask(grant, portal_url, server_url)
        server = urlsplit(allowed_server(server_url, self._oauth_url)).netloc
        with self._outages.asking(server, portal_url):
            return self._ask(grant, portal_url, server_url)

    def _ask(self, grant: dict[str, str], portal_url: str, told: str | None) -> TokenAnswer:
        fields = {**grant, "client_id": self._client_id, "client_secret": self._client_secret}
        secrets = tuple(fields[name] for name in ("client_secret", "code", "refresh_token") if name in fields)
        received_at = self._clock.now()
        if self._oauth_url == PORTAL_MODE:
            server = portal_url.rstrip("/")
            values = self._ask_portal(f"{server}/oauth/token/", fields, secrets)
        else:
            server = allowed_server(told, self._oauth_url)
            values = self._ask_server(f"{server}/oauth/token/", fields, secrets)
        return read_token_answer(values, received_at, portal=urlsplit(server).netloc)

    def _ask_server(self, url: str, fields: dict[str, str], secrets: tuple[str, ...]) -> Mapping[str, Any]:
        try:
            reply = self._transport.post_form(url, fields, read_timeout=_READ_TIMEOUT, total=_TOTAL_TIMEOUT)
            if reply.status in _NO_POST:  # then nothing was looked at, and the code is not used up
                reply = self._transport.get(url, fields, read_timeout=_READ_TIMEOUT, total=_TOTAL_TIMEOUT)
        except PortalMoved as moved:
            raise BadAnswer("the token server redirects, which it never does", portal=moved.portal) from None
        return _read(reply, urlsplit(url).netloc, secrets)

    def _ask_portal(self, url: str, fields: dict[str, str], secrets: tuple[str, ...]) -> Mapping[str, Any]:
        fields = {**fields, "redirect_uri": self._redirect_uri, "scope": self._scope}
        host = urlsplit(url).netloc
        try:
            reply = self._transport.get(url, fields, read_timeout=_READ_TIMEOUT, total=_TOTAL_TIMEOUT)
        except PortalMoved as moved:
            location = moved.location  # holds tokens: not to be seen in a traceback either
        else:
            return _read(reply, host, secrets)
        return _read_redirect(location, self._redirect_uri, host, secrets)


def _read(reply: Reply, host: str, secrets: tuple[str, ...]) -> Mapping[str, Any]:
    """A token server's JSON. Its `error` counts under any status: WRONG_CLIENT comes with 200."""
    try:
        values = msgspec.json.decode(reply.body)
    except (msgspec.MsgspecError, RecursionError):
        values = None
    if isinstance(values, dict) and values.get("error") in (None, False, "") and reply.status < 400:  # noqa: PLR2004
        return values
    # Refused, or nothing readable: the portal's decoder knows both. An answer with neither is a BadAnswer.
    outcome = decode(reply.status, reply.headers, reply.body, portal=host, secrets=secrets)
    if isinstance(outcome, Exception):
        raise outcome
    raise BadAnswer("the token server's answer cannot be read", portal=host, status=reply.status)


def _read_redirect(location: str, redirect_uri: str, host: str, secrets: tuple[str, ...]) -> Mapping[str, Any]:
    """The grant in the query of a redirect to our own address. Never followed, never shown."""
    try:
        there, ours = urlsplit(location), urlsplit(redirect_uri)
        same = (there.scheme, there.netloc, there.path) == (ours.scheme, ours.netloc, ours.path)
        values = dict(parse_qsl(there.query, keep_blank_values=True, max_num_fields=100))
    except ValueError:
        same, values = False, {}
    if not same:
        raise BadAnswer("the portal redirects the token request to an address that is not ours", portal=host)
    if values.get("error"):
        code, text = read_error(_raw(values["error"]), _raw(values.get("error_description", "")))
        for secret in secrets:
            code, text = code.replace(secret, "***"), text.replace(secret, "***")
        raise refusal(code, text, status=None, portal=host)
    return values


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(text))
