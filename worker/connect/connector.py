"""The ways in which an account is connected. Used by the command line and by the web pages alike."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from worker.bitrix24.auth import WebhookAuth
from worker.bitrix24.oauth import PORTAL_MODE, TokenServer, authorize_url, read_token_answer
from worker.clock import Clock
from worker.connect.address import is_inner, portal_url
from worker.connect.register import Connected, ConnectError, Registrar
from worker.errors import B24SyncError, CallRefused, NeedsReauth, PortalError, UsageError
from worker.loopback import is_loopback
from worker.storage import logins, portals
from worker.storage.session import Database

FORM = "form."
"""Begins the state of a login that a web form began. Only the hash of a state is kept, so nobody can take it away."""


class Connector:
    """Connects accounts.

    Args:
        token_server: None where the application's keys are not set.
        oauth_url: The operator's setting: where it names this machine, portals on this machine are meant, too.
    """

    def __init__(
        self,
        *,
        database: Database,
        registrar: Registrar,
        token_server: TokenServer | None,
        clock: Clock,
        client_id: str | None,
        redirect_uri: str,
        scope: str,
        oauth_url: str,
    ) -> None:
        self._database = database
        self._registrar = registrar
        self._server = token_server
        self._clock = clock
        self._client_id = client_id
        self._redirect_uri = redirect_uri
        self._scope = scope
        self._oauth_url = oauth_url

    def begin(self, domain: str, *, by_form: bool = False) -> tuple[str, str]:
        """Remember a login and return (the address to open in a browser, its state). Raises UsageError.

        A domain from a web form is trusted less than the operator's: it may not lead to an inner address, unless that
        portal is connected already, and the state begins with `FORM` so that the callback asks for the same browser.
        """
        url = portal_url(domain)
        self._keys()
        if by_form:
            self._check_form(url)
        state = f"{FORM if by_form else ''}{secrets.token_urlsafe(32)}"
        now = self._clock.now()
        with self._database.write() as session:
            logins.create_login(
                session, state=state, domain=urlsplit(url).netloc, redirect_uri=self._redirect_uri, now=now
            )
        return authorize_url(url, self._client_id or "", self._redirect_uri, state, self._scope), state

    def _check_form(self, url: str) -> None:
        """Raises UsageError. In portal mode the secret would go to whatever host the form names."""
        parts = urlsplit(url)
        with self._database.read() as session:
            known = portals.find_portal(session, parts.netloc)
        if known is not None and known.domain == parts.netloc:
            return
        by_hand = f"run `b24sync connect {parts.netloc}` where b24sync runs"
        if self._oauth_url == PORTAL_MODE:
            raise UsageError(f"with B24SYNC_OAUTH_URL=portal a new portal is not connected from here: {by_hand}")
        host = parts.hostname or ""
        ours = is_loopback(host) and is_loopback(urlsplit(self._oauth_url).hostname)
        if is_inner(host) and not ours:
            raise UsageError(f"{parts.netloc} is an inner address, which is not connected from here: {by_hand}")

    def outcome(self, state: str) -> logins.Login | None:
        """What has become of a login: any process may have served its callback."""
        with self._database.read() as session:
            return logins.get_login(session, state)

    def finish(self, query: Mapping[str, str]) -> Connected:
        """Take the callback's query. Raises ConnectError (also stored with the login, for who waits for it)."""
        state = query.get("state", "")
        with self._database.write() as session:
            login = logins.claim_login(session, state, now=self._clock.now())
        if login is None:
            raise ConnectError("this login is unknown, was used already or is older than 10 minutes: connect again")
        try:
            connected = self._exchange(login.domain, query)
        except B24SyncError as error:
            self._fail(state, str(error))
            raise
        except Exception:  # the database, perhaps; else whoever waits for the outcome would wait ten minutes
            self._fail(state, "b24sync failed while it connected the portal; its log says why")
            raise
        with self._database.write() as session:
            logins.finish_login(session, state, outcome="connected")
        return connected

    def _fail(self, state: str, error: str) -> None:
        with self._database.write() as session:
            logins.finish_login(session, state, outcome="failed", error=error)

    def with_webhook(self, url: str) -> Connected:
        """Connect by an incoming webhook's address. Raises UsageError or ConnectError."""
        return self._registrar.store_webhook(WebhookAuth.from_url(url))

    def with_tokens(self, values: Mapping[str, Any]) -> Connected:
        """Connect by a token server's answer. Raises UsageError or ConnectError."""
        answer = read_token_answer(values, self._clock.now())
        if answer.client_endpoint is None:
            raise UsageError("the answer has no client_endpoint: it does not say which portal its tokens are for")
        return self._registrar.store_answer(answer)

    def with_installation(self, refresh_token: str, server: str, application_token: str | None) -> Connected:
        """Connect by the pair that an installation or the application's page brought. Anybody may have sent it.

        So it is renewed once at the token server, with our secret: that proves the pair to be of our application, and
        names the portal. Nothing else in the message is believed, and nothing that it names is asked.

        Args:
            refresh_token: As sent.
            server: The token server as sent; believed only where it is the vendor's or the operator's.
            application_token: The secret of the portal's events, if it came beside.

        Raises UsageError or ConnectError.
        """
        keys = self._keys()
        if self._oauth_url == PORTAL_MODE:
            raise UsageError("with B24SYNC_OAUTH_URL=portal no token server proves an installation: connect by hand")
        try:
            answer = keys.refresh(refresh_token, "", server)
        except NeedsReauth as error:
            raise ConnectError(
                "the token server does not know this installation: it is not of this application, or it came too late;"
                " open the application on the portal once more"
            ) from error
        except PortalError as error:
            raise ConnectError(f"the token server could not be asked: {error}") from error
        if answer.client_endpoint is None or answer.member_id is None:
            raise ConnectError("the token server did not say which portal the installation is of")
        return self._registrar.store_answer(answer, application_token=application_token)

    def _exchange(self, domain: str, query: Mapping[str, str]) -> Connected:
        server = self._keys()
        if "code" not in query:
            raise ConnectError(f"{domain} sent no code: allow the application there, then connect again")
        told = query.get("domain", domain)
        if told != domain:
            raise ConnectError(f"you asked to connect {domain}, but {told} answered: run `b24sync connect {told}`")
        try:
            answer = server.exchange(query["code"], portal_url(domain), query.get("server_domain"))
        except NeedsReauth as error:
            raise ConnectError(
                f"the token server did not take the code of {domain}: it lives 30 seconds and once; connect again"
            ) from error
        except CallRefused as error:
            raise ConnectError(
                f"the token server refused the application ({error.code}): compare B24SYNC_CLIENT_ID and "
                f"B24SYNC_CLIENT_SECRET with the application's card on {domain}"
            ) from error
        except PortalError as error:
            raise ConnectError(f"the token server could not be asked: {error}") from error
        if answer.client_endpoint is None:  # the portal's own token endpoint may name none
            answer = replace(answer, client_endpoint=f"{portal_url(domain)}/rest/")
        host = urlsplit(answer.client_endpoint or "").netloc
        if host != domain:
            raise ConnectError(f"you asked to connect {domain}, but these tokens are for {host}: connect {host}")
        return self._registrar.store_answer(answer)

    def _keys(self) -> TokenServer:
        if self._server is None:
            raise UsageError(
                "B24SYNC_CLIENT_ID and B24SYNC_CLIENT_SECRET are not set: copy them from the application's card"
            )
        return self._server
