"""Puts an account on record: the portal is asked who it is first, and then all is stored in one transaction.

A connection that fails leaves nothing behind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from worker.bitrix24.auth import Auth, GrantAuth, WebhookAuth
from worker.bitrix24.calls import Answer, Answers, Call
from worker.bitrix24.client import Client
from worker.bitrix24.oauth import TokenAnswer
from worker.clock import Clock
from worker.connect.address import portal_url
from worker.errors import B24SyncError, PortalError, TransientError
from worker.resources.viewer import granted_scopes, is_admin, profile_call, viewer_from_profile
from worker.storage import hints, portals
from worker.storage.connections import register_account
from worker.storage.models import Account, Portal
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
        installed: False where the portal waits for the application's page to say that its installation is finished.
    """

    portal_id: int
    member_id: str
    domain: str
    user_id: int
    kind: str
    is_admin: bool
    scope: tuple[str, ...]
    missing: Mapping[str, str]
    installed: bool = True


@dataclass(frozen=True, slots=True)
class Identity:
    """What the portal said of the account before it was stored."""

    user_id: int
    is_admin: bool
    time_zone: str | None
    scope: tuple[str, ...]
    installed: bool


class Registrar:
    """Asks a portal who an account is, and stores it.

    Args:
        client_for: A client for an authorization that is not stored yet.
        probe: Finds out how a portal behaves, with the account that reads it; whatever comes of it, it raises nothing.
    """

    def __init__(
        self,
        *,
        database: Database,
        token_store: SqlTokenStore,
        client_for: Callable[[Auth], Client],
        clock: Clock,
        probe: Callable[[Portal, Account], object],
    ) -> None:
        self._database = database
        self._token_store = token_store
        self._client_for = client_for
        self._clock = clock
        self._probe = probe

    def store_webhook(self, auth: WebhookAuth) -> Connected:
        """Raises UsageError or ConnectError."""
        base = portal_url(_origin(auth.rest_url))  # refuses plain http to other machines
        identity = self._identify(auth)
        domain = urlsplit(base).netloc
        return self._store(
            auth.rest_url, member_id=None, domain=domain, kind="webhook", identity=identity, secret=auth.secret
        )

    def store_answer(self, answer: TokenAnswer, *, application_token: str | None = None) -> Connected:
        """With the secret of the portal's events, where it came beside. Raises UsageError or ConnectError."""
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
            application_token=application_token,
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
            installed=_installed(answers, info),
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
        application_token: str | None = None,
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
            if application_token is not None and identity.is_admin:  # anybody may open the application's page
                hints.save_application_token(session, account.portal_id, application_token)
            portal = portals.get_portal(session, account.portal_id)
        if portal is None:
            raise ConnectError(f"{domain} was removed while it was being connected: connect again")
        if account.is_primary:
            self._probe(portal, account)
        return Connected(
            portal_id=portal.id,
            member_id=portal.member_id,
            domain=portal.domain,
            user_id=identity.user_id,
            kind=kind,
            is_admin=identity.is_admin,
            scope=identity.scope,
            missing=missing_scopes(identity.scope),
            installed=identity.installed,
        )


def missing_scopes(granted: tuple[str, ...]) -> dict[str, str]:
    """Scope to what does not work without it."""
    return {scope: what for scope, (what, enough) in NEEDED.items() if not enough & set(granted)}


def _granted(answers: Answers, scope: Call) -> tuple[str, ...]:
    read = answers.get(scope)
    try:
        return tuple(sorted(granted_scopes(read))) if isinstance(read, Answer) else ()
    except PortalError:
        return ()


def _installed(answers: Answers, info: Call) -> bool:
    """False only where the portal says so (vendor: sdk/bx24-js-sdk/system-functions/bx24-install-finish.md)."""
    read = answers.get(info)
    try:
        said = read.decode(dict[str, Any]).get("INSTALLED") if isinstance(read, Answer) else None
    except PortalError:
        return True
    return said is not False


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
