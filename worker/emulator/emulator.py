"""The whole stage: one token server and any number of portals."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import ClassVar, Self

from worker.emulator.portal import Portal
from worker.emulator.server.tokens import TokenServer
from worker.emulator.server.wire import LoopbackServer, Reply, Request, html_reply
from worker.emulator.spec import FIRST, Customs, PortalSpec


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Emulator:
    """A token server and its portals, each on a loopback port of its own.

    >>> with Emulator() as emulator:
    ...     portal = emulator.add_portal(PortalSpec(tasks=10))
    """

    customs: ClassVar[Customs] = FIRST
    """The world that stages are made in."""

    def __init__(self, *, clock: Callable[[], datetime] | None = None, port: int = 0) -> None:
        self.clock = clock or _utc_now
        self.token_server = TokenServer(
            self.clock,
            rotation=self.customs.rotation,
            methods=set(self.customs.token_methods),
            exchange_tells=self.customs.exchange_tells,
        )
        self.portals: list[Portal] = []
        self._server = LoopbackServer(self._answer, port)
        self.token_server.host = self._server.host
        self._running = False

    @property
    def auth_url(self) -> str:
        return f"http://{self._server.host}"

    def add_portal(self, spec: PortalSpec, *, port: int = 0, application_of: Portal | None = None) -> Portal:
        """A portal more; in a running emulator it answers at once.

        With `application_of` the application of that portal is installed here too: it has one key and one secret,
        wherever it is installed.
        """
        portal = Portal(self.customs.applied(spec), self.token_server, port)
        portal.own_oauth, portal.redirect_status = self.customs.own_oauth, self.customs.redirect_status
        if application_of is not None:
            portal.client_id, portal.client_secret = application_of.client_id, application_of.client_secret
        self.portals.append(portal)
        if self._running:
            portal.start()
        return portal

    def start(self) -> None:
        if not self._running:
            self._running = True
            self._server.start()
            for portal in self.portals:
                portal.start()

    def stop(self) -> None:
        self._running = False
        for portal in self.portals:
            portal.stop()
        self._server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _answer(self, request: Request) -> Reply:
        if request.path.rstrip("/") != "/oauth/token":
            return html_reply(404, "<html><body>Not found</body></html>")
        return self.token_server.grant(request.params(), request.method).over_http()
