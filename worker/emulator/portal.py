"""One portal: its address, its people's rights, and its answers to requests."""

import secrets
import threading
from collections.abc import Sequence
from datetime import datetime
from hashlib import md5
from typing import Literal
from urllib.parse import unquote, urlencode

from worker.emulator.faults import REQUEST_KINDS, Faults
from worker.emulator.requestlog import RequestLog
from worker.emulator.rest import php, v3
from worker.emulator.rest.batch import commands, run_batch
from worker.emulator.rest.call import Call, Caller
from worker.emulator.rest.errors import RestError
from worker.emulator.rest.limits import Bucket, Operating
from worker.emulator.rest.methods import method_named
from worker.emulator.rest.php import Json, Map
from worker.emulator.rest.run import run, time_block
from worker.emulator.server.tokens import TokenServer
from worker.emulator.server.wire import LoopbackServer, Reply, Request, html_reply, json_reply, redirect
from worker.emulator.server.wrong import spoiled_reply
from worker.emulator.spec import PortalSpec
from worker.emulator.world.acts import Acts
from worker.emulator.world.mirror import View
from worker.emulator.world.offline import Queue
from worker.emulator.world.seed import make_world
from worker.emulator.world.truth import truth


class Portal(Acts):
    """Made by `Emulator.add_portal`; its verbs (see `Acts`) change what the next answer shows."""

    def __init__(self, spec: PortalSpec, tokens: TokenServer, port: int = 0) -> None:
        super().__init__(make_world(spec, tokens.clock().replace(microsecond=0)), Queue(), tokens.clock, spec.seed)
        self.spec = spec
        self.scope = spec.scope
        self.member_id = md5(f"{spec.name}/{spec.seed}".encode(), usedforsecurity=False).hexdigest()
        self.client_id = f"local.{self.member_id[:14]}.{spec.seed:08d}"
        self.client_secret = secrets.token_urlsafe(36)
        self.application_token = secrets.token_hex(16)
        """The same in every event of this portal (events/safe-event-handlers.md)."""
        self.installed = True
        """Whether the application's page has said that its installation is finished."""
        self.redirect_uris: list[str] = []
        self.login_as: int | None = None
        """Who clicks "allow"; None: the administrator."""
        self.own_oauth: Literal["json", "redirect"] = "json"
        """How the portal's own token page answers."""
        self.redirect_status = 302
        """How the old address sends to the new one."""
        self.faults = Faults()
        self.requests = RequestLog()
        self.spoiled: list[str] = []
        """Ids of records that a fault put rubbish into."""
        self.bucket = Bucket(50, 2)
        self.operating = Operating(spec.operating_limit)
        self.tokens = tokens
        self._webhooks: dict[int, str] = {}
        self._log_lock = threading.Lock()
        self._server = LoopbackServer(self.answer, port)
        self._old_servers: list[LoopbackServer] = []
        tokens.know(self)

    def __repr__(self) -> str:
        return f"Portal({self.spec.name!r}, {self.domain!r}, tasks={len(self.world.tasks)})"

    @property
    def domain(self) -> str:
        return self._server.host

    @property
    def url(self) -> str:
        return f"http://{self.domain}"

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        for server in (*self._old_servers, self._server):
            server.stop()

    def rename(self) -> str:
        """Move to a new address; the old one sends there, with 302 says change-domen.md."""
        self._old_servers.append(self._server)
        new = LoopbackServer(self.answer)
        old, self._server = self._server, new
        old.answer = self._moved
        new.start()
        return self.domain

    def _moved(self, request: Request) -> Reply:
        address = f"{self.url}{request.path}" + (f"?{request.query}" if request.query else "")
        return redirect(address, self.redirect_status)

    def register_app(self, redirect_uri: str) -> None:
        """Fill in the application's card."""
        self.redirect_uris = [redirect_uri]

    def webhook_url(self, user_id: int) -> str:
        """The incoming webhook of a user, one per user."""
        secret = self._webhooks.setdefault(user_id, secrets.token_hex(8))
        return f"{self.url}/rest/{user_id}/{secret}/"

    def issue_tokens(self, user_id: int, *, code_flow: bool = False) -> Map:
        """A fresh pair as the token server prints it: after a code, or after a refresh (two more keys)."""
        return self.tokens.answer(self.tokens.issue(self, user_id), first=code_flow)

    def truth(
        self, viewer_id: int, *, calendars: Sequence[str] = ("mine", "company"), window: tuple[datetime, datetime]
    ) -> dict[str, list[dict[str, Json]]]:
        """What a mirror of this viewer must hold now, straight from the state."""
        scopes = frozenset(self.scope.split(","))
        with self.lock:
            return truth(self.world, View(viewer_id, calendars, window, self.clock(), scopes, self.spec.language))

    def answer(self, request: Request) -> Reply:
        """Answer one HTTP request."""
        if request.path.startswith("/oauth/authorize"):
            return self._authorize(php.parse_str(request.query))
        if request.path.rstrip("/") == "/oauth/token":
            return self._own_token(request)
        if request.path.startswith("/rest/"):
            return self._rest(request)
        return html_reply(404, "<html><body>Not found</body></html>")

    def _rest(self, request: Request) -> Reply:
        path = [unquote(part) for part in request.path.removeprefix("/rest/").split("/") if part]
        new = path[:1] == ["api"]
        path = path[1:] if new else path
        params = request.params()
        webhook = path[:2] if len(path) >= 2 and path[0].isdigit() else []
        rest = path[len(webhook) :]
        method = ("api/" if new else "") + (rest[0].removesuffix(".json") if rest else "")
        asked = [php.split_command(command)[0] for _, command in commands(params)] if method == "batch" else [method]
        with self._log_lock:
            self.requests.http += 1
            self.requests.requests.append(asked)
            self.requests.calls.update([*asked, "batch"] if method == "batch" else asked)
        now = self.clock()
        fault = self.faults.take(REQUEST_KINDS, {method, *asked})
        delay = 0.0
        if fault is not None and fault.kind == "hang":
            delay = float(fault.options.get("seconds", 30))
        elif fault is not None:
            return spoiled_reply(fault, self.spec.status_table, self.url + request.path)
        reply = self._answered(method, params, webhook, request, now)
        reply.delay = delay
        return reply

    def _answered(self, method: str, params: Map, webhook: list[str], request: Request, now: datetime) -> Reply:
        with self.lock:
            try:
                self._admit(now)
                if method != "batch" and not method.startswith("api/"):
                    method_named(method)
                caller = self._caller(params, webhook, request)
                call = Call(self, method.lower(), params, caller, now)
                if method.startswith("api/"):
                    body = v3.answer(call)
                    call.time = time_block(call, 0.0, method)
                elif method == "batch":
                    body = {"result": run_batch(self, params, caller, now)}
                    call.time = time_block(call, 0.0, "batch")
                else:
                    body = {"result": run(call)}
                body |= {key: value for key in ("next", "total") if (value := getattr(call, key)) is not None}
                return json_reply(200, body | {"time": call.time})
            except RestError as error:
                return json_reply(error.http_status(self.spec.status_table), v3.error_body(error))

    def _admit(self, now: datetime) -> None:
        if self.spec.limits and not self.bucket.admit(now):
            self.requests.refused += 1
            raise RestError("QUERY_LIMIT_EXCEEDED", "Too many requests")

    def _caller(self, params: Map, webhook: list[str], request: Request) -> Caller:
        """Header, then `auth`, then `access_token`; a webhook has its secret in the path."""
        scopes = frozenset(self.scope.split(","))
        if webhook:
            user_id = int(webhook[0])
            if self._webhooks.get(user_id) != webhook[1]:
                raise RestError("INVALID_CREDENTIALS", "Invalid request credentials")
            self._check_user(user_id)
            return Caller(user_id, scopes, f"webhook {user_id}", webhook=True)
        bearer = request.headers.get("authorization", "")
        token = bearer[7:] if bearer.lower().startswith("bearer ") else ""
        token = token or php.to_text(params.get("auth") or params.get("access_token"))
        if not token:
            raise RestError("NO_AUTH_FOUND", "Wrong authorization data")
        pair, problem = self.tokens.check(self, token)
        if pair is None:
            text = (
                "The access token provided has expired."
                if problem == "expired_token"
                else "Unable to get application by token"
            )
            raise RestError(problem, text)
        self._check_user(pair.user_id)
        return Caller(pair.user_id, frozenset(pair.scope.split(",")), self.client_id)

    def _check_user(self, user_id: int) -> None:
        user = self.world.users.get(user_id)
        if user is None or not user.active:
            raise RestError("authorization_error", "Unable to authorize user")

    def _authorize(self, params: Map) -> Reply:
        """The user clicks "allow"; what cannot be allowed ends on the portal's own page (settings/oauth/index.md)."""
        if params.get("client_id") != self.client_id or not self.redirect_uris:
            return html_reply(200, "<html><body><h1>Application not found</h1></body></html>")
        user_id = self.admin_id if self.login_as is None else self.login_as
        back = {
            "code": self.tokens.new_code(self, user_id),
            "state": php.to_text(params.get("state")),
            "domain": self.domain,
            "member_id": self.member_id,
            "scope": self.scope,
            "server_domain": self.tokens.host,
        }
        address = self.redirect_uris[0]
        return redirect(address + ("&" if "?" in address else "?") + urlencode(back))

    def _own_token(self, request: Request) -> Reply:
        """The old way, GET on the portal itself; the answer is JSON or rides back in an address."""
        params = request.params()
        reply = self.tokens.grant(params, request.method)
        if "error" in reply.body or self.own_oauth == "json":
            return reply.over_http()
        keys = ("access_token", "expires_in", "refresh_token")
        kept = {key: reply.body[key] for key in keys if key in reply.body}
        address = php.to_text(params.get("redirect_uri")) or (self.redirect_uris or [""])[0]
        return redirect(address + ("&" if "?" in address else "?") + urlencode(kept))
