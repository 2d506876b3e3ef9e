"""In-memory stores and a portal's table: what the tests of the portal side share."""

# ruff: noqa: ANN401, ARG002  fakes take what the real ones take

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import msgspec

from worker.bitrix24.calls import Answer, Answers, Call, Outcome, Ref, Time
from worker.errors import NeedsReauth, TransientError
from worker.tokens import Grant, Token

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def answer(result: object, method: str = "m", **rest: Any) -> Answer:
    return Answer(method=method, result=msgspec.Raw(msgspec.json.encode(result)), **rest)


class MemoryTokens:
    """A TokenStore with the rules of the real one."""

    def __init__(self, access: str = "a1", refresh: str | None = "r1", *, expires_in: int = 3600) -> None:
        self.lock = threading.Lock()
        self.token = self._token(access, refresh, expires_in, version=1)
        self.condemned: str | None = None
        self.lease: tuple[str, datetime] | None = None
        self.log: list[str] = []

    @staticmethod
    def _token(access: str, refresh: str | None, expires_in: int, *, version: int, at: datetime = NOW) -> Token:
        return Token(
            account_id=1,
            access_token=access,
            refresh_token=refresh,
            expires_in=expires_in,
            access_expires_at=at + timedelta(seconds=expires_in),
            refresh_issued_at=at,
            version=version,
        )

    def load(self, account_id: int) -> Token:
        with self.lock:
            if self.condemned is not None:
                raise NeedsReauth(self.condemned)
            return self.token

    def claim_refresh(self, account_id: int, *, version: int, owner: str, now: datetime, lease: timedelta) -> bool:
        with self.lock:
            if self.token.version != version or (self.lease is not None and self.lease[1] > now):
                return False
            self.lease = (owner, now + lease)
            self.token = replace(self.token, unanswered=self.token.unanswered + 1)
            self.log.append("claim")
            return True

    def release_refresh(self, account_id: int, *, version: int, owner: str, answered: bool) -> None:
        with self.lock:
            if answered and self.token.version == version and self.token.unanswered:
                self.token = replace(self.token, unanswered=self.token.unanswered - 1)
            if self.lease is not None and self.lease[0] == owner:
                self.lease = None
                self.log.append("release")

    def replace(self, account_id: int, *, version: int, grant: Grant) -> bool:
        with self.lock:
            if self.token.version != version:
                return False
            refresh = grant.refresh_token or self.token.refresh_token
            self.token = self._token(
                grant.access_token, refresh, grant.expires_in, version=version + 1, at=grant.received_at
            )
            self.lease = None
            self.log.append("replace")
            return True

    def condemn(self, account_id: int, *, version: int, reason: str) -> bool:
        with self.lock:
            if self.token.version != version:
                return False
            self.condemned = reason
            self.lease = None
            return True


class MemoryBudget:
    """A BudgetStore: the leaky bucket, 50 deep, 2 a second."""

    def __init__(self, *, room: float = 50, drain: float = 2) -> None:
        self.room, self.drain = room, drain
        self.level, self.at = 0.0, NOW
        self.reserved: list[int] = []
        self.filled = 0
        self.closed: dict[str, datetime] = {}
        self.lock = threading.Lock()

    def reserve(self, portal_id: int, requests: int, *, now: datetime, patience: float) -> float:
        with self.lock:
            self.level = max(0.0, self.level - (now - self.at).total_seconds() * self.drain)
            self.at = now
            wait = max(0.0, (self.level + requests - self.room) / self.drain)
            if wait <= patience:
                self.level += requests
                self.reserved.append(requests)
            return wait

    def fill(self, portal_id: int, *, now: datetime) -> None:
        self.filled += 1

    def close_method(self, portal_id: int, method: str, *, until: datetime) -> None:
        self.closed[method] = until

    def closed_methods(self, portal_id: int, *, now: datetime) -> Mapping[str, datetime]:
        return {method: until for method, until in self.closed.items() if until > now}


class Table:
    """A list method as the vendor's PHP runs it in a batch: a reference that misses gives the table from its start."""

    def __init__(self, ids: Sequence[int], *, items: tuple[str, ...] = ("tasks",)) -> None:
        self.ids = set(ids)
        self.items = items
        self.counts = self.pages = 0
        self.fail: Callable[[Call], Exception | None] = lambda _call: None
        self.shorten: Callable[[int], int] = lambda size: size
        self.between: Callable[[], None] = lambda: None  # what others do to the table before each call

    def batch(self, calls: Sequence[Call], *, halt: bool = False) -> Answers:
        outcomes: dict[str, Outcome] = {}
        results: dict[str, Any] = {}
        for call in calls:
            self.between()
            error = self.fail(call)
            if error is not None:
                outcomes[call.key] = error  # type: ignore[assignment]
                if halt:
                    break
                continue
            total, result = self.run(call, results)
            results[call.key] = result
            outcomes[call.key] = answer(result, call.method, total=total)
        return Answers(outcomes, Time())

    def run(self, call: Call, results: Mapping[str, Any]) -> tuple[int | None, Any]:
        ids = sorted(self.ids)
        for name, value in call.params["filter"].items():
            bound = resolve(value, results)
            if bound == []:  # an empty condition is dropped
                continue
            limit = 1 if isinstance(bound, list | dict) else int(bound)  # a non-empty array is 1 for PHP
            ids = [i for i in ids if (i > limit if name == ">ID" else i <= limit)]
        if call.params["order"]["ID"] == "desc":
            ids.reverse()
        counted = call.params["start"] >= 0
        self.counts += counted
        self.pages += 1
        rows: Any = [{"id": str(i)} for i in ids[: 50 if counted else self.shorten(50)]]
        for part in reversed(self.items):
            rows = {part: rows}
        return (len(ids) if counted else None), rows


def resolve(value: object, results: Mapping[str, Any]) -> Any:
    """The vendor's resolver: at the first missing key it stops and uses what it has reached."""
    if not isinstance(value, Ref):
        return value
    reached: Any = results
    for part in (value.key, *value.path):
        here = isinstance(reached, list) and isinstance(part, int) and part < len(reached)
        if here or (isinstance(reached, dict) and part in reached):
            reached = reached[part]
        else:
            return list(reached.values()) if isinstance(reached, dict) else reached
    return reached


class Handler(BaseHTTPRequestHandler):
    """Gives every request to `respond(handler) -> (status, headers, body)`; None closes the connection unanswered."""

    protocol_version = "HTTP/1.1"
    respond: ClassVar[Callable[["Handler"], tuple[int, dict[str, str], bytes] | None]]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _any(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = type(self).respond(self)
        if reply is None:
            self.close_connection = True
            return
        status, headers, body = reply
        self.send_response(status)
        headers = {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if headers["Content-Length"] not in {"", str(len(body))}:
            self.close_connection = True  # cut off, not late

    do_GET = do_POST = _any  # noqa: N815


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news here."""


@contextmanager
def serving(respond: Callable[[Any], tuple[int, dict[str, str], bytes] | None]) -> Iterator[str]:
    """A server on a port of its own; yields its origin."""
    handler = type("OneHandler", (Handler,), {"respond": staticmethod(respond)})
    server = _Quiet(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ok(result: object, **rest: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps({"result": result, "time": {"date_start": "2026-11-23T12:00:00+02:00"}, **rest}).encode()


def refused(status: int, code: str, text: str = "") -> tuple[int, dict[str, str], bytes]:
    return status, {}, json.dumps({"error": code, "error_description": text}).encode()


def flaky() -> TransientError:
    return TransientError("for a moment", code="ERROR_CORE")
