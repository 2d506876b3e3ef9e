"""The wire: an HTTP/1.1 server on a loopback port that ends promptly, and the replies it can send."""

import gzip
import json
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from worker.emulator.rest import php
from worker.emulator.rest.php import Json, Map


@dataclass
class Request:
    """What came over the wire."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    def params(self) -> Map:
        """Query, then form or JSON; keys of a body override those of the query (data-encoding.md)."""
        params = php.parse_str(self.query)
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.method == "POST" and kind == "application/json":
            params |= php.read_json(self.body)
        elif self.method == "POST" and kind == "application/x-www-form-urlencoded":
            params |= php.parse_str(self.body.decode("utf-8", "replace"))
        return params


@dataclass
class Reply:
    """What goes back, or what goes wrong on the way back."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """The length promises more than comes."""
    reset: bool = False
    """The connection closes without an answer."""
    delay: float = 0.0


def json_reply(status: int, value: Json) -> Reply:
    """Everything beyond ASCII is escaped: so a lone surrogate can pass, too."""
    return Reply(status, json.dumps(value, separators=(",", ":")).encode())


def html_reply(status: int, text: str) -> Reply:
    return Reply(status, text.encode(), "text/html; charset=utf-8")


def redirect(location: str, status: int = 302) -> Reply:
    return Reply(status, b"", "text/html; charset=utf-8", {"Location": location})


class LoopbackServer:
    """Serves `answer` on 127.0.0.1 from `start` to `stop`; threads do not outlive it."""

    def __init__(self, answer: Callable[[Request], Reply], port: int = 0) -> None:
        self.answer = answer
        self.stopped = threading.Event()
        self._http = _Http(("127.0.0.1", port), _Handler, bind_and_activate=True)
        self._http.owner = self
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, name=f"emulator-{self.port}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self.stopped.set()
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join(5)
        self._http.server_close()
        self._http.hang_up()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner: LoopbackServer

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  the base's own
        self._open: dict[socket.socket, threading.Thread | None] = {}
        self._open_lock = threading.Lock()
        super().__init__(*args, **kwargs)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base's own
        with self._open_lock:
            self._open[request] = threading.current_thread()
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._open_lock:
                self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base's own
        """A client that went away is no news; an error of ours is."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """Close what keep-alive holds open, and see the threads out."""
        with self._open_lock:
            still = dict(self._open)
        for sock in still:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in still.values():
            if thread is not None:
                thread.join(2)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Http

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *args: Any) -> None:  # noqa: ANN401  the base's own
        """Say nothing: addresses carry secrets."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        path, _, query = self.path.partition("?")
        body = self.rfile.read(length) if length else b""
        headers = {name.lower(): value for name, value in self.headers.items()}
        owner = self.server.owner
        reply = owner.answer(Request(self.command, path, query, headers, body))
        if reply.delay:
            owner.stopped.wait(reply.delay)
        if reply.reset:
            self.close_connection = True
            return
        self._send(reply, zipped="gzip" in headers.get("accept-encoding", ""))

    def _send(self, reply: Reply, *, zipped: bool) -> None:
        body = reply.body
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        if zipped and len(body) > 1024:
            body = gzip.compress(body, compresslevel=1)
            self.send_header("Content-Encoding", "gzip")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + (100 if reply.cut else 0)))
        if reply.cut:
            self.close_connection = True
            body = body[: len(body) // 2]
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
