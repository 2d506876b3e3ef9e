"""A wire that a test can cut: a TCP proxy in front of a database, a broker or a portal.

Shared servers are never touched: a test gives its programs the proxy's port instead of the server's, and nobody else
notices.

>>> with Proxy(5432) as wire:
...     url = f"postgresql+psycopg://root@127.0.0.1:{wire.port}/name"
...     wire.cut()  # every connection breaks, new ones are refused
...     wire.mend()
"""

import ctypes
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.ports import free_port

_CHUNK = 65536
_ATTACH_FILTER, _DETACH_FILTER = 26, 27  # Linux: SO_ATTACH_FILTER, SO_DETACH_FILTER
_NO_PACKET = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # one instruction: keep 0 bytes
_FILTER = struct.pack("HL", 1, ctypes.addressof(_NO_PACKET))
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: the connection ends with a reset, not with a goodbye


class Proxy:
    """Forwards 127.0.0.1:`port` (its own, free one) to 127.0.0.1:`server_port`.

    Args:
        server_port: Whom it stands for.
        on_sent: Told every piece that a client sends, before it is forwarded: the place to cut in the middle of
            something.

    `on_answered` is the same for what the server sends.
    """

    def __init__(self, server_port: int, *, on_sent: Callable[[bytes], None] | None = None) -> None:
        self.on_sent = on_sent
        self.on_answered: Callable[[bytes], None] | None = None
        self.accepted = 0
        self._server_port = server_port
        self._delay = 0.0
        self._flows = threading.Event()
        self._flows.set()
        self._closed = False
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._acceptor: threading.Thread | None = None
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", free_port()))  # a chosen port stays bound while nobody listens on it
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self.mend()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._closed = True
        self.cut()
        self._flows.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def mend(self) -> None:
        """All is well: what a black hole has kept goes on its way, new connections are accepted."""
        self._delay = 0.0
        self._hear(True)
        self._flows.set()
        with suppress(OSError):  # it listens already
            self._listener.listen(128)
        if self._acceptor is None:
            self._acceptor = self._run("accept", self._accept)

    def cut(self) -> None:
        """The server is down: every connection is reset, new ones are refused."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        if self._acceptor is not None:
            self._acceptor.join(5)
            self._acceptor = None
        self.reset()

    def reset(self) -> None:
        """Every connection breaks; new ones are served."""
        with self._lock:
            broken, self._sockets = self._sockets, set()
        for one in broken:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        for one in broken:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RD)  # wakes whoever reads it; the other direction would say goodbye
            one.close()

    def black_hole(self) -> None:
        """Nothing comes through, and nobody is told: connections stay open, new ones are taken and left alone."""
        self._flows.clear()

    def vanish(self) -> None:
        """Packets vanish, as behind a pulled cable: nobody acknowledges what is sent, or answers a knock."""
        self._flows.clear()
        self._hear(False)

    def delay(self, seconds: float) -> None:
        """Every piece takes so long, in either direction."""
        self._delay = seconds

    @property
    def connections(self) -> int:
        """How many are open now."""
        with self._lock:
            return len(self._sockets) // 2

    def _hear(self, packets: bool) -> None:
        """Let the kernel take the clients' packets, or throw them away before it answers any."""
        option, value = (_DETACH_FILTER, struct.pack("i", 0)) if packets else (_ATTACH_FILTER, _FILTER)
        with self._lock:
            for one in (self._listener, *self._sockets):
                with suppress(OSError):  # there was no filter, or it is closed
                    one.setsockopt(socket.SOL_SOCKET, option, value)

    def _run(self, name: str, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:  # cut
                return
            self.accepted += 1
            self._run("connect", lambda client=client: self._connect(client))  # type: ignore[misc]

    def _connect(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._sockets.add(client)
        self._flows.wait()  # before the server is dialled: one that greets first would count a caller who says nothing
        try:
            server = socket.create_connection(("127.0.0.1", self._server_port), timeout=10)
        except OSError:
            self._hang_up(client)
            return
        server.settimeout(None)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            known = client in self._sockets  # else it was cut meanwhile
            if known:
                self._sockets.add(server)
        if not known:
            server.close()
            return
        self._run("back", lambda: self._pump(server, client, lambda: self.on_answered))
        self._pump(client, server, lambda: self.on_sent)

    def _pump(
        self, source: socket.socket, target: socket.socket, told: Callable[[], Callable[[bytes], None] | None]
    ) -> None:
        try:
            while piece := source.recv(_CHUNK):
                if (tell := told()) is not None:
                    tell(piece)
                if self._delay:
                    time.sleep(self._delay)
                self._flows.wait()
                target.sendall(piece)
        except OSError:  # cut, or one of the two went away
            pass
        self._hang_up(source, target)

    def _hang_up(self, *sockets: socket.socket) -> None:
        with self._lock:
            ours = self._sockets.intersection(sockets)  # the others are being reset
            self._sockets -= ours
        for one in ours:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
