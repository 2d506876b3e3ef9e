"""A vendor's front end on loopback: HTTPS for clients that speak nothing else and name hosts that are not here.

A proxy for CONNECT: it answers for the names that it was told, with a certificate made in this run, and passes on what
comes to a plain port on this machine. Whatever other name is asked for is refused: nothing leaves the machine. A client
is brought here by two variables of the environment, HTTPS_PROXY and REQUESTS_CA_BUNDLE, and by no change of its code.
"""

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from socket import SHUT_WR, create_connection, socket
from socketserver import BaseRequestHandler, ThreadingTCPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_SECONDS = 30


class Edge(ThreadingTCPServer):
    """Answers for `names`: host to "127.0.0.1:port". `proxy` and `bundle` are what a client must be told."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, names: Mapping[str, str], folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.names = dict(names)
        self.tunnels: list[str] = []
        self.bundle = _certificate(list(names), folder)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.bundle, folder / "key.pem")

    @property
    def proxy(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Tunnel(BaseRequestHandler):
    server: Edge

    def handle(self) -> None:
        self.request.settimeout(_SECONDS)
        asked = b""
        while b"\r\n\r\n" not in asked and len(asked) < 65536 and (piece := self.request.recv(4096)):
            asked += piece
        verb, _, rest = asked.decode("latin-1").partition(" ")
        host = rest.partition(" ")[0].rpartition(":")[0]
        there = self.server.names.get(host)
        if verb != "CONNECT" or there is None:
            self.request.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        self.server.tunnels.append(host)
        self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        name, _, port = there.partition(":")
        with (
            suppress(OSError),
            self.server.context.wrap_socket(self.request, server_side=True) as client,
            create_connection((name, int(port)), timeout=_SECONDS) as portal,
        ):
            back = threading.Thread(target=_pass_on, args=(portal, client), daemon=True)
            back.start()
            _pass_on(client, portal)
            back.join(_SECONDS)


def _pass_on(source: socket, target: socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(SHUT_WR)


@contextmanager
def edge(names: Mapping[str, str], folder: Path) -> Iterator[Edge]:
    """An edge that serves to the end of the block."""
    with Edge(names, folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _certificate(names: list[str], folder: Path) -> Path:
    """A certificate for these names that is its own authority, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "b24sync judges")])
    now = datetime.now(UTC)
    known = [x509.IPAddress(ip_address(one)) if one[0].isdigit() else x509.DNSName(one) for one in names]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(known), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(secret)
    bundle = folder / "bundle.pem"
    bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return bundle
