"""What the authorization server is asked, what it hands out and keeps, and for whom."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from worker.emulator.rest.php import Map
from worker.emulator.server.wire import Reply, json_reply
from worker.emulator.spec import PortalSpec


class Application(Protocol):
    """Our application on one portal, as the authorization server knows it."""

    spec: PortalSpec
    scope: str
    member_id: str
    client_id: str
    client_secret: str

    @property
    def url(self) -> str: ...


@dataclass
class Grant:
    """What was asked of the token server; secrets only as hashes."""

    grant_type: str
    at: datetime
    outcome: str
    portal: str = ""
    user_id: int = 0
    token_sha: str = ""
    http_method: str = ""


@dataclass(repr=False)
class Pair:
    """An access token and the refresh token issued beside it."""

    portal: Application
    user_id: int
    access: str
    refresh: str
    expires: datetime
    refresh_expires: datetime
    scope: str
    dead: bool = False


@dataclass(repr=False)
class Code:
    portal: Application
    user_id: int
    expires: datetime


@dataclass(frozen=True)
class TokenReply:
    status: int
    body: Map
    lose: bool = False
    raw: bytes | None = None
    hang: float = 0.0

    def over_http(self) -> Reply:
        if self.raw is not None:
            return Reply(self.status, self.raw, "text/html; charset=utf-8")
        reply = json_reply(self.status, self.body)
        reply.reset, reply.delay = self.lose, self.hang
        return reply


class TokenError(Exception):
    """An error of error-codes.md; its statuses are undocumented, these are what the vendor's SDK expects."""

    def __init__(self, code: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status
