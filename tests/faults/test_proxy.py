"""The proxy does to a connection what it says."""

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.faults.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says back what it hears."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    def answer(client: socket.socket) -> None:
        with client, suppress(ConnectionError):
            while piece := client.recv(100):
                client.sendall(piece)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


@pytest.fixture
def wire(echo: int) -> Iterator[Proxy]:
    with Proxy(echo) as proxy:
        yield proxy


def dial(wire: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", wire.port), timeout=5)


def say(client: socket.socket, text: bytes = b"hello") -> bytes:
    client.sendall(text)
    return client.recv(100)


def test_a_cut_wire_breaks_what_is_open_refuses_what_is_new_and_is_mended_on_the_same_port(wire: Proxy):
    with dial(wire) as client:
        assert say(client) == b"hello"
        wire.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    with pytest.raises(ConnectionRefusedError):
        dial(wire)
    wire.mend()
    with dial(wire) as client:
        assert say(client) == b"hello"
    assert wire.accepted == 2


def test_a_black_hole_is_silent_and_keeps_what_was_sent(wire: Proxy):
    with dial(wire) as client, dial(wire) as second:
        assert say(client) == say(second) == b"hello"
        wire.black_hole()
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            say(client, b"anybody?")
        wire.mend()
        client.settimeout(5)
        assert client.recv(100) == b"anybody?"


def test_where_packets_vanish_nothing_is_acknowledged_and_no_connection_made(wire: Proxy):
    """And what was sent meanwhile arrives when they are let through again."""
    with dial(wire) as client, dial(wire) as patient:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)
        assert say(client) == say(patient) == b"hello"
        wire.vanish()
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", wire.port), timeout=0.2)
        patient.sendall(b"anybody?")
        with pytest.raises(OSError, match="timed out") as given_up:
            say(client)
        assert given_up.value.errno == errno.ETIMEDOUT  # the kernel's word, not our own patience
        wire.mend()
        assert patient.recv(100) == b"anybody?"
    with dial(wire) as client:
        assert say(client) == b"hello"


def test_what_a_client_sends_can_be_cut_before_it_arrives(wire: Proxy):
    wire.on_sent = lambda piece: wire.reset() if b"now" in piece else None
    with dial(wire) as client:
        assert say(client) == b"hello"
        with pytest.raises(ConnectionResetError):
            say(client, b"now")
    with dial(wire) as client:
        assert say(client) == b"hello"
