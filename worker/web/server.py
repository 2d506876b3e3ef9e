"""The HTTP server: waitress, in the foreground or in a thread, and closed from any thread.

It logs no requests: an address may carry a code that is still good.
"""

import socket
import threading
import time

from flask import Flask
from waitress import wasyncore  # type: ignore[import-untyped]
from waitress.server import create_server  # type: ignore[import-untyped]

MAX_BODY = 1024 * 1024
THREADS = 8
_CLOSING_SECONDS = 5.0
_FLUSH_SECONDS = 2.0


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
        """Let answers under way end, stop listening, and give the port back. May be called twice."""
        self._server.task_dispatcher.shutdown(timeout=_CLOSING_SECONDS)
        if self._thread is not None:
            self._flush()
            # In the loop's own thread: a socket closed under its select would be an error there.
            self._server.trigger.pull_trigger(self._hang_up)
            self._thread.join(_CLOSING_SECONDS)
            self._thread = None
        else:
            self._hang_up()

    def _flush(self) -> None:
        """Wait until the loop has sent what was answered: whoever closes may have been waiting for that very answer."""
        end = time.monotonic() + _FLUSH_SECONDS
        while time.monotonic() < end:
            channels = list(self._server.active_channels.values())
            if not any(channel.total_outbufs_len for channel in channels):
                return
            time.sleep(0.01)

    def _hang_up(self) -> None:
        wasyncore.close_all(self._server._map, ignore_all=True)  # noqa: SLF001 - the loop ends when its map is empty


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)
