"""As whom a client of a connected account acts."""

from worker.bitrix24.auth import Auth, OAuthAuth, WebhookAuth
from worker.bitrix24.oauth import TokenServer
from worker.bitrix24.refresh import Ask, TokenKeeper
from worker.errors import NeedsReauth, UsageError
from worker.storage.models import Account, Portal
from worker.storage.tokens import SqlTokenStore
from worker.tokens import Grant, Token


class Authorizer:
    """Gives clients their authorization: a webhook's secret, or a token that is kept alive.

    Args:
        store: Where secrets are.
        keeper: Refreshes tokens, one at a time.
        server: The token server, None while the application's keys are not set.
    """

    def __init__(self, *, store: SqlTokenStore, keeper: TokenKeeper, server: TokenServer | None) -> None:
        self._store = store
        self._keeper = keeper
        self._server = server

    def auth(self, portal: Portal, account: Account) -> Auth:
        if account.kind == "webhook":
            return WebhookAuth(portal.rest_url, account.user_id, self._store.webhook_secret(account.id))
        return OAuthAuth(portal.rest_url, account.id, self._keeper, self.asking(portal))

    def asking(self, portal: Portal) -> Ask:
        """How the next pair of this portal's accounts is asked for."""

        def ask(token: Token) -> Grant:
            if self._server is None:
                raise UsageError("B24SYNC_CLIENT_ID and B24SYNC_CLIENT_SECRET are needed to renew this portal's token")
            base = portal.rest_url.removesuffix("/").removesuffix("/rest")
            try:
                return self._server.refresh(token.refresh_token or "", base, portal.oauth_url).grant
            except NeedsReauth as error:
                error.portal = portal.domain  # the token server says so, but it is the portal that must be connected
                raise

        return ask
