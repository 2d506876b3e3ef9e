"""Connecting an account: by the code flow, by an incoming webhook, or by a token server's answer.

Whatever the way, the portal is asked who we are before anything is stored, and then all is stored in one transaction:
a connection that fails leaves nothing behind. Used by the command line and by the web pages alike.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from worker.bitrix24.auth import Auth, GrantAuth, WebhookAuth
from worker.bitrix24.calls import Answer, Answers, Call
from worker.bitrix24.client import Client
from worker.bitrix24.oauth import TokenAnswer, TokenServer, authorize_url, read_token_answer
from worker.clock import Clock
from worker.config import is_loopback
from worker.errors import B24SyncError, CallRefused, NeedsReauth, PortalError, TransientError, UsageError
from worker.resources.viewer import is_admin, profile_call, viewer_from_profile
from worker.storage import logins, portals
from worker.storage.connections import register_account
from worker.storage.session import Database
from worker.storage.tokens import SqlTokenStore

NEEDED = {
    "task": ("tasks and the planner", {"task", "tasks", "tasks_extended"}),
    "calendar": ("calendars", {"calendar"}),
    "user": ("names of users", {"user", "user_basic", "user_brief"}),
}
"""Scope: what does not work without it, and the scopes that will do (vendor: api-reference/scopes/permissions.md)."""


class ConnectError(B24SyncError):
    """The account could not be connected; nothing was stored. The text names the cure."""


@dataclass(frozen=True, slots=True)
class Connected:
    """An account that is stored now.

    Args:
        portal_id: Our number of the portal.
        domain: The portal's domain.
        user_id: Whose account it is, on the portal.
        kind: "oauth" or "webhook".
        is_admin: Whether that user is an administrator (only then the portal shows everything).
        missing: What will not work, for each missing scope.
    """

    portal_id: int
    member_id: str
    domain: str
    user_id: int
    kind: str
    is_admin: bool
    scope: tuple[str, ...]
    missing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Identity:
    """What the portal said of the account before it was stored."""

    user_id: int
    is_admin: bool
    time_zone: str | None
    scope: tuple[str, ...]


def portal_url(text: str) -> str:
    """The portal's address from what a person types: a domain, perhaps with a scheme. Raises UsageError.

    Plain http is accepted, and implied, for this machine only.
    """
    typed = text.strip()
    url = urlsplit(typed if "://" in typed else f"//{typed}")
    try:
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if not host or url.path.strip("/") or url.query or url.username or url.scheme not in {"", "http", "https"}:
        raise UsageError(f"{text!r} is no portal's address: type its domain, such as acme.bitrix24.com")
    scheme = url.scheme or ("http" if is_loopback(host) else "https")
    if scheme == "http" and not is_loopback(host):
        raise UsageError(f"{host} must be asked over https: plain http is for this machine only")
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}:{port}" if port else f"{scheme}://{name}"


class Connector:
    """Connects accounts.

    Args:
        client_for: A client for an authorization that is not stored yet.
        token_server: None where the application's keys are not set.
    """

    def __init__(
        self,
        *,
        database: Database,
        token_store: SqlTokenStore,
        token_server: TokenServer | None,
        client_for: Callable[[Auth], Client],
        clock: Clock,
        client_id: str | None,
        redirect_uri: str,
        scope: str,
    ) -> None:
        self._database = database
        self._token_store = token_store
        self._server = token_server
        self._client_for = client_for
        self._clock = clock
        self._client_id = client_id
        self._redirect_uri = redirect_uri
        self._scope = scope

    def begin(self, domain: str) -> tuple[str, str]:
        """Remember a login and return (the address to open in a browser, its state). Raises UsageError."""
        url = portal_url(domain)
        self._keys()
        state = secrets.token_urlsafe(32)
        now = self._clock.now()
        with self._database.write() as session:
            logins.create_login(
                session, state=state, domain=urlsplit(url).netloc, redirect_uri=self._redirect_uri, now=now
            )
        return authorize_url(url, self._client_id or "", self._redirect_uri, state, self._scope), state

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
        auth = WebhookAuth.from_url(url)
        base = portal_url(_origin(auth.rest_url))  # refuses plain http to other machines
        identity = self._identify(auth)
        domain = urlsplit(base).netloc
        return self._store(
            auth.rest_url, member_id=None, domain=domain, kind="webhook", identity=identity, secret=auth.secret
        )

    def with_tokens(self, values: Mapping[str, Any]) -> Connected:
        """Connect by a token server's answer. Raises UsageError or ConnectError."""
        answer = read_token_answer(values, self._clock.now())
        if answer.client_endpoint is None:
            raise UsageError("the answer has no client_endpoint: it does not say which portal its tokens are for")
        return self._store_answer(answer)

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
        return self._store_answer(answer)

    def _store_answer(self, answer: TokenAnswer) -> Connected:
        endpoint = answer.client_endpoint or ""
        base = portal_url(_origin(endpoint))
        identity = self._identify(GrantAuth(endpoint, answer.grant))
        return self._store(
            endpoint,
            member_id=answer.member_id,
            domain=urlsplit(base).netloc,
            kind="oauth",
            identity=replace(identity, scope=identity.scope or tuple(filter(None, answer.scope.split(",")))),
            answer=answer,
        )

    def _identify(self, auth: Auth) -> Identity:
        """Ask the portal who the account is. Raises ConnectError with the cure."""
        domain = urlsplit(auth.rest_url).netloc
        profile, scope, info = profile_call("profile"), Call("scope", "scope"), Call("info", "app.info")
        try:
            answers = self._client_for(auth).batch([profile, scope, info])
            read = answers.get(profile)
            if not isinstance(read, Answer):
                raise read
        except TransientError as error:
            raise ConnectError(f"{domain} does not answer as a portal does: check its address ({error})") from error
        except PortalError as error:
            raise ConnectError(f"{domain} refused the account: {error}") from error
        viewer = viewer_from_profile(read.result, answers.time.portal_now or self._clock.now())
        return Identity(
            user_id=viewer.user_id,
            is_admin=is_admin(read.result),
            time_zone=viewer.zone.key if viewer.zone else None,
            scope=_granted(answers, scope),
        )

    def _store(
        self,
        rest_url: str,
        *,
        member_id: str | None,
        domain: str,
        kind: str,
        identity: Identity,
        answer: TokenAnswer | None = None,
        secret: str = "",
    ) -> Connected:
        with self._database.write() as session:
            account = register_account(
                session,
                member_id=member_id or f"{portals.PLACEHOLDER}{domain}",
                domain=domain,
                rest_url=rest_url,
                oauth_url=answer.server_endpoint if answer else None,
                user_id=identity.user_id,
                kind=kind,
                scope=",".join(identity.scope),
                is_admin=identity.is_admin,
                time_zone=identity.time_zone,
                now=self._clock.now(),
            )
            if answer is not None:
                self._token_store.save_new(session, account.id, answer.grant)
            else:
                self._token_store.save_webhook(session, account.id, secret, now=self._clock.now())
            portal = portals.get_portal(session, account.portal_id)
        if portal is None:
            raise ConnectError(f"{domain} was removed while it was being connected: connect again")
        return Connected(
            portal_id=portal.id,
            member_id=portal.member_id,
            domain=portal.domain,
            user_id=identity.user_id,
            kind=kind,
            is_admin=identity.is_admin,
            scope=identity.scope,
            missing=missing_scopes(identity.scope),
        )

    def _keys(self) -> TokenServer:
        if self._server is None:
            raise UsageError(
                "B24SYNC_CLIENT_ID and B24SYNC_CLIENT_SECRET are not set: copy them from the application's card"
            )
        return self._server


def missing_scopes(granted: tuple[str, ...]) -> dict[str, str]:
    """Scope to what does not work without it."""
    return {scope: what for scope, (what, enough) in NEEDED.items() if not enough & set(granted)}


def _granted(answers: Answers, scope: Call) -> tuple[str, ...]:
    read = answers.get(scope)
    try:
        return tuple(sorted(read.decode(list[str]))) if isinstance(read, Answer) else ()
    except PortalError:
        return ()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
