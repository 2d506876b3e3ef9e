"""The HTTP server: waitress, in the foreground or in a thread, and closed from any thread.

It logs no requests: an address may carry a code that is still good.
"""

import socket
import threading

from flask import Flask
from waitress import wasyncore
from waitress.server import create_server

MAX_BODY = 1024 * 1024
THREADS = 8
_CLOSING_SECONDS = 10.0


class WebServer:
    """Serves an app on one address; the socket is open once this exists.

    Args:
        app: What answers.
        host: An address or a name of this machine.
        port: 0 takes any that is free.

    Raises OSError when the address cannot be listened on.
    """

    def __init__(self, app: Flask, host: str, port: int) -> None:
        self._socket = _listen(host, port)
        self.port = int(self._socket.getsockname()[1])
        self._server = create_server(
            app.wsgi_app,
            sockets=[self._socket],
            threads=THREADS,
            max_request_body_size=MAX_BODY,
            ident=None,  # who we are and in which version is nobody's business
            channel_timeout=30,
            clear_untrusted_proxy_headers=True,
        )
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve in a thread."""
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, let answers under way end, and give the port back."""
        if self._thread is not None:
            # In the loop's own thread: a socket closed under its select would be an error there.
            self._server.trigger.pull_trigger(self._hang_up)
            self._thread.join(_CLOSING_SECONDS)
            self._thread = None
        self._server.task_dispatcher.shutdown()
        self._hang_up()

    def _hang_up(self) -> None:
        wasyncore.close_all(self._server._map, ignore_all=True)  # noqa: SLF001 - the loop ends when its map is empty


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)
