"""The authorization server: codes, pairs of tokens, and how their chain goes on (settings/oauth/)."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal

from worker.emulator.faults import TOKEN_KINDS, Faults
from worker.emulator.rest import php
from worker.emulator.rest.php import Map
from worker.emulator.server.grants import Application, Code, Grant, Pair, TokenError, TokenReply

CODE_SECONDS = 30
REFRESH_DAYS = 180


@dataclass(repr=False)
class TokenServer:
    """All pairs of all portals of one emulator."""

    clock: Callable[[], datetime]
    lifetime: int = 3600
    rotation: Literal["rotate", "branch", "keep", "stable"] = "rotate"
    """rotate: a refresh gives a new refresh token and kills the old pair; branch: the old pair lives on beside the new
    one; keep: no refresh token comes; stable: the same one."""
    methods: set[str] = field(default_factory=lambda: {"GET", "POST"})
    killed: Literal["expired_token", "invalid_token", "works"] = "expired_token"
    """How a portal answers to the access token of a killed pair."""
    exchange_tells: Literal["page", "user"] = "page"
    """What an answer to a code holds: what its page shows (settings/oauth/index.md), or also `expires` and `user_id`,
    without which the vendor's own SDK (b24pysdk 1.3.2) takes no answer."""
    faults: Faults = field(default_factory=lambda: Faults(TOKEN_KINDS))
    log: list[Grant] = field(default_factory=list)
    host: str = ""
    _portals: list[Application] = field(default_factory=list)
    _codes: dict[str, Code] = field(default_factory=dict)
    _access: dict[str, Pair] = field(default_factory=dict)
    _refresh: dict[str, Pair] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __repr__(self) -> str:
        return (
            f"TokenServer({self.host!r}, rotation={self.rotation!r}, lifetime={self.lifetime}, grants={len(self.log)})"
        )

    def know(self, portal: Application) -> None:
        self._portals.append(portal)

    def new_code(self, portal: Application, user_id: int) -> str:
        code = secrets.token_hex(16)
        with self._lock:
            self._codes[code] = Code(portal, user_id, self.clock() + timedelta(seconds=CODE_SECONDS))
        return code

    def issue(self, portal: Application, user_id: int, *, refresh: str | None = None) -> Pair:
        """A new pair, with the given refresh token where the chain keeps it."""
        now = self.clock()
        pair = Pair(
            portal=portal,
            user_id=user_id,
            access=secrets.token_hex(22),
            refresh=refresh or secrets.token_hex(22),
            expires=now + timedelta(seconds=self.lifetime),
            refresh_expires=now + timedelta(days=REFRESH_DAYS),
            scope=portal.scope,
        )
        with self._lock:
            self._access[pair.access] = pair
            self._refresh[pair.refresh] = pair
        return pair

    def check(self, portal: Application, access: str) -> tuple[Pair | None, str]:
        """The pair of a token, or the error that the portal answers."""
        pair = self._access.get(access)
        if pair is None or pair.portal is not portal:
            return None, "invalid_token"
        if pair.dead and self.killed != "works":
            return None, self.killed
        if pair.expires <= self.clock():
            return None, "expired_token"
        return pair, ""

    def expire(self, portal: Application) -> None:
        """All access tokens of a portal run out now; refresh tokens live on."""
        with self._lock:
            for pair in self._access.values():
                if pair.portal is portal:
                    pair.expires = min(pair.expires, self.clock())

    def revoke(self, portal: Application, user_id: int | None = None) -> None:
        """The refresh tokens die, of one user or of all: they must authorize anew."""
        with self._lock:
            for token, pair in list(self._refresh.items()):
                if pair.portal is portal and user_id in (None, pair.user_id):
                    del self._refresh[token]

    def answer(self, pair: Pair, *, first: bool, with_refresh: bool = True) -> Map:
        """The body of settings/oauth/index.md, or of auto-renewal.md with two more keys."""
        body: Map = {
            "access_token": pair.access,
            "client_endpoint": f"{pair.portal.url}/rest/",
            "domain": self.host,
            "expires_in": self.lifetime,
            "member_id": pair.portal.member_id,
            "scope": pair.scope,
            "server_endpoint": f"http://{self.host}/rest/",
            "status": "L",
        }
        if not first or self.exchange_tells == "user":
            body["expires"] = int(pair.expires.timestamp())
            body["user_id"] = pair.user_id
        if with_refresh:
            body["refresh_token"] = pair.refresh
        return body

    def grant(self, params: Map, http_method: str) -> TokenReply:
        """Answer one token request, faults and log included."""
        fault = self.faults.take(TOKEN_KINDS, ()) if http_method in self.methods else None
        kind = fault.kind if fault else ""
        hang = float(fault.options.get("seconds", 30)) if fault and kind == "hang" else 0.0
        record = Grant(php.to_text(params.get("grant_type")), self.clock(), "", http_method=http_method)
        secret = php.to_text(params.get("refresh_token") or params.get("code"))
        record.token_sha = sha256(secret.encode()).hexdigest() if secret else ""
        try:
            self._refuse(kind, http_method)
            if kind == "html":
                record.outcome = kind
                return TokenReply(502, {}, raw=b"<html><body><h1>502 Bad Gateway</h1></body></html>")
            with self._lock:
                body = self._granted(params, record)
            record.outcome = "lost" if kind == "lose_answer" else "ok"
            return TokenReply(200, body, lose=kind == "lose_answer", hang=hang)
        except TokenError as error:
            record.outcome = error.code
            return TokenReply(error.status, {"error": error.code, "error_description": error.text}, hang=hang)
        finally:
            self.log.append(record)

    def _refuse(self, kind: str, http_method: str) -> None:
        if http_method not in self.methods:
            raise TokenError("invalid_request", "Method not allowed", 405)
        if kind in _ORDERED:
            raise TokenError(*_ORDERED[kind])

    def _granted(self, params: Map, record: Grant) -> Map:
        keys = params.get("client_id"), params.get("client_secret")
        if not any((portal.client_id, portal.client_secret) == keys for portal in self._portals):
            raise TokenError("invalid_client", "Invalid client data was provided")
        client_id = php.to_text(params.get("client_id"))
        if record.grant_type == "authorization_code":
            return self._exchange(client_id, php.to_text(params.get("code")), record)
        if record.grant_type == "refresh_token":
            return self._renew(client_id, php.to_text(params.get("refresh_token")), record)
        raise TokenError("invalid_request", "Unknown grant type")

    def _exchange(self, client_id: str, code: str, record: Grant) -> Map:
        known = self._codes.pop(code, None)  # single use, whatever comes of it
        if known is None or known.portal.client_id != client_id or known.expires <= self.clock():
            raise TokenError("invalid_grant", "Invalid authorization code")
        record.portal, record.user_id = known.portal.spec.name, known.user_id
        return self.answer(self.issue(known.portal, known.user_id), first=True)

    def _renew(self, client_id: str, token: str, record: Grant) -> Map:
        pair = self._refresh.get(token)
        if pair is None or pair.portal.client_id != client_id or pair.refresh_expires <= self.clock():
            raise TokenError("invalid_grant", "Invalid refresh token")
        record.portal, record.user_id = pair.portal.spec.name, pair.user_id
        if self.rotation in {"rotate", "branch"}:
            if self.rotation == "rotate":
                del self._refresh[token]
                pair.dead = True
            return self.answer(self.issue(pair.portal, pair.user_id), first=False)
        new = self.issue(pair.portal, pair.user_id, refresh=token)
        return self.answer(new, first=False, with_refresh=self.rotation == "stable")


_ORDERED = {
    "invalid_grant": ("invalid_grant", "Invalid refresh token", 400),
    "invalid_client": ("invalid_client", "Invalid client data was provided", 400),
    "wrong_client": ("WRONG_CLIENT", "Wrong client", 200),
    "payment_required": ("PAYMENT_REQUIRED", "Payment required", 401),
    "server_error": ("INTERNAL_SERVER_ERROR", "Internal server error", 500),
}
